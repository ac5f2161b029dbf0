//! Many clients at once, and clients that send anything.

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use rialto::upstream::in_process::InProcessConnector;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::legacy_support::REVISIONS;

/// A legacy server on a pipe that says again what it is told.
async fn echo(stream: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let result = match request["method"].as_str() {
            Some("initialize") => {
                json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}})
            }
            Some("tools/list") => json!({"tools": [plain("t")]}),
            Some("tools/call") => text(&request["params"]["arguments"]["mark"]).unwrap(),
            Some("server/discover") => Value::Null,
            _ => continue,
        };
        let mut response = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        if response["result"].is_null() {
            response = json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "?"}});
        }
        if writer.write_all(format!("{response}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Posts a message past every socket; gives the session id and the message that came back.
async fn post(gateway: &Gateway, principal: &str, headers: &[(&str, &str)], body: &Value) -> (Option<String>, Value) {
    let mut request = Request::post("/mcp/docs")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("x-principal", principal);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = gateway.serve(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await;
    let session = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (session, serde_json::from_slice(&text).unwrap_or_else(|_| panic!("{text:?}")))
}

#[tokio::test]
async fn era_443_a_thousand_clients_of_all_revisions_hear_their_own_answers() {
    let settings = Settings::default();
    let connector = Arc::new(InProcessConnector::new("docs", echo));
    let gateway = Gateway::around(Arc::new(mount(connector, Share::Principal, &settings)), settings);
    let gateway = &gateway;
    let one = async |n: usize| {
        let (principal, mark) = (format!("p{}", n % 40), json!({"client": n}));
        let call = |extra: Value| {
            let mut params = json!({"name": "t", "arguments": {"mark": mark}});
            if !extra.is_null() {
                params["_meta"] = extra;
            }
            // Many use the same ids.
            json!({"jsonrpc": "2.0", "id": n % 7, "method": "tools/call", "params": params})
        };
        let response = match REVISIONS.get(n % 8) {
            None => {
                let meta = json!({"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}});
                let headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", "t")];
                post(gateway, &principal, &headers, &call(meta)).await.1
            }
            Some(revision) => {
                let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
                let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
                let (session, greeting) = post(gateway, &principal, &[], &hello).await;
                assert_eq!(greeting["result"]["protocolVersion"], *revision, "{greeting}");
                let session = session.unwrap();
                post(gateway, &principal, &[("mcp-session-id", &session)], &call(Value::Null)).await.1
            }
        };
        assert_eq!((&response["id"], said(&response)), (&json!(n % 7), mark.to_string()), "{n}: {response}");
    };
    let mut all: FuturesUnordered<_> = (0..1000).map(one).collect();
    let mut done = 0;
    while soon("an answer", all.next()).await.is_some() {
        done += 1;
    }
    assert_eq!(done, 1000);
}

/// Numbers that only look random: a failing round can be played again.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // The first throws of neighbouring seeds are alike.
        for _ in 0..4 {
            dice.below(2);
        }
        dice
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub(super) fn value(&mut self, depth: usize) -> Value {
        let kinds = if depth == 0 { 6 } else { 8 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(100)),
            3 => json!(-1.5),
            4 => json!(self.one(&["", "t", "2026-07-28", "2025-11-25", "tools/call", "\u{0}", "\u{1F600}", "a:b"])),
            5 => json!("x".repeat(self.below(300))),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let names = [
                    "name",
                    "uri",
                    "arguments",
                    "_meta",
                    "cursor",
                    "requestState",
                    "inputResponses",
                    "requestId",
                    "level",
                    "progressToken",
                    "io.modelcontextprotocol/protocolVersion",
                    "notifications",
                    "capabilities",
                    "io.modelcontextprotocol/clientCapabilities",
                    "protocolVersion",
                    "taskId",
                ];
                (0..self.below(5)).map(|_| (self.one(&names).to_owned(), self.value(depth - 1))).collect()
            }
        }
    }

    /// Something between a good message and noise.
    fn body(&mut self) -> Vec<u8> {
        let methods = [
            "tools/call",
            "tools/list",
            "initialize",
            "ping",
            "server/discover",
            "subscriptions/listen",
            "acme/x",
            "logging/setLevel",
            "notifications/cancelled",
            "notifications/progress",
            "completion/complete",
            "tasks/get",
            "prompts/get",
            "resources/read",
            "resources/subscribe",
            "",
            "notifications/initialized",
        ];
        let mut message = json!({"jsonrpc": "2.0", "id": self.below(9), "method": self.one(&methods)});
        match self.below(4) {
            0 => {}
            1 => message["params"] = self.value(4),
            _ => {
                message["params"] = json!({"name": "t", "uri": "a:b", "arguments": self.value(2), "_meta": {
                    "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": self.value(2)}});
            }
        }
        for _ in 0..self.below(3) {
            let (name, value) = (self.one(&["jsonrpc", "id", "method", "result", "error", "params"]), self.value(3));
            message[name] = value;
        }
        if self.below(8) == 0 {
            message = json!([message, self.value(2)]);
        }
        let mut text = message.to_string().into_bytes();
        self.spoil(&mut text);
        text
    }

    /// Leaves a text as it is, or changes a few bytes of it.
    pub(super) fn spoil(&mut self, text: &mut Vec<u8>) {
        if self.below(3) > 0 {
            return;
        }
        for _ in 0..=self.below(4) {
            let at = self.below(text.len());
            match self.below(3) {
                0 => text.truncate(at.max(1)),
                1 => text[at] = self.one(b"\"{}[],:\\\xff\0 9e"),
                _ => text.insert(at, self.one(b"\"{}[],:\\\xc3\n-")),
            }
        }
    }
}

#[tokio::test]
async fn era_447_whatever_is_sent_there_is_an_answer_that_the_protocol_knows() {
    let (gateway, mount) = Gateway::plain().await;
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
        {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let (session, _) = post(&gateway, "alice", &[], &hello).await;
    let session = session.unwrap();
    for seed in 1..=4000_u64 {
        let mut dice = Dice::new(seed);
        let verb = dice.one(&["POST", "POST", "POST", "POST", "POST", "GET", "DELETE", "PUT", "OPTIONS"]);
        let mut request = Request::builder().method(verb).uri("/mcp/docs");
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        for _ in 0..dice.below(5) {
            let name = dice.one(&[
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "mcp-session-id",
                "last-event-id",
                "accept",
                "content-type",
                "mcp-param-x",
                "x-principal",
                "content-encoding",
            ]);
            let value = dice.one(&[
                MODERN,
                LEGACY,
                "tools/call",
                "t",
                "",
                "=?base64?dA==?=",
                "=?base64?!?=",
                "*/*",
                "q=0",
                "a:b",
                &session,
            ]);
            headers.push((name, value.to_owned()));
        }
        // A stream that stays open is as good as an answer, and is not read; a session that is ended is not the test's.
        if verb == "DELETE" {
            headers.retain(|(name, _)| *name != "mcp-session-id");
        }
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let body = dice.body();
        let told = format!("seed {seed}: {verb} {headers:?} {}", String::from_utf8_lossy(&body));
        let response: Response<_> =
            soon(&told, gateway.serve(request.body(Full::new(Bytes::from(body))).unwrap())).await;
        let status = response.status().as_u16();
        assert!(matches!(status, 200 | 202 | 400..=499 | 503), "{status} {told}");
        let kind = response.headers().get("content-type").map(|k| k.to_str().unwrap().to_owned()).unwrap_or_default();
        if kind == "application/json" {
            let text = soon(&told, response.into_body().collect()).await.unwrap().to_bytes();
            let answer: Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error} {told}"));
            let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
            for answer in answers {
                assert_eq!(answer["jsonrpc"], "2.0", "{answer} {told}");
                let is_error = answer.get("error").is_some_and(|e| e["code"].is_i64() && e["message"].is_string());
                assert!(is_error != answer.get("result").is_some(), "{answer} {told}");
                assert!(status == 200 || is_error, "{status} {answer} {told}");
            }
        }
    }
    // It still works.
    tool("t", json!({})).response(&gateway, 200).await;
    assert!(mount.counts().begun > 0);
}
