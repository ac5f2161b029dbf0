//! The open sessions of one server, and who shares them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Caller, Counts, Fault, Peer, Principal, Reason},
    limits::ServerLimits,
    upstream::{Connector, Opening, Session, Sharing},
};

use super::{
    beside::{Beside, Lent},
    terms::Terms,
};

mod key;
mod lease;
mod room;
mod watched;

pub(super) use key::Key;
pub use key::Share;
use lease::Desks;
pub(super) use lease::Lease;
use room::Room;
pub(super) use room::Seat;
use watched::{Pulse, Watched};

/// How often a session is opened for one call whose server turns out to be another than it was.
const ATTEMPTS: usize = 3;
/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How many servers are pinged at a time.
const PINGS: usize = 32;

/// A session that is open, and what is kept beside it.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) session: Arc<dyn Session>,
    pub(super) beside: Arc<Beside>,
}

struct Slot {
    /// On whose account it is; on nobody's where all share it. Whoever sends something along shares it with those who send
    /// the same, and it is on the account of the first of them.
    owner: Option<Principal>,
    session: Mutex<Option<Opened>>,
    /// What is known of that session, where it is watched.
    pulse: Mutex<Option<Arc<Pulse>>>,
    /// Held while the session is opened, so that it is opened once.
    opening: tokio::sync::Mutex<()>,
    used: Mutex<Instant>,
    /// A client's own session ends with its scope, not with idleness.
    own: bool,
}

impl Slot {
    fn ready(&self) -> Option<Opened> {
        let session = lock(&self.session).clone().filter(|s| s.session.is_open())?;
        *lock(&self.used) = Instant::now();
        Some(session)
    }

    /// Lets go of a session that is of no use any more, unless there is another one by now.
    fn forget(&self, session: &Arc<dyn Session>) {
        // Dropped after the lock: closing a session takes locks of its own.
        let _forgotten = {
            let mut kept = lock(&self.session);
            kept.take_if(|kept| std::ptr::addr_eq(Arc::as_ptr(&kept.session), Arc::as_ptr(session)))
        };
    }

    /// Takes out a session that cannot be used any more.
    fn lost(&self) -> Option<Opened> {
        lock(&self.session).take_if(|kept| !kept.session.is_open())
    }

    fn is_of(&self, principal: &Principal) -> bool {
        self.owner.as_ref() == Some(principal)
    }

    /// Whether nobody has anything of it but the table, whose lock has to be held: whoever opens the session holds the slot
    /// from the moment in which it is found.
    fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
            && lock(&self.session).as_ref().is_none_or(|s| Arc::strong_count(&s.session) == 1 || !s.session.is_open())
    }

    /// Whether nobody has used it for longer than `patience`.
    fn is_idle(self: &Arc<Self>, patience: Duration) -> bool {
        self.is_unused() && lock(&self.used).elapsed() > patience
    }
}

/// The sessions of one server.
pub(super) struct Pool {
    connector: Arc<dyn Connector>,
    share: Share,
    limits: ServerLimits,
    /// Whether servers are pinged in whose sessions nothing goes on.
    pings: bool,
    room: Room,
    desks: Desks,
    slots: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
    sweeping: Mutex<bool>,
    /// Fires when nobody can want a session any more.
    closing: CancellationToken,
}

impl Pool {
    pub(super) fn new(
        connector: Arc<dyn Connector>,
        terms: &Terms,
        limits: ServerLimits,
        closing: CancellationToken,
    ) -> Self {
        let room = Room::new(connector.name(), connector.most_sessions());
        let (share, pings, desks) = (terms.share, terms.ping_idle, Desks::new(connector.name()));
        let (slots, sweeping) = (Arc::default(), Mutex::new(false));
        Self { connector, share, limits, pings, room, desks, slots, sweeping, closing }
    }

    /// The server as this caller reaches it.
    pub(super) fn connector(&self, caller: &Caller) -> Arc<dyn Connector> {
        self.connector.sending(&caller.credentials).unwrap_or_else(|| self.connector.clone())
    }

    /// How many sessions there are, open, being opened or lost.
    pub(super) fn count(&self) -> usize {
        lock(&self.slots).len()
    }

