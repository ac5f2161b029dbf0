//! The handshake and the headers of what follows it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use rialto::downstream::Settings;

use crate::legacy_support::{Gateway, NEWEST, REVISIONS, Scripted, client::able};

#[tokio::test]
async fn era_101_102_103_125_initialize_answers_a_legacy_revision() {
    let (gateway, _mount) = Gateway::start().await;
    let same = REVISIONS.map(|r| (r, r));
    let others =
        [("2026-07-28", NEWEST), ("2024-10-07", REVISIONS[0]), ("1999-01-01", REVISIONS[0]), ("2099-01-01", NEWEST)];
    for (asked, answered) in same.into_iter().chain(others) {
        let reply = gateway.client().initialize(asked, able()).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.headers["content-type"], "application/json");
        let session = reply.session();
        assert!(session.bytes().all(|b| b.is_ascii_graphic()));
        let answer = reply.json();
        assert_eq!(answer["id"], 0);
        assert_eq!(answer["result"]["protocolVersion"], answered, "{asked}");
        assert_eq!(answer["result"]["serverInfo"], json!({"name": "docs", "version": "0"}));
        assert_eq!(answer["result"]["instructions"], "be kind");
        assert_eq!(answer["result"]["capabilities"]["tools"], json!({"listChanged": true}));
    }
}

#[tokio::test]
async fn the_server_is_named_as_it_names_itself() {
    let info = json!({"name": "real", "version": "7", "title": "The Real One"});
    let mount = Scripted::with("docs", json!({}), Some(info.clone()));
    let gateway = Gateway::serve(Settings::default(), std::slice::from_ref(&mount)).await;
    for revision in REVISIONS {
        let answer = gateway.client().open(revision, json!({"extensions": {"x/y": {}}})).await;
        assert_eq!(answer["result"]["serverInfo"], info);
        let caller = mount.last_caller();
        assert_eq!(caller.revision.as_str(), revision);
        assert!(caller.capabilities.extends("x/y"));
        assert!(caller.client_info.as_ref().is_some_and(|i| i.to_object().is_some_and(|i| i.has("name"))));
    }
}

#[tokio::test]
async fn era_104_a_modern_header_does_not_spoil_the_handshake() {
    let (gateway, _mount) = Gateway::start().await;
    let client = gateway.client().versioned(Some("2026-07-28"));
    let reply = client.initialize("2025-06-18", able()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["result"]["protocolVersion"], "2025-06-18");
}

#[tokio::test]
async fn initialize_refuses_what_it_cannot_read() {
    let (gateway, mount) = Gateway::start().await;
    let huge = json!({"experimental": {"x": "y".repeat(20_000)}});
    for params in [
        json!({}),
        json!({"protocolVersion": 7}),
        json!({"protocolVersion": NEWEST, "capabilities": []}),
        json!({"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": "me"}),
        json!({"protocolVersion": NEWEST, "capabilities": huge}),
    ] {
        let reply = gateway.client().ask(1, "initialize", params).await;
        assert!(!reply.headers.contains_key("mcp-session-id"));
        assert_eq!(reply.fault(), (200, -32602));
    }
    assert_eq!((mount.described(), gateway.settings.sessions.len()), (0, 0));
}

#[tokio::test]
async fn a_server_that_is_down_gives_no_session() {
    let (gateway, mount) = Gateway::start().await;
    mount.go_down();
    let reply = gateway.client().initialize(NEWEST, able()).await;
    assert!(!reply.headers.contains_key("mcp-session-id"));
    assert_eq!(reply.fault(), (200, -32603));
    let data = &reply.json()["error"]["data"];
    assert_eq!((&data["reason"], &data["upstream"]), (&json!("connect_failed"), &json!("docs")));
    assert!(gateway.settings.sessions.is_empty());
    mount.closed(1).await;
}

