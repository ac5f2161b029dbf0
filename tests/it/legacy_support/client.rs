//! A legacy client over HTTP that hides nothing.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{gateway::PRINCIPAL, schema::assert_valid};

/// What the client can do unless the test says otherwise.
pub(crate) fn able() -> Value {
    json!({"roots": {"listChanged": true}, "sampling": {}, "elicitation": {}})
}

/// A client at one endpoint.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) principal: String,
    pub(crate) session: Option<String>,
    pub(crate) accept: &'static str,
    pub(crate) version: Option<String>,
    /// Something that goes along with everything.
    header: Option<(&'static str, &'static str)>,
    pub(crate) revision: &'static str,
}

/// An answer over HTTP.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// What an answer holds.
pub(crate) enum Body {
    Text(String),
    Events(Events),
}

impl Client {
    pub(crate) fn new(url: String) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url,
            principal: "alice".into(),
            session: None,
            accept: "application/json, text/event-stream",
            version: None,
            header: None,
            revision: super::NEWEST,
        }
    }

    /// The same client as somebody else.
    pub(crate) fn named(&self, principal: &str) -> Self {
        Self { principal: principal.into(), ..self.clone() }
    }

    /// The same client, which sends this along with everything.
    pub(crate) fn sending(&self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self.clone() }
    }

    /// The same client at another endpoint.
    pub(crate) fn at(&self, url: String) -> Self {
        Self { url, ..self.clone() }
    }

    /// The same client with another session id.
    pub(crate) fn with_session(&self, id: Option<&str>) -> Self {
        Self { session: id.map(str::to_owned), ..self.clone() }
    }

    /// The same client with another `Accept`.
    pub(crate) fn accepting(&self, accept: &'static str) -> Self {
        Self { accept, ..self.clone() }
    }

    /// The same client with another version header.
    pub(crate) fn versioned(&self, version: Option<&str>) -> Self {
        Self { version: version.map(str::to_owned), ..self.clone() }
    }

    /// A request with the headers of this client.
    pub(crate) fn request(&self, method: Method) -> RequestBuilder {
        let mut request =
            self.http.request(method, &self.url).header("accept", self.accept).header(PRINCIPAL, &self.principal);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(version) = &self.version {
            request = request.header("mcp-protocol-version", version);
        }
        if let Some((name, value)) = self.header {
            request = request.header(name, value);
        }
        request
    }

    /// Sends a request and reads its answer: whole, or as events as they come.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|v| v == "text/event-stream");
        let body = if is_stream {
            Body::Events(Events::new(response.bytes_stream(), self.revision))
        } else {
            Body::Text(response.text().await.unwrap())
        };
        Reply { status, headers, body }
    }

    /// Posts a text.
    pub(crate) async fn post_text(&self, text: impl Into<reqwest::Body>) -> Reply {
        self.send(self.request(Method::POST).header("content-type", "application/json").body(text)).await
    }

    /// Posts a message.
    pub(crate) async fn post(&self, message: &Value) -> Reply {
        self.post_text(message.to_string()).await
    }

    /// Posts a request.
    pub(crate) async fn ask(&self, id: impl Into<Value>, method: &str, params: Value) -> Reply {
        self.post(&request(id, method, params)).await
    }

    /// Posts a request in the background.
    pub(crate) fn start(&self, id: impl Into<Value>, method: &str, params: Value) -> tokio::task::JoinHandle<Reply> {
        let (client, message) = (self.clone(), request(id, method, params));
        tokio::spawn(async move { client.post(&message).await })
    }

    /// Calls a tool in the background.
    pub(crate) fn call(&self, id: impl Into<Value>, tool: &str) -> tokio::task::JoinHandle<Reply> {
        self.start(id, "tools/call", json!({"name": tool, "arguments": {}}))
    }

    /// Calls a tool in the background, with a progress token.
    pub(crate) fn call_with_token(&self, id: impl Into<Value>, token: Value) -> tokio::task::JoinHandle<Reply> {
        self.start(id, "tools/call", json!({"name": "hold", "arguments": {}, "_meta": {"progressToken": token}}))
    }

    /// Posts a notification.
    pub(crate) async fn tell(&self, method: &str, params: Value) -> Reply {
        self.post(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await
    }

    /// Answers a question of the server; fails unless that is taken.
    pub(crate) async fn answer(&self, question: &Value, result: Value) {
        let reply = self.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
        assert_eq!(reply.text(), "");
    }

    /// Opens a stream, after an event where one is named.
    pub(crate) async fn get(&self, last_event: Option<&str>) -> Reply {
        let mut request = self.accepting("text/event-stream").request(Method::GET);
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        self.send(request).await
    }

    /// Ends the session.
    pub(crate) async fn delete(&self) -> Reply {
        self.send(self.request(Method::DELETE)).await
    }

    /// Sends `initialize` and returns the answer.
    pub(crate) async fn initialize(&self, revision: &str, capabilities: Value) -> Reply {
        self.ask(
            0,
            "initialize",
            json!({
                "protocolVersion": revision,
                "capabilities": capabilities,
                "clientInfo": {"name": "test", "version": "1"},
            }),
        )
        .await
    }

    /// The handshake, without `notifications/initialized`.
    pub(crate) async fn open(&mut self, revision: &'static str, capabilities: Value) -> Value {
        let reply = self.initialize(revision, capabilities).await;
        assert_eq!(reply.status, StatusCode::OK);
        self.session = Some(reply.session());
        let answer = reply.json();
        self.revision = revision;
        self.version = (revision >= "2025-06-18").then(|| revision.to_owned());
        assert_valid(revision, "InitializeResult", &answer["result"]);
        answer
    }

    /// The whole handshake.
    pub(crate) async fn handshake(&mut self, revision: &'static str) {
        self.open(revision, able()).await;
        assert_eq!(self.tell("notifications/initialized", json!({})).await.status, StatusCode::ACCEPTED);
    }
}