    /// The session of this caller, where it is open already.
    pub(super) fn ready(&self, caller: &Caller) -> Option<Opened> {
        self.ready_at(&self.key(caller)?)
    }

    /// The session that is found by `key`, where it is open.
    pub(super) fn ready_at(&self, key: &Key) -> Option<Opened> {
        let slot = lock(&self.slots).get(key)?.clone();
        slot.ready()
    }

    /// What this caller's session is known by, where it is known who shares it.
    pub(super) fn key(&self, caller: &Caller) -> Option<Key> {
        Some(Key::of(caller, self.connector(caller).known_sharing()?, self.share))
    }

    /// The session of this caller, opened where it is not. However many calls wait for it, it is opened once. `outside` hears
    /// it: under the key that others find it by, or for this caller alone.
    pub(super) async fn session(
        &self,
        caller: &Arc<Caller>,
        counts: &Arc<Counts>,
        outside: impl Fn(Option<&Key>) -> Arc<dyn Peer>,
    ) -> Result<Opened, Fault> {
        if let Some(session) = self.ready(caller) {
            return Ok(session);
        }
        let connector = self.connector(caller);
        for _ in 0..ATTEMPTS {
            let key = Key::of(caller, connector.sharing().await?, self.share);
            if self.share == Share::Nobody && !key.is_everybodys() && !caller.scope.is_session() {
                return self.open_alone(caller, (outside(None), counts)).await;
            }
            let outside = (outside(Some(&key)), counts);
            if let Some(opened) = self.open(caller, &key, outside).await? {
                return Ok(opened);
            }
        }
        let message = "it changes who may share its sessions again and again";
        Err(Fault::upstream(Reason::UpstreamProtocol, self.connector.name(), message))
    }

    /// Opens a session for one request.
    async fn open_alone(
        &self,
        caller: &Arc<Caller>,
        (outside, counts): (Arc<dyn Peer>, &Arc<Counts>),
    ) -> Result<Opened, Fault> {
        let seat = {
            let mut ended = Vec::new();
            self.room.alone(&mut lock(&self.slots), caller, &mut ended)?
        };
        let beside = Beside::of(caller, false, None, Some(seat), &self.limits);
        let outside = beside.around(outside);
        let opening = Opening { caller: caller.clone(), outside, counts: counts.clone(), alone: true, lent: false };
        let session = self.connector(caller).open(opening).await?;
        Ok(Opened { session, beside })
    }

    /// Opens a session that is found by `key`. `None` when it turned out that fewer may share it than was thought.
    async fn open(
        &self,
        caller: &Arc<Caller>,
        key: &Key,
        (outside, counts): (Arc<dyn Peer>, &Arc<Counts>),
    ) -> Result<Option<Opened>, Fault> {
        let slot = self.slot(key, caller)?;
        if let Some(session) = slot.ready() {
            return Ok(Some(session));
        }
        let lent = key.is_lent().then(|| Lent::new(key.number));
        let beside = Beside::of(caller, key.is_everybodys(), lent.clone(), None, &self.limits);
        self.sweep();
        let (connector, outside, share) = (self.connector(caller), beside.around(outside), self.share);
        let (key, pings, is_everybodys) = (key.clone(), self.pings, key.is_everybodys());
        // A stranger's scope is one request.
        let alone = caller.principal.is_anonymous() && !caller.scope.is_session();
        let (asks, counts) = (caller.clone(), counts.clone());
        let caller = match key.is_everybodys() {
            true => {
                let everybody = Caller::gateway(Principal::new("everybody")).sending(&caller.credentials);
                match lent.is_some() {
                    true => everybody.declaring(caller),
                    false => everybody,
                }
            }
            false => caller.clone(),
        };
        // In a task of its own: a client that loses patience must not keep a slow server from ever coming up. One that comes
        // up when nobody can reach it any more is of no use.
        let opened = tokio::spawn(self.closing.clone().run_until_cancelled_owned(async move {
            let _opening = slot.opening.lock().await;
            if let Some(session) = slot.ready() {
                return Ok(Some(session));
            }
            let opening = Opening { caller, outside, counts, alone, lent: is_everybodys };
            let session = connector.open(opening).await?;
            let known = connector.known_sharing();
            // What has no session needs none to be looked after.
            let is_watched = lent.is_some() || pings && known != Some(Sharing::Sessionless);
            let (session, pulse) = match is_watched && !session.revision().is_modern() {
                true => {
                    let (session, pulse) = Watched::watch(session, lent);
                    (session, Some(pulse))
                }
                false => (session, None),
            };
            let opened = Opened { session, beside };
            match known.map(|sharing| Key::of(&asks, sharing, share).numbered(key.number)) {
                // More may share it than was thought: it is of use for this once, and the next one is for them all.
                Some(other) if other != key && !key.is_everybodys() => return Ok(Some(opened)),
                Some(other) if other != key => return Ok(None),
                None if key.is_everybodys() && !share.is_everybodys() => return Ok(None),
                _ => {}
            }
            *lock(&slot.pulse) = pulse;
            *lock(&slot.session) = Some(opened.clone());
            *lock(&slot.used) = Instant::now();
            Ok(Some(opened))
        }));
        let opened = opened.await.ok().flatten();
        opened.unwrap_or_else(|| Err(Fault::gateway(Reason::Internal, "opening a session failed")))
    }

