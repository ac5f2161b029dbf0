//! The layer that answers a modern server's questions for a client that answers on the spot.
//!
//! A modern server that needs something answers `input_required` and wants the call again, with the answers
//! (2026-07-28, basic/patterns/mrtr). A legacy client cannot do that: so its peer is asked here, question by question,
//! and the call is sent again. Callers that retry by themselves pass through untouched.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::{
    jsonrpc::{ErrorObject, Notification, Raw, RawObject},
    protocol::{
        Method, meta,
        method::{notification, question},
    },
};

use super::{
    Answer, Answering, Around, Attempt, BoxFuture, Call, Fault, GatewayFault, Mount, Outcome, Question, QuestionEnd,
    Reason, Refusal,
};

/// The pause before a round without questions, doubled each time.
const PACE: Duration = Duration::from_millis(250);
/// The longest such pause.
const SLOWEST: Duration = Duration::from_secs(4);
/// How many questions one round may hold.
const QUESTIONS: usize = 32;

/// Asks and retries for callers that answer inline.
#[derive(Clone)]
pub struct Gather<M> {
    below: M,
    /// How often one call may be answered with questions.
    most: usize,
}

impl<M> Gather<M> {
    /// Puts the layer around `below`. One call may be answered with questions no more often than `most`.
    pub fn new(below: M, most: usize) -> Self {
        Self { below, most }
    }
}

impl<M: Mount + Clone> Around for Gather<M> {
    type Below = M;

    fn below(&self) -> &M {
        &self.below
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        if call.caller.answers == Answering::Retry || !call.method.may_ask() {
            return self.below.call(call);
        }
        let (below, most) = (self.below.clone(), self.most);
        Box::pin(gather(below, call, most))
    }
}

async fn gather<M: Mount>(below: M, call: Call, most: usize) -> Result<Outcome, Fault> {
    let first = below.call(call.clone());
    rounds(call, first, |call| below.call(call), most).await
}

/// Sees a call through whose first leg is under way: asks the call's peer what the server asks, and sends the call `again`
/// with the answers, no more often than `most`.
pub(crate) async fn rounds(
    mut call: Call,
    first: BoxFuture<Result<Outcome, Fault>>,
    again: impl Fn(Call) -> BoxFuture<Result<Outcome, Fault>>,
    most: usize,
) -> Result<Outcome, Fault> {
    let mut pace = PACE;
    let mut pages = Vec::new();
    let mut leg = first;
    for round in 0..=most {
        let (requests, state) = match leg.await? {
            Outcome::NeedsInput { requests, state } => (requests, state),
            done => {
                if matches!(done, Outcome::Complete(_)) {
                    visited(&call, pages);
                }
                return Ok(done);
            }
        };
        // What a person would answer now could not be passed on any more.
        if round == most {
            break;
        }
        let responses = if requests.is_empty() {
            tokio::time::sleep(pace).await;
            pace = (pace * 2).min(SLOWEST);
            RawObject::new()
        } else {
            let _asking = call.life.asking();
            match ask_all(&call, &requests).await? {
                Ok(responses) => responses,
                Err(stop) => return stop.end(&call.method),
            }
        };
        pages.extend(requests.iter().filter_map(|(_, request)| page_of(request)));
        call.attempt = Attempt::Answers { responses, state };
        leg = again(call.clone());
    }
    let message = format!("the server asked for input more than {most} times");
    Stop { message, cause: None, reason: Reason::InputRoundsExceeded }.end(&call.method)
}

/// The id under which a client was shown a page, if that is what it is asked.
fn page_of(request: &Raw) -> Option<Raw> {
    request.to_object()?.get_object("params")?.get("elicitationId").cloned()
}

/// The call is complete, and so is what the person was sent to pages for. A server of 2025-11-25 would say so
/// (client/elicitation#completion-notifications-for-url-mode-elicitation); a modern one has no words for it.
fn visited(call: &Call, pages: Vec<Raw>) {
    for id in pages {
        let params = Some(RawObject::from([("elicitationId", id)]));
        call.caller.scope.peer().notify(Notification { method: notification::ELICITATION_COMPLETE.to_owned(), params });
    }
}

