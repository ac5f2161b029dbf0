//! Scenarios by their numbers: clients and servers of both eras on the two sides of one mount.

use std::{pin::Pin, sync::Arc, time::Duration};

use rialto::{
    Limits, ServerLimits,
    downstream::Settings,
    mount::{Share, Single, Terms},
    upstream::{
        Connector,
        http::{HttpConnector, HttpSettings, HttpTarget},
    },
};
use serde_json::{Value, json};

use crate::{
    legacy_support::{Client, Reply as Heard, client::Body},
    support::{
        client::{Sent, modern, tool},
        gateway::Gateway,
        wait::soon,
    },
    upstream_http::scripted::{Reply, Scripted, Seen},
};

mod answers;
mod asking;
mod beyond;
mod bounds;
mod codes;
mod crowd;
mod described;
mod fresh;
mod garbage;
mod gathered;
mod guessed;
mod leases;
mod legs;
mod limits;
mod old;
mod pages;
mod pairs;
mod passing;
mod rows;
mod scopes;
mod shapes;
mod shares;
mod shed;
mod strays;
mod strict;
mod traffic;
mod unheard;

use old::{Arrived, Like, Old, text};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The newest revision of each era.
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// A server over HTTP as a connector.
fn at(url: &str, settings: HttpSettings) -> Arc<dyn Connector> {
    let target = HttpTarget { url: url.parse().unwrap(), headers: Vec::new() };
    Arc::new(HttpConnector::new("docs".into(), target, settings).unwrap())
}

fn quick() -> HttpSettings {
    HttpSettings { backoff: Duration::from_millis(20), ..HttpSettings::default() }
}

/// The mount `docs` in front of a server.
fn mount(connector: Arc<dyn Connector>, terms: impl Into<Terms>, settings: &Settings) -> Single {
    Single::new("docs", connector, terms, settings.sealer.clone())
}

/// A gateway in front of a server, behind a socket.
async fn gateway(connector: Arc<dyn Connector>) -> Gateway {
    gateway_with(connector, Share::Principal, Settings::default()).await
}

async fn gateway_with(connector: Arc<dyn Connector>, share: Share, settings: Settings) -> Gateway {
    Gateway::around(Arc::new(mount(connector, share, &settings)), settings).listen().await
}

/// A gateway in front of a server at a URL.
async fn gateway_at(server: &Scripted) -> Gateway {
    gateway(at(&server.url(), quick())).await
}

/// A legacy client that has shaken hands, with these capabilities.
async fn legacy(gateway: &Gateway, revision: &'static str, capabilities: Value) -> Client {
    let mut client = Client::new(gateway.url("docs"));
    client.open(revision, capabilities).await;
    client.tell("notifications/initialized", json!({})).await;
    client
}

/// A modern server: what it lists is up to `call` too.
async fn new<F>(capabilities: Value, call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    let greets = move |seen: &Seen| {
        match seen.method() {
        "server/discover" => Some(Reply::json(
            200,
            &seen.result(json!({
                "resultType": "complete", "supportedVersions": ["1999-01-01", MODERN, "2099-01-01"], "ttlMs": 60_000, "cacheScope": "public",
                "capabilities": capabilities, "instructions": "Be nice.",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "1"}}})),
        )),
        _ => None,
    }
    };
    Scripted::greeting(greets, call).await
}

/// The tools of a modern server.
fn listed(seen: &Seen, tools: &Value) -> Reply {
    let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"});
    Reply::json(200, &seen.result(list))
}

/// Lets time pass.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A tool that takes anything.
fn plain(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// What a modern server's tool says.
fn says(seen: &Seen, text: &str) -> Reply {
    Reply::json(200, &seen.result(json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})))
}

/// The first text of a tool's result.
#[track_caller]
fn said(response: &Value) -> String {
    match response["result"]["content"][0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no text: {response}"),
    }
}

/// What a form asks.
fn form(message: &str) -> Value {
    json!({"mode": "form", "message": message, "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}})
}

/// The one question of an `input_required`, with its key.
#[track_caller]
fn asked(response: &Value) -> (String, Value) {
    let result = &response["result"];
    assert_eq!(result["resultType"], "input_required", "{response}");
    let requests = result["inputRequests"].as_object().unwrap();
    assert_eq!(requests.len(), 1, "{response}");
    let (key, question) = requests.iter().next().unwrap();
    (key.clone(), question.clone())
}

fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// Answers the one question that a call was answered with.
async fn answer(gateway: &Gateway, call: &Sent, response: &Value, given: Value) -> Value {
    let (key, _) = asked(response);
    call.clone().retry(response, json!({key: given})).response(gateway, 200).await
}

/// Reads what a legacy client is answered with; what it is asked on the way is answered by `answers`, with a result or an
/// error. Gives the response, the questions and the notifications.
async fn converse(client: &Client, reply: Heard, answers: impl Fn(&Value) -> Result<Value, Value>) -> Conversation {
    assert_eq!(reply.status, 200);
    let (mut questions, mut notifications) = (Vec::new(), Vec::new());
    let response = match reply.body {
        Body::Text(text) => serde_json::from_str(&text).unwrap(),
        Body::Events(mut events) => loop {
            let message = soon("a message", events.message()).await.expect("a response");
            match (message.get("method"), message.get("id")) {
                (None, _) => break message,
                (Some(_), None) => notifications.push(message),
                (Some(_), Some(id)) => {
                    let mut answer = json!({"jsonrpc": "2.0", "id": id});
                    match answers(&message) {
                        Ok(result) => answer["result"] = result,
                        Err(error) => answer["error"] = error,
                    }
                    assert_eq!(client.post(&answer).await.status, 202);
                    questions.push(message);
                }
            }
        },
    };
    Conversation { response, questions, notifications }
}

/// How a request of a legacy client went.
struct Conversation {
    response: Value,
    questions: Vec<Value>,
    notifications: Vec<Value>,
}

/// A client that can be asked everything.
fn able() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}
