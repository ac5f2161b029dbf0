//! A legacy client without a socket, so that tests may move the clock.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::{
    matrix::wire,
    support::{
        gateway::{Gateway, PRINCIPAL},
        wait::within,
    },
};

pub(super) const REVISION: &str = "2025-11-25";

/// A client at the mount `docs` whose session is open.
pub(super) struct Legacy<'a> {
    gateway: &'a Gateway,
    principal: &'a str,
    /// What it sends along for the server.
    pub(super) along: Vec<(&'static str, String)>,
    session: Option<HeaderValue>,
    next: AtomicU64,
    /// What the server said that it offers.
    pub(super) capabilities: Value,
    pub(super) instructions: Value,
}

impl<'a> Legacy<'a> {
    pub(super) async fn connect(gateway: &'a Gateway) -> Self {
        Self::connect_as(gateway, "alice").await
    }

    pub(super) async fn connect_as(gateway: &'a Gateway, principal: &'a str) -> Self {
        Self::connect_sending(gateway, principal, &[]).await
    }

    pub(super) async fn connect_sending(
        gateway: &'a Gateway,
        principal: &'a str,
        along: &[(&'static str, &str)],
    ) -> Self {
        let mut client = Self::sessionless(gateway, principal);
        client.along = along.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let hello =
            json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let response = client.post(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})).await;
        client.session = Some(response.headers()["mcp-session-id"].clone());
        let answer = whole(response).await;
        wire::check_answer(REVISION, "initialize", "0", &answer.to_string());
        client.capabilities = answer["result"]["capabilities"].clone();
        client.instructions = answer["result"]["instructions"].clone();
        client.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        client
    }

    pub(super) fn sessionless(gateway: &'a Gateway, principal: &'a str) -> Self {
        let (capabilities, instructions) = (Value::Null, Value::Null);
        Self {
            gateway,
            principal,
            along: Vec::new(),
            session: None,
            next: AtomicU64::new(1),
            capabilities,
            instructions,
        }
    }

    /// The id of its session.
    pub(super) fn id(&self) -> Option<HeaderValue> {
        self.session.clone()
    }

    /// A client that goes on with a session that began elsewhere.
    pub(super) fn going_on(gateway: &'a Gateway, principal: &'a str, session: Option<HeaderValue>) -> Self {
        Self { session, ..Self::sessionless(gateway, principal) }
    }

    async fn send(&self, verb: Method, body: Bytes) -> Answer {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = verb;
        *request.uri_mut() = "/mcp/docs".parse().unwrap();
        let headers = request.headers_mut();
        headers.insert(PRINCIPAL, HeaderValue::from_str(self.principal).unwrap());
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = &self.session {
            headers.insert("mcp-session-id", session.clone());
        }
        for (name, value) in &self.along {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        within(self.gateway.serve(request)).await
    }

    async fn post(&self, message: Value) -> Answer {
        self.send(Method::POST, message.to_string().into()).await
    }

    /// Sends a request and returns its answer.
    pub(super) async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let response = self.post(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        let answer = whole(response).await;
        wire::check_answer(REVISION, method, &id.to_string(), &answer.to_string());
        answer
    }

    /// Says something that wants no answer.
    pub(super) async fn notify(&self, method: &str) {
        let response = self.post(json!({"jsonrpc": "2.0", "method": method})).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }

    /// Cancels a request by its id.
    pub(super) async fn cancel(&self, id: u64) {
        let params = json!({"requestId": id});
        let response =
            self.post(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }

    /// What the one tool says.
    pub(super) async fn calls(&self) -> String {
        let answer = self.request("tools/call", json!({"name": "t", "arguments": {}})).await;
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The names of the tools.
    pub(super) async fn lists(&self) -> Vec<String> {
        let answer = self.request("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn subscribe(&self, uri: &str) {
        let answer = self.request("resources/subscribe", json!({ "uri": uri })).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }

    pub(super) async fn unsubscribe(&self, uri: &str) {
        let answer = self.request("resources/unsubscribe", json!({ "uri": uri })).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }

    /// The code and the data of the error that subscribing is answered with.
    pub(super) async fn refused(&self, uri: &str) -> (i64, Value) {
        let answer = self.request("resources/subscribe", json!({ "uri": uri })).await;
        let error = &answer["error"];
        (error["code"].as_i64().unwrap_or_else(|| panic!("{answer}")), error["data"].clone())
    }

    /// Opens the stream for what belongs to no request.
    pub(super) async fn outside(&self) -> Outside {
        let response = self.send(Method::GET, Bytes::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().into_data_stream().map(|chunk| chunk.unwrap());
        Outside { body: Box::pin(body), buffer: String::new() }
    }

    /// Ends the session.
    pub(super) async fn close(self) {
        let response = self.send(Method::DELETE, Bytes::new()).await;
        assert!(response.status().is_success());
    }
}

type Answer = http::Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

/// The one message of an answer, alone or the last of a stream.
async fn whole(response: Answer) -> Value {
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(text);
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a client is told outside its requests.
pub(super) struct Outside {
    body: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    buffer: String,
}

impl Outside {
    /// The next message: its method and its parameters.
    pub(super) async fn next(&mut self) -> (String, Value) {
        within(self.read()).await.expect("a message")
    }

    /// The next message, which may take so long.
    pub(super) async fn next_within(&mut self, time: std::time::Duration) -> (String, Value) {
        tokio::time::timeout(time, self.read()).await.expect("a message in time").expect("a message")
    }

    async fn read(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.buffer = rest.to_owned();
                if let Some(data) = data {
                    wire::check_event(REVISION, &data);
                    let message: Value = serde_json::from_str(&data).unwrap();
                    return Some((message["method"].as_str().unwrap().to_owned(), message["params"].clone()));
                }
            }
            let chunk = self.body.next().await?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Everything that comes until nothing has come for a while.
    pub(super) async fn rest(&mut self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        while let Ok(Some(message)) = tokio::time::timeout(super::Duration::from_millis(400), self.read()).await {
            all.push(message);
        }
        all
    }
}
