//! Asking the client in the middle of a call, so that it works for clients of both eras.
//!
//! The question is the same in both, the way of asking is not: a legacy client gets a request from the server while its
//! call waits; a modern one gets `input_required` and calls again with the answer. A tool that asks calls [`ask`] where
//! it needs the answer, and ends with whatever [`Answer::First`] holds.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, InputRequest, InputRequests, InputRequiredResult, ServerRequest},
    service::{PeerRequestOptions, RequestContext},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{kit::is_modern, seal::StateSeal};

/// A question of a tool.
pub(super) struct Question<'a, A> {
    /// Its key in `inputRequests`.
    pub(super) key: &'static str,
    /// What is asked.
    pub(super) request: InputRequest,
    /// What it is about: an answer is taken only for a call about the same.
    pub(super) about: &'a A,
    /// Whether the client said that it can answer such questions.
    pub(super) can_be_asked: bool,
    /// How long a legacy client may take. A modern one may take as long as the state holds.
    pub(super) patience: Duration,
}

/// What came of a question.
pub(super) enum Answer<T> {
    /// The answer.
    Given(T),
    /// A legacy client answered with an error, with something else than an answer, or not in time.
    Missing,
    /// The client cannot be asked.
    Impossible,
    /// A modern client has to be asked first: this is how the call ends for now.
    First(InputRequiredResult),
}

/// Asks, or finds the answer that a modern client brought along.
///
/// # Errors
///
/// The state that came back is not one that was given out for this call, or the call was cancelled.
pub(super) async fn ask<T: DeserializeOwned, A: Serialize>(
    seal: &StateSeal,
    question: Question<'_, A>,
    call: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<Answer<T>, ErrorData> {
    if is_modern(context) {
        return ask_later(seal, question, call);
    }
    if !question.can_be_asked {
        return Ok(Answer::Impossible);
    }
    let request = match question.request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return Ok(Answer::Impossible),
    };
    ask_now(request, question.patience, context).await
}

/// Asks a modern client: the call ends with the question and is made again with the answer.
fn ask_later<T: DeserializeOwned, A: Serialize>(
    seal: &StateSeal,
    question: Question<'_, A>,
    call: &CallToolRequestParams,
) -> Result<Answer<T>, ErrorData> {
    // A state is checked even if the client could not have been asked: it says that it was.
    if let Some(state) = &call.request_state {
        seal.check(state, &call.name, question.about)?;
        // What is no answer at all counts as missing and is asked again.
        let answers = call.input_responses.as_ref();
        let answer = answers.and_then(|answers| answers.get(question.key));
        if let Some(answer) = answer.and_then(|answer| serde_json::from_value(answer.clone()).ok()) {
            return Ok(Answer::Given(answer));
        }
    }
    if !question.can_be_asked {
        return Ok(Answer::Impossible);
    }
    let state = seal.state_for(&call.name, question.about)?;
    let questions = InputRequests::from([(question.key.to_owned(), question.request)]);
    Ok(Answer::First(InputRequiredResult::new(Some(questions), Some(state))))
}

/// Asks a legacy client, and waits for the answer.
async fn ask_now<T: DeserializeOwned>(
    request: ServerRequest,
    patience: Duration,
    context: &RequestContext<RoleServer>,
) -> Result<Answer<T>, ErrorData> {
    let sent = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let Ok(mut asked) = sent else {
        return Ok(Answer::Missing);
    };
    tokio::select! {
        response = &mut asked.rx => {
            let answer = response.ok().and_then(Result::ok).and_then(|answer| serde_json::to_value(answer).ok());
            let answer = answer.and_then(|answer| serde_json::from_value(answer).ok());
            Ok(answer.map_or(Answer::Missing, Answer::Given))
        }
        () = context.ct.cancelled() => {
            // The client knows that the call is over, but not that the question belongs to it.
            let _ = asked.cancel(Some("the call was cancelled".to_owned())).await;
            Err(ErrorData::internal_error("cancelled by the client", None))
        }
        () = tokio::time::sleep(patience) => {
            let _ = asked.cancel(Some("no answer in time".to_owned())).await;
            Ok(Answer::Missing)
        }
    }
}

/// Whether the client can show a form. One that declares elicitation without naming a mode means forms.
pub(super) fn shows_forms(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities
        .and_then(|capabilities| capabilities.elicitation)
        .is_some_and(|elicitation| elicitation.form.is_some() || elicitation.url.is_none())
}

/// Whether the client lets servers use its language model.
pub(super) fn has_a_model(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().is_some_and(|capabilities| capabilities.sampling.is_some())
}
