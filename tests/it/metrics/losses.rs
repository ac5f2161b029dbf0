//! What cannot be carried as it is: each kind is caused once and read from a scrape.

use std::sync::Arc;

use rialto::{config::EraChoice, mount::Share, seal::Sealer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{
    matrix::client::Answerer,
    upstream_http::{
        housekeeping,
        scripted::{Piece, event},
    },
};

use super::*;
use crate::support::log::Written;

mod questions;
mod strays;
mod table;

const R24: &str = "2024-11-05";
const R0326: &str = "2025-03-26";
const R0618: &str = "2025-06-18";

/// What a server on a pipe says to a message that is no handshake. The last request for a tool comes with it.
type Play = fn(&Value, &Value) -> Vec<Value>;

/// A server of this revision on a pipe.
fn piped(revision: &'static str, play: Play) -> Proxy {
    Proxy::in_process(move |io| async move {
        let (reader, mut writer) = tokio::io::split(io);
        let mut lines = BufReader::new(reader).lines();
        let mut call = Value::Null;
        while let Ok(Some(line)) = lines.next_line().await {
            let heard: Value = serde_json::from_str(&line).unwrap();
            if heard["method"] == "tools/call" {
                call = heard.clone();
            }
            let capabilities = json!({
                "tools": {}, "prompts": {}, "logging": {}, "resources": { "subscribe": true },
                "tasks": { "cancel": {}, "requests": { "tools": { "call": {} } } },
            });
            let mut says = play(&heard, &call);
            if says.is_empty() {
                says = match heard["method"].as_str().unwrap_or_default() {
                    "server/discover" if revision == MODERN => vec![result(
                        &heard,
                        json!({ "supportedVersions": [MODERN], "capabilities": capabilities, "ttlMs": 60_000,
                                "cacheScope": "public" }),
                    )],
                    "initialize" => {
                        let info = json!({ "name": "piped", "version": "1" });
                        let greeting =
                            json!({ "protocolVersion": revision, "capabilities": capabilities, "serverInfo": info });
                        vec![result(&heard, greeting)]
                    }
                    "tools/list" => vec![result(&heard, json!({ "tools": [tool()], "ttlMs": 60_000 }))],
                    "tools/call" => vec![result(&heard, said())],
                    "ping" | "resources/subscribe" | "logging/setLevel" => vec![result(&heard, json!({}))],
                    _ if heard.get("id").is_some() && heard.get("method").is_some() => vec![json!({
                        "jsonrpc": "2.0", "id": heard["id"], "error": { "code": -32601, "message": "Method not found" },
                    })],
                    _ => Vec::new(),
                };
            }
            // In one piece, as if it were said at one time.
            let text: String = says.iter().map(|said| format!("{said}\n")).collect();
            if writer.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    })
}

fn result(request: &Value, mut result: Value) -> Value {
    if request["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some() {
        result["resultType"] = json!("complete");
    }
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
}

fn says(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

fn asks(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": "question", "method": method, "params": params })
}

fn tool() -> Value {
    json!({ "name": "t", "inputSchema": { "type": "object" } })
}

fn said() -> Value {
    json!({ "content": [{ "type": "text", "text": "done" }] })
}

/// Plays a call in which the client is asked this first.
fn asking(heard: &Value, call: &Value, question: Value) -> Vec<Value> {
    match (heard["method"].as_str(), heard["id"].as_str()) {
        (Some("tools/call"), _) => vec![question],
        (None, Some("question")) => vec![result(call, said())],
        _ => Vec::new(),
    }
}

/// A client of this revision that gives this one answer.
async fn connect(app: &App, revision: &'static str, capabilities: Value, answer: Value) -> Client {
    let answerer: Answerer = Arc::new(move |_, _| answer.clone());
    Client::connect_with(&app.mount("docs"), revision, capabilities, answerer).await
}

fn lost(scrape: &Scrape, kind: &str) -> u64 {
    scrape.value("rialto_bridging_losses_total", &[("mount", "docs"), ("kind", kind)])
}

#[tokio::test]
async fn a_structured_result_that_is_no_object_is_counted_as_wrapped() {
    let play: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![result(heard, json!({ "content": [], "structuredContent": [1, 2] }))],
        _ => Vec::new(),
    };
    let app = App::start(rialto::Rialto::builder().mount("docs", piped(MODERN, play)).local()).await;
    let client = Client::connect(&app.mount("docs"), LEGACY).await;
    let reply = client.call("t", json!({})).await.result();
    assert_eq!(reply["structuredContent"], json!({ "result": [1, 2] }));
    assert_eq!(lost(&app.scrape().await, "structured_content"), 1);
    client.close().await;
}

/// The head of a modern client's call of a tool.
fn modern_call(tool: &str) -> http::request::Builder {
    Request::post("/mcp/docs")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool)
}

/// In a session that several share, only who subscribed to exactly this is told.
#[tokio::test]
async fn an_update_that_nobody_subscribed_to_by_this_name_is_counted() {
    let play: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let uri = heard["params"]["arguments"]["uri"].clone();
            vec![result(heard, said()), says("notifications/resources/updated", json!({ "uri": uri }))]
        }
        _ => Vec::new(),
    };
    let proxy = piped(LEGACY, play).sessions(Share::Everybody);
    let app = App::start(rialto::Rialto::builder().mount("docs", proxy).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    // Nobody wants to hear of anything.
    client.call("t", json!({ "uri": "test://text/part" })).await.result();
    let mut events = client.listen().await;
    for uri in ["test://text/part", "test://text", "test://other"] {
        client.call("t", json!({ "uri": uri })).await.result();
    }
    assert!(events.next().await.unwrap().contains("test://text"));
    app.until("two lost updates", |scrape| lost(scrape, "resource_update") == 2).await;
}

