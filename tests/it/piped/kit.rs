//! A client at one end of a pipe, which says what the test says and checks everything that it hears.

use std::{collections::HashMap, io, sync::Arc};

use rialto::{
    downstream::{Endpoint, Settings},
    hub::{Mount, Principal},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex, split},
    task::JoinHandle,
};

use super::MODERN;
use crate::{
    legacy_support::client::able,
    matrix::wire,
    support::{schema::assert_modern, wait::soon},
};

/// How much fits into each direction.
const ROOM: usize = 64 * 1024;
/// Where the id of a subscription stands in what is said on it.
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A request of the legacy era.
pub(crate) fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

/// A request of the modern era, of a client that answers everything.
pub(crate) fn modern(id: impl Into<Value>, method: &str, params: Value) -> Value {
    let mut message = request(id, method, params);
    let meta = &mut message["params"]["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "client", "version": "1"});
    meta["io.modelcontextprotocol/clientCapabilities"] =
        json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}});
    message
}

/// A call of a tool, as parameters.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "arguments": {}})
}

/// What a client hears.
pub(crate) struct Ear {
    lines: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    /// Of each request that was sent: its revision and its method.
    sent: HashMap<String, (&'static str, String)>,
    /// The tokens under which modern requests want to hear of progress.
    tokens: Vec<Value>,
    /// The revision of the legacy session.
    pub(crate) revision: &'static str,
    /// What came before what was waited for.
    pub(crate) heard: Vec<Value>,
}

/// The client.
pub(crate) struct Pipe {
    pub(crate) ear: Ear,
    writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
}

/// The other end.
pub(crate) type Serving = JoinHandle<io::Result<()>>;

impl Pipe {
    /// A client of a mount that the test plays.
    pub(crate) fn at<M: Mount>(mount: &Arc<M>) -> (Self, Serving) {
        Self::with(mount, Settings::default())
    }

    /// The same with settings.
    pub(crate) fn with<M: Mount>(mount: &Arc<M>, settings: Settings) -> (Self, Serving) {
        Self::at_endpoint(&Endpoint::new(mount.clone(), settings))
    }

    /// One more client of an endpoint.
    pub(crate) fn at_endpoint(endpoint: &Arc<Endpoint>) -> (Self, Serving) {
        let (near, far) = duplex(ROOM);
        let endpoint = endpoint.clone();
        let serving = tokio::spawn(async move {
            let (reader, writer) = split(far);
            endpoint.serve_lines(reader, writer, &Principal::local()).await
        });
        (Self::over(near), serving)
    }

    pub(crate) fn over(near: DuplexStream) -> Self {
        let (reader, writer) = split(near);
        Self::of(reader, writer)
    }

    pub(crate) fn of(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(reader);
        let ear = Ear {
            lines: BufReader::new(reader).lines(),
            sent: HashMap::new(),
            tokens: Vec::new(),
            revision: "",
            heard: Vec::new(),
        };
        Self { ear, writer: Some(Box::new(writer)) }
    }

    /// Writes bytes as they are; whether anybody is there to read them.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        let writer = self.writer.as_mut().expect("an open pipe");
        writer.write_all(bytes).await.is_ok() && writer.flush().await.is_ok()
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(soon("somebody to read", self.try_write(bytes.as_ref())).await, "nobody reads");
    }

    /// Writes a line, of which nothing is known that is heard later.
    pub(crate) async fn text(&mut self, line: &str) {
        self.write(format!("{line}\n")).await;
    }

