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
/// Counted apart for whatever else is sent along: those are other callers to the server.
const SETS: usize = 16;
/// How many sessions one legacy client's own may be at the server, where the client sends different things along.
const OF_CLIENT: usize = 16;

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

    /// How many sessions the server bears.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Makes room for a session that is kept for a caller, to be found by `key`.
    pub(super) fn kept(&self, slots: &mut Slots, key: &Key, caller: &Caller, ended: &mut Ended) -> Result<(), Fault> {
        if key.is_everybodys() {
            // There is one, and one for each thing that clients send along or declare, which they make up as well.
            if key.is_of_all() {
                return Ok(());
            }
            if key.is_lent() && !key.is_further() && !caller.principal.is_anonymous() {
                let is_same = |other: &Key, slot: &Slot| {
                    other.is_lent()
                        && !other.is_further()
                        && slot.is_of(&caller.principal)
                        && other.credentials == key.credentials
                };
                self.of_sets(slots, is_same, ended)?;
            }
            return self.another(slots, caller, ended);
        }
        if caller.scope.is_session() {
            let is_same = |other: &Key, _: &Slot| other.scope == key.scope && !other.credentials.is_empty();
            if !key.credentials.is_empty() && !within(OF_CLIENT, slots, is_same, ended) {
                return Err(self.busy(format!(
                    "{OF_CLIENT} sessions for different headers of one client are in use, which is all it may have"
                )));
            }
        } else if !caller.principal.is_anonymous() {
            // Of two strangers nobody can say that they are one.
            let is_same = |other: &Key, slot: &Slot| {
                !slot.own && slot.is_of(&caller.principal) && other.credentials == key.credentials
            };
            self.of_sets(slots, is_same, ended)?;
        }
        self.another(slots, caller, ended)
    }

    /// Makes room for one more of these, each of which is for another set of capabilities of one caller.
    fn of_sets(&self, slots: &mut Slots, which: impl Fn(&Key, &Slot) -> bool, ended: &mut Ended) -> Result<(), Fault> {
        match within(SETS, slots, which, ended) {
            true => Ok(()),
            false => Err(self.busy(format!(
                "{SETS} sessions for different capabilities of one caller are in use, which is all it may have"
            ))),
        }
    }

    /// Makes room for a session that is for one request of a caller.
    pub(super) fn alone(&self, slots: &mut Slots, caller: &Caller, ended: &mut Ended) -> Result<Seat, Fault> {
        self.another(slots, caller, ended)?;
        *lock(&self.alone).entry(caller.principal.clone()).or_default() += 1;
        Ok(Seat { alone: self.alone.clone(), principal: caller.principal.clone() })
    }

    fn another(&self, slots: &mut Slots, caller: &Caller, ended: &mut Ended) -> Result<(), Fault> {
        if !caller.principal.is_anonymous() {
            let is_mine = |slot: &Slot| slot.is_of(&caller.principal);
            let alone = lock(&self.alone).get(&caller.principal).copied().unwrap_or_default();
            let mine = alone + slots.values().filter(|slot| is_mine(slot)).count();
            if mine >= self.of_one && !end(slots, |key, slot| is_mine(slot) && may_end(key, slot), ended) {
                let most = self.of_one;
                return Err(self.busy(format!("{most} sessions of one caller are in use, which is all it may have")));
            }
        }
        self.one_of_all(slots, ended)
    }

    fn one_of_all(&self, slots: &mut Slots, ended: &mut Ended) -> Result<(), Fault> {
        let alone = lock(&self.alone).values().sum::<usize>();
        if alone + slots.len() >= self.most && !end(slots, may_end, ended) {
            return Err(self.busy(format!("{} sessions with it are in use, which is all it may have", self.most)));
        }
        Ok(())
    }

    fn busy(&self, message: String) -> Fault {
        Fault::upstream(Reason::Busy, &self.server, format!("{message}; try again later"))
    }
}

/// Whether a session may end for one of another caller, or of the same: a client's own session holds what that client has
/// set up in it, and ends with the client; and the one that everybody shares is everybody's.
fn may_end(key: &Key, slot: &Slot) -> bool {
    !slot.own && !key.is_of_all()
}

/// Makes room for one more of these, of which there may be so many; whether there is.
fn within(most: usize, slots: &mut Slots, which: impl Fn(&Key, &Slot) -> bool, ended: &mut Ended) -> bool {
    slots.iter().filter(|(key, slot)| which(key, slot)).count() < most || end(slots, which, ended)
}

/// Takes out the session of these that was unused longest; whether there was one.
fn end(slots: &mut Slots, which: impl Fn(&Key, &Slot) -> bool, ended: &mut Ended) -> bool {
    let unused = slots.iter().filter(|(key, slot)| which(key, slot) && slot.is_unused());
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