#[tokio::test]
async fn era_119_sessions_may_be_required() {
    let settings = Settings { tolerate_sessionless: false, ..Settings::default() };
    let (gateway, mount) = Gateway::start_with(settings).await;
    let client = gateway.client();
    let missing = "`Mcp-Session-Id` is missing: send `initialize` first and repeat the id of its answer";
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    for reply in [
        client.ask(1, "tools/list", json!({})).await,
        client.tell("notifications/initialized", json!({})).await,
        client.post(&response).await,
    ] {
        let error = json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": missing}});
        assert_eq!((reply.status, reply.json()), (StatusCode::BAD_REQUEST, error));
    }
    let orphan = client.get(Some("x-1")).await;
    assert_eq!(orphan.fault(), (400, -32600));
    assert_eq!(client.get(None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.delete().await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(mount.seen().is_empty());
}

#[tokio::test]
async fn era_120_without_a_session_nothing_is_asked() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.client();
    assert_eq!(client.ask(1, "tools/list", json!({})).await.json()["result"], json!({"tools": []}));
    assert_eq!(client.tell("notifications/initialized", json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(client.post(&json!({"jsonrpc": "2.0", "id": 1, "result": {}})).await.fault(), (400, -32600));
    assert_eq!(client.ask(1, "prompts/list", json!({})).await.fault(), (200, -32601));
    for (header, revision) in [(None, "2025-03-26"), (Some("2025-06-18"), "2025-06-18")] {
        let reply = client.versioned(header).call(2, "hold");
        let arrived = mount.next().await;
        assert_eq!(arrived.call.caller.revision.as_str(), revision);
        assert!(arrived.call.caller.capabilities.declared().is_empty());
        assert!(!arrived.call.caller.scope.is_session());
        assert!(matches!(arrived.elicit("name?").await.unwrap(), Err(rialto::hub::Refusal::Undeclared(_))));
        arrived.say("done");
        assert_eq!(reply.await.unwrap().json()["result"]["content"][0]["text"], "done");
    }
    assert!(gateway.settings.sessions.is_empty());
}

#[tokio::test]
async fn era_122_the_version_header_names_a_known_revision_or_is_absent() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-06-18").await;
    for (header, status) in [
        (Some("bogus"), 400),
        (Some(""), 400),
        (Some("2099-01-01"), 400),
        (None, 200),
        (Some("2025-03-26"), 200),
        (Some("2025-11-25"), 200),
    ] {
        let client = client.versioned(header);
        assert_eq!(client.ask(1, "tools/list", json!({})).await.status.as_u16(), status, "{header:?}");
        if status == 400 {
            assert_eq!(client.ask(1, "tools/list", json!({})).await.fault().1, -32600);
            assert_eq!(client.get(None).await.status, StatusCode::BAD_REQUEST);
            assert_eq!(client.delete().await.status, StatusCode::BAD_REQUEST);
        }
    }
    let reply = client.versioned(Some("2025-03-26")).call(9, "hold");
    let arrived = mount.next().await;
    assert_eq!(arrived.call.caller.revision.as_str(), "2025-06-18", "the session keeps its revision");
    arrived.say("done");
    reply.await.unwrap();
}

#[tokio::test]
async fn era_123_sec_026_a_session_begins_once() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let again = client.initialize("2024-11-05", json!({})).await;
    assert!(!again.headers.contains_key("mcp-session-id"));
    let error = json!({"code": -32600, "message": "this session is initialized already"});
    assert_eq!((again.status.as_u16(), again.json()), (400, json!({"jsonrpc": "2.0", "id": 0, "error": error})));
    let foreign = client.named("bob").initialize(NEWEST, json!({})).await;
    assert_ne!(foreign.session(), client.session.clone().unwrap(), "he hears nothing of hers, and gets his own");
    let fresh = client.with_session(None).initialize(NEWEST, able()).await;
    assert_ne!(Some(fresh.session()), client.session);
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    assert_eq!(arrived.call.caller.revision.as_str(), NEWEST);
    assert!(arrived.call.caller.capabilities.samples());
    arrived.say("done");
    assert_eq!(reply.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn era_126_what_a_get_and_a_delete_need() {
    let (gateway, _mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let nobody = client.with_session(None);
    let get = |client: &crate::legacy_support::Client, accept, last: Option<&'static str>| {
        let client = client.accepting(accept);
        let mut request = client.request(Method::GET);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        async move { client.send(request).await }
    };
    assert_eq!(get(&client, "application/json", None).await.status, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(get(&nobody, "application/json", None).await.status, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(get(&nobody, "text/event-stream", Some("x-1")).await.status, StatusCode::BAD_REQUEST);
    for accept in ["text/event-stream", "*/*"] {
        let reply = get(&nobody, accept, None).await;
        assert_eq!((reply.status, &reply.headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap()));
    }
    assert_eq!(get(&client.with_session(Some("nope")), "text/event-stream", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(nobody.delete().await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.with_session(Some("nope")).delete().await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.delete().await.status, StatusCode::OK);
    assert_eq!(client.delete().await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn era_140_sec_026_requests_need_not_wait_for_initialized() {
    let (gateway, _mount) = Gateway::start().await;
    for revision in REVISIONS {
        let mut client = gateway.client();
        client.open(revision, able()).await;
        let listed: Value = client.ask(1, "tools/list", json!({})).await.json();
        assert_eq!(listed["result"], json!({"tools": []}));
    }
}