    /// Sends a message. What answers it will be checked.
    pub(crate) async fn send(&mut self, message: &Value) {
        if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
            let meta = &message["params"]["_meta"];
            let is_modern = !meta["io.modelcontextprotocol/protocolVersion"].is_null();
            if method == "initialize" {
                self.ear.revision = match message["params"]["protocolVersion"].as_str() {
                    Some("2024-11-05") => "2024-11-05",
                    Some("2025-03-26") => "2025-03-26",
                    Some("2025-06-18") => "2025-06-18",
                    _ => "2025-11-25",
                };
            }
            let revision = if is_modern { MODERN } else { self.ear.revision };
            if is_modern && !meta["progressToken"].is_null() {
                self.ear.tokens.push(meta["progressToken"].clone());
            }
            if !revision.is_empty() {
                self.ear.sent.insert(id.to_string(), (revision, method.to_owned()));
            }
        }
        self.text(&message.to_string()).await;
    }

    /// Sends a request and gives its answer.
    pub(crate) async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.answer(&message["id"]).await
    }

    /// Says something that wants no answer.
    pub(crate) async fn tell(&mut self, method: &str, params: Value) {
        self.text(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }

    /// Cancels a request.
    pub(crate) async fn cancel(&mut self, id: impl Into<Value>) {
        self.tell("notifications/cancelled", json!({"requestId": id.into(), "reason": "tired"})).await;
    }

    /// Answers a question.
    pub(crate) async fn reply(&mut self, question: &Value, result: Value) {
        self.text(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()).await;
    }

    /// The handshake of a client that can do everything, up to the answer.
    pub(crate) async fn initialize(&mut self, revision: &str) -> Value {
        self.ask(&initialize("init", revision)).await
    }

    /// The whole handshake.
    pub(crate) async fn handshake(&mut self, revision: &str) {
        let answer = self.initialize(revision).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        self.tell("notifications/initialized", json!({})).await;
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        self.ear.next().await
    }

    /// The answer to a request; what comes before it is kept.
    pub(crate) async fn answer(&mut self, id: &Value) -> Value {
        self.ear.answer(id).await
    }

    /// The next message of a method; what comes before it is kept.
    pub(crate) async fn said(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["method"] == method {
                return message;
            }
            self.ear.heard.push(message);
        }
    }

    /// Fails when something comes that is not the answer to this ping: whatever was said before it has been dealt with.
    pub(crate) async fn nothing(&mut self) {
        let ping = request("nothing", "ping", json!({}));
        self.text(&ping.to_string()).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "nothing", "{answer}");
    }

    /// Closes the end that it writes to.
    pub(crate) async fn close(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            let _ = writer.shutdown().await;
        }
    }

    /// Everything until the other side has closed its end.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        self.ear.rest().await
    }
}

/// `initialize` of a client that can do everything.
pub(crate) fn initialize(id: impl Into<Value>, revision: &str) -> Value {
    let client = json!({"name": "client", "version": "1"});
    request(id, "initialize", json!({"protocolVersion": revision, "capabilities": able(), "clientInfo": client}))
}

impl Ear {
    async fn line(&mut self) -> Option<String> {
        soon("a line", self.lines.next_line()).await.expect("UTF-8")
    }

    pub(crate) async fn next(&mut self) -> Value {
        let line = self.line().await.expect("a message before the end");
        self.checked(&line)
    }

    pub(crate) async fn answer(&mut self, id: &Value) -> Value {
        let is_it = |message: &Value| message.get("method").is_none() && message["id"] == *id;
        if let Some(at) = self.heard.iter().position(is_it) {
            return self.heard.remove(at);
        }
        loop {
            let message = self.next().await;
            if is_it(&message) {
                return message;
            }
            self.heard.push(message);
        }
    }

    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(self.checked(&line));
        }
        rest
    }

    /// A line must be a message of the era that it belongs to.
    fn checked(&self, line: &str) -> Value {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        if message.is_array() {
            return message;
        }
        let (id, params) = (&message["id"], &message["params"]);
        match (message["method"].as_str(), id.is_null()) {
            (Some(_), false) => wire::check_event(self.revision, line),
            (Some(method), true) => {
                let ended = method == "notifications/cancelled"
                    && self.sent.get(&params["requestId"].to_string()).is_some_and(|(revision, _)| *revision == MODERN);
                let is_modern = !params["_meta"][SUBSCRIPTION].is_null()
                    || self.tokens.contains(&params["progressToken"])
                    || ended
                    || self.revision.is_empty();
                if is_modern {
                    assert_modern("", &message);
                } else {
                    wire::check_event(self.revision, line);
                }
            }
            (None, true) => {
                assert!(message.get("id").is_none(), "{line}");
                assert!([-32700, -32600].contains(&message["error"]["code"].as_i64().unwrap()), "{line}");
            }
            (None, false) => match self.sent.get(&id.to_string()) {
                Some((MODERN, method)) => assert_modern(method, &message),
                Some((revision, method)) => wire::check_answer(revision, method, &id.to_string(), line),
                None => {}
            },
        }
        message
    }
}

/// The code of an error.
#[track_caller]
pub(crate) fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("expected an error: {answer}"))
}

/// The text of a tool's answer.
#[track_caller]
pub(crate) fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("expected a text: {answer}"))
}

/// Waits until the other end is done.
pub(crate) async fn done(serving: Serving) {
    soon("the end of the connection", serving).await.unwrap().unwrap();
}