    fn slot(&self, key: &Key, caller: &Arc<Caller>) -> Result<Arc<Slot>, Fault> {
        // Dropped after the lock: closing a session takes locks of its own.
        let mut ended = Vec::new();
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(key) {
            return Ok(slot.clone());
        }
        self.room.kept(&mut slots, key, caller, &mut ended)?;
        let own = !key.is_everybodys() && caller.scope.is_session();
        let slot = Arc::new(Slot {
            owner: (!key.is_of_all()).then(|| caller.principal.clone()),
            session: Mutex::default(),
            pulse: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            used: Mutex::new(Instant::now()),
            own,
        });
        slots.insert(key.clone(), slot.clone());
        if key.scope != 0 {
            let scope = key.scope;
            caller.scope.on_close(&self.slots, move |slots| {
                // Taken out under the lock, dropped after it: closing a session takes locks of its own.
                let closed: Vec<_> = lock(slots).extract_if(|key, _| key.scope == scope).collect();
                drop(closed);
            });
        }
        Ok(slot)
    }

    /// Starts the task that closes idle sessions, and has the others looked after, once there is something to close. It ends
    /// with the pool.
    fn sweep(&self) {
        let mut sweeping = lock(&self.sweeping);
        if *sweeping {
            return;
        }
        *sweeping = true;
        let slots: Weak<Mutex<HashMap<Key, Arc<Slot>>>> = Arc::downgrade(&self.slots);
        let (patience, server) = (self.limits.server_idle, self.pings.then(|| self.connector.name().clone()));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(slots) = slots.upgrade() else { return };
                let (mut closed, mut lost, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
                lock(&slots).retain(|_, slot| {
                    lost.extend(slot.lost());
                    let idle = !slot.own && slot.is_idle(patience);
                    if idle {
                        closed.push(slot.clone());
                    } else if server.is_some()
                        && let Some(pulse) = lock(&slot.pulse).clone()
                        && let Some(session) = pulse.due()
                    {
                        quiet.push((Arc::downgrade(slot), pulse, session));
                    }
                    !idle
                });
                if let Some(server) = server.clone().filter(|_| !quiet.is_empty()) {
                    tokio::spawn(ping(server, quiet));
                }
            }
        });
    }
}

/// A session in which nothing goes on, and where it is kept.
type Quiet = (Weak<Slot>, Arc<Pulse>, Arc<dyn Session>);

/// Pings a server in sessions in which nothing goes on. Where it does not answer any more, the next call opens another one.
async fn ping(server: Arc<str>, quiet: Vec<Quiet>) {
    let server = &server;
    let pings = quiet.into_iter().map(|(slot, pulse, session)| async move {
        if pulse.ping(session).await {
            tracing::warn!(
                upstream = &**server,
                "the server does not answer pings in an idle session, which is closed"
            );
            // Dropped without the lock: closing a session takes locks of its own.
            let _lost = slot.upgrade().and_then(|slot| slot.lost());
        }
    });
    futures_util::stream::iter(pings).for_each_concurrent(PINGS, |ping| ping).await;
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
