//! When a session was last used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::limits::Limits;

/// Signs of life of one session.
pub(super) struct Pulse {
    born: Instant,
    /// The session ends then, used or not.
    end: Instant,
    /// Milliseconds after `born` of the last sign.
    last: AtomicU64,
    /// Streams that are open and calls that run.
    open: AtomicUsize,
    /// Whether the client said anything after the handshake.
    was_heard: AtomicBool,
    limits: Arc<Limits>,
}

impl Pulse {
    /// Of a session that may live for `lifetime` from now.
    pub(super) fn new(lifetime: Duration, limits: &Arc<Limits>) -> Arc<Self> {
        let born = Instant::now();
        Arc::new(Self {
            born,
            end: born + lifetime,
            last: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            was_heard: AtomicBool::new(false),
            limits: limits.clone(),
        })
    }

    fn beat(&self) {
        self.last.store(u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The client said something.
    pub(super) fn heard(&self) {
        self.was_heard.store(true, Ordering::Relaxed);
        self.beat();
    }

    /// Keeps the session alive until the guard is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        Open(self.clone())
    }

    /// Whether the session has been left alone for too long, or lives too long.
    pub(super) fn is_expired(&self) -> bool {
        let now = Instant::now();
        if now >= self.end {
            return true;
        }
        let Limits { session_idle, session_silent, .. } = *self.limits;
        let was_heard = self.was_heard.load(Ordering::Relaxed);
        let patience = if was_heard { session_idle } else { session_silent.min(session_idle) };
        self.open.load(Ordering::Acquire) == 0
            && now >= self.born + Duration::from_millis(self.last.load(Ordering::Relaxed)) + patience
    }
}

/// Something of the session is going on.
pub(super) struct Open(Arc<Pulse>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.beat();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
