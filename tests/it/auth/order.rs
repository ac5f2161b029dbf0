//! In which order a request is checked: what comes first is answered first, and whoever is refused early learns nothing of
//! what would have come later.

use serde_json::{Value, json};

use super::kit::{App, bearer};
use crate::listener::raw::Answer;

/// A fault by its name, and how it is answered: the status, and the JSON-RPC code and message where it has them.
type Fault = (&'static str, u16, Option<(i64, &'static str)>);

/// What may be wrong with a request, in the order in which it is found out.
const FAULTS: [Fault; 15] = [
    ("host", 403, None),
    ("origin", 403, None),
    ("no key", 401, None),
    ("another key", 401, None),
    ("somebody who may not", 403, None),
    ("content type", 415, None),
    ("accept", 406, None),
    ("length", 413, None),
    ("no JSON", 400, Some((-32700, "Parse error: not valid JSON at byte 1"))),
    ("no message", 400, Some((-32600, "Invalid Request: a message is a JSON object"))),
    ("envelope", 400, Some((-32602, "missing in `_meta`: io.modelcontextprotocol/clientCapabilities"))),
    ("version", 400, Some((-32022, "Unsupported protocol version"))),
    ("headers", 400, Some((-32020, "Header mismatch: header `mcp-method` differs from the body"))),
    ("method", 404, Some((-32601, "Method not found: ping"))),
    ("state", 200, Some((-32602, "Invalid or expired requestState"))),
];

/// A modern call in which everything is wrong from this fault on, and nothing before it.
fn request(app: &App, mount: &str, from: &str) -> String {
    let first = FAULTS.iter().position(|(fault, ..)| *fault == from).unwrap_or(FAULTS.len());
    let wrong = |fault: &str| FAULTS.iter().position(|(name, ..)| *name == fault).unwrap() >= first;
    let version = if wrong("version") { "2099-01-01" } else { "2026-07-28" };
    let mut meta = json!({"io.modelcontextprotocol/protocolVersion": version});
    if !wrong("envelope") {
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
    }
    let mut params = json!({"_meta": meta, "name": "secret_tool", "arguments": {}});
    if wrong("state") {
        params["requestState"] = json!("g1.AAAA");
        params["inputResponses"] = json!({});
    }
    let method = if wrong("method") { "ping" } else { "tools/call" };
    let body = match () {
        () if wrong("no JSON") => "{".to_owned(),
        () if wrong("no message") => "7".to_owned(),
        () => json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string(),
    };
    // What is too long is refused by what it says of itself.
    let (length, body) = if wrong("length") { (1 << 30, String::new()) } else { (body.len(), body) };
    let key = match () {
        () if wrong("no key") => String::new(),
        () if wrong("another key") => bearer("wrong"),
        () if wrong("somebody who may not") => bearer(&app.bob),
        () => bearer(&app.alice),
    };
    let pick = |fault: &str, bad: &'static str, good: &'static str| if wrong(fault) { bad } else { good };
    let host = pick("host", "evil.example", "localhost");
    let origin = pick("origin", "origin: https://evil.example\r\n", "");
    let kind = pick("content type", "text/plain", "application/json");
    let accept = pick("accept", "text/html", "application/json, text/event-stream");
    let named = if wrong("headers") { "tools/list" } else { method };
    format!(
        "POST /mcp/{mount} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{origin}{key}content-type: {kind}\r\n\
         accept: {accept}\r\ncontent-length: {length}\r\nmcp-protocol-version: {version}\r\nmcp-method: {named}\r\n\
         mcp-name: secret_tool\r\n\r\n{body}"
    )
}

fn error(answer: &Answer) -> Value {
    serde_json::from_str::<Value>(answer.body()).unwrap_or_else(|e| panic!("{e}: {answer:?}"))["error"].clone()
}

#[tokio::test]
async fn what_is_wrong_first_is_answered_first() {
    let app = App::start().await;
    for (fault, status, says) in FAULTS {
        // Bob may use `docs` and not this one.
        let answer = app.send(request(&app, "finance", fault)).await;
        assert_eq!(answer.status, status, "{fault}: {answer:?}");
        if let Some((code, message)) = says {
            let error = error(&answer);
            assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(message)), "{fault}");
        }
        assert!(app.is_untouched(), "{fault}: the server has heard of it");
    }
    let answer = app.send(request(&app, "finance", "nothing")).await;
    assert!(answer.status == 200 && error(&answer).is_null(), "{answer:?}");
    assert!(!app.is_untouched());
}

/// Without a key everything is the same refusal, whatever else is wrong or right with it.
#[tokio::test]
async fn whoever_has_no_key_learns_nothing() {
    let app = App::start().await;
    for (from, instead) in [("no key", ""), ("another key", "authorization: Bearer wrong\r\n")] {
        let mut told = Vec::new();
        for mount in ["docs", "finance"] {
            told.push(app.send(request(&app, mount, from)).await);
            for (fault, ..) in FAULTS.iter().skip(5).chain([&("nothing", 0, None)]) {
                for verb in ["POST", "GET", "DELETE", "PUT", "OPTIONS", "BREW"] {
                    let message = request(&app, mount, fault).replace(&bearer(&app.alice), instead);
                    told.push(app.send(message.replacen("POST", verb, 1)).await);
                }
            }
        }
        let plain = |answer: &Answer| {
            let text = answer.text.to_lowercase();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let mut head: Vec<_> = head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
            head.sort_unstable();
            (head, body.to_owned())
        };
        for answer in &told {
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(plain(answer), plain(&told[0]));
        }
    }
    assert!(app.is_untouched());
}
