//! The client as an upstream sees it while a call runs.

use crate::jsonrpc::{ErrorObject, Notification, Raw, RawObject};

use super::BoxFuture;

/// What a server asks a client: an elicitation, a sampling or the roots.
#[derive(Clone, Debug)]
pub struct Question {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters, in the shape of the client's revision.
    pub params: Option<RawObject>,
    /// The key under which a modern client shall see it, where the server has a wish.
    pub key: Option<String>,
}

/// Why a question got no result.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The client answered with an error.
    Answered(ErrorObject),
    /// The client never declared that it answers this; holds what it would have had to declare.
    Undeclared(Raw),
    /// There is nobody to ask: no call it belongs to, or the client is gone.
    NoOne,
    /// The client did not answer in time.
    Lapsed,
}

/// The answer to a question: a result, in the shape of the client's revision, or why there is none.
pub type Answer = Result<RawObject, Refusal>;

/// The client, while a call of its runs. Downstream adapters play it.
pub trait Peer: Send + Sync {
    /// Tells the client something that belongs to the call. A progress notification may carry any token: the peer knows the
    /// client's own. Never blocks; what a full queue drops is the peer's to decide.
    fn notify(&self, notification: Notification);

    /// These may have been said while nobody heard the server. Everybody who would have heard them of this session is told
    /// as if they had been.
    fn missed(&self, notifications: Vec<Notification>) {
        for notification in notifications {
            self.notify(notification);
        }
    }

    /// Asks the client one question. Dropping the future withdraws the question.
    fn ask(&self, question: Question) -> BoxFuture<Answer>;

    /// Whether the client answers by a later request, so that nothing is heard of it while a person thinks. Somebody else then
    /// has to tell the server that its question is being worked on.
    fn answers_later(&self) -> bool {
        false
    }

    /// Whether the client wants to hear log messages of the call. A server that has one stream for everything does not say
    /// which call a message is of; where only one of several is to be heard of, it is taken for that one's.
    fn hears_logs(&self) -> bool {
        true
    }
}

/// A peer that hears nothing and answers nothing.
#[derive(Debug)]
pub struct SilentPeer;

impl Peer for SilentPeer {
    fn notify(&self, _: Notification) {}

    fn ask(&self, _: Question) -> BoxFuture<Answer> {
        Box::pin(std::future::ready(Err(Refusal::NoOne)))
    }

    fn hears_logs(&self) -> bool {
        false
    }
}
