//! What is kept beside a session with a legacy server that modern clients use: what it asked outside every call, its log
//! level, and the pages that persons were sent to. None of it exists in the modern era, whose requests stand for themselves.

use std::sync::Arc;

use crate::{
    hub::{Answer, BoxFuture, Caller, Peer, Question},
    jsonrpc::Notification,
    limits::ServerLimits,
    protocol::method::{notification, question},
};

use super::pool::Seat;

mod lent;
mod levels;
mod roots;
mod visits;

pub(super) use lent::{Lent, Running};
pub(super) use levels::{Levels, Wish};
pub(super) use roots::Roots;
pub(super) use visits::Visits;

/// What is kept beside one session.
#[derive(Default)]
pub(super) struct Beside {
    /// The roots of the clients, where those are modern ones that have some.
    pub(super) roots: Option<Arc<Roots>>,
    /// The log level of the session.
    pub(super) levels: Arc<Levels>,
    /// The pages that persons were sent to.
    pub(super) visits: Visits,
    /// What is known of a session that is lent.
    pub(super) lent: Option<Arc<Lent>>,
    /// Whether principals share the session: what is said of a call of one of them must not be taken for another's.
    is_everybodys: bool,
    /// The right to the session, where that is for one request.
    _seat: Option<Seat>,
}

impl Beside {
    /// For a session that is opened for `caller`, who may be asked for roots only where nobody else shares the session.
    pub(super) fn of(
        caller: &Caller,
        everybody: bool,
        lent: Option<Arc<Lent>>,
        seat: Option<Seat>,
        limits: &ServerLimits,
    ) -> Arc<Self> {
        let adopts =
            !everybody && !caller.scope.is_session() && caller.revision.is_modern() && caller.capabilities.has_roots();
        let roots = adopts.then(|| Arc::new(Roots::new(limits)));
        Arc::new(Self { roots, lent, is_everybodys: everybody, _seat: seat, ..Self::default() })
    }

    /// `outside`, with what the session says for this first looked at.
    pub(super) fn around(self: &Arc<Self>, outside: Arc<dyn Peer>) -> Arc<dyn Peer> {
        Arc::new(Aside { beside: self.clone(), peer: outside, in_a_call: false })
    }

    /// The client of one call, with what the server says to it first looked at.
    pub(super) fn around_call(self: &Arc<Self>, client: Arc<dyn Peer>) -> Arc<dyn Peer> {
        Arc::new(Aside { beside: self.clone(), peer: client, in_a_call: true })
    }
}

/// Looks at what a server says before the one who is meant does.
struct Aside {
    beside: Arc<Beside>,
    peer: Arc<dyn Peer>,
    in_a_call: bool,
}

impl Peer for Aside {
    fn notify(&self, notification: Notification) {
        if notification.method == notification::ELICITATION_COMPLETE
            && self.beside.visits.completed(notification.params.as_ref())
        {
            // The call that waited for it goes on, which is how its client learns of it.
            return;
        }
        self.peer.notify(notification);
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        if let Some(lent) = self.beside.lent.as_ref().filter(|_| !self.in_a_call) {
            lent.asks_outside(&question);
        }
        let Some(roots) = self.beside.roots.as_ref().filter(|_| question.method == question::ROOTS) else {
            return self.peer.ask(question);
        };
        if !self.in_a_call {
            return roots.hold();
        }
        let (roots, asked) = (roots.clone(), self.peer.ask(question));
        Box::pin(async move {
            let answer = asked.await;
            roots.learn(&answer);
            answer
        })
    }

    fn answers_later(&self) -> bool {
        // Roots that are held wait for a client as well.
        self.peer.answers_later() || !self.in_a_call && self.beside.roots.is_some()
    }

    fn hears_logs(&self) -> bool {
        self.beside.is_everybodys || self.peer.hears_logs()
    }
}