#[tokio::test]
async fn what_is_said_of_a_task_that_a_modern_client_cannot_hear_is_counted() {
    const RELATED: &str = "io.modelcontextprotocol/related-task";
    let play: Play = |heard, call| {
        let task = |status: &str| {
            json!({ "taskId": "t1", "status": status, "createdAt": "2026-01-01T00:00:00Z",
                    "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": 60_000, "pollInterval": 10 })
        };
        match heard["method"].as_str() {
            Some("tools/list") => {
                let mut tool = tool();
                tool["execution"] = json!({ "taskSupport": "required" });
                vec![result(heard, json!({ "tools": [tool] }))]
            }
            Some("tools/call") => vec![result(heard, json!({ "task": task("working") }))],
            Some("tasks/get") => vec![result(heard, task("working"))],
            Some("tasks/result") => {
                let meta = json!({ RELATED: { "taskId": "t1" } });
                let token = call["params"]["_meta"]["progressToken"].clone();
                let progress = json!({ "progressToken": token, "progress": 1, "_meta": meta });
                let mut done = said();
                done["_meta"] = meta;
                vec![says("notifications/progress", progress), result(heard, done)]
            }
            _ => Vec::new(),
        }
    };
    let app = App::start(rialto::Rialto::builder().mount("docs", piped(LEGACY, play)).local()).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } },
        "progressToken": "steps",
    });
    let params = json!({ "name": "t", "arguments": {}, "_meta": meta });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let (_, created) = send(&app, modern_call("t"), body.to_string()).await;
    assert_eq!(last_message(&created)["result"]["resultType"], "task", "{created}");
    app.until("progress of a task", |scrape| lost(scrape, "task_message") == 1).await;
    assert_eq!(app.scrape().await.value("rialto_tasks", &[("mount", "docs")]), 1);
}

#[tokio::test]
async fn a_question_in_the_way_of_the_other_era_is_counted() {
    let play: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![json!({ "jsonrpc": "2.0", "id": heard["id"], "error": { "code": -32600,
            "message": "Cannot send 'elicitation/create': this transport context has no back-channel for \
                        server-initiated requests." } })],
        _ => Vec::new(),
    };
    let proxy = piped(MODERN, play).era(EraChoice::Modern);
    let app = App::start(rialto::Rialto::builder().mount("docs", proxy).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    for times in 1..=2 {
        assert_eq!(client.call("t", json!({})).await.error()["code"], -32600, "the truth");
        assert_eq!(lost(&app.scrape().await, "legacy_question"), times);
    }
}

