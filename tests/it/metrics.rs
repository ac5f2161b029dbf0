//! What is counted, and who is told.

mod held;
mod log;
mod losses;
mod text;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, middleware::Next, routing::get};
use http::StatusCode;
use http_body_util::BodyExt;
use rialto::{
    Proxy,
    app::Builder,
    auth::Access,
    downstream::Settings,
    hub::{Fault, Forwarding, LifeLimits, Principal, Reason, Verdict},
    protocol::Method,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use tower::ServiceExt;

use crate::{
    matrix::{
        client::{Client, MODERN, http_client},
        process::{Rialto, fixture_command, fixture_path, until},
    },
    upstream_http::{
        discovered,
        scripted::{Reply, Scripted},
    },
};

use text::Scrape;

const LEGACY: &str = "2025-11-25";

/// A fixture server of this revision as a child process.
fn fixture(revision: &str) -> Proxy {
    let program = fixture_path().to_str().unwrap().to_owned();
    Proxy::command(program).args(["--transport", "stdio", "--revision", revision])
}

/// An application behind a socket, for as long as it is kept.
pub(crate) struct App {
    base: String,
    pub(crate) router: Router,
    _serving: JoinSet<()>,
}

impl App {
    pub(crate) async fn start(builder: Builder) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = builder.listener(SocketAddr::from(([127, 0, 0, 1], 0))).build();
        let mut serving = JoinSet::new();
        let served = router.clone();
        serving.spawn(async move { axum::serve(listener, served).await.unwrap() });
        Self { base, router, _serving: serving }
    }

    pub(crate) fn mount(&self, name: &str) -> String {
        format!("{}/mcp/{name}", self.base)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        http_client().get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn scrape(&self) -> Scrape {
        let response = self.get("/metrics").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Scrape::read(&response.text().await.unwrap())
    }

    /// Waits for a scrape in which something is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Scrape) -> bool) {
        until(what, || async { is_so(&self.scrape().await) }).await;
    }
}

