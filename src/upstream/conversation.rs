//! What passes between a server and a client beside the request and its response, while one call runs.

use std::sync::Arc;

use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};

use crate::{
    hub::{Answer, BoxFuture, Fault, Life, Peer, Question, Refusal},
    jsonrpc::{ErrorObject, Notification, Raw, RawObject, Request, RequestId, code},
    protocol::{ClientCapabilities, meta, method::question},
};

/// How many questions of one call may be open.
const OPEN_QUESTIONS: usize = 32;

/// A reply to a question of the server: to be sent to it.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The id under which the server asked.
    pub(crate) id: RequestId,
    /// What it is told.
    pub(crate) outcome: Result<Raw, ErrorObject>,
}

/// The side of one running call that notifies the client and asks it. It is owned by the call's future: dropped with it,
/// it withdraws every open question.
pub(crate) struct Conversation {
    peer: Arc<dyn Peer>,
    life: Life,
    capabilities: ClientCapabilities,
    may_ask: bool,
    open: FuturesUnordered<Abortable<BoxFuture<Reply>>>,
    unanswered: Vec<Unanswered>,
    /// A capability the server needed, asked for undeclared, and was refused.
    refused: Option<Raw>,
}

/// A question that is open.
struct Unanswered {
    id: RequestId,
    method: String,
    withdraw: AbortHandle,
}

impl Conversation {
    pub(crate) fn new(peer: Arc<dyn Peer>, life: Life, capabilities: ClientCapabilities, may_ask: bool) -> Self {
        let (open, unanswered) = (FuturesUnordered::new(), Vec::new());
        Self { peer, life, capabilities, may_ask, open, unanswered, refused: None }
    }

    /// The server says something that belongs to the call.
    pub(crate) fn notified(&self, notification: Notification) {
        self.life.touch();
        self.peer.notify(notification);
    }

    /// The server asks something in the call. Where it can be answered at once, the reply is returned; otherwise it comes
    /// out of [`Conversation::reply`].
    pub(crate) fn asked(&mut self, request: Request) -> Option<Reply> {
        self.life.touch();
        let Request { id, method, params } = request;
        if method == "ping" {
            return Some(Reply { id, outcome: Ok(Raw::constant("{}")) });
        }
        if !is_question(&method) {
            return Some(Reply { id, outcome: Err(ErrorObject::new(code::METHOD_NOT_FOUND, "Method not found")) });
        }
        if !self.may_ask {
            return Some(Reply { id, outcome: reply_to(&method, Err(Refusal::NoOne)) });
        }
        if self.open.len() >= OPEN_QUESTIONS {
            return Some(Reply { id, outcome: reply_to(&method, Err(Refusal::Lapsed)) });
        }
        if let Err(missing) = self.capabilities.answers(&method, params.as_ref()) {
            self.refused = Some(missing.clone());
            return Some(Reply { id, outcome: reply_to(&method, Err(Refusal::Undeclared(missing))) });
        }
        let key =
            params.as_ref().and_then(|p| meta::get(p, meta::INPUT_KEY)).and_then(|k| Some(k.as_text()?.into_owned()));
        let asked = self.peer.ask(Question { method: method.clone(), params, key });
        let asking = self.life.asking();
        let (withdraw, registration) = AbortHandle::new_pair();
        self.unanswered.push(Unanswered { id: id.clone(), method: method.clone(), withdraw });
        let replying: BoxFuture<Reply> = Box::pin(async move {
            let outcome = reply_to(&method, asked.await);
            drop(asking);
            Reply { id, outcome }
        });
        self.open.push(Abortable::new(replying, registration));
        None
    }

    /// The server takes a question back: so does the client's side, and no answer will be sent.
    pub(crate) fn withdraw(&mut self, id: RequestId) {
        if let Some(at) = self.unanswered.iter().position(|u| u.id == id) {
            self.unanswered.swap_remove(at).withdraw.abort();
        }
    }

    /// Waits for the next reply to send; for ever when nothing is open. Cancel-safe.
    pub(crate) async fn reply(&mut self) -> Reply {
        loop {
            match self.open.next().await {
                Some(Ok(reply)) => {
                    self.unanswered.retain(|u| u.id != reply.id);
                    return reply;
                }
                // Withdrawn.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Withdraws every question that is open, and returns what the server is told so that it does not wait for them.
    pub(crate) fn give_up(&mut self) -> Vec<Reply> {
        let given_up = self.unanswered.drain(..).map(|Unanswered { id, method, withdraw }| {
            withdraw.abort();
            Reply { id, outcome: reply_to(&method, Err(Refusal::Lapsed)) }
        });
        given_up.collect()
    }

    /// The error that ends the call. A server that asked for something undeclared, was refused and gave up because of it
    /// is told apart: a modern client has to hear which capability it lacks (2026-07-28, basic/index#error-codes).
    pub(crate) fn failed(&self, error: ErrorObject) -> Fault {
        match &self.refused {
            None => Fault::Answered(error),
            Some(missing) => Fault::Answered(
                ErrorObject::new(
                    code::MISSING_CAPABILITY,
                    "the server needs a capability that the client did not declare",
                )
                .with_data(
                    RawObject::from([("requiredCapabilities", missing.clone()), ("cause", error.to_raw())]).to_raw(),
                ),
            ),
        }
    }
}

/// Whether a server's request is one a client may be asked.
pub(crate) fn is_question(method: &str) -> bool {
    matches!(method, question::ELICIT | question::SAMPLE | question::ROOTS)
}

/// What a legacy server is told.
pub(crate) fn reply_to(method: &str, answer: Answer) -> Result<Raw, ErrorObject> {
    match (answer, method) {
        (Ok(result), _) => Ok(result.to_raw()),
        (Err(Refusal::Answered(error)), _) => Err(error),
        (Err(Refusal::Undeclared(_)), question::ELICIT) => {
            Err(ErrorObject::new(code::INVALID_PARAMS, "the client does not support this kind of elicitation"))
        }
        (Err(Refusal::Undeclared(_)), _) => {
            Err(ErrorObject::new(code::METHOD_NOT_FOUND, "the client does not support this"))
        }
        (Err(Refusal::Lapsed), question::ELICIT) => Ok(Raw::constant(r#"{"action":"cancel"}"#)),
        (Err(Refusal::Lapsed), question::SAMPLE) => Err(ErrorObject::new(-1, "User rejected sampling request")),
        (Err(Refusal::Lapsed | Refusal::NoOne), question::ROOTS) => {
            Err(ErrorObject::new(code::INTERNAL, "roots not available"))
        }
        (Err(Refusal::Lapsed), _) => Err(ErrorObject::new(code::INTERNAL, "not answered")),
        (Err(Refusal::NoOne), _) => Err(ErrorObject::new(code::INVALID_PARAMS, "no associated client request")),
    }
}
