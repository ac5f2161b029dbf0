//! What is mounted.

use axum::{extract::State, response::IntoResponse};
use http::{HeaderMap, Response, request::Parts};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Answered, Named, Rest, accept, answer, ask::described, reply};
use crate::{app::gateway::Entry, hub::Health, jsonrpc::Raw, protocol::Era as ProtocolEra};

/// Whether a mount can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::app) enum Status {
    /// The last contact with its server was fine.
    Up,
    /// It was not.
    Down,
    /// Nothing was tried yet.
    Unknown,
}

/// What is spoken with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::app) enum Era {
    /// Handshake and sessions, up to 2025-11-25.
    Legacy,
    /// Stateless, from 2026-07-28.
    Modern,
}

/// Where to find what belongs to a mount, as paths on this host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::app) struct Links {
    /// The mount.
    #[serde(rename = "self")]
    own: String,
    /// Its endpoint for MCP clients.
    mcp: String,
    /// Its tools.
    tools: String,
    /// Its resources.
    resources: String,
    /// Its prompts.
    prompts: String,
    /// Its OpenAPI document.
    openapi: String,
    /// Its pages to try it out on.
    docs: String,
}

/// One mount.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::app) struct MountSummary {
    /// Its name, as in its paths.
    name: String,
    /// What people call it, where that is not its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    title: Option<String>,
    status: Status,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// How its server is reached: `http`, `stdio`, `in-process`, or `none` where it cannot be reached at all.
    transport: &'static str,
    /// What its server was last known to speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    era: Option<Era>,
    /// The protocol revision of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2026-07-28")]
    revision: Option<&'static str>,
    links: Links,
}

/// The mounts that the caller may use.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::app) struct MountList {
    /// In the order of the configuration.
    mounts: Vec<MountSummary>,
}

/// One mount, and what its server says about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::app) struct MountDescription {
    #[serde(flatten)]
    summary: MountSummary,
    /// Who the server says it is (`Implementation` of MCP), where it is up and said so.
    #[serde(rename = "serverInfo", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    server_info: Option<Box<RawValue>>,
    /// What the server wants a model to know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    instructions: Option<Box<RawValue>>,
    /// What the server offers (`ServerCapabilities` of MCP), where it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    capabilities: Option<Box<RawValue>>,
}

/// The mounts
///
/// Lists the mounts that the caller may use, with their status. No server is contacted for it.
#[utoipa::path(
    get, path = "/api/mounts", operation_id = "rialto.listMounts", tag = "the gateway",
    responses((status = 200, description = "The mounts", body = MountList))
)]
pub(in crate::app) async fn list_mounts(State(rest): State<Rest>, parts: Parts) -> impl IntoResponse {
    answer(accept::json(&parts.headers).map(|()| {
        let access = rest.access(&parts.extensions);
        let mounts = rest.gateway().open_to(&access).map(|entry| summary(entry, rest.prefix(&parts))).collect();
        json(&MountList { mounts })
    }))
}

/// One mount
///
/// Describes a mount: its status and what its server says about itself. A server that is down or does not answer within ten
/// seconds makes the status `down`, with the reason.
#[utoipa::path(
    get, path = "/api/mounts/{mount}", operation_id = "rialto.describeMount", tag = "the gateway",
    params(("mount" = String, Path, description = "The name of the mount")),
    responses((status = 200, description = "The mount", body = MountDescription))
)]
pub(in crate::app) async fn describe_mount(
    State(rest): State<Rest>,
    Named(mount): Named<String>,
    parts: Parts,
) -> impl IntoResponse {
    answer(describe(&rest, &mount, &parts).await)
}

async fn describe(rest: &Rest, mount: &str, parts: &Parts) -> Answered {
    let visit = rest.enter(mount, &parts.extensions)?;
    accept::json(&parts.headers)?;
    let session = rest.session(&visit, &HeaderMap::new(), false);
    let found = described(&*session.mount, session.description()).await;
    let mut summary = summary(&visit.entry, rest.prefix(parts));
    let description = match found {
        Ok(description) => Some(description),
        Err(reason) => {
            (summary.status, summary.reason) = (Status::Down, Some(reason));
            None
        }
    };
    let description = description.as_deref();
    Ok(json(&MountDescription {
        summary,
        server_info: description.and_then(|d| verbatim(d.server_info.as_ref()?)),
        instructions: description.and_then(|d| verbatim(d.instructions.as_ref().filter(|i| i.as_text().is_some())?)),
        capabilities: description.and_then(|d| verbatim(&d.capabilities.to_raw())),
    }))
}

/// The status of a mount, with the reason where it is down.
pub(in crate::app) fn status(entry: &Entry) -> (&'static str, Option<String>) {
    match entry.mount().health() {
        Health::Up => ("up", None),
        Health::Unknown => ("unknown", None),
        Health::Down(reason) => ("down", Some(reason)),
    }
}

fn summary(entry: &Entry, prefix: &str) -> MountSummary {
    let (status, reason) = match entry.mount().health() {
        Health::Up => (Status::Up, None),
        Health::Unknown => (Status::Unknown, None),
        Health::Down(reason) => (Status::Down, Some(reason)),
    };
    let link = entry.mount().link();
    let name = entry.name();
    let below = |rest: &str| format!("{prefix}/api/mounts/{name}{rest}");
    MountSummary {
        name: name.to_owned(),
        title: entry.title().map(str::to_owned),
        status,
        reason,
        transport: link.transport,
        era: link.revision.map(|revision| match revision.era() {
            ProtocolEra::Legacy => Era::Legacy,
            ProtocolEra::Modern => Era::Modern,
        }),
        revision: link.revision.map(|revision| revision.as_str()),
        links: Links {
            own: below(""),
            mcp: format!("{prefix}/mcp/{name}"),
            tools: below("/tools"),
            resources: below("/resources"),
            prompts: below("/prompts"),
            openapi: below("/openapi.json"),
            docs: below("/docs"),
        },
    }
}

fn verbatim(raw: &Raw) -> Option<Box<RawValue>> {
    raw.parse().ok()
}

fn json(value: &impl Serialize) -> Response<axum::body::Body> {
    reply::json(Raw::of(value).bytes())
}
