//! How long a call may last.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::protocol::Losses;

use super::{Counts, Oddity, QuestionEnd};

/// Why a call was abandoned whose time was over.
pub const TIMED_OUT: &str = "timeout";

/// How long a call may be silent, and how long it may last altogether. Time in which a person is asked does not count.
#[derive(Clone, Copy, Debug)]
pub struct LifeLimits {
    /// Without progress or any other sign.
    pub silent: Duration,
    /// From start to end.
    pub total: Duration,
}

impl Default for LifeLimits {
    fn default() -> Self {
        Self { silent: Duration::from_secs(600), total: Duration::from_secs(3600) }
    }
}

/// The life of one call: its deadline, which pauses while a person is asked, the permit it holds, and why it was abandoned.
#[derive(Clone, Debug)]
pub struct Life(Arc<State>);

#[derive(Debug)]
struct State {
    limits: LifeLimits,
    started: Instant,
    /// Milliseconds after `started` of the last sign of life.
    seen: AtomicU64,
    /// Questions that are open.
    asking: AtomicUsize,
    /// Milliseconds after `started` at which the first of the open questions was asked.
    asking_since: AtomicU64,
    /// Milliseconds spent asking, questions that are over.
    asked: AtomicU64,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    abandoned: Mutex<Option<String>>,
    /// Where it is counted that a person is asked.
    counter: OnceLock<Arc<AtomicUsize>>,
    /// Where it is counted what goes on in the call.
    counts: OnceLock<Arc<Counts>>,
}

impl Default for Life {
    fn default() -> Self {
        Self::new(LifeLimits::default())
    }
}

impl Life {
    /// A life that begins now.
    #[must_use]
    pub fn new(limits: LifeLimits) -> Self {
        Self(Arc::new(State {
            limits,
            started: Instant::now(),
            seen: AtomicU64::new(0),
            asking: AtomicUsize::new(0),
            asking_since: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            permit: Mutex::default(),
            abandoned: Mutex::default(),
            counter: OnceLock::new(),
            counts: OnceLock::new(),
        }))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes a sign of life: the time of silence starts anew.
    pub fn touch(&self) {
        self.0.seen.store(self.now(), Ordering::Relaxed);
    }

    /// Pauses the deadline, and gives the permit back, until the guard is dropped.
    #[must_use]
    pub fn asking(&self) -> Asking {
        if self.0.asking.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.asking_since.store(self.now(), Ordering::Relaxed);
            self.release();
            if let Some(counter) = self.0.counter.get() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        Asking(self.clone())
    }

    /// Counts this call in `counter` while a person is asked on its behalf. To be said before the call runs, and once.
    pub fn count_asking(&self, counter: Arc<AtomicUsize>) {
        // Only a call that passes the same layer twice could say it again, and it is one call.
        let _ = self.0.counter.set(counter);
    }

    /// Counts in `counts` what goes on in this call. To be said before the call runs, and once.
    pub fn count_in(&self, counts: &Arc<Counts>) {
        // A call that is sent again has the same life, and is at the same mount.
        let _ = self.0.counts.set(counts.clone());
    }

    /// A question of the server has ended.
    pub(crate) fn question_ended(&self, question: &str, end: QuestionEnd) {
        if let Some(counts) = self.0.counts.get() {
            counts.question_ended(question, end);
        }
    }

    /// The server did something that it has no business to do.
    pub(crate) fn odd(&self, oddity: Oddity) {
        if let Some(counts) = self.0.counts.get() {
            counts.odd(oddity);
        }
    }

    /// Something could not be carried as it was.
    pub(crate) fn lost(&self, losses: impl Into<Losses>) {
        if let Some(counts) = self.0.counts.get() {
            counts.lost(losses);
        }
    }

    fn release(&self) {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Holds `permit` until the call ends or a person is asked.
    pub fn hold(&self, permit: OwnedSemaphorePermit) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }

    /// Notes why the call is about to be dropped. The first reason stays.
    pub fn abandon(&self, reason: &str) {
        let mut abandoned = self.0.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        if abandoned.is_none() {
            *abandoned = Some(reason.chars().take(200).collect());
        }
    }

    /// Why the call was abandoned, where somebody said so.
    #[must_use]
    pub fn abandoned(&self) -> Option<String> {
        self.0.abandoned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the call has to end, as things stand; `None` while a person is asked.
    fn deadline(&self) -> Option<Instant> {
        let state = &*self.0;
        if state.asking.load(Ordering::Acquire) > 0 {
            return None;
        }
        let asked = Duration::from_millis(state.asked.load(Ordering::Relaxed));
        let silent = Duration::from_millis(state.seen.load(Ordering::Relaxed)) + state.limits.silent;
        Some(state.started + silent.min(state.limits.total + asked))
    }

    /// Runs `call` until it ends or its time is over.
    ///
    /// # Errors
    /// [`TimedOut`] when the time is over; the call has been dropped by then, with that reason.
    pub async fn watch<T>(&self, call: impl Future<Output = T>) -> Result<T, TimedOut> {
        let mut call = std::pin::pin!(call);
        loop {
            let until = self.deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            tokio::select! {
                biased;
                done = &mut call => {
                    self.release();
                    return Ok(done);
                }
                () = tokio::time::sleep_until(until) => {
                    if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                        self.abandon(TIMED_OUT);
                        self.release();
                        return Err(TimedOut);
                    }
                }
            }
        }
    }
}

/// The time of a call is over.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the call took too long")]
pub struct TimedOut;

/// A person is being asked. See [`Life::asking`].
#[derive(Debug)]
pub struct Asking(Life);

impl Drop for Asking {
    fn drop(&mut self) {
        let state = &*self.0.0;
        if state.asking.fetch_sub(1, Ordering::AcqRel) == 1 {
            let since = state.asking_since.load(Ordering::Relaxed);
            state.asked.fetch_add(self.0.now().saturating_sub(since), Ordering::Relaxed);
            self.0.touch();
            if let Some(counter) = state.counter.get() {
                counter.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
