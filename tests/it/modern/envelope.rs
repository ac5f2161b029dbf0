//! Which requests are let in, and what the others get.

use std::sync::Arc;

use http::Method;
use rialto::{hub::Fault, jsonrpc::ErrorObject};
use serde_json::{Value, json};

use crate::support::{
    client::{modern, tool},
    gateway::Gateway,
    mount::{Scripted, says, with_tasks},
};

#[tokio::test]
async fn era_106_107_requests_without_an_envelope_hear_what_is_missing() {
    let (gateway, mount) = Gateway::plain().await;
    let (version, capabilities) =
        ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities");
    let bare = |method: &str| {
        let sent = modern(method, json!({}));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method});
        sent.text(body.to_string())
    };
    for sent in [bare("tools/list"), bare("server/discover").without("mcp-protocol-version").without("mcp-method")] {
        let error = sent.error(&gateway, 400, -32602).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(version) && message.contains(capabilities), "{message}");
    }
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_108_109_the_envelope_has_to_be_whole() {
    let (gateway, mount) = Gateway::plain().await;
    let key = |name: &str| format!("io.modelcontextprotocol/{name}");
    let list = || modern("tools/list", json!({}));
    let broken = [
        ("ERA-108", list().meta(&key("clientCapabilities"), Value::Null)),
        ("a list", list().meta(&key("clientCapabilities"), json!([]))),
        ("no version", list().meta(&key("clientInfo"), json!({"name": "x"}))),
        ("a text", list().meta(&key("clientInfo"), json!("x"))),
        ("a number", list().meta(&key("protocolVersion"), json!(20_260_728))),
        ("an unknown level", list().level("loud")),
        ("a fraction", list().token(1.5)),
        ("no object", list().param("_meta", json!([]))),
    ];
    for (what, sent) in broken {
        let error = sent.error(&gateway, 400, -32602).await;
        assert!(error["message"].as_str().unwrap().contains('`') || what == "ERA-108", "{what}: {error}");
    }
    assert_eq!(mount.counts().begun, 0);
    list().meta(&key("clientInfo"), Value::Null).response(&gateway, 200).await;
    assert_eq!(mount.last().caller.client_info, None, "ERA-109");
}

#[tokio::test]
async fn era_110_other_versions_hear_which_are_served() {
    let (gateway, _) = Gateway::plain().await;
    let discovered = modern("server/discover", json!({})).response(&gateway, 200).await;
    let served = discovered["result"]["supportedVersions"].clone();
    for version in ["2099-01-01", "2025-11-25", "tomorrow"] {
        let sent = modern("tools/list", json!({}))
            .header("mcp-protocol-version", version)
            .meta("io.modelcontextprotocol/protocolVersion", json!(version));
        // A client of another version may not know the other headers.
        for sent in [sent.clone(), sent.without("mcp-method")] {
            let error = sent.error(&gateway, 400, -32022).await;
            assert_eq!(error["data"], json!({"supported": served, "requested": version}));
        }
    }
    let sent = modern("tools/list", json!({})).meta("io.modelcontextprotocol/protocolVersion", json!("2099-01-01"));
    sent.error(&gateway, 400, -32020).await;
}

#[tokio::test]
async fn era_111_112_only_post_is_served() {
    let (gateway, _) = Gateway::plain().await;
    for verb in [Method::GET, Method::DELETE, Method::PUT] {
        let answer = modern("tools/list", json!({})).verb(verb.clone()).text("").send(&gateway).await;
        assert_eq!(answer.status, 405);
        assert!(answer.headers["allow"].to_str().unwrap().contains("POST"), "{verb}");
    }
}

#[tokio::test]
async fn era_113_114_sessions_and_event_ids_mean_nothing() {
    let (gateway, _) = Gateway::plain().await;
    let sent = tool("x", json!({})).header("mcp-session-id", "garbage").header("last-event-id", "s1-4");
    let answer = sent.send(&gateway).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.get("mcp-session-id").is_none());
}