/// A request.
pub(crate) fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

impl Reply {
    /// The body as text; empty for a stream.
    pub(crate) fn text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text,
            Body::Events(_) => panic!("a stream where a whole body was expected"),
        }
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {text:?}: {e}", self.status))
    }

    /// The stream.
    #[track_caller]
    pub(crate) fn events(self) -> Events {
        match self.body {
            Body::Events(events) => events,
            Body::Text(text) => panic!("{} {text:?} where a stream was expected", self.status),
        }
    }

    /// The session id.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        self.headers["mcp-session-id"].to_str().unwrap().to_owned()
    }

    /// Status and code of a JSON-RPC error.
    #[track_caller]
    pub(crate) fn fault(&self) -> (u16, i64) {
        (self.status.as_u16(), self.json()["error"]["code"].as_i64().unwrap())
    }
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) comments: usize,
}

/// The events of a stream.
pub(crate) struct Events {
    chunks: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    text: Vec<u8>,
    ready: VecDeque<Event>,
    revision: &'static str,
    /// The last id that was seen.
    pub(crate) last_id: Option<String>,
    /// Keep-alive comments that were seen.
    pub(crate) comments: usize,
}

impl Events {
    fn new(chunks: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static, revision: &'static str) -> Self {
        Self {
            chunks: Box::pin(chunks),
            text: Vec::new(),
            ready: VecDeque::new(),
            revision,
            last_id: None,
            comments: 0,
        }
    }

    /// The next event with data, as it stands on the wire; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                self.comments += event.comments;
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                }
                if event.data.is_some() {
                    return Some(event);
                }
            }
            let chunk = self.chunks.next().await?.ok()?;
            self.text.extend_from_slice(&chunk);
            while let Some(end) = self.text.windows(2).position(|w| w == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                self.ready.push_back(parse(std::str::from_utf8(&block).unwrap()));
            }
        }
    }

    /// The next message; empty events are passed over. Checked against the schema of the revision.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            let data = self.next().await?.data?;
            if !data.is_empty() {
                let message: Value = serde_json::from_str(&data).unwrap();
                check(self.revision, &message);
                return Some(message);
            }
        }
    }

    /// The next message, which has to come.
    pub(crate) async fn expect(&mut self) -> Value {
        self.message().await.expect("a message before the end of the stream")
    }

    /// Fails when the stream says anything within a while. Only for what must not come.
    pub(crate) async fn silent(&mut self) {
        let heard = tokio::time::timeout(Duration::from_millis(50), self.message()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Reads to the end and returns the messages.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(message) = self.message().await {
            messages.push(message);
        }
        messages
    }
}

/// Reads one block of an event stream as a browser does.
fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.split(['\n', '\r']).filter(|l| !l.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => event.comments += 1,
            "id" => event.id = Some(value.into()),
            "retry" => event.retry = Some(value.into()),
            "data" => match &mut event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => event.data = Some(value.into()),
            },
            "event" => assert_eq!(value, "message"),
            other => panic!("a field `{other}`"),
        }
    }
    event
}

/// Checks a message of the server against the schema of the revision.
#[track_caller]
fn check(revision: &str, message: &Value) {
    assert_valid(revision, "JSONRPCMessage", message);
    let method = message["method"].as_str().unwrap_or_default();
    let is_known =
        !method.starts_with("notifications/x-") && (method != "elicitation/create" || revision >= "2025-06-18");
    match (message.get("method"), message.get("id")) {
        (Some(_), Some(_)) if is_known => assert_valid(revision, "ServerRequest", message),
        (Some(_), None) if is_known => assert_valid(revision, "ServerNotification", message),
        _ => {}
    }
}
