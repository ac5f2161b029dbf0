//! Calling a tool, and filling in a prompt.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    response::IntoResponse,
};
use http::request::Parts;

use crate::{
    app::{
        problem::{Kind, Problem},
        schema::Checked,
    },
    hub::Outcome,
    jsonrpc::{Kind as JsonKind, Raw, RawObject},
    protocol::Method,
};

use super::{
    Answered, Named, Rest, Visit,
    accept::{self, Form},
    answer,
    ask::{Session, strip},
    audience::Audience,
    body,
    events::{self, Ending},
    faults::{self, Wish},
    reply,
};

/// The longest part of a failed tool's words that becomes the detail of the problem, in characters.
const WORDS: usize = 300;

/// Calls a tool
///
/// Calls any tool of a mount. The body is its arguments, checked against the schema that the tool lists. The answer is the
/// tool's structured result where it has one, and its content blocks otherwise. With `Accept: text/event-stream` the answer
/// is a stream: `progress` and `message` events while the tool runs, then `result` or `problem`.
#[utoipa::path(
    post, path = "/api/mounts/{mount}/tools/{tool}", operation_id = "rialto.callTool", tag = "the gateway",
    params(
        ("mount" = String, Path, description = "The name of the mount"),
        ("tool" = String, Path, description = "The name of the tool, percent-encoded")
    ),
    request_body(content = ref("#/components/schemas/Arguments"), description = "The arguments; none are `{}`"),
    responses((status = 200, description = "What the tool answered", content(
        (ref("#/components/schemas/ToolAnswer") = "application/json"),
        (String = "text/event-stream"),
    )))
)]
pub(in crate::app) async fn call_tool(
    State(rest): State<Rest>,
    Named((mount, tool)): Named<(String, String)>,
    request: Request,
) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    answer(tool_call(&rest, &mount, tool, &parts, body).await)
}

/// Fills in a prompt
///
/// Answers with the messages of a prompt, filled in with the arguments in the body.
#[utoipa::path(
    post, path = "/api/mounts/{mount}/prompts/{prompt}", operation_id = "rialto.getPrompt", tag = "the gateway",
    params(
        ("mount" = String, Path, description = "The name of the mount"),
        ("prompt" = String, Path, description = "The name of the prompt, percent-encoded")
    ),
    request_body(content = ref("#/components/schemas/PromptArguments"), description = "The arguments; none are `{}`"),
    responses((status = 200, description = "The prompt", body = ref("#/components/schemas/Prompt")))
)]
pub(in crate::app) async fn get_prompt(
    State(rest): State<Rest>,
    Named((mount, prompt)): Named<(String, String)>,
    request: Request,
) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    answer(prompt_call(&rest, &mount, &prompt, &parts, body).await)
}

async fn tool_call(rest: &Rest, mount: &str, tool: String, parts: &Parts, body: Body) -> Answered {
    let visit = rest.enter(mount, &parts.extensions)?;
    let form = accept::form(&parts.headers)?;
    let arguments = body::arguments(&rest.0.settings, &parts.headers, body).await?;
    let session = rest.session(&visit, &parts.headers, form == Form::Events);
    check(rest, &visit, &session, &tool, &arguments).await?;

    let mut params = session.params();
    params.set("name", Raw::from(&*tool));
    params.set("arguments", arguments);
    let audience = Arc::new(Audience::new(form == Form::Events));
    let (call, _life) = session.call(Method::ToolsCall, params, audience.clone());
    let heard = audience.clone();
    let ending = async move {
        match call.await {
            Ok(outcome) => tool_answer(outcome, &tool, heard.was_asked()),
            Err(_) if heard.was_asked() => Err(faults::input_required()),
            Err(fault) => Err(visit.problem(&fault, Wish::Call)),
        }
    };
    match form {
        Form::Json => ending.await.map(reply::json),
        Form::Events => {
            let keep_alive = rest.0.settings.limits.keep_alive;
            Ok(reply::events(events::of(Box::pin(ending), audience), keep_alive))
        }
    }
}

/// Checks the arguments before the server hears of the call. What cannot be checked here the server checks.
async fn check(rest: &Rest, visit: &Visit, session: &Session, tool: &str, arguments: &Raw) -> Result<(), Problem> {
    let Some(schema) = rest.tool_schema(visit, session, tool).await? else { return Ok(()) };
    match rest.0.schemas.check(&schema, arguments).await {
        Checked::Valid | Checked::Unchecked(None) => Ok(()),
        Checked::Invalid(violations) => Err(faults::violations(violations)),
        Checked::Unchecked(Some(reason)) => {
            let mount = visit.entry.name();
            tracing::warn!(mount, tool, reason, "arguments are passed on without a check against the tool's schema");
            Ok(())
        }
    }
}