/// Why the call cannot go on: a question that got no answer the server could be given.
pub(crate) struct Stop {
    pub(crate) message: String,
    pub(crate) cause: Option<ErrorObject>,
    pub(crate) reason: Reason,
}

impl Stop {
    /// A question that this client cannot be asked, although the server was told.
    pub(crate) fn unanswerable(method: &str) -> Self {
        Self {
            message: format!("the server asked `{method}`, which this client cannot answer"),
            cause: None,
            reason: Reason::UpstreamProtocol,
        }
    }

    /// The result of a tool that failed so.
    pub(crate) fn tool_result(&self) -> Raw {
        let block = RawObject::from([("type", Raw::from("text")), ("text", Raw::from(&*self.message))]);
        RawObject::from([("content", Raw::array(&[block.to_raw()])), ("isError", Raw::constant("true"))]).to_raw()
    }

    /// Ends the call: a failed tool for `tools/call`, an error for everything else.
    fn end(self, method: &Method) -> Result<Outcome, Fault> {
        if *method == Method::ToolsCall {
            return Ok(Outcome::Complete(self.tool_result()));
        }
        Err(Fault::Gateway(GatewayFault {
            cause: self.cause.map(|e| e.to_raw()),
            ..GatewayFault::new(self.reason, self.message)
        }))
    }
}

async fn ask_all(call: &Call, requests: &RawObject) -> Result<Result<RawObject, Stop>, Fault> {
    if requests.len() > QUESTIONS {
        return Err(Fault::gateway(Reason::UpstreamProtocol, "the server asked too many questions at once"));
    }
    let mut questions = Vec::with_capacity(requests.len());
    for (key, request) in requests.iter() {
        let request = request.to_object().unwrap_or_default();
        let method = request.get("method").and_then(Raw::as_text).unwrap_or_default().into_owned();
        let params = request.get_object("params");
        if !matches!(&*method, question::ELICIT | question::SAMPLE | question::ROOTS) {
            return Err(Fault::gateway(Reason::UpstreamProtocol, "the server asked something that no client answers"));
        }
        if !call.caller.can_be_asked(&method, params.as_ref()) {
            call.life.question_ended(&method, QuestionEnd::Undeclared);
            return Ok(Err(Stop::unanswerable(&method)));
        }
        questions.push((key.into_owned(), method, params));
    }
    // Nobody is asked anything before it is certain that all of it can be asked.
    let mut open = FuturesUnordered::new();
    let mut responses = RawObject::new();
    for (key, method, params) in questions {
        // Keeps the place, so that the answers stand in the order of the questions.
        responses.set(&key, Raw::null());
        let asked = call.peer.ask(Question { method: method.clone(), params, key: None });
        open.push(async move { (key, method, asked.await) });
    }
    while let Some((key, method, answer)) = open.next().await {
        call.life.question_ended(&method, QuestionEnd::of(&answer));
        match settle(&method, answer) {
            Ok(answer) => responses.set(&key, answer.to_raw()),
            // Dropping the other questions withdraws them.
            Err(stop) => return Ok(Err(stop)),
        }
    }
    Ok(Ok(responses))
}

/// What the server is told: there is no way to hand it an error, so a form that failed counts as cancelled.
pub(crate) fn settle(method: &str, answer: Answer) -> Result<RawObject, Stop> {
    let (why, cause, reason) = match answer {
        Ok(mut answer) => {
            answer.remove(meta::META);
            return Ok(answer);
        }
        Err(Refusal::Answered(_)) if method == question::ELICIT => {
            return Ok(RawObject::from([("action", Raw::from("cancel"))]));
        }
        Err(Refusal::Answered(error)) => (error.message.clone(), Some(error), Reason::Policy),
        Err(Refusal::Lapsed) => ("it was not answered in time".to_owned(), None, Reason::Timeout),
        Err(Refusal::Undeclared(_) | Refusal::NoOne) => {
            ("there is nobody to answer it".to_owned(), None, Reason::StreamLost)
        }
    };
    let message = format!("the server asked the client `{method}`, and got no answer: {why}");
    Err(Stop { message, cause, reason })
}
