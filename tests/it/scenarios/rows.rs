//! The exact answers to what is wrong with a request itself, whatever the server behind the mount speaks.

use http::Method as Verb;

use super::*;
use crate::legacy_support::REVISIONS;

/// A gateway in front of a server of each era, whose tool has one mirrored argument where that exists. What the server was
/// asked to run is counted.
async fn gateways() -> Vec<(&'static str, Gateway, Scripted)> {
    let tools = json!([{"name": "t", "inputSchema": {"type": "object", "properties": {
        "n": {"type": "integer", "x-mcp-header": "N"}, "s": {"type": "string", "x-mcp-header": "S"}}}}]);
    let listing = tools.clone();
    let new_server = new(json!({"tools": {}}), move |seen| {
        let tools = listing.clone();
        async move { if seen.method() == "tools/list" { listed(&seen, &tools) } else { says(&seen, "ran") } }
    })
    .await;
    let old_server =
        Old::start(Like { capabilities: json!({"tools": {}}), tools, ..Like::default() }, |_| async { text("ran") })
            .await;
    let (newer, older) = (gateway_at(&new_server).await, gateway_at(&old_server.scripted).await);
    vec![("modern", newer, new_server), ("legacy", older, old_server.scripted)]
}

/// What a refusal says. The id is that of the requests of these tests, where the answer has one.
#[derive(Clone, Debug)]
enum Says {
    /// A JSON-RPC error under the request's id, which is 1: code, message and, where it is not null, data.
    Error(i64, String, Value),
    /// The same without any id: the message could not be read so far.
    Nameless(i64, &'static str),
    /// Words for people, and no JSON.
    Words(&'static str),
    /// An empty body.
    Nothing,
    /// A result.
    Result,
}

impl Says {
    /// Fails unless this is the whole body, under the content type that it should have.
    #[track_caller]
    fn check(&self, body: &str, content_type: Option<&str>, what: &str) {
        let error = |code: &i64, message: &str| json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}});
        let (expected, kind) = match self {
            Self::Error(code, message, data) => {
                let mut expected = error(code, message);
                expected["id"] = json!(1);
                if !data.is_null() {
                    expected["error"]["data"] = data.clone();
                }
                (expected, Some("application/json"))
            }
            Self::Nameless(code, message) => (error(code, message), Some("application/json")),
            Self::Words(words) => {
                assert_eq!((body, content_type), (*words, Some("text/plain; charset=utf-8")), "{what}");
                return;
            }
            Self::Nothing => {
                assert_eq!((body, content_type), ("", None), "{what}");
                return;
            }
            Self::Result => {
                let answer: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{what}: {e}: {body}"));
                assert!(answer["result"].is_object() && answer["id"] == 1, "{what}: {body}");
                return;
            }
        };
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{what}: {e}: {body}"));
        assert_eq!((answer, content_type), (expected, kind), "{what}");
    }
}

use Says::{Error, Nameless, Nothing, Result as Answer, Words};

const ENDPOINT: Says =
    Words("this is an MCP endpoint: clients POST to it; GET and DELETE belong to sessions that `initialize` began\n");
const NO_JSON: Says = Words("the body must be `Content-Type: application/json`, without `Content-Encoding`\n");
const NOT_TAKEN: Says = Words("`Accept` must allow application/json and text/event-stream\n");

/// A message that is none, of which the id could be read.
fn invalid(message: &str) -> Says {
    Error(-32600, message.to_owned(), Value::Null)
}

