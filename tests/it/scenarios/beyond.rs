//! What no revision defines, and what none should do.

use std::sync::atomic::{AtomicUsize, Ordering};

use rialto::{Proxy, Rialto};

use super::*;
use crate::matrix::client::http_client;

#[tokio::test]
async fn era_411_a_resource_that_a_modern_server_has_not() {
    let server = new(json!({"resources": {}}), |seen| async move {
        let mut error = seen.error(-32602, "Resource not found");
        error["error"]["data"] = json!({"uri": "a:b"});
        Reply::json(200, &error)
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, json!({})).await;
    let reply = client.ask(1, "resources/read", json!({"uri": "a:b"})).await;
    assert_eq!(reply.status, 200);
    let expected = json!({"code": -32602, "message": "Resource not found", "data": {"uri": "a:b"}});
    assert_eq!(reply.json()["error"], expected);
    assert_eq!(modern("resources/read", json!({"uri": "a:b"})).error(&gateway, 200, -32602).await, expected);
}

#[tokio::test]
async fn era_436_methods_that_no_revision_defines_pass() {
    let new_server = new(json!({}), |seen| async move {
        let params = seen.body["params"]["acme"].clone();
        Reply::json(200, &seen.result(json!({"resultType": "complete", "acme": params})))
    })
    .await;
    let old_server = Old::start(Like { capabilities: json!({}), ..Like::default() }, |call: Arrived| async move {
        Ok(json!({"acme": call.seen.body["params"]["acme"]}))
    })
    .await;
    for (server, is_modern) in [(&new_server, true), (&old_server.scripted, false)] {
        let gateway = gateway_at(server).await;
        let client = legacy(&gateway, LEGACY, json!({})).await;
        let response = modern("acme/do", json!({"acme": {"n": 1}})).response(&gateway, 200).await;
        assert_eq!(
            (&response["result"]["acme"], &response["result"]["resultType"]),
            (&json!({"n": 1}), &json!("complete"))
        );
        let response = client.ask(1, "acme/do", json!({"acme": {"n": 2}})).await.json();
        assert_eq!(response["result"], json!({"acme": {"n": 2}}));
        for (n, seen) in server.seen().into_iter().filter(|s| s.method() == "acme/do").enumerate() {
            assert_eq!(seen.body["params"]["acme"], json!({"n": n + 1}));
            let version = &seen.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
            let expected = if is_modern { (json!(MODERN), Some("acme/do")) } else { (Value::Null, None) };
            assert_eq!((version, seen.header("mcp-method")), (&expected.0, expected.1), "{:?}", seen.body);
            assert_eq!(seen.header("mcp-name"), None);
        }
    }
    // Legacy servers have several words for what they do not know; the modern era has one.
    for code in [-32600, -32601, -32602] {
        let server =
            Old::start(Like::default(), move |_| async move { Err(json!({"code": code, "message": "?"})) }).await;
        let gateway = gateway_at(&server.scripted).await;
        modern("acme/do", json!({})).error(&gateway, 404, -32601).await;
        let client = legacy(&gateway, LEGACY, json!({})).await;
        assert_eq!(client.ask(1, "acme/do", json!({})).await.fault(), (200, code));
    }
}

#[tokio::test]
async fn era_441_revisions_that_nobody_knows_here_do_not_matter() {
    // The server of these tests names some.
    let server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { says(&seen, "ran") }
    })
    .await;
    let gateway = gateway_at(&server).await;
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "ran");
    let discovered = modern("server/discover", json!({})).response(&gateway, 200).await;
    assert_eq!(discovered["result"]["supportedVersions"], json!([MODERN]), "ours, not the server's");
    assert_eq!(calls_with(&server, "mcp-protocol-version"), [MODERN]);
}

fn calls_with(server: &Scripted, header: &str) -> Vec<String> {
    let calls = server.seen().into_iter().filter(|seen| seen.method() == "tools/call");
    calls.filter_map(|seen| seen.header(header).map(str::to_owned)).collect()
}

