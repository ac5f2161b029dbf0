//! Pages that a person has to visit before a call can go on.
//!
//! A server of 2025-11-25 may refuse a call until a person has been to some pages (2025-11-25,
//! client/elicitation#error-handling). 2026-07-28 has no such error: a modern client is asked to show the pages, and when the
//! server has seen them visited the call, which was not run, is sent again.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::{
    hub::{Answer, Answering, Call, Fault, GatewayFault, Outcome, Question, Reason, Refusal},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    limits::ServerLimits,
    protocol::{Method, method::question},
    upstream::Session,
};

use super::{
    Inner,
    sending::{Hop, Wish},
};

/// How many pages one refusal may name.
const PAGES: usize = 32;

/// One page.
struct Page {
    id: Option<String>,
    /// What the client is asked.
    params: RawObject,
}

/// The pages that a server names; `None` where it is no such refusal, or names none that anybody could visit.
fn pages(error: &ErrorObject) -> Option<Vec<Page>> {
    if error.code != code::URL_ELICITATION_REQUIRED {
        return None;
    }
    let named = error.data.as_ref()?.to_object()?.get("elicitations")?.to_array()?;
    if named.is_empty() || named.len() > PAGES {
        return None;
    }
    let page = |named: Raw| {
        let named = named.to_object()?;
        let url = named.get("url")?.as_text()?;
        let message = named.get("message").and_then(Raw::as_text).unwrap_or_default();
        let params = [("mode", Raw::from("url")), ("message", Raw::from(&*message)), ("url", Raw::from(&*url))];
        let id = named.get("elicitationId").and_then(Raw::as_text).map(std::borrow::Cow::into_owned);
        Some(Page { id, params: RawObject::from(params) })
    };
    named.into_iter().map(page).collect()
}

/// Whether a refusal becomes a question of this call.
pub(super) fn asks_for_visits(call: &Call, session: &Arc<dyn Session>, error: &ErrorObject) -> bool {
    call.caller.answers == Answering::Retry
        && call.method.may_ask()
        && !session.revision().is_modern()
        && pages(error).is_some()
}

impl Inner {
    /// Sends a call, and again each time that a person has been to the pages which the server wants visited first.
    pub(super) async fn send_visiting(&self, hop: Hop<'_>, wish: &Wish) -> Result<Outcome, Fault> {
        let Hop { call, session, beside, .. } = hop;
        let ServerLimits { visits: most, visit: patience, .. } = self.limits;
        for round in 0..=most {
            let error = match self.send(hop, wish).await {
                Err(Fault::Answered(error)) if asks_for_visits(call, session, &error) => error,
                ended => return ended,
            };
            let pages = pages(&error).unwrap_or_default();
            if !call.caller.capabilities.elicits_by_url() {
                return Err(Fault::Undeclared {
                    required: Raw::constant(r#"{"elicitation":{"url":{}}}"#),
                    cause: error,
                });
            }
            if round == most {
                break;
            }
            let visited = beside.visits.expect(pages.iter().filter_map(|page| page.id.clone()));
            let answers = {
                let _asking = call.life.asking();
                join_all(pages.into_iter().map(|page| {
                    call.peer.ask(Question {
                        method: question::ELICIT.to_owned(),
                        params: Some(page.params),
                        key: None,
                    })
                }))
                .await
            };
            for answer in answers {
                match refused(answer) {
                    None => {}
                    Some(Refusal::Undeclared(required)) => return Err(Fault::Undeclared { required, cause: error }),
                    Some(_) => return declined(&call.method, &error),
                }
            }
            if session.is_open() {
                // Some servers never say that a page was visited.
                visited.done(patience).await;
            }
        }
        let message = format!("the server wanted pages to be visited more than {most} times");
        Err(Fault::upstream(Reason::InputRoundsExceeded, &self.name, message))
    }
}

/// Why a page was not visited; `None` where the person agreed.
fn refused(answer: Answer) -> Option<Refusal> {
    match answer {
        Ok(answer) if answer.get("action").is_some_and(|action| action.is_text("accept")) => None,
        Ok(_) => Some(Refusal::NoOne),
        Err(refusal) => Some(refusal),
    }
}

/// How a call ends whose person does not want to visit a page: a failed tool, or an error for everything else.
fn declined(method: &Method, error: &ErrorObject) -> Result<Outcome, Fault> {
    let message = format!("a page has to be visited first, and was not: {}", error.message);
    if *method == Method::ToolsCall {
        let block = RawObject::from([("type", Raw::from("text")), ("text", Raw::from(&*message))]);
        let result = RawObject::from([
            ("resultType", Raw::from("complete")),
            ("content", Raw::array(&[block.to_raw()])),
            ("isError", Raw::constant("true")),
        ]);
        return Ok(Outcome::Complete(result.to_raw()));
    }
    Err(Fault::Gateway(GatewayFault { cause: Some(error.to_raw()), ..GatewayFault::new(Reason::Policy, message) }))
}
