//! What somebody might try with names and bodies.

use rialto::{app::problem::Kind, protocol::Method};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    app::{App, named, post, scripted, tool},
    assert_problem,
};
use crate::{
    matrix::client::http_client,
    support::{mount, wait::soon},
};

const NAMES: [&str; 13] = [
    "../../admin",
    "__proto__",
    "constructor",
    "a b",
    "tools/{x}",
    "%2e%2e",
    "a%2Fb",
    "a/b",
    "é😀",
    "a\u{0}b",
    "a?b#c",
    "..",
    ".",
];

/// Sends a request line as it is, and gives the whole answer.
async fn send(app: &App, line: &str) -> String {
    let address = app.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn hostile() -> App {
    let tools: Vec<_> = NAMES.iter().map(|name| tool(name)).collect();
    App::of(scripted(json!(tools), |call| async move { mount::says(named(&call)) })).await
}

#[tokio::test]
async fn sec_179_a_name_is_decoded_once_and_then_looked_up_exactly() {
    let app = hostile().await;
    for name in NAMES {
        let answer = send(&app, &format!("POST /api/mounts/docs/tools/{}", encoded(name))).await;
        let said = json!({"content": [{"type": "text", "text": name}]}).to_string();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&said), "{name}: {answer}");
    }
    for (path, status) in [
        // Once, not twice.
        ("tools/a%252Fb", "200"),
        ("tools/a%25252Fb", "404"),
        ("tools/%252e%252e", "200"),
        ("tools/A%20B", "404"),
        ("tools/a+b", "404"),
        ("tools/a%20b%20", "404"),
        ("tools/a%20b/", "404"),
        ("tools/a/b", "404"),
        ("tools/../../admin", "404"),
        ("tools/%ff%fe", "404"),
        ("tools/%c0%ae%c0%ae", "404"),
        ("tools/%zz", "404"),
        ("tools/a%00b%00", "404"),
        ("tools/e%CC%81%F0%9F%98%80", "404"),
        ("prompts/%ff", "404"),
        ("tools/a%20b?debug=1&debug=2", "200"),
    ] {
        let answer = send(&app, &format!("POST /api/mounts/docs/{path}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("application/problem+json") == (status == "404"), "{path}: {answer}");
    }
    for path in [
        "/api/mounts/%64ocs/tools/a%20b",
        "/api/mounts/docs%2f/tools/a%20b",
        "/api/mounts/DOCS/tools/a%20b",
        "/api//mounts/docs/tools/a%20b",
    ] {
        let answer = send(&app, &format!("POST {path}")).await;
        // The name of a mount is decoded like every other part.
        let status = if path.contains("%64") { "200" } else { "404" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn sec_058_no_header_makes_a_request_another_one() {
    let app = hostile().await;
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/api/mounts/other"),
        ("x-rewrite-url", "/readyz"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-host", "evil.example"),
        ("mcp-method", "tools/list"),
        ("mcp-name", "other"),
    ] {
        let request = http_client().post(app.url("/api/mounts/docs/tools/a%20b")).header(name, value);
        assert_eq!(super::app::Answer::of(request).await.ok()["content"][0]["text"], "a b", "{name}");
    }
}

#[tokio::test]
async fn sec_049_hostile_words_stay_inside_their_json() {
    let text = "x\r\nX-Evil: 1\r\n\r\nevent: result\ndata: {}\n\n\u{2028}\u{0}";
    let said = text.to_owned();
    let app = App::of(scripted(json!([tool("echo"), tool("fails")]), move |call| {
        let said = said.clone();
        async move {
            mount::log(&call, "info", &said);
            let is_error = named(&call) == "fails";
            let result = json!({"content": [{"type": "text", "text": said}], "isError": is_error});
            Ok(rialto::hub::Outcome::Complete(crate::support::json::raw(&result)))
        }
    }))
    .await;
    let answer = post(&app.url("/api/mounts/docs/tools/echo"), "{}").await;
    assert_eq!(answer.ok()["content"][0]["text"], text);
    assert_eq!(answer.header("x-evil"), None);
    let failed = post(&app.url("/api/mounts/docs/tools/fails"), "{}").await;
    assert_eq!(assert_problem(&failed, Kind::ToolError)["detail"], text);
    assert_eq!(failed.header("x-evil"), None);
    let request = http_client().post(app.url("/api/mounts/docs/tools/echo")).header("accept", "text/event-stream");
    let events = super::app::Answer::of(request).await.text;
    assert_eq!(events.lines().filter(|line| line.starts_with("event: ")).count(), 2, "{events}");
    assert_eq!(events.lines().filter(|line| line.starts_with("event: result")).count(), 1, "{events}");
}

/// What a server offers to look at stays data: it is handed on as JSON that no browser makes a page of, and no page of ours
/// loads any of it.
#[tokio::test]
async fn sec_123_media_of_servers_are_neither_loaded_nor_shown() {
    const EVIL: &str = "http://evil.example/icon.svg";
    let icons =
        json!([{"src": EVIL, "mimeType": "image/svg+xml"}, {"src": "data:image/svg+xml,<svg onload=alert(1)>"}]);
    let html = "<!doctype html><script>alert(1)</script>";
    let mut tool = tool("show");
    tool["icons"] = icons.clone();
    let app = App::of(scripted(json!([tool]), move |call| {
        let icons = icons.clone();
        async move {
            let uri = call.params.get("uri").and_then(|uri| Some(uri.as_text()?.into_owned())).unwrap_or_default();
            let result = match call.method {
                Method::ResourcesRead => json!({"contents": [{"uri": uri, "mimeType": "text/html", "text": html}]}),
                Method::ResourcesList => json!({"resources": [{"uri": "ui://a", "name": "a", "icons": icons}]}),
                Method::TemplatesList => json!({"resourceTemplates": []}),
                Method::PromptsList => json!({"prompts": [{"name": "p", "icons": icons}]}),
                _ => json!({"content": [{"type": "resource",
                    "resource": {"uri": "ui://a", "mimeType": "text/html;profile=mcp-app", "text": html}}]}),
            };
            Ok(rialto::hub::Outcome::Complete(crate::support::json::raw(&result)))
        }
    }))
    .await;
    let policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    // As a browser asks that is led to the address.
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    for path in ["/resources/read?uri=ui%3A%2F%2Fa", "/resources/read?uri=a.html", "/resources", "/prompts", "/tools"] {
        let path = format!("/api/mounts/docs{path}");
        let request = http_client().get(app.url(&path)).header("accept", browser);
        let answer = super::app::Answer::of(request.header("sec-fetch-dest", "document")).await;
        answer.ok();
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{path}");
        assert_eq!(answer.header("link"), None, "{path}");
    }
    let called = post(&app.url("/api/mounts/docs/tools/show"), "{}").await;
    assert_eq!(called.ok()["content"][0]["resource"]["text"], html);
    assert_eq!(called.header("content-type"), Some("application/json"));
    for path in ["/", "/docs", "/docs/", "/api/mounts/docs/docs"] {
        let page = app.get(path).await;
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
        let from = page.header("content-security-policy").unwrap();
        assert!(from.contains("default-src 'none'") && !from.contains("http") && !from.contains('*'), "{path}: {from}");
        assert!(!page.text.contains("evil.example") && !page.text.contains("alert(1)"), "{path}");
    }
}
