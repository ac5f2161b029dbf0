//! The layer that answers a modern server's questions for a client that answers on the spot.
//!
//! A modern server that needs something answers `input_required` and wants the call again, with the answers
//! (2026-07-28, basic/patterns/mrtr). A legacy client cannot do that: so its peer is asked here, question by question,
//! and the call is sent again. Callers that retry by themselves pass through untouched.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::HeaderName;

use crate::{
    jsonrpc::{ErrorObject, Notification, Raw, RawObject},
    protocol::{Method, headers::ToolHeaders, meta, method::question},
};

use super::{
    Answer, Answering, Attempt, BoxFuture, Call, Caller, Description, Fault, Filter, GatewayFault, Health, Link,
    Listening, Mount, Outcome, Question, Reason, Refusal,
};

/// How often one call may be answered with questions.
const ROUNDS: usize = 10;
/// The pause before a round without questions, doubled each time.
const PACE: Duration = Duration::from_millis(250);
/// The longest such pause.
const SLOWEST: Duration = Duration::from_secs(4);
/// How many questions one round may hold.
const QUESTIONS: usize = 32;

/// Asks and retries for callers that answer inline.
#[derive(Clone)]
pub struct Gather<M>(M);

impl<M> Gather<M> {
    /// Puts the layer around `below`.
    pub fn new(below: M) -> Self {
        Self(below)
    }
}

impl<M: Mount + Clone> Mount for Gather<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.0.forwards()
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        if call.caller.answers == Answering::Retry || !call.method.may_ask() {
            return self.0.call(call);
        }
        let below = self.0.clone();
        Box::pin(gather(below, call))
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.0.describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        self.0.tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        self.0.notify(caller, notification);
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        self.0.attend(caller)
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        self.0.listen(caller, filter)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn link(&self) -> Link {
        self.0.link()
    }
}

async fn gather<M: Mount>(below: M, call: Call) -> Result<Outcome, Fault> {
    let first = below.call(call.clone());
    rounds(call, first, |call| below.call(call)).await
}

/// Sees a call through whose first leg is under way: asks the call's peer what the server asks, and sends the call `again`
/// with the answers.
pub(crate) async fn rounds(
    mut call: Call,
    first: BoxFuture<Result<Outcome, Fault>>,
    again: impl Fn(Call) -> BoxFuture<Result<Outcome, Fault>>,
) -> Result<Outcome, Fault> {
    let mut pace = PACE;
    let mut first = Some(first);
    for _ in 0..ROUNDS {
        let leg = first.take().unwrap_or_else(|| again(call.clone()));
        let (requests, state) = match leg.await? {
            Outcome::NeedsInput { requests, state } => (requests, state),
            done => return Ok(done),
        };
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
        call.attempt = Attempt::Answers { responses, state };
    }
    Stop { message: format!("the server asked for input more than {ROUNDS} times"), cause: None }.end(&call.method)
}

/// Why the call cannot go on: a question that got no answer the server could be given.
pub(crate) struct Stop {
    pub(crate) message: String,
    pub(crate) cause: Option<ErrorObject>,
}

impl Stop {
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
            reason: Reason::InputRoundsExceeded,
            upstream: None,
            message: self.message,
            retry_after: None,
            cause: self.cause.map(|e| e.to_raw()),
        }))
    }
}

async fn ask_all(call: &Call, requests: &RawObject) -> Result<Result<RawObject, Stop>, Fault> {
    if requests.len() > QUESTIONS {
        return Err(Fault::gateway(Reason::UpstreamProtocol, "the server asked too many questions at once"));
    }
    let mut open = FuturesUnordered::new();
    let mut responses = RawObject::new();
    for (key, request) in requests.iter() {
        let request = request.to_object().unwrap_or_default();
        let method = request.get("method").and_then(Raw::as_text).unwrap_or_default().into_owned();
        let params = request.get_object("params");
        if !matches!(&*method, question::ELICIT | question::SAMPLE | question::ROOTS) {
            return Err(Fault::gateway(Reason::UpstreamProtocol, "the server asked something that no client answers"));
        }
        if call.caller.capabilities.answers(&method, params.as_ref()).is_err() {
            return Ok(Err(Stop {
                message: format!("the server asked `{method}`, which this client cannot answer"),
                cause: None,
            }));
        }
        // Keeps the place, so that the answers stand in the order of the questions.
        responses.set(&key, Raw::null());
        let key = key.into_owned();
        let asked = call.peer.ask(Question { method: method.clone(), params, key: None });
        open.push(async move { (key, method, asked.await) });
    }
    while let Some((key, method, answer)) = open.next().await {
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
    let (why, cause) = match answer {
        Ok(mut answer) => {
            answer.remove(meta::META);
            return Ok(answer);
        }
        Err(Refusal::Answered(_)) if method == question::ELICIT => {
            return Ok(RawObject::from([("action", Raw::from("cancel"))]));
        }
        Err(Refusal::Answered(error)) => (error.message.clone(), Some(error)),
        Err(Refusal::Lapsed) => ("it was not answered in time".to_owned(), None),
        Err(Refusal::Undeclared(_) | Refusal::NoOne) => ("there is nobody to answer it".to_owned(), None),
    };
    Err(Stop { message: format!("the server asked the client `{method}`, and got no answer: {why}"), cause })
}
