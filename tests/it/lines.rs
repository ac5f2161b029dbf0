//! Sessions over a pair of byte streams, with the server played by the test.

use std::{sync::Arc, time::Duration};

use rialto::{
    Proxy,
    hub::{Fault, Health, Reason, Scope, SilentPeer},
    jsonrpc::Notification,
    protocol::{Method, Revision},
    upstream::{Connector, EraChoice, Opening, Session, Sharing, in_process::InProcessConnector, lines::LineSettings},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
};

use crate::server_kit::{
    Heard, Recorder, able, call_tool, caller_in, object, opening, quiet_opening, request, soon, tool, value,
};

mod broken;
mod eras;
mod questions;

/// The server's end of one session.
pub(crate) struct Server {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    _running: oneshot::Sender<()>,
}

impl Server {
    /// The next message it is sent.
    pub(crate) async fn next(&mut self) -> Value {
        let line = soon("a message to the server", self.lines.next_line()).await.expect("readable");
        serde_json::from_str(&line.expect("more messages")).expect("JSON")
    }

    /// The next message, however long it takes; none once the gateway has closed the pipe.
    pub(crate) async fn heard(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.ok()??;
        Some(serde_json::from_str(&line).expect("JSON"))
    }

    /// The next message, which is a request or notification of that method.
    pub(crate) async fn expect(&mut self, method: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["method"], method, "{message}");
        message
    }

    pub(crate) async fn ended(&mut self) -> bool {
        soon("the end of the input", self.lines.next_line()).await.expect("readable").is_none()
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.write(format!("{message}\n").as_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon("writing", self.writer.write_all(bytes)).await.expect("writable");
    }

    pub(crate) async fn result(&mut self, request: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
    }

    pub(crate) async fn error(&mut self, request: &Value, code: i64) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": "no"}})).await;
    }

    /// Refuses the probe and does the handshake of a legacy server; returns what it was told in `initialize`.
    pub(crate) async fn legacy(&mut self) -> Value {
        let probe = self.expect("server/discover").await;
        self.error(&probe, -32601).await;
        self.initialize("2025-11-25").await
    }

    pub(crate) async fn initialize(&mut self, revision: &str) -> Value {
        let initialize = self.expect("initialize").await;
        self.initialized(&initialize, revision).await;
        initialize["params"].clone()
    }

    pub(crate) async fn initialized(&mut self, initialize: &Value, revision: &str) {
        let result = json!({
            "protocolVersion": revision,
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "played", "version": "1"},
            "instructions": "be kind",
        });
        self.result(initialize, result).await;
        self.expect("notifications/initialized").await;
    }

    /// Describes itself as a modern server.
    pub(crate) async fn modern(&mut self) {
        let probe = self.expect("server/discover").await;
        self.discovered(&probe).await;
    }

    pub(crate) async fn discovered(&mut self, probe: &Value) {
        let result = json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "ttlMs": 5000,
            "cacheScope": "public",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "played", "version": "2"}},
        });
        self.result(probe, result).await;
    }
}

pub(crate) type Started = mpsc::UnboundedReceiver<Server>;

/// A server that the test plays, and its sessions as they are started.
pub(crate) fn played(settings: LineSettings) -> (Arc<InProcessConnector>, Started) {
    let (starts, started) = mpsc::unbounded_channel();
    let connector = InProcessConnector::with_settings("played", settings, move |stream| play(stream, starts.clone()));
    (Arc::new(connector), started)
}

/// The same as a proxy.
pub(crate) fn played_proxy() -> (Proxy, Started) {
    let (starts, started) = mpsc::unbounded_channel();
    (Proxy::in_process(move |stream| play(stream, starts.clone())), started)
}

async fn play(stream: DuplexStream, starts: mpsc::UnboundedSender<Server>) {
    let (reader, writer) = tokio::io::split(stream);
    let (running, done) = oneshot::channel();
    let lines = BufReader::new(reader).lines();
    let _ = starts.send(Server { lines, writer, _running: running });
    let _ = done.await;
}

async fn start(started: &mut Started) -> Server {
    soon("a server", started.recv()).await.expect("the connector lives")
}

/// Opens a session while `shake` plays the server's part of the handshake.
async fn shake_hands(
    connector: &Arc<InProcessConnector>,
    opening: Opening,
    started: &mut Started,
    shake: impl AsyncFnOnce(&mut Server),
) -> (Arc<dyn Session>, Server) {
    let open = tokio::spawn(connector.open(opening));
    let mut server = start(started).await;
    shake(&mut server).await;
    let session = soon("a session", open).await.expect("no panic").expect("a session");
    (session, server)
}

async fn legacy_session() -> (Arc<dyn Session>, Server) {
    let (connector, mut started) = played(LineSettings::default());
    let shake = async |server: &mut Server| {
        server.legacy().await;
    };
    shake_hands(&connector, quiet_opening(), &mut started, shake).await
}