#[tokio::test]
async fn era_442_large_results_pass_whole() {
    const SIZE: usize = 10 << 20;
    let large = || "x".repeat(SIZE);
    let new_server = new(json!({"tools": {}}), move |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { says(&seen, &large()) }
    })
    .await;
    let old_server = Old::start(Like::default(), move |_| async move { text(large()) }).await;
    for server in [&new_server, &old_server.scripted] {
        let gateway = gateway_at(server).await;
        assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await).len(), SIZE);
        let client = legacy(&gateway, LEGACY, json!({})).await;
        assert_eq!(said(&client.call(1, "t").await.unwrap().json()).len(), SIZE);
    }
}

#[tokio::test]
async fn era_452_schemas_elsewhere_are_not_fetched() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let elsewhere = Scripted::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Reply::text(200, "application/json", "{}") }
    })
    .await;
    let schema = json!({"type": "object", "properties": {"x": {"$ref": elsewhere.url()}}, "$schema": elsewhere.url()});
    let tools = json!([{"name": "t", "inputSchema": schema, "outputSchema": schema}]);
    let listing = tools.clone();
    let new_server = new(json!({"tools": {}}), move |seen| {
        let tools = listing.clone();
        async move { if seen.method() == "tools/list" { listed(&seen, &tools) } else { says(&seen, "ran") } }
    })
    .await;
    let old_server = Old::start(Like { tools: tools.clone(), ..Like::default() }, |_| async { text("ran") }).await;
    for server in [&new_server, &old_server.scripted] {
        let gateway = gateway_at(server).await;
        let list = modern("tools/list", json!({})).response(&gateway, 200).await;
        assert_eq!(list["result"]["tools"], tools);
        assert_eq!(said(&tool("t", json!({"x": 1})).response(&gateway, 200).await), "ran");
        let client = legacy(&gateway, LEGACY, json!({})).await;
        let list = client.ask(1, "tools/list", json!({})).await.json();
        assert_eq!(list["result"]["tools"], tools);
        client.call(2, "t").await.unwrap();
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn era_457_a_server_of_a_draft_is_told_apart() {
    let server = Scripted::start(|seen| async move {
        let mut error = seen.error(-32004, "Unsupported protocol version");
        error["error"]["data"] = json!({"supported": ["DRAFT-2026-v1"], "requested": MODERN});
        Reply::json(400, &error)
    })
    .await;
    let gateway = gateway_at(&server).await;
    let error = tool("t", json!({})).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "upstream_version", "{error}");
    let client = Client::new(gateway.url("docs"));
    let reply = client.initialize(LEGACY, json!({})).await;
    assert_eq!(reply.json()["error"]["data"]["reason"], "upstream_version");
    assert!(server.seen().len() < 12, "{:?}", server.trail());
    assert_eq!(server.count("tools/call"), 0);
}

#[tokio::test]
async fn era_465_only_names_of_this_machine_are_served_on_loopback() {
    let server = new(json!({"tools": {}}), |seen| async move { listed(&seen, &json!([plain("t")])) }).await;
    let app = Rialto::builder().mount("docs", Proxy::to(server.url())).local().build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}}});
    let own = format!("localhost:{port}");
    for (host, origin, status) in [
        ("evil.example.com", None, 403),
        ("evil.example.com", Some("http://evil.example.com".to_owned()), 403),
        (&own, Some("http://evil.example.com".to_owned()), 403),
        (&own, None, 200),
        (&own, Some(format!("http://{own}")), 200),
    ] {
        let mut request = http_client()
            .post(format!("http://127.0.0.1:{port}/mcp/docs"))
            .header("host", host)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", "tools/list");
        if let Some(origin) = &origin {
            request = request.header("origin", origin);
        }
        let response = request.body(list.to_string()).send().await.unwrap();
        assert_eq!(response.status(), status, "{host} {origin:?}");
    }
    serving.abort();
}
