//! The sessions of all clients, and how many there may be.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;

use crate::{hub::Principal, limits::Limits, seal::random_token};

use super::session::Session;

/// How often expired sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How many sessions that ended are remembered, of those that began in another process.
const REMEMBERED: usize = 100_000;

/// What a session is found by: a digest of its sealed id.
pub(super) type Key = [u8; 32];

/// The key of a sealed id.
pub(super) fn key_of(handle: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(digest::digest(&digest::SHA256, handle.as_bytes()).as_ref());
    key
}

/// The legacy sessions of all mounts. How many there may be and how long they live is in the [limits](crate::Limits).
pub struct Sessions {
    /// Tells the sessions that began here from those of an earlier process.
    instance: String,
    table: RwLock<Table>,
    seats: Arc<Mutex<Seats>>,
    is_swept: AtomicBool,
}

#[derive(Default)]
struct Table {
    live: HashMap<Key, Arc<Session>>,
    /// Sessions of an earlier process that ended here, and when their ids stop opening anyway.
    ended: HashMap<Key, SystemTime>,
}

#[derive(Default)]
struct Seats {
    all: usize,
    by_principal: HashMap<Principal, usize>,
}

/// The right to one session; given back when dropped.
pub(super) struct Seat {
    seats: Arc<Mutex<Seats>>,
    principal: Principal,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            instance: random_token::<8>(),
            table: RwLock::default(),
            seats: Arc::default(),
            is_swept: AtomicBool::new(false),
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("live", &self.len()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().live.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sessions there are at each mount that has any.
    #[must_use]
    pub fn by_mount(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for session in self.read().live.values() {
            match counts.get_mut(session.mount()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(session.mount().to_owned(), 1)),
            }
        }
        counts
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a session; `None` when there are too many.
    pub(super) fn reserve(&self, principal: &Principal, limits: &Limits) -> Option<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seats.by_principal.get(principal).copied().unwrap_or_default();
        if seats.all >= limits.sessions || own >= limits.sessions_each {
            return None;
        }
        seats.all += 1;
        seats.by_principal.insert(principal.clone(), own + 1);
        Some(Seat { seats: self.seats.clone(), principal: principal.clone() })
    }

    /// Enters a session; when somebody was faster with the same id, theirs is used.
    pub(super) fn admit(self: &Arc<Self>, key: Key, session: Arc<Session>) -> Arc<Session> {
        let session = self.write().live.entry(key).or_insert(session).clone();
        if !self.is_swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        session
    }

    /// The session that `key` names, if it is this principal's at this mount.
    pub(super) fn find(&self, key: &Key, principal: &Principal, mount: &str) -> Option<Arc<Session>> {
        let session = self.read().live.get(key)?.clone();
        if !session.belongs_to(principal, mount) {
            tracing::warn!(event = "session_owner_mismatch", %mount, principal = principal.as_str());
            return None;
        }
        if session.pulse().is_expired() {
            self.end(key, "the session expired");
            return None;
        }
        Some(session)
    }

    /// Whether a session of an earlier process must not be created again: it ended here, or so many did that nobody knows.
    pub(super) fn is_settled(&self, key: &Key) -> bool {
        let table = self.read();
        table.ended.contains_key(key) || table.ended.len() >= REMEMBERED
    }

    /// Ends a session and all that runs in it.
    pub(super) fn end(&self, key: &Key, reason: &str) {
        let ended = {
            let mut table = self.write();
            let ended = table.live.remove(key);
            if let Some(until) = ended.as_ref().and_then(|s| s.remembered_until())
                && table.ended.len() < REMEMBERED
            {
                table.ended.insert(*key, until);
            }
            ended
        };
        if let Some(session) = ended {
            session.close(reason);
        }
    }

    /// Ends what has expired, and lets go of what was kept too long.
    fn sweep(&self) {
        let live: Vec<_> = self.read().live.iter().map(|(k, s)| (*k, s.clone())).collect();
        for (key, session) in live {
            if session.pulse().is_expired() {
                self.end(&key, "the session expired");
            } else {
                session.tidy();
            }
        }
        let now = SystemTime::now();
        self.write().ended.retain(|_, until| *until > now);
    }
}

async fn sweep(sessions: Weak<Sessions>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(sessions) = sessions.upgrade() else { return };
        sessions.sweep();
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for session in self.table.get_mut().unwrap_or_else(PoisonError::into_inner).live.values() {
            session.close("the gateway stops");
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.all -= 1;
        if let Some(own) = seats.by_principal.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                seats.by_principal.remove(&self.principal);
            }
        }
    }
}