async fn modern_session() -> (Arc<dyn Session>, Server) {
    let (connector, mut started) = played(LineSettings::default());
    shake_hands(&connector, quiet_opening(), &mut started, async |server| server.modern().await).await
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn results_pass_byte_for_byte() {
    let (session, mut server) = legacy_session().await;
    let call = tokio::spawn(session.call(tool("numbers", Arc::new(SilentPeer))));
    let id = server.expect("tools/call").await["id"].clone();
    let result = r#"{ "z":1E400,"a":123456789012345678901234567890, "text":"\u00e4\/" }"#;
    server.write(format!("{{\"result\":{result},\"jsonrpc\":\"2.0\",\"id\":{id}}}\r\n").as_bytes()).await;
    let got = soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(std::str::from_utf8(got.as_bytes()).expect("text"), result);
}

#[tokio::test]
async fn a_line_end_in_the_parameters_stays_in_its_line() {
    let (session, mut server) = legacy_session().await;
    let mut outgoing = tool("x", Arc::new(SilentPeer));
    let pretty = b"{\"name\": \"x\",\r\n  \"arguments\": {\n \"text\": \"a\\nb\" } }";
    let pretty = bytes::Bytes::from_static(pretty);
    let scanned = rialto::jsonrpc::Raw::scan(pretty, rialto::jsonrpc::scan::ScanLimits::REQUEST);
    outgoing.params = scanned.expect("JSON").to_object().expect("an object");
    let _call = tokio::spawn(session.call(outgoing));
    let call = server.expect("tools/call").await;
    assert_eq!(call["params"], json!({"name": "x", "arguments": {"text": "a\nb"}}));
}

#[tokio::test]
async fn progress_comes_before_the_result_it_was_sent_before() {
    let (session, mut server) = legacy_session().await;
    let (peer, mut heard) = Recorder::new();
    let params = json!({"name": "slow", "_meta": {"progressToken": "mine", "x": 1}});
    let call = tokio::spawn(session.call(request(Method::ToolsCall, &params, peer)));
    let sent = server.expect("tools/call").await;
    let token = sent["params"]["_meta"]["progressToken"].clone();
    assert!(token.is_string() && token != "mine", "the client's token is not the server's: {sent}");
    assert_eq!(sent["params"]["_meta"]["x"], 1);
    let mut all = String::new();
    for n in 0..100 {
        let params = json!({"progressToken": token, "progress": n});
        all += &format!("{}\n", json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
    }
    all += &format!("{}\n", json!({"jsonrpc": "2.0", "id": sent["id"].to_string(), "result": text("done")}));
    server.write(all.as_bytes()).await;
    soon("the result", call).await.expect("no panic").expect("a result, though its id is spelled as a string");
    for n in 0..100 {
        let (method, params) = heard.try_recv().expect("told before the result").told();
        assert_eq!((method.as_str(), &params["progress"]), ("notifications/progress", &json!(n)));
    }
}

#[tokio::test]
async fn log_messages_go_to_the_only_call_or_outside() {
    let (connector, mut started) = played(LineSettings::default());
    let (opening, _, mut outside) = opening();
    let (session, mut server) = shake_hands(&connector, opening, &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    let log =
        |n: u8| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": n}});
    server.send(log(1)).await;
    assert_eq!(soon("outside", outside.recv()).await.expect("open").told().1["data"], 1);
    let (peer, mut heard) = Recorder::new();
    let first = tokio::spawn(session.call(tool("a", peer)));
    let asked = server.expect("tools/call").await;
    server.send(log(2)).await;
    assert_eq!(soon("the call", heard.recv()).await.expect("open").told().1["data"], 2);
    // One that wants to hear nothing does not count.
    let _second = tokio::spawn(session.call(tool("b", Arc::new(SilentPeer))));
    server.expect("tools/call").await;
    server.send(log(3)).await;
    assert_eq!(soon("the call", heard.recv()).await.expect("open").told().1["data"], 3);
    let (peer, _heard) = Recorder::new();
    let _third = tokio::spawn(session.call(tool("c", peer)));
    server.expect("tools/call").await;
    server.send(log(4)).await;
    assert_eq!(soon("outside", outside.recv()).await.expect("open").told().1["data"], 4);
    server.send(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})).await;
    assert_eq!(soon("outside", outside.recv()).await.expect("open").told().0, "notifications/tools/list_changed");
    server.result(&asked, text("done")).await;
    soon("the result", first).await.expect("no panic").expect("a result");
}

#[tokio::test]
async fn notifications_keep_their_place_among_the_calls() {
    let (session, mut server) = legacy_session().await;
    let mut calls = Vec::new();
    for n in 0..20 {
        // Polled once, so that it is in the queue.
        let mut call = session.call(tool(&format!("t{n}"), Arc::new(SilentPeer)));
        assert!(futures_util::poll!(&mut call).is_pending());
        calls.push(call);
        session.notify(Notification { method: "notifications/x".to_owned(), params: Some(object(&json!({"n": n}))) });
    }
    for n in 0..20 {
        assert_eq!(server.expect("tools/call").await["params"]["name"], format!("t{n}"));
        assert_eq!(server.expect("notifications/x").await["params"]["n"], n);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_last_holder_and_not_before() {
    let (session, mut server) = legacy_session().await;
    let call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    drop(session);
    let sent = server.expect("tools/call").await;
    server.result(&sent, text("still here")).await;
    let result = soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(value(&result), text("still here"));
    assert!(server.ended().await);
}
