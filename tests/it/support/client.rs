//! A modern client that sends what the test says, right or wrong.

use std::{convert::Infallible, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    gateway::{Gateway, PRINCIPAL},
    schema,
    wait::within,
};

const VERSION: &str = "2026-07-28";

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    verb: Method,
    mount: &'static str,
    method: String,
    body: Value,
    text: Option<Bytes>,
    headers: HeaderMap,
}

/// A request of the modern era with everything that belongs to it.
pub(crate) fn modern(method: &str, params: Value) -> Sent {
    let mut sent = Sent {
        verb: Method::POST,
        mount: "docs",
        method: method.to_owned(),
        body: json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}),
        text: None,
        headers: HeaderMap::new(),
    }
    .header("content-type", "application/json")
    .header("accept", "application/json, text/event-stream")
    .header("mcp-protocol-version", VERSION)
    .header("mcp-method", method)
    .meta("io.modelcontextprotocol/protocolVersion", json!(VERSION))
    .meta("io.modelcontextprotocol/clientInfo", json!({"name": "client", "version": "1"}))
    .meta("io.modelcontextprotocol/clientCapabilities", json!({}));
    let name = match method {
        "tools/call" | "prompts/get" => &sent.body["params"]["name"],
        "resources/read" => &sent.body["params"]["uri"],
        _ => &Value::Null,
    };
    if let Some(name) = name.as_str().map(str::to_owned) {
        sent = sent.header("mcp-name", &name);
    }
    sent
}

/// A call of a tool.
pub(crate) fn tool(name: &str, arguments: Value) -> Sent {
    modern("tools/call", json!({"name": name, "arguments": arguments}))
}

