//! A question that waits for its answer.

use std::{
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

use super::{Answer, Refusal};

/// Who keeps open questions by numbers of its own.
pub(crate) trait Asks: Send + Sync {
    /// Nobody waits for the answer to this one any more.
    fn withdrawn(&self, serial: u64);
}

/// One open question. Dropping it withdraws the question.
pub(crate) struct OpenQuestion<A: Asks> {
    keeper: Weak<A>,
    serial: u64,
    answered: oneshot::Receiver<Answer>,
    is_over: bool,
}

impl<A: Asks> OpenQuestion<A> {
    /// The question that `keeper` knows by `serial`, answered by what comes out of `answered`; lapsed where nothing does.
    pub(crate) fn new(keeper: Weak<A>, serial: u64, answered: oneshot::Receiver<Answer>) -> Self {
        Self { keeper, serial, answered, is_over: false }
    }
}

impl<A: Asks> Future for OpenQuestion<A> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(Pin::new(&mut self.answered).poll(cx)).unwrap_or(Err(Refusal::Lapsed));
        self.is_over = true;
        Poll::Ready(answer)
    }
}

impl<A: Asks> Drop for OpenQuestion<A> {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.upgrade().filter(|_| !self.is_over) {
            keeper.withdrawn(self.serial);
        }
    }
}
