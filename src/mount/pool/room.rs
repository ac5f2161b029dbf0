//! How many sessions there may be at one server, and how many of them a single caller may have.
//!
//! A client makes up the capabilities that it declares, and each set of them needs a session of its own. So that nobody can
//! crowd out the others by that, or by the number of its clients, every principal has bounds of its own within that of the
//! server. Where a bound is reached, the session ends that was unused longest; where all are in use, whoever wants another
//! one is refused, and nobody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::hub::{Caller, Fault, Principal, Reason};

use super::{Key, Slot, lock};

/// How many sessions one server may have, where it does not bear less.
const SESSIONS: usize = 1000;
/// How many of them the requests of one principal may have that share sessions: one for each set of capabilities that its
/// clients declare, and for each of its conversations where those are told apart.
const SETS: usize = 16;

/// The bounds of one server's sessions.
pub(super) struct Room {
    server: Arc<str>,
    most: usize,
    /// What a single principal may have of it.
    of_one: usize,
    alone: Arc<Alone>,
}

/// How many sessions each principal has that are for one request.
type Alone = Mutex<HashMap<Principal, usize>>;

/// The right to a session for one request; given back when dropped.
pub(in crate::mount) struct Seat {
    alone: Arc<Alone>,
    principal: Principal,
}

type Slots = HashMap<Key, Arc<Slot>>;
/// Sessions that ended for others. To be dropped when the slots are not locked: closing a session takes locks of its own.
type Ended = Vec<Arc<Slot>>;

impl Room {
    /// The bounds of a server that bears so many sessions.
    pub(super) fn new(server: &Arc<str>, bears: usize) -> Self {
        let most = bears.clamp(1, SESSIONS);
        // A quarter is always left for others.
        let of_one = most - most / 4;
        Self { server: server.clone(), most, of_one, alone: Arc::default() }
    }

    /// Makes room for a session that is kept for a caller.
    pub(super) fn kept(&self, slots: &mut Slots, caller: &Caller, ended: &mut Ended) -> Result<(), Fault> {
        // Of two strangers nobody can say that they are one.
        if !caller.principal.is_anonymous() && !caller.scope.is_session() {
            let is_set = |slot: &Slot| !slot.own && slot.owner == caller.principal;
            if slots.values().filter(|slot| is_set(slot)).count() >= SETS && !end(slots, is_set, ended) {
                return Err(self.busy(format!(
                    "{SETS} sessions for different capabilities of one caller are in use, which is all it may have"
                )));
            }
        }
        self.another(slots, caller, ended)
    }

    /// Makes room for a session that is for one request of a caller.
    pub(super) fn alone(&self, slots: &mut Slots, caller: &Caller, ended: &mut Ended) -> Result<Seat, Fault> {
        self.another(slots, caller, ended)?;
        *lock(&self.alone).entry(caller.principal.clone()).or_default() += 1;
        Ok(Seat { alone: self.alone.clone(), principal: caller.principal.clone() })
    }

    fn another(&self, slots: &mut Slots, caller: &Caller, ended: &mut Ended) -> Result<(), Fault> {
        let (mine, all) = {
            let alone = lock(&self.alone);
            (alone.get(&caller.principal).copied().unwrap_or_default(), alone.values().sum::<usize>())
        };
        if !caller.principal.is_anonymous() {
            let is_mine = |slot: &Slot| slot.owner == caller.principal;
            let mine = mine + slots.values().filter(|slot| is_mine(slot)).count();
            if mine >= self.of_one && !end(slots, is_mine, ended) {
                let most = self.of_one;
                return Err(self.busy(format!("{most} sessions of one caller are in use, which is all it may have")));
            }
        }
        if all + slots.len() >= self.most && !end(slots, |_| true, ended) {
            return Err(self.busy(format!("{} sessions with it are in use, which is all it may have", self.most)));
        }
        Ok(())
    }

    fn busy(&self, message: String) -> Fault {
        Fault::upstream(Reason::Busy, &self.server, format!("{message}; try again later"))
    }
}

/// Takes out the session that was unused longest, of those of some principals; whether there was one.
fn end(slots: &mut Slots, whose: impl Fn(&Slot) -> bool, ended: &mut Ended) -> bool {
    // A client's own session holds what that client has set up in it, and ends with the client.
    let unused = slots.iter().filter(|(key, slot)| key.scope != 0 && !slot.own && whose(slot) && slot.is_unused());
    let oldest = unused.min_by_key(|(_, slot)| *lock(&slot.used)).map(|(key, _)| key.clone());
    let slot = oldest.and_then(|key| slots.remove(&key));
    let found = slot.is_some();
    ended.extend(slot);
    found
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut alone = lock(&self.alone);
        if let Some(count) = alone.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                alone.remove(&self.principal);
            }
        }
    }
}