impl Sent {
    /// The body is this text, whatever it is.
    pub(crate) fn text(mut self, text: impl Into<Bytes>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The headers, before the test breaks them.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole body, before the test breaks it.
    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    pub(crate) fn verb(mut self, verb: Method) -> Self {
        self.verb = verb;
        self
    }

    pub(crate) fn id(mut self, id: impl Into<Value>) -> Self {
        self.body["id"] = id.into();
        self
    }

    pub(crate) fn mount(mut self, mount: &'static str) -> Self {
        self.mount = mount;
        self
    }

    pub(crate) fn principal(self, name: &str) -> Self {
        self.header(PRINCIPAL, name)
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Sends a header once more.
    pub(crate) fn another(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sets a key of `_meta`; null takes it out.
    pub(crate) fn meta(mut self, key: &str, value: Value) -> Self {
        if value.is_null() {
            self.body["params"]["_meta"].as_object_mut().unwrap().remove(key);
        } else {
            self.body["params"]["_meta"][key] = value;
        }
        self
    }

    /// Sets a member of the parameters.
    pub(crate) fn param(mut self, key: &str, value: Value) -> Self {
        self.body["params"][key] = value;
        self
    }

    pub(crate) fn capabilities(self, capabilities: Value) -> Self {
        self.meta("io.modelcontextprotocol/clientCapabilities", capabilities)
    }

    /// A client that answers everything.
    pub(crate) fn answering(self) -> Self {
        self.capabilities(json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}))
    }

    pub(crate) fn token(self, token: impl Into<Value>) -> Self {
        self.meta("progressToken", token.into())
    }

    pub(crate) fn level(self, level: &str) -> Self {
        self.meta("io.modelcontextprotocol/logLevel", json!(level))
    }

    /// The same call with answers and what it got to echo.
    pub(crate) fn retry(self, asked: &Value, responses: Value) -> Self {
        let state = asked["result"]["requestState"].clone();
        self.id(asked["id"].as_i64().unwrap() + 1).param("inputResponses", responses).param("requestState", state)
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let text = self.text.clone().unwrap_or_else(|| Bytes::from(self.body.to_string()));
        let mut request = Request::new(Full::new(text));
        *request.method_mut() = self.verb.clone();
        *request.uri_mut() = format!("/mcp/{}", self.mount).parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Sends it and reads the head of the answer: over a connection of its own where there is a socket.
    pub(crate) async fn open(&self, gateway: &Gateway) -> Streaming {
        let mut connection = JoinSet::new();
        let (head, body): (_, Chunks) = match gateway.address() {
            Some(address) => {
                let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
                let (mut sender, driver) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                connection.spawn(async move { drop(driver.await) });
                let mut request = self.request();
                request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
                let (head, body) = within(sender.send_request(request)).await.unwrap().into_parts();
                (head, Box::pin(body.into_data_stream().map(Result::unwrap)))
            }
            None => {
                let (head, body) = gateway.serve(self.request()).await.into_parts();
                (head, Box::pin(body.into_data_stream().map(|chunk: Result<_, Infallible>| chunk.unwrap())))
            }
        };
        let (status, headers, method) = (head.status, head.headers, self.method.clone());
        Streaming { method, status, headers, body, buffer: String::new(), comments: 0, _connection: connection }
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(&self, gateway: &Gateway) -> Whole {
        self.open(gateway).await.whole().await
    }

    /// Sends it and expects one response, with this status.
    pub(crate) async fn response(&self, gateway: &Gateway, status: u16) -> Value {
        let whole = self.send(gateway).await;
        assert_eq!(whole.status, status, "{self:?}\n{}", whole.text);
        whole.response()
    }

    /// Sends it and expects an error.
    pub(crate) async fn error(&self, gateway: &Gateway, status: u16, code: i64) -> Value {
        let response = self.response(gateway, status).await;
        assert_eq!(response["error"]["code"], code, "{self:?}\n{response}");
        response["error"].clone()
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// An answer that comes in pieces. Dropping it closes the stream.
pub(crate) struct Streaming {
    method: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Chunks,
    buffer: String,
    /// How many comments came until now.
    pub(crate) comments: usize,
    _connection: JoinSet<()>,
}

impl Streaming {
    /// Whether it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|t| t == "text/event-stream")
    }

    /// Reads until one more block (an event or a comment) is there; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let block = block.to_owned();
                self.buffer = rest.to_owned();
                return Some(block);
            }
            let chunk = self.body.next().await?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message of a stream; `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        assert!(self.is_stream(), "{:?}", self.headers);
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                self.comments += 1;
                continue;
            }
            assert!(block.starts_with("event: message\n"), "{block}");
            let data: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            let message: Value = serde_json::from_str(&data.join("\n")).unwrap();
            schema::assert_modern(&self.method, &message);
            return Some(message);
        }
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) {
        let block = self.block().await.expect("a comment");
        assert!(block.starts_with(':'), "{block}");
        self.comments += 1;
    }

    /// Everything until the end.
    pub(crate) async fn whole(mut self) -> Whole {
        let mut messages = Vec::new();
        let mut text = String::new();
        if self.is_stream() {
            while let Some(message) = self.next().await {
                messages.push(message);
            }
        } else {
            while let Some(chunk) = self.body.next().await {
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            let is_json = self.headers.get("content-type").is_some_and(|t| t == "application/json");
            if is_json && !text.is_empty() {
                let message: Value = serde_json::from_str(&text).unwrap();
                schema::assert_modern(&self.method, &message);
                messages.push(message);
            }
        }
        Whole { status: self.status.as_u16(), headers: self.headers, text, messages }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body, where it was no stream.
    pub(crate) text: String,
    pub(crate) messages: Vec<Value>,
}

impl Whole {
    /// The response: the last message, and the only one of its kind.
    pub(crate) fn response(&self) -> Value {
        let (last, before) = self.messages.split_last().expect("a response");
        assert!(last.get("method").is_none(), "{last}");
        assert!(before.iter().all(|m| m.get("method").is_some()), "{before:?}");
        last.clone()
    }

    /// What came before the response.
    pub(crate) fn notifications(&self) -> &[Value] {
        &self.messages[..self.messages.len() - 1]
    }
}
