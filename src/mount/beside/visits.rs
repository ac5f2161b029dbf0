//! The pages that persons were sent to, and which of them the server has seen visited.
//!
//! A server of 2025-11-25 says when it is done with a page (`notifications/elicitation/complete`, client/elicitation), which
//! nobody can tell a modern client: so the gateway waits for it before it sends the call again.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::jsonrpc::{Raw, RawObject};

/// The pages that somebody waits for.
#[derive(Default)]
pub(in super::super) struct Visits {
    expected: Mutex<Vec<Weak<Expected>>>,
}

/// The pages of one call.
pub(in super::super) struct Expected {
    left: Mutex<HashSet<String>>,
    done: Notify,
}

impl Visits {
    /// Waits for these pages from now on. As many may wait as calls may run, for as long as those do.
    pub(in super::super) fn expect(&self, ids: impl IntoIterator<Item = String>) -> Arc<Expected> {
        let expected = Arc::new(Expected { left: Mutex::new(ids.into_iter().collect()), done: Notify::new() });
        let mut all = lock(&self.expected);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&expected));
        expected
    }

    /// The server is done with a page; whether somebody waited for that.
    pub(super) fn completed(&self, params: Option<&RawObject>) -> bool {
        let Some(id) = params.and_then(|p| p.get("elicitationId")).and_then(Raw::as_text) else { return false };
        let mut is_expected = false;
        for expected in lock(&self.expected).iter().filter_map(Weak::upgrade) {
            let mut left = lock(&expected.left);
            if left.remove(&*id) {
                is_expected = true;
                if left.is_empty() {
                    expected.done.notify_one();
                }
            }
        }
        is_expected
    }
}

impl Expected {
    /// Waits until the server is done with all of them, or for `patience`.
    pub(in super::super) async fn done(&self, patience: Duration) {
        if !lock(&self.left).is_empty() {
            let _ = timeout(patience, self.done.notified()).await;
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_its_own_pages() {
        let visits = Visits::default();
        let done = |id: &str| visits.completed(Some(&RawObject::from([("elicitationId", Raw::from(id))])));
        let both = visits.expect(["a".to_owned(), "b".to_owned()]);
        let other = visits.expect(["c".to_owned()]);
        let begun = Instant::now();
        for id in ["a", "x", "a", "b"] {
            done(id);
        }
        both.done(Duration::from_secs(30)).await;
        assert!(begun.elapsed().is_zero());
        other.done(Duration::from_secs(30)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
        visits.expect([]).done(Duration::from_secs(30)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
    }
}
