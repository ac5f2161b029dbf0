//! Sessions that are lent to one caller at a time, and who waits for one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::hub::{Caller, Counts, Fault, GatewayFault, Peer, Principal, Reason};

use super::{ATTEMPTS, Key, Opened, Pool, Share, Slot, lock};

/// How long a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many calls wait at one server: each holds a place among the calls that run.
const WAITING: usize = 256;
/// How many of these may be of one principal, so that the others find room. Of two strangers nobody can say that they are one.
const WAITING_EACH: usize = 16;
/// When it makes sense to try again.
const LATER: Duration = Duration::from_secs(1);

/// The sessions of one server that are lent.
pub(super) struct Desks {
    server: Arc<str>,
    /// Those that declare the same, by the key of the first of them; as long as somebody has one or waits for one.
    desks: Mutex<HashMap<Key, Weak<Desk>>>,
    waiting: Arc<Waiting>,
}

/// How many calls of each principal wait.
type Waiting = Mutex<HashMap<Principal, usize>>;

/// The sessions that declare the same.
struct Desk {
    /// Whose permits are given in the order in which they were asked for.
    places: Arc<Semaphore>,
    /// Which of them are lent.
    lent: Mutex<Vec<bool>>,
}

/// The right to one of those sessions.
struct Place {
    desk: Arc<Desk>,
    number: usize,
    _permit: OwnedSemaphorePermit,
}

/// A session that somebody has, until this is dropped.
pub(in crate::mount) struct Lease {
    opened: Opened,
    slot: Arc<Slot>,
    /// Given back last, when it is known whether the session can be lent again.
    _place: Place,
}

/// A call that waits for its turn.
struct Turn {
    waiting: Arc<Waiting>,
    principal: Principal,
}

impl Lease {
    /// The session.
    pub(in crate::mount) fn opened(&self) -> &Opened {
        &self.opened
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.opened.beside.lent.as_ref().is_some_and(|lent| !lent.take_back()) {
            self.slot.forget(&self.opened.session);
        }
    }
}

impl Pool {
    /// Lends a session to a caller that can be asked something. `None` where none is lent: what the callers of this server
    /// share is another matter, or it has no sessions.
    pub(in crate::mount) async fn lease(
        &self,
        caller: &Arc<Caller>,
        counts: &Arc<Counts>,
        outside: impl Fn(Option<&Key>) -> Arc<dyn Peer>,
    ) -> Result<Option<Lease>, Fault> {
        let Share::Leased { at_most } = self.share else { return Ok(None) };
        let sharing = self.connector(caller).sharing().await?;
        let key = Key::of(caller, sharing, self.share);
        if !key.is_lent() {
            return Ok(None);
        }
        let is_open = |number| {
            let slot = lock(&self.slots).get(&key.numbered(number)).cloned();
            slot.is_some_and(|slot| slot.ready().is_some())
        };
        let place = self.desks.place(&key, at_most.get().min(self.room.most()), caller, is_open).await?;
        let key = key.numbered(place.number);
        for _ in 0..ATTEMPTS {
            let slot = self.slot(&key, caller)?;
            let Some(opened) = self.open(caller, &key, (outside(Some(&key)), counts)).await? else { return Ok(None) };
            // What was opened for others than it was thought is not lent.
            let Some(lent) = opened.beside.lent.clone() else { return Ok(None) };
            if lent.lend() {
                return Ok(Some(Lease { opened, slot, _place: place }));
            }
        }
        let message = "its sessions are of no use as soon as they are open";
        Err(Fault::upstream(Reason::UpstreamProtocol, self.connector.name(), message))
    }
}

impl Pool {
    /// The sessions beside the first that are lent to the same callers, as far as they are open.
    pub(in crate::mount) fn further(&self, caller: &Caller) -> Vec<Opened> {
        let Some(key) = self.key(caller).filter(Key::is_lent) else { return Vec::new() };
        let slots: Vec<_> = {
            let slots = lock(&self.slots);
            let further = slots.iter().filter(|(other, _)| other.is_further() && other.numbered(0) == key);
            further.map(|(_, slot)| slot.clone()).collect()
        };
        slots.iter().filter_map(|slot| slot.ready()).collect()
    }
}

impl Desks {
    pub(super) fn new(server: &Arc<str>) -> Self {
        Self { server: server.clone(), desks: Mutex::default(), waiting: Arc::default() }
    }

    /// Waits until one of these sessions is free.
    async fn place(
        &self,
        key: &Key,
        at_most: usize,
        caller: &Caller,
        is_open: impl Fn(usize) -> bool,
    ) -> Result<Place, Fault> {
        let desk = self.desk(key, at_most);
        // Nobody who waits is passed over by this: what is given back goes to the first of them.
        let permit = match desk.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _turn = self.turn(caller)?;
                match timeout(PATIENCE, desk.places.clone().acquire_owned()).await {
                    Ok(Ok(permit)) => permit,
                    _ => {
                        return Err(self.busy(format!(
                            "others have had its sessions for {} seconds, in which one call at a time can be asked something",
                            PATIENCE.as_secs()
                        )));
                    }
                }
            }
        };
        let number = desk.take(is_open);
        Ok(Place { desk, number, _permit: permit })
    }

    fn desk(&self, key: &Key, at_most: usize) -> Arc<Desk> {
        let mut desks = lock(&self.desks);
        if let Some(desk) = desks.get(key).and_then(Weak::upgrade) {
            return desk;
        }
        desks.retain(|_, desk| desk.strong_count() > 0);
        let desk = Arc::new(Desk { places: Arc::new(Semaphore::new(at_most)), lent: Mutex::new(vec![false; at_most]) });
        desks.insert(key.clone(), Arc::downgrade(&desk));
        desk
    }

    /// Lets a call wait, where not too many do.
    fn turn(&self, caller: &Caller) -> Result<Turn, Fault> {
        let principal = caller.principal.clone();
        let mut waiting = lock(&self.waiting);
        let own = waiting.get(&principal).copied().unwrap_or_default();
        if waiting.values().sum::<usize>() >= WAITING || own >= WAITING_EACH && !principal.is_anonymous() {
            return Err(self.busy("too many calls wait already for one of its sessions".to_owned()));
        }
        *waiting.entry(principal.clone()).or_default() += 1;
        Ok(Turn { waiting: self.waiting.clone(), principal })
    }

    fn busy(&self, message: String) -> Fault {
        let fault = GatewayFault::new(Reason::Busy, format!("{message}; try again later"));
        Fault::Gateway(GatewayFault { upstream: Some(self.server.clone()), retry_after: Some(LATER), ..fault })
    }
}

impl Desk {
    /// Takes a session that is free: one that is open, where there is one, and of those the first. Whoever has a permit finds
    /// one.
    fn take(&self, is_open: impl Fn(usize) -> bool) -> usize {
        let mut lent = lock(&self.lent);
        let free: Vec<_> = lent.iter().enumerate().filter(|(_, lent)| !**lent).map(|(number, _)| number).collect();
        let number = free.iter().copied().find(|number| is_open(*number)).or(free.first().copied()).unwrap_or_default();
        if let Some(lent) = lent.get_mut(number) {
            *lent = true;
        }
        number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the permit is.
        if let Some(lent) = lock(&self.desk.lent).get_mut(self.number) {
            *lent = false;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        if let Some(count) = waiting.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.principal);
            }
        }
    }
}