#[tokio::test]
async fn era_115_only_single_requests_may_be_posted() {
    let (gateway, mount) = Gateway::plain().await;
    let list = modern("tools/list", json!({}));
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    for text in [response.to_string(), json!([list.body()]).to_string(), json!([response]).to_string()] {
        let error = list.clone().text(text).error(&gateway, 400, -32600).await;
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    // The envelope alone makes an array modern.
    let array = list.clone().text(json!([list.body()]).to_string()).without("mcp-protocol-version");
    array.error(&gateway, 400, -32600).await;
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_116_notifications_are_accepted_and_do_nothing() {
    let mount = Arc::new(Scripted::new(|call| async move {
        crate::support::mount::progress(&call, 1);
        tokio::task::yield_now().await;
        std::future::pending().await
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let mut running = tool("x", json!({})).id(7).token(1).open(&gateway).await;
    running.next().await.unwrap();
    for params in [json!({"requestId": 7}), json!({"requestId": 7, "_meta": {}})] {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        let answer = modern("notifications/cancelled", json!({})).text(note.to_string()).send(&gateway).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, ""));
    }
    let counts = mount.counts();
    assert_eq!((counts.begun, counts.dropped, counts.notified), (1, 0, 0));
    drop(running);
}

#[tokio::test]
async fn era_117_methods_of_the_other_era_do_not_exist() {
    let (gateway, mount) = Gateway::plain().await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
        "notifications/initialized",
    ] {
        let error = modern(method, json!({})).error(&gateway, 404, -32601).await;
        assert!(error["message"].as_str().unwrap().contains(method), "{error}");
    }
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_105_an_enveloped_initialize_hears_the_versions() {
    let (gateway, _) = Gateway::plain().await;
    let error = modern("initialize", json!({})).error(&gateway, 404, -32601).await;
    assert_eq!(error["data"]["supported"], json!(["2026-07-28"]));
    assert!(error["message"].as_str().unwrap().contains("2026-07-28"));
}

#[tokio::test]
async fn era_118_families_that_are_not_advertised_do_not_exist() {
    let mount = Arc::new(Scripted::plain().with(|m| m.capabilities = json!({"tools": {}})));
    let gateway = Gateway::start(&[&mount]).await;
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        modern(method, json!({})).error(&gateway, 404, -32601).await;
    }
    modern("prompts/get", json!({"name": "x"})).error(&gateway, 404, -32601).await;
    modern("resources/read", json!({"uri": "x:y"})).error(&gateway, 404, -32601).await;
    assert_eq!(mount.counts().begun, 0);
    // Old servers complete without saying so, and what nobody defines is the server's to answer.
    for method in ["tools/list", "completion/complete", "acme/do"] {
        modern(method, json!({})).response(&gateway, 200).await;
    }
}

#[tokio::test]
async fn tasks_need_the_extension() {
    let mount = Arc::new(Scripted::plain().with(with_tasks));
    let gateway = Gateway::start(&[&mount]).await;
    let listen = modern("subscriptions/listen", json!({"notifications": {"taskIds": ["t"]}}));
    for sent in [modern("tasks/get", json!({"taskId": "t"})), modern("tasks/cancel", json!({"taskId": "t"})), listen] {
        let error = sent.error(&gateway, 400, -32021).await;
        let required = &error["data"]["requiredCapabilities"];
        assert_eq!(*required, json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}));
    }
    assert_eq!(mount.counts().begun, 0);
    let capable = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    modern("tasks/get", json!({"taskId": "t"})).capabilities(capable).response(&gateway, 200).await;
}

