//! What a mount offers: lists, whole and as the server sent them, and the contents of resources.

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::IntoResponse};
use http::{Uri, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{
    app::problem::{Kind, Problem},
    hub::{Outcome, SilentPeer},
    jsonrpc::{Raw, RawObject},
    protocol::Method,
};

use super::{
    Answered, Named, Rest, accept, answer,
    ask::{Listed, strip},
    call::no_outcome,
    faults::Wish,
    reply,
};

/// The tools
///
/// Lists the tools of a mount: all of them, with their schemas, as the server lists them.
#[utoipa::path(
    get, path = "/api/mounts/{mount}/tools", operation_id = "rialto.listTools", tag = "the gateway",
    params(("mount" = String, Path, description = "The name of the mount")),
    responses((status = 200, description = "The tools", body = ref("#/components/schemas/ToolList")))
)]
pub(in crate::app) async fn list_tools(
    State(rest): State<Rest>,
    Named(mount): Named<String>,
    parts: Parts,
) -> impl IntoResponse {
    answer(list(&rest, &mount, &parts, &[Method::ToolsList]).await)
}

/// The resources
///
/// Lists the resources of a mount and the templates of resources: all of them, as the server lists them.
#[utoipa::path(
    get, path = "/api/mounts/{mount}/resources", operation_id = "rialto.listResources", tag = "the gateway",
    params(("mount" = String, Path, description = "The name of the mount")),
    responses((status = 200, description = "The resources", body = ref("#/components/schemas/ResourceList")))
)]
pub(in crate::app) async fn list_resources(
    State(rest): State<Rest>,
    Named(mount): Named<String>,
    parts: Parts,
) -> impl IntoResponse {
    answer(list(&rest, &mount, &parts, &[Method::ResourcesList, Method::TemplatesList]).await)
}

/// The prompts
///
/// Lists the prompts of a mount: all of them, as the server lists them.
#[utoipa::path(
    get, path = "/api/mounts/{mount}/prompts", operation_id = "rialto.listPrompts", tag = "the gateway",
    params(("mount" = String, Path, description = "The name of the mount")),
    responses((status = 200, description = "The prompts", body = ref("#/components/schemas/PromptList")))
)]
pub(in crate::app) async fn list_prompts(
    State(rest): State<Rest>,
    Named(mount): Named<String>,
    parts: Parts,
) -> impl IntoResponse {
    answer(list(&rest, &mount, &parts, &[Method::PromptsList]).await)
}

/// Reads a resource
///
/// Answers with the contents of one resource, as the server sends them: text, or base64 in `blob`.
#[utoipa::path(
    get, path = "/api/mounts/{mount}/resources/read", operation_id = "rialto.readResource", tag = "the gateway",
    params(
        ("mount" = String, Path, description = "The name of the mount"),
        ("uri" = String, Query, min_length = 1, description = "The URI of the resource, as the list gives it or by a template")
    ),
    responses((status = 200, description = "The contents", body = ref("#/components/schemas/ResourceContents")))
)]
pub(in crate::app) async fn read_resource(
    State(rest): State<Rest>,
    Named(mount): Named<String>,
    parts: Parts,
) -> impl IntoResponse {
    answer(read(&rest, &mount, &parts).await)
}

/// One object that holds several lists, the members of the first around them.
async fn list(rest: &Rest, mount: &str, parts: &Parts, methods: &[Method]) -> Answered {
    let visit = rest.enter(mount, &parts.extensions)?;
    accept::json(&parts.headers)?;
    let session = rest.session(&visit, &parts.headers, false);
    let mut whole = None;
    for method in methods {
        let listed = session.list(method.clone()).await.map_err(|fault| visit.problem(&fault, Wish::Mount))?;
        let Listed { frame, items } = listed;
        let whole: &mut RawObject = whole.get_or_insert(frame);
        whole.set(method.list_member().unwrap_or_default(), Raw::array(&items));
    }
    Ok(reply::json(whole.unwrap_or_default().to_raw().bytes()))
}

async fn read(rest: &Rest, mount: &str, parts: &Parts) -> Answered {
    let visit = rest.enter(mount, &parts.extensions)?;
    accept::json(&parts.headers)?;
    let uri = uri(&parts.uri)?;
    let session = rest.session(&visit, &parts.headers, false);
    let mut params = session.params();
    params.set("uri", Raw::from(&*uri));
    let wish = Wish::Resource(&uri);
    let (call, _life) = session.call(Method::ResourcesRead, params, Arc::new(SilentPeer));
    match call.await.map_err(|fault| visit.problem(&fault, wish))? {
        Outcome::Complete(result) => {
            let mut result = result.to_object().unwrap_or_default();
            strip(&mut result);
            Ok(reply::json(result.to_raw().bytes()))
        }
        outcome => Err(no_outcome(outcome)),
    }
}

/// The one `uri` of the query, as forms write it (WHATWG URL, section 5.1), but for bytes that are no UTF-8: what is made of
/// those would name another resource, or none.
fn uri(address: &Uri) -> Result<String, Problem> {
    let bad = |detail| Problem::new(Kind::InvalidRequest, detail);
    let pairs = address.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut named = pairs.filter(|(name, _)| percent_decode_str(name).eq(*b"uri")).map(|(_, value)| value);
    match (named.next(), named.next()) {
        (Some(uri), None) if !uri.is_empty() => {
            let spaced = uri.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8();
            decoded.map(Cow::into_owned).map_err(|_| bad("`uri` in the query is not UTF-8"))
        }
        _ => Err(bad("name the resource in the query, once: `?uri=…`")),
    }
}