/// What every revision refuses of a text that is no message (P1, P2), with what is said of it.
fn no_messages(good: &Value) -> Vec<(&'static str, Vec<u8>, Says)> {
    let with = |member: &str, value: Value| {
        let mut message = good.clone();
        message[member] = value;
        message.to_string().into_bytes()
    };
    let without = |member: &str| {
        let mut message = good.clone();
        message.as_object_mut().unwrap().remove(member);
        message.to_string().into_bytes()
    };
    let parse = |message| Nameless(-32700, message);
    let (object, version) =
        ("Invalid Request: a message is a JSON object", "Invalid Request: `jsonrpc` must be \"2.0\"");
    let id = "Invalid Request: `id` must be a string or an integer";
    let mut rows = vec![
        ("P1", b"{".to_vec(), parse("Parse error: not valid JSON at byte 1")),
        ("P1", Vec::new(), parse("Parse error: not valid JSON at byte 0")),
        (
            "P1",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(),
            parse("Parse error: not valid JSON at byte 34"),
        ),
        ("P2", with("jsonrpc", json!("1.0")), invalid(version)),
        ("P2", with("jsonrpc", json!(2.0)), invalid(version)),
        ("P2", without("jsonrpc"), invalid(version)),
        ("P2", with("params", json!([])), invalid("Invalid Request: `params` must be an object")),
        ("P2", with("method", json!(7)), invalid("Invalid Request: `method` must be a non-empty string")),
        ("P2", without("method"), invalid("Invalid Request: a message has either `method`, `result` or `error`")),
    ];
    rows.extend(["1", "\"x\"", "null", "true"].map(|text| ("P2", text.into(), Nameless(-32600, object))));
    rows.extend(
        [Value::Null, json!(1.5), json!({}), json!(true)].map(|value| ("P2", with("id", value), Nameless(-32600, id))),
    );
    rows
}

