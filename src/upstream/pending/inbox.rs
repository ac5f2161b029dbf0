//! What reaches a running call beside its own stream: one place for messages and the end, in memory of its own only while
//! something waits there.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use futures_util::task::AtomicWaker;

use super::{Ended, Incoming};

/// How many messages may wait for one call. Beyond it progress and log messages are dropped.
const MOST: usize = 256;

/// The receiving end of one pending call.
pub(crate) struct Inbox(Arc<Shared>);

/// The sending end. Dropped before it said how the call ends, it leaves the call without an answer.
pub(super) struct Post(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Incoming>,
    end: Option<Ended>,
    /// Nothing comes any more.
    is_over: bool,
    /// Nobody reads any more.
    is_left: bool,
}

/// An inbox and what puts something into it.
pub(super) fn inbox() -> (Post, Inbox) {
    let shared = Arc::<Shared>::default();
    (Post(shared.clone()), Inbox(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    /// Puts a message in; it comes back when too many wait, or nobody reads them.
    pub(super) fn put(&self, message: Incoming) -> Result<(), Incoming> {
        let mut state = self.0.lock();
        if state.is_left || state.messages.len() >= MOST {
            return Err(message);
        }
        state.messages.push_back(message);
        drop(state);
        self.0.waker.wake();
        Ok(())
    }

    /// Says how the call ends; `false` when nobody hears it.
    pub(super) fn end(self, end: Ended) -> bool {
        let mut state = self.0.lock();
        state.end = Some(end);
        !state.is_left
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.waker.wake();
    }
}

impl Inbox {
    /// The next message; waits for ever when none comes. Cancel-safe.
    pub(crate) async fn message(&self) -> Incoming {
        self.wait(|state| state.messages.pop_front()).await
    }

    /// The next message of those that are there already.
    pub(crate) fn take(&self) -> Option<Incoming> {
        self.0.lock().messages.pop_front()
    }

    /// How the call ends; `None` where nobody will say. Cancel-safe.
    pub(crate) async fn ended(&self) -> Option<Ended> {
        self.wait(|state| state.is_over.then(|| state.end.take())).await
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|cx| {
            // Both waits of one call are polled by one task, so that one waker does for both.
            self.0.waker.register(cx.waker());
            look(&mut self.0.lock()).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_left = true;
        // Messages may hold what should end with the call. They are dropped without the lock.
        let left = std::mem::take(&mut state.messages);
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use crate::jsonrpc::{Notification, Raw};

    use super::*;

    fn said(number: usize) -> Incoming {
        Incoming::Notification(Notification { method: number.to_string(), params: None })
    }

    #[tokio::test]
    async fn messages_come_in_order_up_to_the_bound_and_the_end_is_heard_once() {
        let (post, inbox) = inbox();
        assert!(inbox.message().now_or_never().is_none() && inbox.ended().now_or_never().is_none());
        for number in 0..MOST {
            assert!(post.put(said(number)).is_ok());
        }
        assert!(post.put(said(MOST)).is_err(), "one too many");
        assert!(post.end(Ok(Ok(Raw::null()))));
        for number in 0..MOST {
            let message = inbox.message().now_or_never();
            assert!(matches!(message, Some(Incoming::Notification(n)) if n.method == number.to_string()));
        }
        assert!(inbox.message().now_or_never().is_none(), "there are no more");
        assert!(matches!(inbox.ended().await, Some(Ok(Ok(_)))));
    }

    #[tokio::test]
    async fn a_call_hears_that_it_was_forgotten_and_is_not_written_to_when_it_left() {
        let (post, unanswered) = inbox();
        let waits = tokio::spawn(async move { unanswered.ended().await });
        tokio::task::yield_now().await;
        drop(post);
        assert!(waits.await.is_ok_and(|end| end.is_none()));
        let (post, left) = inbox();
        drop(left);
        assert!(post.put(said(0)).is_err());
        assert!(!post.end(Ok(Ok(Raw::null()))));
    }
}
