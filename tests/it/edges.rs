//! The whole way through: a client, the gateway as it is assembled, and a server that does what a test tells it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    matrix::{
        client::{Ask, Client, MODERN, Reply as Answer, http_client},
        process::Rialto,
    },
    upstream_http::{
        discovered, housekeeping,
        scripted::{Reply, Scripted, Seen},
    },
};

mod clock;
mod eras;
mod errors;
mod fidelity;
mod forwarded;
mod headers;
mod lists;
mod memory;
mod smuggling;
mod traces;

/// The newest revision with sessions.
const LEGACY: &str = "2025-11-25";
/// One client of each era.
const CLIENTS: [&str; 2] = [LEGACY, MODERN];

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Modern,
    Legacy,
}

const SERVERS: [Speaks; 2] = [Speaks::Modern, Speaks::Legacy];

impl Speaks {
    /// The answer to what is no call: the handshake of either era, and what belongs to it.
    fn greets(self, seen: &Seen) -> Option<Reply> {
        match self {
            Self::Legacy if seen.verb == http::Method::GET => Some(Reply::empty(405)),
            Self::Legacy => housekeeping(seen, LEGACY, Some("s-1")),
            Self::Modern if seen.method() == "server/discover" => Some(discovered(seen)),
            Self::Modern => None,
        }
    }

    /// A list of tools as a server of this era sends it, without anything that says how long it holds.
    fn tools(self, tools: &Value) -> Value {
        match self {
            Self::Modern => json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"}),
            Self::Legacy => json!({"tools": tools}),
        }
    }
}

/// A server whose tools these are; everything else that is no handshake is answered by `call`.
async fn server<F>(speaks: Speaks, tools: Value, call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    let greets = move |seen: &Seen| match seen.method() {
        "tools/list" => Some(Reply::json(200, &seen.result(speaks.tools(&tools)))),
        _ => speaks.greets(seen),
    };
    Scripted::greeting(greets, call).await
}

/// A tool that takes anything.
fn plain_tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// The result of a tool that says `text`, in words that both eras take.
fn says(seen: &Seen, text: &str) -> Reply {
    Reply::json(200, &seen.result(said(text)))
}

fn said(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

/// A gateway in front of one server, at the mount `docs`.
async fn gateway(server: &Scripted) -> Rialto {
    Rialto::start(&json!({"docs": {"url": server.url()}})).await
}

/// The same with settings of ours for the server.
async fn gateway_with(server: &Scripted, settings: Value) -> Rialto {
    let config = json!({
        "mcpServers": {"docs": {"url": server.url()}},
        "rialto": {"servers": {"docs": settings}},
    });
    Rialto::start_file("mcp.json", &config.to_string()).await
}

/// A client of the mount.
async fn client(rialto: &Rialto, revision: &'static str) -> Client {
    Client::connect(&rialto.mount("docs"), revision).await
}

/// Calls a tool with headers of its own, its arguments given as text.
async fn call_with(client: &Client, tool: &str, arguments: &str, headers: &[(&str, String)]) -> Answer {
    let params = format!(r#"{{"name":{},"arguments":{arguments}}}"#, json!(tool));
    client.ask(Ask { id: client.id(), method: "tools/call", params, token: None, headers }).await
}

/// The calls of tools that reached the server.
fn calls(server: &Scripted) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect()
}

/// A modern call of a tool, as far as its headers go.
fn modern_call(url: &str, tool: &str) -> reqwest::RequestBuilder {
    legacy_call(url).header("mcp-protocol-version", MODERN).header("mcp-method", "tools/call").header("mcp-name", tool)
}

/// A legacy request, as far as its headers go.
fn legacy_call(url: &str) -> reqwest::RequestBuilder {
    let accept = "application/json, text/event-stream";
    http_client().post(url).header("content-type", "application/json").header("accept", accept)
}

/// The least that every modern request says about itself.
fn envelope() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}})
}

/// The answer to a request that comes in one piece.
async fn answered(request: reqwest::RequestBuilder, body: impl ToString) -> (u16, Value) {
    let response = request.body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}