#[tokio::test]
async fn p1_to_p13_what_is_wrong_with_a_modern_request_is_answered_alike_in_front_of_both_eras() {
    const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    let good = || tool("t", json!({}));
    let list = || modern("tools/list", json!({}));
    let of_version = |version: &str| good().header("mcp-protocol-version", version).meta(VERSION, json!(version));
    let mirrored = |value: &str| tool("t", json!({"n": 42})).header("mcp-param-n", value);
    let spelled = |value: &str| tool("t", json!({"s": "eu"})).header("mcp-param-s", value);
    let wrong = |header: &str, how: &str| {
        let how = match how {
            "missing" => "is missing: it must mirror the body",
            "unexpected" => "is present, but the body has nothing that it mirrors",
            "twice" => "is present more than once",
            "malformed" => "is malformed: it must be ASCII, or `=?base64?…?=` around padded base64 of UTF-8",
            _ => "differs from the body",
        };
        Error(-32020, format!("Header mismatch: header `{header}` {how}"), Value::Null)
    };
    let unsupported = |version: &str| {
        Error(-32022, "Unsupported protocol version".to_owned(), json!({"supported": [MODERN], "requested": version}))
    };
    let malformed = |message: &str| Error(-32602, message.to_owned(), Value::Null);
    let unknown = |method: &str| Error(-32601, format!("Method not found: {method}"), Value::Null);
    let tasks = json!({"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let response = || json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
    let refusal = || json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}).to_string();
    let batch = "a batch is not part of this protocol version";
    let answer = "a response is not part of this protocol version";
    for (server, gateway, behind) in gateways().await {
        let mut rows: Vec<(&str, Sent, u16, Says)> = no_messages(good().body())
            .into_iter()
            .map(|(row, text, says)| (row, good().text(text), 400, says))
            .collect();
        rows.extend([
            ("P2", good().text(format!("[{}]", good().body())), 400, Nameless(-32600, batch)),
            ("P2", good().text("[]"), 400, Nameless(-32600, "Invalid Request: a batch must not be empty")),
            ("P2", good().text(response()), 400, Nameless(-32600, answer)),
            ("P2", good().text(refusal()), 400, Nameless(-32600, answer)),
            ("P2", good().text(format!("[{}]", response())), 400, Nameless(-32600, batch)),
            // Of which era a message is that its header does not tell, its envelope does.
            ("P3", good().without("mcp-protocol-version"), 400, wrong("mcp-protocol-version","missing")),
            ("P3", good().header("mcp-protocol-version", LEGACY), 400, wrong("mcp-protocol-version","differs")),
            ("P3", good().header("mcp-protocol-version", "CANARY"), 400, wrong("mcp-protocol-version","differs")),
            ("P3", good().another("mcp-protocol-version", MODERN), 400, wrong("mcp-protocol-version","twice")),
            ("P3", good().without("mcp-method"), 400, wrong("mcp-method","missing")),
            ("P3", good().header("mcp-method", "tools/list"), 400, wrong("mcp-method","differs")),
            ("P3", good().another("mcp-method", "tools/call"), 400, wrong("mcp-method","twice")),
            ("P3", good().without("mcp-name"), 400, wrong("mcp-name","missing")),
            ("P3", good().header("mcp-name", "CANARY"), 400, wrong("mcp-name","differs")),
            ("P3", good().header("mcp-name", "=?base64?!?="), 400, wrong("mcp-name","malformed")),
            ("P3", good().header("mcp-name", "\u{fc}"), 400, wrong("mcp-name","malformed")),
            ("P3", good().another("mcp-name", "t"), 400, wrong("mcp-name","twice")),
            // What a legacy server annotated was listed so, and holds as well.
            ("P3", tool("t", json!({"n": 42})), 400, wrong("mcp-param-n","missing")),
            ("P3", mirrored("41"), 400, wrong("mcp-param-n","differs")),
            ("P3", mirrored("4 2"), 400, wrong("mcp-param-n","differs")),
            ("P3", mirrored("=?base64?NDI?="), 400, wrong("mcp-param-n","malformed")),
            ("P3", mirrored("42").another("mcp-param-n", "42"), 400, wrong("mcp-param-n","twice")),
            ("P3", spelled("\u{fc}"), 400, wrong("mcp-param-s","malformed")),
            ("P3", spelled("CANARY"), 400, wrong("mcp-param-s","differs")),
            ("P3", good().header("mcp-param-n", "42"), 400, wrong("mcp-param-n","unexpected")),
            ("P3", tool("t", json!({"n": null})).header("mcp-param-n", "42"), 400, wrong("mcp-param-n","unexpected")),
            ("P4", of_version("2099-01-01"), 400, unsupported("2099-01-01")),
            ("P4", of_version("tomorrow"), 400, unsupported("tomorrow")),
            ("P4", of_version(LEGACY), 400, unsupported(LEGACY)),
            ("P4", of_version(LEGACY).without("mcp-method").without("mcp-name"), 400, unsupported(LEGACY)),
            ("P5", good().meta(VERSION, Value::Null), 400, malformed("missing in `_meta`: io.modelcontextprotocol/protocolVersion")),
            ("P5", good().meta(CAPABILITIES, Value::Null), 400, malformed("missing in `_meta`: io.modelcontextprotocol/clientCapabilities")),
            ("P5", good().meta(VERSION, Value::Null).meta(CAPABILITIES, Value::Null), 400, malformed("missing in `_meta`: io.modelcontextprotocol/protocolVersion, io.modelcontextprotocol/clientCapabilities")),
            ("P5", good().meta(CAPABILITIES, json!([])), 400, malformed("`io.modelcontextprotocol/clientCapabilities` must be an object")),
            ("P5", good().meta(VERSION, json!(7)), 400, malformed("`io.modelcontextprotocol/protocolVersion` must be a string")),
            ("P6", modern("tasks/get", json!({"taskId": "x"})).header("mcp-name", "x"), 400, Error(-32021, "the client did not declare `io.modelcontextprotocol/tasks`".into(), tasks.clone())),
            (
                "P7",
                modern("initialize", json!({})),
                404,
                Error(
                    -32601,
                    "Method not found: initialize. This revision has no handshake; served without one: [\"2026-07-28\"]".into(),
                    json!({"supported": [MODERN]}),
                ),
            ),
            ("P7", modern("ping", json!({})), 404, unknown("ping")),
            ("P7", modern("logging/setLevel", json!({"level": "info"})), 404, unknown("logging/setLevel")),
            ("P7", modern("resources/subscribe", json!({"uri": "a:b"})), 404, unknown("resources/subscribe")),
            ("P7", modern("resources/unsubscribe", json!({"uri": "a:b"})), 404, unknown("resources/unsubscribe")),
            ("P7", modern("tasks/list", json!({})), 404, unknown("tasks/list")),
            ("P7", modern("tasks/result", json!({"taskId": "x"})), 404, unknown("tasks/result")),
            ("P7", modern("notifications/initialized", json!({})), 404, unknown("notifications/initialized")),
            ("P7", modern("prompts/list", json!({})), 404, unknown("prompts/list")),
            ("P8", list().verb(Verb::GET).text(""), 405, ENDPOINT),
            ("P8", list().verb(Verb::DELETE).text(""), 405, ENDPOINT),
            ("P8", list().verb(Verb::GET).text("").header("mcp-session-id", "x"), 405, ENDPOINT),
            ("P8", list().verb(Verb::DELETE).text("").header("mcp-session-id", "x"), 405, ENDPOINT),
            ("P9", list().header("mcp-session-id", "x").header("last-event-id", "y"), 200, Answer),
            ("P10", list().header("content-type", "text/plain"), 415, NO_JSON),
            ("P10", list().header("content-type", "application/x-www-form-urlencoded"), 415, NO_JSON),
            ("P10", list().header("content-type", "multipart/form-data; boundary=x"), 415, NO_JSON),
            ("P10", list().without("content-type"), 415, NO_JSON),
            ("P10", list().header("content-encoding", "gzip"), 415, NO_JSON),
            ("P10", list().header("content-type", "Application/JSON; charset=utf-8"), 200, Answer),
            ("P10", list().header("accept", "text/html"), 406, NOT_TAKEN),
            ("P10", list().header("accept", "text/event-stream"), 406, NOT_TAKEN),
            // Who takes JSON alone is served as far as that goes.
            ("P10", list().header("accept", "application/json"), 200, Answer),
            (
                "P10",
                modern("subscriptions/listen", json!({"notifications": {}})).header("accept", "application/json"),
                406,
                NOT_TAKEN,
            ),
            ("P11", good().text(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), 202, Nothing),
            ("P11", good().text(r#"{"jsonrpc":"2.0","method":"notifications/x","params":[]}"#), 400, Nameless(-32600, "Invalid Request: `params` must be an object")),
            ("P12", good().header("mcp-method", "TOOLS/CALL"), 400, wrong("mcp-method","differs")),
            ("P12", good().header("mcp-name", "T"), 400, wrong("mcp-name","differs")),
            ("P12", list().header("mcp-method", " tools/list\t"), 200, Answer),
            ("P12", mirrored("42.0"), 200, Answer),
            ("P12", mirrored("42"), 200, Answer),
            ("P12", mirrored(" 42 "), 200, Answer),
            ("P12", tool("t", json!({"n": 42.0})).header("mcp-param-n", "42"), 200, Answer),
            ("P12", mirrored("42.5"), 400, wrong("mcp-param-n","differs")),
        ]);
        let mut ran = 0;
        for (row, sent, status, says) in rows {
            let whole = sent.send(&gateway).await;
            let what = format!("{server} {row}: {sent:?}");
            assert_eq!(whole.status, status, "{what}\n{}", whole.text);
            says.check(&whole.text, whole.headers.get("content-type").map(|v| v.to_str().unwrap()), &what);
            assert!(!whole.headers.contains_key("mcp-session-id"), "{what}");
            // Nothing that a client made up is shown to whoever reads the error.
            assert!(!whole.text.contains("CANARY"), "{what}");
            assert_eq!(whole.headers.get("allow").map(|v| v.to_str().unwrap()), (status == 405).then_some("POST"));
            ran += usize::from(status == 200 && sent.body()["method"] == "tools/call");
        }
        assert_eq!(behind.count("tools/call"), ran, "what was refused was not run");
    }
}

#[tokio::test]
async fn p1_to_p11_what_is_wrong_with_a_legacy_request_is_answered_alike_in_front_of_both_eras() {
    for (server, gateway, behind) in gateways().await {
        for revision in REVISIONS {
            let client = legacy(&gateway, revision, json!({})).await;
            let call =
                json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {}}});
            let of = |method: &str| call.to_string().replace("tools/call", method).into_bytes();
            let unknown = |method: &str| Error(-32601, format!("Method not found: {method}"), Value::Null);
            let mut rows: Vec<(&str, Vec<u8>, u16, Says)> =
                no_messages(&call).into_iter().map(|(row, text, says)| (row, text, 400, says)).collect();
            rows.extend([
                ("P2", b"[]".to_vec(), 400, Nameless(-32600, "Invalid Request: a batch must not be empty")),
                // In a session a 404 would mean that the session is gone.
                ("P7", of("prompts/get"), 200, unknown("prompts/get")),
                ("P7", of("tasks/update"), 200, unknown("tasks/update")),
                ("P7", of("initialize"), 400, invalid("this session is initialized already")),
                ("P11", br#"{"jsonrpc":"2.0","method":"notifications/x"}"#.to_vec(), 202, Nothing),
                ("P11", br#"{"jsonrpc":"2.0","id":"none","result":{}}"#.to_vec(), 202, Nothing),
                (
                    "P11",
                    br#"{"jsonrpc":"2.0","method":"notifications/x","params":[]}"#.to_vec(),
                    400,
                    Nameless(-32600, "Invalid Request: `params` must be an object"),
                ),
                ("P11", br#"{"jsonrpc":"2.0","method":"ping"}"#.to_vec(), 202, Nothing),
            ]);
            if revision >= "2025-06-18" {
                let says = Nameless(-32600, "a batch is not part of this protocol version");
                rows.push(("P2", format!("[{call}]").into_bytes(), 400, says));
            }
            for (row, text, status, says) in rows {
                let what = format!("{server} {revision} {row}: {}", String::from_utf8_lossy(&text));
                let reply = client.post_text(text).await;
                assert_eq!(reply.status, status, "{what}: {}", reply.text());
                says.check(reply.text(), reply.headers.get("content-type").map(|v| v.to_str().unwrap()), &what);
            }
            let gone = Nameless(-32600, "no such session: send `initialize` without `Mcp-Session-Id`");
            let version = Nameless(-32600, "`MCP-Protocol-Version` names no supported version");
            let typed = |kind: &str| client.request(Verb::POST).header("content-type", kind).body(call.to_string());
            for (reply, status, says) in [
                (client.with_session(Some("nobodys")).post(&call).await, 404, gone),
                (client.send(typed("text/plain")).await, 415, NO_JSON),
                (client.send(typed("application/x-www-form-urlencoded")).await, 415, NO_JSON),
                (client.send(client.request(Verb::POST).body(call.to_string())).await, 415, NO_JSON),
                (client.accepting("text/html").post(&call).await, 406, NOT_TAKEN),
                (client.accepting("text/event-stream").post(&call).await, 406, NOT_TAKEN),
                (client.versioned(Some("1999-01-01")).post(&call).await, 400, version.clone()),
                (client.versioned(Some("1999-01-01")).get(None).await, 400, version.clone()),
                (client.versioned(Some("1999-01-01")).delete().await, 400, version),
                (client.with_session(None).get(None).await, 405, ENDPOINT),
                (client.with_session(None).delete().await, 405, ENDPOINT),
                // What no revision has an HTTP method for.
                (client.send(client.request(Verb::PUT)).await, 405, ENDPOINT),
                // Who takes JSON alone is served as far as that goes.
                (client.accepting("application/json").post(&call).await, 200, Answer),
            ] {
                let what = format!("{server} {revision} {status} {says:?}");
                assert_eq!(reply.status, status, "{what}");
                says.check(reply.text(), reply.headers.get("content-type").map(|v| v.to_str().unwrap()), &what);
                assert_eq!(reply.headers.contains_key("allow"), status == 405, "{what}");
            }
        }
        assert_eq!(behind.count("tools/call"), REVISIONS.len(), "{server}: what was refused was not run");
    }
}
/// What fails after a request was sent on is one error under the request's own id (P14).
#[tokio::test]
async fn p14_what_fails_upstream_is_one_error_under_the_requests_id() {
    let new_server = new(json!({"tools": {}}), |seen| async move {
        match seen.body["params"]["name"].as_str() {
            None => listed(&seen, &json!([plain("t")])),
            Some("garbage") => Reply::text(200, "application/json", "{"),
            Some("cut") => Reply::messages(&[]),
            _ => Reply::empty(500),
        }
    })
    .await;
    let old_server = Scripted::start(|seen| async move {
        match (seen.verb.as_str(), seen.body["params"]["name"].as_str()) {
            ("GET", _) => Reply::empty(405),
            ("POST", Some("garbage")) => Reply::text(200, "application/json", "{"),
            ("POST", Some("cut")) => Reply::messages(&[]),
            ("POST", Some("t")) => Reply::empty(500),
            _ if seen.method() == "tools/list" => Reply::json(200, &seen.result(json!({"tools": [plain("t")]}))),
            _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
        }
    })
    .await;
    for server in [&new_server, &old_server] {
        let gateway = gateway_at(server).await;
        let client = legacy(&gateway, LEGACY, json!({})).await;
        for (name, reason) in [("garbage", "upstream_protocol"), ("cut", "stream_lost"), ("t", "upstream_http")] {
            let response = tool(name, json!({})).id("mine").response(&gateway, 200).await;
            assert_eq!((&response["id"], &response["error"]["data"]["reason"]), (&json!("mine"), &json!(reason)));
            let reply = client.call(7, name).await.unwrap();
            assert_eq!(reply.status, 200);
            let response = reply.json();
            assert_eq!((&response["id"], &response["error"]["data"]["reason"]), (&json!(7), &json!(reason)), "{name}");
        }
    }
}