/// What this thread warns of from now on.
fn warnings() -> (Written, tracing::subscriber::DefaultGuard) {
    let written = Written::default();
    let writer = written.clone();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter("warn").with_ansi(false).with_writer(move || writer.clone()).finish();
    let guard = crate::support::log::listen(subscriber);
    (written, guard)
}

#[tokio::test]
async fn a_client_that_takes_no_stream_is_counted_where_it_could_be_asked() {
    let app = App::start(rialto::Rialto::builder().mount("docs", fixture(MODERN)).local()).await;
    let post = |accept: &str, session: Option<&str>, method: &str, params: Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let mut request = http_client()
            .post(app.mount("docs"))
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(body.to_string());
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        request.send()
    };
    let (one, both) = ("application/json", "application/json, text/event-stream");
    for (capabilities, expected) in [(json!({ "elicitation": {} }), 1), (json!({}), 0)] {
        let before = lost(&app.scrape().await, "streamless_client");
        // A client that opens no stream of its own either.
        let info = json!({ "name": "c", "version": "1" });
        let hello = json!({ "protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": info });
        let greeted = post(one, None, "initialize", hello).await.unwrap();
        let session = greeted.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let call = json!({ "name": "echo", "arguments": { "text": "x" } });
        for (accept, method, params, times) in [
            (both, "tools/call", call.clone(), 0),
            (one, "tools/list", json!({}), 0),
            (one, "tools/call", call, expected),
        ] {
            let answered = post(accept, Some(&session), method, params).await.unwrap();
            assert_eq!(answered.status(), StatusCode::OK);
            assert!(answered.text().await.unwrap().contains("result"));
            assert_eq!(lost(&app.scrape().await, "streamless_client") - before, times, "{accept} {method}");
        }
    }
}

#[tokio::test]
async fn a_parked_call_that_another_process_held_is_counted_and_warned_of() {
    let (written, _logging) = warnings();
    let sealer = Arc::new(Sealer::random());
    let start = async || {
        let settings = Settings { sealer: sealer.clone(), ..Settings::default() };
        App::start(rialto::Rialto::builder().mount("docs", fixture(LEGACY)).settings(settings).local()).await
    };
    let (app, other) = (start().await, start().await);
    let (_, first) = send(&app, modern_call("ask"), ask(&json!({})).to_string()).await;
    let state = last_message(&first)["result"]["requestState"].clone();
    let (_, lost_call) = send(&other, modern_call("ask"), ask(&json!({ "requestState": state })).to_string()).await;
    assert_eq!(last_message(&lost_call)["error"]["data"]["reason"], "suspension_lost", "{lost_call}");
    assert_eq!((lost(&app.scrape().await, "parked_call"), lost(&other.scrape().await, "parked_call")), (0, 1));
    assert_eq!(written.count("was lost with the process that held it"), 1);
}

#[tokio::test]
async fn completions_that_an_old_server_does_not_have_end_as_unknown_methods() {
    let app = App::start(rialto::Rialto::builder().mount("docs", piped(R24, |_, _| Vec::new())).local()).await;
    let client = Client::connect(&app.mount("docs"), LEGACY).await;
    let params = json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": { "name": "a", "value": "" } });
    client.request("completion/complete", params).await.error();
    assert_eq!(app.scrape().await.calls("docs", "completion/complete", "method_not_found"), 1);
    client.close().await;
}

/// A legacy server over HTTP.
async fn legacy_server<F>(
    session: Option<&'static str>,
    stream: fn() -> Reply,
    call: impl Fn(crate::upstream_http::scripted::Seen) -> F + Send + Sync + 'static,
) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    let greets = move |seen: &crate::upstream_http::scripted::Seen| match (&seen.verb, seen.method()) {
        (&http::Method::GET, _) => Some(stream()),
        (_, "tools/list") => Some(Reply::json(200, &seen.result(json!({ "tools": [tool()] })))),
        _ => housekeeping(seen, LEGACY, session),
    };
    Scripted::greeting(greets, call).await
}