fn tool_answer(outcome: Outcome, tool: &str, asked: bool) -> Ending {
    let result = match outcome {
        Outcome::Complete(result) => result.to_object().unwrap_or_default(),
        outcome => return Err(no_outcome(outcome)),
    };
    let content = result.get("content").cloned().unwrap_or_else(|| Raw::array(&[]));
    let structured = result.get("structuredContent").filter(|value| !value.is_null());
    if result.get("isError").and_then(Raw::as_bool) != Some(true) {
        return Ok(match structured {
            Some(structured) => structured.bytes(),
            None => RawObject::from([("content", content)]).to_raw().bytes(),
        });
    }
    let problem = match (asked, words(&content)) {
        (true, _) => faults::input_required(),
        (false, Some(words)) => Problem::new(Kind::ToolError, words),
        (false, None) => Problem::new(Kind::ToolError, format!("the tool `{tool}` failed, see `content`")),
    };
    let problem = problem.with("content", content);
    Err(match structured {
        Some(structured) => problem.with("structuredContent", structured.clone()),
        None => problem,
    })
}

/// What a failed tool says first.
fn words(content: &Raw) -> Option<String> {
    let blocks = content.to_array()?;
    let text = blocks.iter().find_map(|block| block.to_object()?.get("text")?.as_text().map(Cow::into_owned))?;
    (!text.is_empty()).then(|| text.chars().take(WORDS).collect())
}

/// A call that ended without a result.
pub(super) fn no_outcome(outcome: Outcome) -> Problem {
    match outcome {
        Outcome::NeedsInput { requests, .. } => faults::input_required().with("inputRequests", requests.to_raw()),
        Outcome::Complete(_) | Outcome::Task(_) => {
            Problem::new(Kind::UpstreamFailed, "the server created a task, which nobody over REST could follow")
        }
    }
}

async fn prompt_call(rest: &Rest, mount: &str, prompt: &str, parts: &Parts, body: Body) -> Answered {
    let visit = rest.enter(mount, &parts.extensions)?;
    accept::json(&parts.headers)?;
    let arguments = body::arguments(&rest.0.settings, &parts.headers, body).await?;
    let session = rest.session(&visit, &parts.headers, false);
    let listed = session.list(Method::PromptsList).await.map_err(|fault| visit.problem(&fault, Wish::Mount))?;
    let is_it = |item: &RawObject| item.get("name").is_some_and(|name| name.is_text(prompt));
    let Some(found) = listed.items.iter().filter_map(Raw::to_object).find(is_it) else {
        return Err(faults::unknown_prompt(visit.entry.name(), prompt));
    };
    check_prompt(&found, &arguments)?;

    let mut params = session.params();
    params.set("name", Raw::from(prompt));
    params.set("arguments", arguments);
    let audience = Arc::new(Audience::new(false));
    let (call, _life) = session.call(Method::PromptsGet, params, audience.clone());
    match call.await {
        Ok(Outcome::Complete(result)) => {
            let mut result = result.to_object().unwrap_or_default();
            strip(&mut result);
            Ok(reply::json(result.to_raw().bytes()))
        }
        Ok(outcome) => Err(no_outcome(outcome)),
        Err(_) if audience.was_asked() => Err(faults::input_required()),
        Err(fault) => Err(visit.problem(&fault, Wish::Call)),
    }
}

/// The arguments of a prompt are texts, and some of them are required (2026-07-28, server/prompts).
fn check_prompt(prompt: &RawObject, arguments: &Raw) -> Result<(), Problem> {
    let given = arguments.to_object().unwrap_or_default();
    let mut errors: Vec<(String, String)> = given
        .iter()
        .filter(|(_, value)| value.kind() != JsonKind::String)
        .map(|(name, _)| (pointer(&name), "the arguments of a prompt are strings".to_owned()))
        .collect();
    for argument in prompt.get("arguments").and_then(Raw::to_array).unwrap_or_default() {
        let Some(argument) = argument.to_object() else { continue };
        let required = argument.get("required").and_then(Raw::as_bool) == Some(true);
        let name = argument.get("name").and_then(Raw::as_text);
        if let Some(name) = name.filter(|name| required && !given.has(name)) {
            errors.push((String::new(), format!("\"{name}\" is a required argument")));
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(faults::invalid_arguments(errors)),
    }
}

/// A JSON Pointer to a member (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
