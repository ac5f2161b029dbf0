//! What passes between a server and a client beside the request and its response, while one call runs.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    hub::{Answer, BoxFuture, Fault, Life, Peer, Question, QuestionEnd, Refusal},
    jsonrpc::{ErrorObject, Notification, Raw, RawObject, Request, RequestId, code},
    protocol::{
        ClientCapabilities, meta,
        method::{notification, question},
    },
};

/// How many questions of one call may be open.
const OPEN_QUESTIONS: usize = 32;
/// How often a server is told that its question is being worked on. Many give up on one after a minute of silence.
const ALIVE: Duration = Duration::from_secs(15);

/// A reply to a question of the server: to be sent to it.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The id under which the server asked.
    pub(crate) id: RequestId,
    /// What it is told.
    pub(crate) outcome: Result<Raw, ErrorObject>,
}

/// What a conversation has to say to the server.
#[derive(Debug)]
pub(crate) enum Word {
    /// The reply to a question.
    Reply(Reply),
    /// A sign that a question is being worked on.
    Alive {
        /// The id under which the server asked.
        question: RequestId,
        /// Progress under the token that the server gave the question.
        said: Notification,
    },
}

/// The side of one running call that notifies the client and asks it. It is owned by the call's future: dropped with it,
/// it withdraws every open question.
pub(crate) struct Conversation {
    peer: Arc<dyn Peer>,
    life: Life,
    capabilities: ClientCapabilities,
    may_ask: bool,
    open: FuturesUnordered<Abortable<BoxFuture<Replied>>>,
    unanswered: Vec<Unanswered>,
    /// Runs while a question is open whose server wants to hear of progress.
    ticks: Option<Interval>,
    alive: VecDeque<Word>,
    /// A capability the server needed, asked for undeclared, and was refused.
    refused: Option<Raw>,
}

/// A reply, the capability that turned out to be missing, and how the question ended.
type Replied = (Reply, Option<Raw>, QuestionEnd);

/// A question that is open.
struct Unanswered {
    id: RequestId,
    method: String,
    withdraw: AbortHandle,
    /// The token under which the server wants to hear that the question is worked on, and how often it heard so.
    token: Option<Raw>,
    told: u64,
    /// The question itself, where it is only a guess that it belongs to this call.
    guessed: Option<Request>,
}

impl Conversation {
    pub(crate) fn new(peer: Arc<dyn Peer>, life: Life, capabilities: ClientCapabilities, may_ask: bool) -> Self {
        let (open, unanswered) = (FuturesUnordered::new(), Vec::new());
        let (ticks, alive, refused) = (None, VecDeque::new(), None);
        Self { peer, life, capabilities, may_ask, open, unanswered, ticks, alive, refused }
    }

    /// The server says something that belongs to the call.
    pub(crate) fn notified(&self, notification: Notification) {
        self.life.touch();
        self.peer.notify(notification);
    }

