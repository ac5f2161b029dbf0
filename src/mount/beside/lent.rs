//! A session that is lent: several principals use it, one at a time, and whoever has it can be asked something in it.
//!
//! A legacy server does not always say which call a question belongs to. In a lent session it belongs to the one who has it.
//! So nothing of theirs may be left in the session when the next one gets it: where something may be, the session is closed
//! and never lent again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Answer, BoxFuture, Peer, Question},
    jsonrpc::Notification,
    protocol::{Method, method::question, tasks},
};

/// What is known of one such session.
#[derive(Default)]
pub(in super::super) struct Lent {
    /// Which of those it is that declare the same, the first being 0.
    number: usize,
    state: Mutex<State>,
    /// Fires when it is not used any more.
    over: CancellationToken,
}

#[derive(Default)]
struct State {
    is_out: bool,
    /// Whether somebody had it who has it no more.
    was_out: bool,
    /// How many calls run in it in which something may be asked.
    running: usize,
    /// Why it is not lent again.
    spoilt: Option<&'static str>,
}

impl Lent {
    pub(in super::super) fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { number, ..Self::default() })
    }

    pub(in super::super) fn number(&self) -> usize {
        self.number
    }

    pub(in super::super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the session to somebody; `false` where that must not be any more.
    pub(in super::super) fn lend(&self) -> bool {
        let mut state = self.lock();
        state.is_out = state.spoilt.is_none();
        state.is_out
    }

    /// Takes the session back; whether it can be lent again. Otherwise it is over.
    pub(in super::super) fn take_back(&self) -> bool {
        let mut state = self.lock();
        (state.is_out, state.was_out) = (false, true);
        if state.running > 0 {
            state.spoilt.get_or_insert("a call in it outlives its client");
        }
        self.settle(&state)
    }

    /// Something of the one who has it, or had it, is left in the session.
    fn spoil(&self, why: &'static str) {
        let mut state = self.lock();
        state.spoilt.get_or_insert(why);
        if !state.is_out {
            self.settle(&state);
        }
    }

    fn settle(&self, state: &State) -> bool {
        if let Some(why) = state.spoilt
            && !self.over.is_cancelled()
        {
            tracing::debug!("a session is closed and not lent again: {why}");
            self.over.cancel();
        }
        state.spoilt.is_none()
    }

    /// A server asks outside every call. It is asked nobody; but where somebody had the session before, it may be about what
    /// they did, and the next such question would be put to the next one. Servers ask for roots whenever they like.
    pub(super) fn asks_outside(&self, question: &Question) {
        let is_a_tasks = || tasks::related(question.params.as_ref()).is_some();
        let was_out = self.lock().was_out;
        if was_out && question.method != question::ROOTS && !is_a_tasks() {
            self.spoil("the server asks about a call that is over");
        }
    }

    /// A call is sent in which something may be asked.
    pub(in super::super) fn begin(self: &Arc<Self>) -> Running {
        self.lock().running += 1;
        Running { lent: self.clone(), is_answered: false }
    }

    /// The client of a call in this session.
    pub(in super::super) fn around(self: &Arc<Self>, method: &Method, peer: Arc<dyn Peer>) -> Arc<dyn Peer> {
        Arc::new(Borrower { lent: self.clone(), has_it: method.may_ask(), peer })
    }
}

/// A call in a lent session. One that ends without an answer of the server may go on at the server, and ask.
pub(in super::super) struct Running {
    lent: Arc<Lent>,
    is_answered: bool,
}

impl Running {
    /// The server has answered.
    pub(in super::super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lent.lock().running -= 1;
        if !self.is_answered {
            self.lent.spoil("a call in it ended without an answer of the server");
        }
    }
}

/// The client of one call, which may be asked.
struct Borrower {
    lent: Arc<Lent>,
    /// Whether the call has the session. Whoever waits for a task does not: its questions name the task.
    has_it: bool,
    peer: Arc<dyn Peer>,
}

/// A question that is open. Dropped without an answer, its call has ended before it, or the server has taken it back, of
/// which nothing more is known.
struct Open {
    lent: Arc<Lent>,
    spoils: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.spoils {
            self.lent.spoil("a question in it was never answered");
        }
    }
}

impl Peer for Borrower {
    fn notify(&self, notification: Notification) {
        self.peer.notify(notification);
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let is_about_roots = question.method == question::ROOTS;
        let mut open = Open { lent: self.lent.clone(), spoils: self.has_it };
        let asked = self.peer.ask(question);
        Box::pin(async move {
            let answer = asked.await;
            open.spoils = false;
            if is_about_roots && answer.is_ok() {
                // They hold for the session, as servers see it.
                open.lent.spoil("the server was told somebody's roots");
            }
            answer
        })
    }

    fn answers_later(&self) -> bool {
        self.peer.answers_later()
    }

    fn hears_logs(&self) -> bool {
        self.peer.hears_logs()
    }
}
