//! The access log: one line a request, and nothing in it that should not be.

use axum::{Router, body::Body, routing::get};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{matrix::client::MODERN, support::log::Written};

use super::scripted;

async fn send(router: &Router, request: http::request::Builder, body: impl Into<Body>) {
    let request = request.header("host", "localhost").body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
}

fn router() -> Router {
    let custom = Router::new().route("/hello", get(async || "hello"));
    rialto::Rialto::builder().mount("docs", scripted()).routes(custom).local().build()
}

#[tokio::test]
async fn sec_126_a_request_is_one_line_that_nothing_breaks() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("rialto::access=debug")
        .with_writer(move || writer.clone())
        .finish();
    let _logging = crate::support::log::listen(subscriber);
    let router = router();

    let mcp = |method: &str| {
        Request::post("/mcp/docs?key=CANARY_query")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", "Bearer CANARY_token")
            .header("cookie", "CANARY_cookie")
            .header("user-agent", "CANARY_agent")
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method)
    };
    let message = |method: &str| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "CANARY_client", "version": "1" },
        });
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "name": "CANARY_tool", "_meta": meta } })
            .to_string()
    };
    send(&router, mcp("server/discover"), message("server/discover")).await;
    send(&router, mcp("x/CANARY_method"), message("x/CANARY_method")).await;
    send(&router, Request::get("/hello"), Body::empty()).await;
    send(&router, Request::get("/nothing/%0d%0a%1b[2J\u{202e}here"), Body::empty()).await;
    send(&router, Request::get(format!("/{}", "a".repeat(5000))), Body::empty()).await;

    let text = written.text();
    assert!(!text.contains("CANARY"), "{text}");
    assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5, "{text}");
    let field = |line: usize, name: &str| lines[line]["fields"][name].clone();
    for (line, name, expected) in [
        (0, "verb", json!("\"POST\"")),
        (0, "route", json!("/mcp/{mount}")),
        (0, "mount", json!("docs")),
        (0, "method", json!("server/discover")),
        (0, "principal", json!("\"local\"")),
        (0, "status", json!(200)),
        (0, "path", json!("\"/mcp/docs\"")),
        (1, "method", json!("other")),
        (2, "route", json!("custom")),
        (2, "bytes", json!(5)),
        (3, "route", json!("other")),
        (3, "status", json!(404)),
    ] {
        assert_eq!(field(line, name), expected, "{line} {name}: {text}");
    }
    assert!(field(0, "ms").as_f64().is_some_and(|ms| ms > 0.0));
    assert!(field(4, "path").as_str().is_some_and(|path| path.len() < 300), "{text}");
}

#[tokio::test]
async fn nothing_is_noted_while_nobody_reads_it() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter("info").with_writer(move || writer.clone()).finish();
    let _logging = crate::support::log::listen(subscriber);
    send(&router(), Request::get("/hello"), Body::empty()).await;
    assert!(!written.text().contains("/hello"), "{}", written.text());
}

#[tokio::test]
async fn sec_095_a_stream_is_not_held_back_by_its_line() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("rialto::access=debug")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = crate::support::log::listen(subscriber);
    let router = router();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "steps",
    });
    let params = json!({ "name": "slow", "arguments": { "steps": 3, "ms": 20 }, "_meta": meta });
    let request = Request::post("/mcp/docs")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "slow")
        .body(Body::from(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()))
        .unwrap();
    let mut body = router.oneshot(request).await.unwrap().into_body();
    let mut length = 0;
    let mut events = 0;
    while let Some(frame) = body.frame().await {
        assert_eq!(written.text(), "", "the line comes when the answer has ended");
        let data = frame.unwrap().into_data().unwrap();
        length += data.len();
        events += 1;
    }
    drop(body);
    assert!(events > 2, "the events came one by one: {events}");
    let line = written.text();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(&format!("bytes={length} ")) && line.contains("method=\"tools/call\""), "{line}");
}