    /// The server asks something in the call. Where it can be answered at once, the reply is returned; otherwise it comes
    /// out of [`Conversation::next`].
    pub(crate) fn asked(&mut self, request: Request) -> Option<Reply> {
        self.life.touch();
        let Request { id, method, params } = request;
        if method == "ping" {
            return Some(Reply { id, outcome: Ok(Raw::constant("{}")) });
        }
        if !is_question(&method) {
            return Some(Reply { id, outcome: Err(ErrorObject::new(code::METHOD_NOT_FOUND, "Method not found")) });
        }
        if let Err(refusal) = self.takes(&method, params.as_ref()) {
            let refused = Err(refusal);
            self.life.question_ended(&method, QuestionEnd::of(&refused));
            return Some(Reply { id, outcome: reply_to(&method, refused) });
        }
        let key =
            params.as_ref().and_then(|p| meta::get(p, meta::INPUT_KEY)).and_then(|k| Some(k.as_text()?.into_owned()));
        // A client that answers on the spot reports its own progress.
        let token =
            params.as_ref().filter(|_| self.peer.answers_later()).and_then(|p| meta::get(p, meta::PROGRESS_TOKEN));
        let asked = self.peer.ask(Question { method: method.clone(), params, key });
        let asking = self.life.asking();
        let (withdraw, registration) = AbortHandle::new_pair();
        if token.is_some() && self.ticks.is_none() {
            let mut ticks = interval_at(Instant::now() + ALIVE, ALIVE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            self.ticks = Some(ticks);
        }
        let (id_of, method_of) = (id.clone(), method.clone());
        self.unanswered.push(Unanswered { id: id_of, method: method_of, withdraw, token, told: 0, guessed: None });
        let replying: BoxFuture<Replied> = Box::pin(async move {
            let answer = asked.await;
            drop(asking);
            let missing = match &answer {
                Err(Refusal::Undeclared(missing)) => Some(missing.clone()),
                _ => None,
            };
            let end = QuestionEnd::of(&answer);
            (Reply { id, outcome: reply_to(&method, answer) }, missing, end)
        });
        self.open.push(Abortable::new(replying, registration));
        None
    }

    /// Whether a question can be put to the client at all.
    fn takes(&mut self, method: &str, params: Option<&RawObject>) -> Result<(), Refusal> {
        if !self.may_ask {
            return Err(Refusal::NoOne);
        }
        if self.open.len() >= OPEN_QUESTIONS {
            return Err(Refusal::Lapsed);
        }
        self.capabilities.answers(method, params).map_err(|missing| {
            self.refused = Some(missing.clone());
            Refusal::Undeclared(missing)
        })
    }

    /// Counts the end of a question that got no answer.
    fn ended(&self, open: &Unanswered, end: QuestionEnd) {
        self.life.question_ended(&open.method, end);
        open.withdraw.abort();
    }

    /// The same for a question that came outside the call's own stream, so that another call may have to take it over.
    pub(crate) fn attributed(&mut self, request: Request) -> Option<Reply> {
        let question = request.clone();
        let reply = self.asked(request);
        if reply.is_none()
            && let Some(open) = self.unanswered.last_mut()
        {
            open.guessed = Some(question);
        }
        reply
    }

    /// Takes out the open questions of which nobody knows whether they belong to this call, which is over.
    pub(crate) fn unsettled(&mut self) -> Vec<Request> {
        let (unsettled, own) = self.unanswered.drain(..).partition(|open: &Unanswered| open.guessed.is_some());
        self.unanswered = own;
        let unsettled: Vec<_> = unsettled;
        unsettled.iter().for_each(|open| self.ended(open, QuestionEnd::Withdrawn));
        unsettled.into_iter().filter_map(|open| open.guessed).collect()
    }

    /// The server takes a question back: so does the client's side, and no answer will be sent.
    pub(crate) fn withdraw(&mut self, id: RequestId) {
        if let Some(at) = self.unanswered.iter().position(|u| u.id == id) {
            let open = self.unanswered.swap_remove(at);
            self.ended(&open, QuestionEnd::Withdrawn);
        }
    }

    /// Waits for the next thing to send; for ever when nothing is open. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Word {
        loop {
            if let Some(alive) = self.alive.pop_front() {
                return alive;
            }
            tokio::select! {
                biased;
                replied = self.open.next(), if !self.open.is_empty() => {
                    // Otherwise it was withdrawn.
                    if let Some(Ok((reply, missing, end))) = replied {
                        if let Some(at) = self.unanswered.iter().position(|u| u.id == reply.id) {
                            let open = self.unanswered.swap_remove(at);
                            self.life.question_ended(&open.method, end);
                        }
                        self.refused = missing.or(self.refused.take());
                        return Word::Reply(reply);
                    }
                }
                () = tick(&mut self.ticks) => self.keep_alive(),
            }
        }
    }

    /// Puts a sign of life together for every question whose server wants one.
    fn keep_alive(&mut self) {
        for open in &mut self.unanswered {
            let Some(token) = &open.token else { continue };
            open.told += 1;
            let params = RawObject::from([("progressToken", token.clone()), ("progress", Raw::of(&open.told))]);
            let said = Notification { method: notification::PROGRESS.to_owned(), params: Some(params) };
            self.alive.push_back(Word::Alive { question: open.id.clone(), said });
        }
        if self.alive.is_empty() {
            self.ticks = None;
        }
    }

    /// Withdraws every question that is open, and returns what the server is told so that it does not wait for them.
    pub(crate) fn give_up(&mut self) -> Vec<Reply> {
        let given_up = std::mem::take(&mut self.unanswered);
        given_up.iter().for_each(|open| self.ended(open, QuestionEnd::Lapsed));
        let lapsed = |method: &str| reply_to(method, Err(Refusal::Lapsed));
        given_up.into_iter().map(|open| Reply { outcome: lapsed(&open.method), id: open.id }).collect()
    }

    /// The error that ends the call. A server that asked for something undeclared, was refused and gave up because of it
    /// is told apart: a modern client has to hear which capability it lacks (2026-07-28, basic/index#error-codes).
    pub(crate) fn failed(&self, error: ErrorObject) -> Fault {
        match &self.refused {
            None => Fault::Answered(error),
            Some(required) => Fault::Undeclared { required: required.clone(), cause: error },
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let end = if self.life.abandoned().is_some() { QuestionEnd::Lapsed } else { QuestionEnd::Withdrawn };
        self.unanswered.iter().for_each(|open| self.ended(open, end));
    }
}

/// The next tick; never without an interval.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
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
