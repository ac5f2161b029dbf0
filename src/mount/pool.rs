//! The open sessions of one server, and who shares them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    hub::{Caller, Fault, Peer, Principal, Reason},
    protocol::{Era, Revision},
    upstream::{Connector, Opening, Session, Sharing},
};

use super::beside::Beside;

/// How many sessions one server may have.
const SESSIONS: usize = 1000;
/// How long a session that nobody uses stays open, unless it is a client's own.
const IDLE: Duration = Duration::from_secs(600);
/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// Who shares the upstream sessions of a server that needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// The calls of one principal, or of one legacy client's session.
    #[default]
    Principal,
    /// Everybody. Nobody can be asked anything then: a question could not be told whose it is.
    Everybody,
    /// Nobody: each request of a modern client has a session of its own. A legacy client keeps its own.
    Nobody,
}

/// What a session may be shared by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The scope, or 0 for everybody.
    scope: u64,
    /// The declared capabilities, where they matter.
    fingerprint: Option<Arc<str>>,
    /// The revision of a client's own legacy session, which the server is greeted with.
    revision: Option<Revision>,
}

impl Key {
    fn of(caller: &Caller, sharing: Sharing, share: Share) -> Self {
        if share == Share::Everybody {
            return Self { scope: 0, fingerprint: None, revision: None };
        }
        let (scope, fingerprint) = match sharing {
            Sharing::Everybody => return Self { scope: 0, fingerprint: None, revision: None },
            Sharing::Scope => (caller.scope.id(), None),
            Sharing::ScopeAndCapabilities => (caller.scope.id(), Some(caller.fingerprint.clone())),
        };
        let own = caller.scope.is_session() && caller.revision.era() == Era::Legacy;
        Self { scope, fingerprint, revision: own.then_some(caller.revision) }
    }

    /// Whether it is the session of one legacy client alone.
    pub(super) fn is_own(&self) -> bool {
        self.revision.is_some()
    }
}

/// A session that is open, and what is kept beside it.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) session: Arc<dyn Session>,
    pub(super) beside: Arc<Beside>,
}

struct Slot {
    session: Mutex<Option<Opened>>,
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

    fn is_idle(&self) -> bool {
        let unused =
            lock(&self.session).as_ref().is_none_or(|s| Arc::strong_count(&s.session) == 1 || !s.session.is_open());
        unused && self.opening.try_lock().is_ok() && lock(&self.used).elapsed() > IDLE
    }
}

/// The sessions of one server.
pub(super) struct Pool {
    connector: Arc<dyn Connector>,
    share: Share,
    slots: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
    sweeping: Mutex<bool>,
}

impl Pool {
    pub(super) fn new(connector: Arc<dyn Connector>, share: Share) -> Self {
        Self { connector, share, slots: Arc::default(), sweeping: Mutex::new(false) }
    }

    /// How many sessions there are, open, being opened or lost.
    pub(super) fn count(&self) -> usize {
        lock(&self.slots).len()
    }

    /// The session of this caller, where it is open already.
    pub(super) fn ready(&self, caller: &Caller) -> Option<Opened> {
        let key = Key::of(caller, self.connector.known_sharing()?, self.share);
        let slot = lock(&self.slots).get(&key)?.clone();
        slot.ready()
    }

    /// What this caller's session is known by, where it is known who shares it.
    pub(super) fn key(&self, caller: &Caller) -> Option<Key> {
        Some(Key::of(caller, self.connector.known_sharing()?, self.share))
    }

    /// The session of this caller, opened where it is not. However many calls wait for it, it is opened once. `outside` hears
    /// it: under the key that others find it by, or for this caller alone.
    pub(super) async fn session(
        &self,
        caller: &Arc<Caller>,
        outside: impl FnOnce(Option<&Key>) -> Arc<dyn Peer>,
    ) -> Result<Opened, Fault> {
        if let Some(session) = self.ready(caller) {
            return Ok(session);
        }
        let sharing = self.connector.sharing().await?;
        let beside = Beside::of(caller, self.share == Share::Everybody);
        if self.share == Share::Nobody && sharing != Sharing::Everybody && !caller.scope.is_session() {
            let outside = beside.around(outside(None));
            let session = self.connector.open(Opening { caller: caller.clone(), outside }).await?;
            return Ok(Opened { session, beside });
        }
        let key = Key::of(caller, sharing, self.share);
        let slot = self.slot(&key, caller)?;
        self.sweep();
        let (connector, outside) = (self.connector.clone(), beside.around(outside(Some(&key))));
        let caller =
            if self.share == Share::Everybody { Caller::gateway(Principal::new("everybody")) } else { caller.clone() };
        // In a task of its own: a client that loses patience must not keep a slow server from ever coming up.
        let opened = tokio::spawn(async move {
            let _opening = slot.opening.lock().await;
            if let Some(session) = slot.ready() {
                return Ok(session);
            }
            let session = connector.open(Opening { caller, outside }).await?;
            let opened = Opened { session, beside };
            *lock(&slot.session) = Some(opened.clone());
            *lock(&slot.used) = Instant::now();
            Ok(opened)
        });
        opened.await.unwrap_or_else(|_| Err(Fault::gateway(Reason::Internal, "opening a session failed")))
    }

    fn slot(&self, key: &Key, caller: &Arc<Caller>) -> Result<Arc<Slot>, Fault> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(key) {
            return Ok(slot.clone());
        }
        if slots.len() >= SESSIONS {
            let idle = slots.iter().filter(|(_, s)| s.is_idle()).min_by_key(|(_, s)| *lock(&s.used));
            match idle.map(|(key, _)| key.clone()) {
                Some(idle) => drop(slots.remove(&idle)),
                None => {
                    let message = format!("it has {SESSIONS} sessions, which is all it may have");
                    return Err(Fault::upstream(Reason::Busy, self.connector.name(), message));
                }
            }
        }
        let own = key.scope != 0 && caller.scope.is_session();
        let slot = Arc::new(Slot {
            session: Mutex::default(),
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

    /// Starts the task that closes idle sessions, once there is something to close. It ends with the pool.
    fn sweep(&self) {
        let mut sweeping = lock(&self.sweeping);
        if *sweeping {
            return;
        }
        *sweeping = true;
        let slots: Weak<Mutex<HashMap<Key, Arc<Slot>>>> = Arc::downgrade(&self.slots);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(slots) = slots.upgrade() else { return };
                let mut closed = Vec::new();
                lock(&slots).retain(|_, slot| {
                    let idle = !slot.own && slot.is_idle();
                    if idle {
                        closed.push(slot.clone());
                    }
                    !idle
                });
            }
        });
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