#[tokio::test]
async fn calls_of_both_eras_are_counted_exactly() {
    let app =
        App::start(rialto::Rialto::builder().mount("old", fixture(LEGACY)).mount("new", fixture(MODERN)).local()).await;
    for (mount, revision, echoes) in [("old", LEGACY, 3), ("old", MODERN, 4), ("new", LEGACY, 5), ("new", MODERN, 6)] {
        let client = Client::connect(&app.mount(mount), revision).await;
        for n in 0..echoes {
            assert_eq!(client.call("echo", json!({ "text": n.to_string() })).await.said(), n.to_string());
        }
        assert_eq!(client.call("fail", json!({})).await.result()["isError"], true);
        assert_eq!(client.call("echo", json!({})).await.error()["code"], -32602);
        client.request("tools/list", json!({})).await.result();
        client.close().await;
    }
    let scrape = app.scrape().await;
    for (mount, echoes) in [("old", 7), ("new", 11)] {
        assert_eq!(scrape.calls(mount, "tools/call", "ok"), echoes, "{mount}");
        assert_eq!(scrape.calls(mount, "tools/call", "tool_error"), 2, "{mount}");
        assert_eq!(scrape.calls(mount, "tools/call", "invalid_params"), 2, "{mount}");
        assert_eq!(scrape.calls(mount, "tools/list", "ok"), 2, "{mount}");
        let labels = [("mount", mount), ("method", "tools/call")];
        assert_eq!(scrape.value("rialto_call_duration_seconds_count", &labels), echoes + 4, "{mount}");
        assert_eq!(scrape.value("rialto_calls_in_flight", &[("mount", mount)]), 0, "{mount}");
        assert_eq!(scrape.value("rialto_mount_health", &[("mount", mount), ("state", "up")]), 1, "{mount}");
        assert_eq!(scrape.value("rialto_mount_health", &[("mount", mount), ("state", "down")]), 0, "{mount}");
        assert_eq!(scrape.value("rialto_sessions", &[("mount", mount)]), 0, "{mount}: the client ended it");
    }
    // Nothing was counted that is not told above.
    assert_eq!(scrape.sum("rialto_calls_total"), 18 + 4 + 4 + 4);
    assert_eq!(scrape.value("rialto_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1);
    assert!(scrape.value("process_start_time_seconds", &[]) > 1_700_000_000);
    let unit = |name: &str| scrape.families[name].unit.clone();
    assert_eq!(unit("rialto_call_duration_seconds").as_deref(), Some("seconds"));
}

#[tokio::test]
async fn what_runs_is_shown_until_it_is_over() {
    let app =
        App::start(rialto::Rialto::builder().mount("new", fixture(MODERN)).mount("old", fixture(LEGACY)).local()).await;
    for (mount, revision) in [("new", MODERN), ("old", LEGACY)] {
        let client = Client::connect(&app.mount(mount), revision).await;
        let (id, waiting) = client.start("slow", json!({ "steps": 1000, "ms": 100 }));
        let in_flight = |scrape: &Scrape| scrape.value("rialto_calls_in_flight", &[("mount", mount)]);
        app.until("a call in flight", |scrape| in_flight(scrape) == 1).await;
        let sessions = app.scrape().await.value("rialto_sessions", &[("mount", mount)]);
        assert_eq!(sessions, u64::from(!client.is_modern()), "{mount}");
        // A modern client leaves by closing its stream, a legacy one says that it cancels.
        if client.is_modern() {
            waiting.abort();
        } else {
            let id: Value = serde_json::from_str(&id).unwrap();
            client.notify("notifications/cancelled", Some(json!({ "requestId": id }))).await;
        }
        app.until("the call to be over", |scrape| in_flight(scrape) == 0).await;
        let scrape = app.scrape().await;
        assert_eq!(scrape.calls(mount, "tools/call", "abandoned"), 1, "{mount}");
        waiting.abort();
    }
}

#[tokio::test]
async fn a_call_that_asks_is_shown_as_asking_and_parked() {
    let app = App::start(rialto::Rialto::builder().mount("old", fixture(LEGACY)).local()).await;
    let client = Client::connect(&app.mount("old"), MODERN).await;
    // The first leg of a modern client: the server's question comes back, and the call waits for the answer.
    let asking = |scrape: &Scrape| {
        let of_mount = |name: &str| scrape.value(name, &[("mount", "old")]);
        let parked = scrape.value("rialto_parked_calls", &[]);
        (of_mount("rialto_calls_in_flight"), of_mount("rialto_calls_asking"), parked)
    };
    assert_eq!(asking(&app.scrape().await), (0, 0, 0));
    let first = http_client()
        .post(app.mount("old"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "ask")
        .body(ask(&json!({})).to_string())
        .send()
        .await
        .unwrap();
    let first = last_message(&first.text().await.unwrap());
    assert_eq!(first["result"]["resultType"], "input_required", "{first}");
    assert_eq!(asking(&app.scrape().await), (1, 1, 1));

    let key = first["result"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let answered = json!({
        "inputResponses": { key: { "action": "decline" } },
        "requestState": first["result"]["requestState"],
    });
    let second = http_client()
        .post(app.mount("old"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "ask")
        .body(ask(&answered).to_string())
        .send()
        .await
        .unwrap();
    let second = last_message(&second.text().await.unwrap());
    assert_eq!(second["result"]["resultType"], "complete", "{second}");
    app.until("nothing to be asked", |scrape| asking(scrape) == (0, 0, 0)).await;
    let scrape = app.scrape().await;
    assert_eq!(
        scrape.sum("rialto_calls_total"),
        scrape.calls("old", "tools/call", "ok") + scrape.calls("old", "tools/call", "tool_error")
    );
    assert_eq!(scrape.sum("rialto_calls_total"), 1, "two requests, and one call");
    let answered = [("mount", "old"), ("question", "elicitation/create"), ("ending", "answered")];
    assert_eq!((scrape.value("rialto_questions_total", &answered), scrape.sum("rialto_questions_total")), (1, 1));
    client.close().await;
}

/// What is put up with is counted, so that whoever runs such a server can learn of it.
#[tokio::test]
async fn era_276_429_449_what_servers_do_against_the_protocol_is_counted() {
    let server = Scripted::greeting(
        |seen| match seen.method() {
            "server/discover" => Some(discovered(seen)),
            "tools/list" => {
                let list = json!({"resultType": "complete", "tools": [], "ttlMs": 60_000, "cacheScope": "private"});
                Some(Reply::json(200, &seen.result(list)))
            }
            _ => None,
        },
        |seen| async move {
            let said = json!({"resultType": "complete", "content": [{"type": "text", "text": "ok"}]});
            match seen.body["params"]["name"].as_str() {
                Some("unsaid") => Reply::json(200, &seen.result(json!({"content": said["content"]}))),
                Some("stray") => {
                    let foreign = json!({"jsonrpc": "2.0", "id": 999_999, "result": said});
                    Reply::messages(&[foreign, seen.result(said)])
                }
                Some("task") => Reply::json(200, &seen.result(json!({"resultType": "task", "taskId": "t"}))),
                _ => Reply::json(200, &seen.error(-32601, "Method not found")),
            }
        },
    )
    .await;
    let app = App::start(rialto::Rialto::builder().mount("docs", Proxy::to(server.url())).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    for (name, times) in [("unsaid", 3), ("stray", 2), ("task", 1)] {
        for _ in 0..times {
            match name {
                "task" => assert_eq!(client.call(name, json!({})).await.error()["data"]["reason"], "upstream_protocol"),
                name => assert_eq!(client.call(name, json!({})).await.said(), "ok"),
            }
        }
    }
    let scrape = app.scrape().await;
    for (kind, times) in [("no_result_type", 3), ("stray_message", 2), ("undeclared_task", 1)] {
        let labels = [("mount", "docs"), ("kind", kind)];
        assert_eq!(scrape.value("rialto_upstream_oddities_total", &labels), times, "{kind}");
    }
    assert_eq!(scrape.sum("rialto_upstream_oddities_total"), 6);
}

/// A call of the tool that asks, by a client that answers forms.
fn ask(more: &Value) -> Value {
    let mut params = json!({
        "name": "ask", "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": { "name": "client", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "form": {} } },
        },
    });
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
}

/// The last message of an answer, whether it is a stream or not.
fn last_message(text: &str) -> Value {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(text);
    serde_json::from_str(data).unwrap()
}

/// A mount whose calls end as the name of their tool says.
fn scripted() -> Proxy {
    fixture(MODERN).before_forward(|forwarding: Forwarding| async move {
        let call = forwarding.call;
        let name = call.params.get("name").and_then(|name| name.as_text()).unwrap_or_default().into_owned();
        if call.method != Method::ToolsCall {
            return Ok(Verdict::Forward(call));
        }
        if let Some(reason) = Reason::ALL.iter().find(|reason| reason.as_str() == name) {
            return Err(Fault::gateway(*reason, "as the test wants"));
        }
        match name.parse::<i64>() {
            Ok(code) => Err(Fault::error(code, "as the test wants")),
            Err(_) if name == "panics" => panic!("as the test wants"),
            Err(_) if name == "hangs" => std::future::pending().await,
            Err(_) => Ok(Verdict::Forward(call)),
        }
    })
}

#[tokio::test]
async fn every_way_to_fail_has_a_name_of_its_own() {
    let app = App::start(rialto::Rialto::builder().mount("docs", scripted()).local()).await;
    let client = Client::connect(&app.mount("docs"), LEGACY).await;
    for reason in Reason::ALL {
        client.call(reason.as_str(), json!({})).await.error();
    }
    let codes = [
        (-32602, "invalid_params"),
        (-32601, "method_not_found"),
        (-32600, "invalid_request"),
        (-32603, "internal_error"),
        (-32002, "resource_not_found"),
        (-32042, "url_elicitation_required"),
        (-1, "other_error"),
    ];
    for (code, _) in codes {
        client.call(&code.to_string(), json!({})).await.error();
    }
    let scrape = app.scrape().await;
    for reason in Reason::ALL {
        assert_eq!(scrape.calls("docs", "tools/call", reason.as_str()), 1, "{reason:?}");
    }
    for (code, outcome) in codes {
        assert_eq!(scrape.calls("docs", "tools/call", outcome), 1, "{code}");
    }
    assert_eq!(scrape.value("rialto_calls_in_flight", &[("mount", "docs")]), 0);
}

#[tokio::test]
async fn a_timeout_is_counted_as_one() {
    let life = LifeLimits { silent: Duration::from_millis(100), total: Duration::from_secs(60) };
    let settings = Settings { life, ..Settings::default() };
    let app = App::start(rialto::Rialto::builder().mount("docs", scripted()).settings(settings).local()).await;
    for revision in [LEGACY, MODERN] {
        let client = Client::connect(&app.mount("docs"), revision).await;
        assert_eq!(client.call("hangs", json!({})).await.error()["data"]["reason"], "timeout");
    }
    let scrape = app.scrape().await;
    assert_eq!(scrape.calls("docs", "tools/call", "timeout"), 2);
    let labels = [("mount", "docs"), ("method", "tools/call"), ("le", "0.05")];
    assert_eq!(scrape.value("rialto_call_duration_seconds_bucket", &labels), 0, "it took longer");
    assert_eq!(scrape.value("rialto_calls_in_flight", &[("mount", "docs")]), 0);
}

/// Sends a request past every socket.
async fn send(app: &App, request: http::request::Builder, body: impl Into<Body>) -> (StatusCode, String) {
    let request = request.header("host", "localhost").body(body.into()).unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn sec_153_what_nobody_knows_makes_no_series() {
    let app = App::start(rialto::Rialto::builder().mount("docs", scripted()).mount("more", scripted()).local()).await;
    // Everything that can be seen has been seen once.
    let client = Client::connect(&app.mount("docs"), LEGACY).await;
    client.request("x/unknown", json!({})).await;
    client.call("-1", json!({})).await.error();
    client.call("-32602", json!({})).await.error();
    app.get("/mcp/none").await;
    app.get("/none").await;
    app.get("/api/mounts/none").await;
    let before = app.scrape().await;
    let before_len = app.scrape().await.len();
    assert!(before_len < 250, "{before_len}");

    let session = client.session().unwrap().to_owned();
    for n in 0..10_000 {
        let request = Request::post("/mcp/docs")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("user-agent", format!("agent/{n}"))
            .header("mcp-session-id", &session);
        let (method, params) = match n % 2 {
            0 => (format!("x/{n}"), json!({})),
            _ => ("tools/call".to_owned(), json!({ "name": format!("-{n}") })),
        };
        let body = json!({ "jsonrpc": "2.0", "id": format!("many-{n}"), "method": method, "params": params });
        // The first half of the calls never reaches a server; a call of an unknown method would, and tells nothing more.
        if n % 2 == 1 || n < 100 {
            send(&app, request, body.to_string()).await;
        }
        let path = match n % 3 {
            0 => format!("/mcp/none-{n}"),
            1 => format!("/page-{n}"),
            _ => format!("/api/mounts/none-{n}"),
        };
        send(&app, Request::get(path), Body::empty()).await;
    }
    let after = app.scrape().await;
    assert_eq!(after.len(), before_len, "{:?}", after.values_of("route").difference(&before.values_of("route")));
    assert!(after.calls("docs", "tools/call", "other_error") >= 4_000);
    assert!(after.values_of("method").contains("other"));
    assert!(after.value("rialto_http_requests_total", &[("route", "other"), ("mount", ""), ("status", "4xx")]) > 3_000);
    client.close().await;
}

/// Middleware that does what the authentication layer does.
async fn sign_in(mut request: Request, next: Next) -> axum::response::Response {
    let name = request.headers().get("x-key").and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned();
    let access = match &*name {
        "" => return axum::response::IntoResponse::into_response(StatusCode::UNAUTHORIZED),
        "all" => Access::to_all(Principal::new("CANARY_operator")),
        mount => Access::only(Principal::new("CANARY_reader"), [mount]),
    };
    request.extensions_mut().insert(access);
    next.run(request).await
}

#[tokio::test]
async fn sec_152_a_scrape_tells_each_key_of_its_own_mounts_and_nobody_of_anybody() {
    let builder = rialto::Rialto::builder()
        .mount("docs", scripted())
        .mount("files", scripted())
        .layer(axum::middleware::from_fn(sign_in));
    let app = App::start(builder).await;
    for mount in ["docs", "files"] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": {} });
        let request =
            Request::post(format!("/mcp/{mount}")).header("x-key", "all").header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        send(&app, request, body.to_string()).await;
    }
    assert_eq!(send(&app, Request::get("/metrics"), Body::empty()).await.0, StatusCode::UNAUTHORIZED);

    let scrape = async |key: &str| {
        let (status, text) = send(&app, Request::get("/metrics").header("x-key", key), Body::empty()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!text.contains("CANARY") && !text.contains("fixture") && !text.contains("://"), "{text}");
        Scrape::read(&text)
    };
    let all = scrape("all").await;
    assert!(all.values_of("mount").is_superset(&["docs", "files"].into()));
    let refused = [("reason", "unauthenticated")];
    assert_eq!(all.value("rialto_http_refusals_total", &refused), 1);
    let docs = scrape("docs").await;
    assert_eq!(docs.values_of("mount"), ["docs"].into());
    assert_eq!(docs.values_of("route"), ["/mcp/{mount}"].into());
    for whole in ["rialto_http_refusals", "rialto_parked_calls", "rialto_subscriptions"] {
        assert!(all.families.contains_key(whole) && !docs.families.contains_key(whole), "{whole}");
    }
    assert_eq!(scrape("nothing").await.values_of("mount"), [].into());
}

#[tokio::test]
async fn requests_are_counted_by_route_and_class() {
    let gate = Arc::new(Notify::new());
    let waits = gate.clone();
    let custom = Router::new()
        .route("/invoices/{id}", get(async || "an invoice"))
        .route("/breaks", get(async || StatusCode::BAD_GATEWAY))
        .route("/waits", get(async move || waits.notified().await));
    let app = App::start(rialto::Rialto::builder().mount("docs", scripted()).routes(custom).local()).await;
    for path in
        ["/", "/healthz", "/invoices/1", "/invoices/2", "/breaks", "/none", "/mcp/docs", "/mcp/docs/", "/mcp/none"]
    {
        app.get(path).await;
    }
    let count = |scrape: &Scrape, route: &str, mount: &str, status: &str| {
        scrape.value("rialto_http_requests_total", &[("route", route), ("mount", mount), ("status", status)])
    };
    let scrape = app.scrape().await;
    for (route, mount, status, expected) in [
        ("/", "", "2xx", 1),
        ("/healthz", "", "2xx", 1),
        ("custom", "", "2xx", 2),
        ("custom", "", "5xx", 1),
        ("other", "", "4xx", 1),
        ("/mcp/{mount}", "docs", "4xx", 2),
        ("/mcp/{*path}", "", "4xx", 1),
    ] {
        assert_eq!(count(&scrape, route, mount, status), expected, "{route} {status}");
    }
    // Who leaves before the answer is counted as well.
    let waiting = http_client().get(format!("{}/waits", app.base));
    assert!(waiting.timeout(Duration::from_millis(100)).send().await.is_err());
    app.until("the request to be given up", |scrape| count(scrape, "other", "", "aborted") == 1).await;
    gate.notify_waiters();
}

#[tokio::test]
async fn metrics_can_be_left_out() {
    let config = json!({
        "mcpServers": { "docs": fixture_command(&["--revision", MODERN]) },
        "rialto": { "metrics": false },
    });
    let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
    let get = async |path: &str| http_client().get(format!("{}{path}", rialto.base)).send().await.unwrap();
    assert_eq!(get("/metrics").await.status(), StatusCode::NOT_FOUND);
    assert!(!get("/").await.text().await.unwrap().contains("/metrics"));
}