#[tokio::test]
async fn discovery_says_what_the_mount_says() {
    let (gateway, mount) = Gateway::plain().await;
    let result = modern("server/discover", json!({})).response(&gateway, 200).await["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["capabilities"], mount.capabilities);
    assert_eq!(result["instructions"], "Ask it nicely.");
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(300_000), &json!("private")));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"], mount.server_info);
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_192_bodies_that_cannot_be_read() {
    let (gateway, _) = Gateway::plain().await;
    let list = || modern("tools/list", json!({}));
    assert_eq!(list().header("content-type", "text/plain").send(&gateway).await.status, 415);
    assert_eq!(list().header("accept", "text/html").send(&gateway).await.status, 406);
    let large =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{{\"x\":\"{}\"}}}}", "x".repeat(4 << 20));
    assert_eq!(list().text(large).send(&gateway).await.status, 413);
    for text in [&b"{\"jsonrpc\":\"\xff\"}"[..], b"{", b"", b"{\"a\":\"\\ud800\"}"] {
        let response = list().text(text).response(&gateway, 400).await;
        assert_eq!((&response["error"]["code"], response.get("id")), (&json!(-32700), None));
    }
    let body = list().body().clone();
    for (member, value) in [("id", Value::Null), ("id", json!(1.5)), ("jsonrpc", json!("1.0")), ("params", json!([]))] {
        let mut body = body.clone();
        body[member] = value;
        list().text(body.to_string()).error(&gateway, 400, -32600).await;
    }
}

#[tokio::test]
async fn era_431_errors_of_a_call_are_answers() {
    let mount = Arc::new(Scripted::new(|call| async move {
        let name = call.params.get("name").and_then(|n| n.parse::<String>().ok()).unwrap_or_default();
        Err(Fault::Answered(ErrorObject::new(name.parse().unwrap(), "as it was told")))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    for (code, seen, status) in [
        (-32602, -32602, 200),
        (-32603, -32603, 200),
        (-32000, -32000, 200),
        (7, 7, 200),
        (-32601, -32601, 404),
        // Codes of the other era, and codes that nobody defined.
        (-32002, -32602, 200),
        (-32042, -32603, 200),
        (-32077, -32603, 200),
    ] {
        let error = tool(&code.to_string(), json!({})).error(&gateway, status, seen).await;
        assert_eq!(error["message"], "as it was told");
    }
}

#[tokio::test]
async fn era_466_a_capability_that_the_server_needs_is_named() {
    let mount = Arc::new(Scripted::new(|_| async move {
        let data = json!({"requiredCapabilities": {"sampling": {}}, "cause": {"code": -32603, "message": "no"}});
        let error = ErrorObject::new(-32021, "it needs sampling").with_data(crate::support::json::raw(&data));
        Err(Fault::Answered(error))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let error = tool("x", json!({})).error(&gateway, 400, -32021).await;
    assert_eq!(error["data"]["requiredCapabilities"], json!({"sampling": {}}));
}

#[tokio::test]
async fn era_461_equal_ids_of_concurrent_requests_are_two_requests() {
    let meeting = Arc::new(tokio::sync::Barrier::new(2));
    let mount = Arc::new(Scripted::new(move |call| {
        let meeting = meeting.clone();
        async move {
            meeting.wait().await;
            says(call.params.get("name").unwrap().parse::<String>().unwrap())
        }
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let (a, b) = (tool("a", json!({})).id(7), tool("b", json!({})).id(7));
    let (a, b) = tokio::join!(a.response(&gateway, 200), b.response(&gateway, 200));
    assert_eq!((&a["id"], &a["result"]["content"][0]["text"]), (&json!(7), &json!("a")));
    assert_eq!((&b["id"], &b["result"]["content"][0]["text"]), (&json!(7), &json!("b")));
}

#[tokio::test]
async fn parameters_reach_the_mount_byte_for_byte_and_callers_are_told_apart() {
    let (gateway, mount) = Gateway::plain().await;
    let first = tool("x", json!({"n": 1, "é": [null]}));
    first.response(&gateway, 200).await;
    assert_eq!(mount.last().params, first.body()["params"]);
    assert_eq!(mount.last().answers, None);
    let caller = mount.last().caller;
    first.response(&gateway, 200).await;
    assert!(Arc::ptr_eq(&mount.last().caller, &caller), "the same client is known again");
    for other in [
        first.clone().principal("bob"),
        first.clone().answering(),
        first.clone().level("info"),
        first.meta("io.modelcontextprotocol/clientInfo", json!({"name": "other", "version": "1"})),
    ] {
        other.response(&gateway, 200).await;
        assert!(!Arc::ptr_eq(&mount.last().caller, &caller), "{other:?}");
    }
    assert_eq!(mount.seen()[2].caller.principal.as_str(), "bob");
    assert!(mount.seen()[3].caller.capabilities.has_roots());
}
