//! The tasks of all principals, and which of them are forgotten for others.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::{hub::Principal, mount::pool::Key as Place};

use super::{registry::Entry, room::given_up};

/// One entry and how many bytes of its result are kept.
pub(super) struct Row {
    pub(super) entry: Entry,
    pub(super) bytes: usize,
}

#[derive(Default)]
pub(super) struct Rows {
    pub(super) of: HashMap<Principal, Own>,
    pub(super) total: usize,
    pub(super) bytes: usize,
}

/// Those of one principal, oldest first.
#[derive(Default)]
pub(super) struct Own {
    pub(super) rows: Vec<Row>,
    /// Seats that are taken for tasks to come.
    pub(super) seats: usize,
    pub(super) bytes: usize,
}

impl Own {
    fn count(&self) -> usize {
        self.rows.len() + self.seats
    }

    fn can_give(&self) -> bool {
        self.rows.iter().any(|row| row.entry.gives_way())
    }
}

impl Rows {
    pub(super) fn purge(&mut self, principal: &Principal) {
        let now = Instant::now();
        self.remove(principal, |row| row.entry.is_expired(now));
    }

    pub(super) fn purge_all(&mut self) {
        for principal in self.of.keys().cloned().collect::<Vec<_>>() {
            self.purge(&principal);
        }
    }

    pub(super) fn remove(&mut self, principal: &Principal, which: impl Fn(&Row) -> bool) {
        let Some(own) = self.of.get_mut(principal) else { return };
        for row in own.rows.extract_if(.., |row| which(row)) {
            self.total -= 1;
            self.bytes -= row.bytes;
            own.bytes -= row.bytes;
            // Whoever still holds it must not go on working.
            if let Entry::Kept(kept) = row.entry {
                kept.stop.cancel();
            }
        }
        self.tidy(principal);
    }

    /// Forgets whatever is the server's task `task` in the sessions of `place`.
    pub(super) fn forget_all(&mut self, place: &Place, task: &str) {
        for principal in self.of.keys().cloned().collect::<Vec<_>>() {
            self.remove(&principal, |row| row.entry.stands_for(place, task));
        }
    }

    pub(super) fn tidy(&mut self, principal: &Principal) {
        if self.of.get(principal).is_some_and(|own| own.count() == 0) {
            self.of.remove(principal);
        }
    }

    /// Forgets the first task of a principal that is such a one.
    fn forget_first(&mut self, principal: &Principal, which: impl Fn(&Row) -> bool) -> bool {
        let Some(own) = self.of.get(principal) else { return false };
        let Some(first) = own.rows.iter().position(which) else { return false };
        let handle = own.rows[first].entry.handle().to_owned();
        self.remove(principal, |row| row.entry.handle() == handle);
        true
    }

    /// Makes room for one more task of a principal, where one may have `each` and everybody together `all`; whether there is
    /// any. What is forgotten of others is of one that has more than an equal part of them.
    pub(super) fn make_seat(&mut self, principal: &Principal, (each, all): (usize, usize)) -> bool {
        let count = |rows: &Self| rows.of.get(principal).map_or(0, Own::count);
        if count(self) >= each || self.total >= all {
            self.purge_all();
        }
        let from = if count(self) >= each {
            principal.clone()
        } else if self.total >= all {
            let holders = self.of.len() + usize::from(count(self) == 0);
            let may_give = |who: &Principal, own: &Own| who == principal || own.count() * holders > all;
            let giving = self.of.iter().filter(|(who, own)| own.can_give() && may_give(who, own));
            let most = giving.max_by_key(|(who, own)| match *who == principal {
                // The new one counts as one that it has already.
                true => (own.count() + 1, false),
                false => (own.count(), true),
            });
            let Some((who, _)) = most else { return false };
            who.clone()
        } else {
            return true;
        };
        self.forget_first(&from, |row| row.entry.gives_way())
    }

    /// Forgets results until one more of `bytes` bytes fits into what one principal may hold and into what all may; whether it
    /// does. Their tasks are forgotten with them: in the extension none has completed without its result.
    pub(super) fn make_room(&mut self, principal: &Principal, bytes: usize, (each, all): (usize, usize)) -> bool {
        let held = self.of.get(principal).map_or(0, |own| own.bytes);
        if held + bytes <= each && self.bytes + bytes <= all {
            return true;
        }
        self.purge_all();
        let own = std::iter::once(principal.clone());
        let who: Vec<_> = own.chain(self.of.keys().filter(|other| *other != principal).cloned()).collect();
        let sizes = |own: &Own| own.rows.iter().map(|row| row.bytes).filter(|bytes| *bytes > 0).collect();
        let held: Vec<Vec<usize>> = who.iter().map(|who| self.of.get(who).map(sizes).unwrap_or_default()).collect();
        let Some(given) = given_up(&held, 0, bytes, (each, all)) else { return false };
        for (who, count) in who.iter().zip(given) {
            for _ in 0..count {
                self.forget_first(who, |row| row.bytes > 0);
            }
        }
        true
    }
}
