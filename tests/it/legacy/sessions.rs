//! How sessions end, and go on.

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use serde_json::json;

use rialto::{
    downstream::{SessionLimits, Sessions, Settings},
    seal::Sealer,
};

use crate::legacy_support::{Client, Gateway, NEWEST, client::able};

fn limited(limits: SessionLimits) -> Settings {
    Settings { sessions: Arc::new(Sessions::new(limits)), ..Settings::default() }
}

async fn is_served(client: &Client) -> bool {
    let reply = client.ask(1, "ping", json!({})).await;
    assert!(matches!(reply.status.as_u16(), 200 | 404));
    reply.status == StatusCode::OK
}

#[tokio::test]
async fn era_121_sessions_that_are_not_there_all_look_the_same() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let ended = gateway.session(NEWEST).await;
    assert_eq!(ended.delete().await.status, StatusCode::OK);
    mount.closed(1).await;
    let flipped = client.session.clone().map(|s| format!("{s}A"));
    let mut bodies = Vec::new();
    for client in [
        client.with_session(Some("unknown")),
        client.with_session(Some("")),
        client.with_session(flipped.as_deref()),
        client.named("bob"),
        ended,
    ] {
        let reply = client.ask(7, "ping", json!({})).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        bodies.push((reply.text().to_owned(), reply.headers["content-type"].clone()));
    }
    assert!(bodies.windows(2).all(|w| w[0] == w[1]), "{bodies:?}");
    assert!(is_served(&client).await);
}

#[tokio::test]
async fn era_121_an_expired_session_looks_like_one_that_never_was() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    assert!(is_served(&client).await);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31 * 60)).await;
    mount.closed(1).await;
    let expired = client.ask(7, "ping", json!({})).await;
    let unknown = client.with_session(Some("unknown")).ask(7, "ping", json!({})).await;
    assert_eq!((expired.status, unknown.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!((expired.text(), &expired.headers["content-type"]), (unknown.text(), &unknown.headers["content-type"]));
}

#[tokio::test]
async fn a_session_that_is_left_alone_expires_unless_a_stream_is_open() {
    let (gateway, mount) = Gateway::start().await;
    let (left, open) = (gateway.session(NEWEST).await, gateway.session(NEWEST).await);
    let mut silent = gateway.client();
    silent.open(NEWEST, able()).await;
    let mut stream = open.get(None).await.events();
    stream.next().await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6 * 60)).await;
    mount.closed(1).await;
    assert!(!is_served(&silent).await, "nothing was ever said after `initialize`");
    tokio::time::advance(Duration::from_secs(23 * 60)).await;
    assert!(is_served(&left).await);
    tokio::time::advance(Duration::from_secs(31 * 60)).await;
    mount.closed(2).await;
    assert!(!is_served(&left).await);
    assert_eq!(gateway.settings.sessions.len(), 1);
    assert!(is_served(&open).await);
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    mount.closed(3).await;
    assert!(!is_served(&open).await);
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn sec_026_sessions_are_counted_before_anything_upstream_is_touched() {
    let limits = SessionLimits { per_principal: 2, overall: 3, ..SessionLimits::default() };
    let (gateway, mount) = Gateway::start_with(limited(limits)).await;
    let initialize = async |who: &str| gateway.client().named(who).initialize(NEWEST, able()).await;
    let first = initialize("alice").await;
    assert_eq!(initialize("alice").await.status, StatusCode::OK);
    let refused = initialize("alice").await;
    let data = json!({"source": "gateway", "reason": "busy", "retryable": true, "retryAfterMs": 30_000});
    let message = "too many sessions: end those that are not needed with DELETE, or try again later";
    let error = json!({"code": -32603, "message": message, "data": data});
    assert_eq!((refused.status.as_u16(), refused.json()), (503, json!({"jsonrpc": "2.0", "id": 0, "error": error})));
    assert_eq!(refused.headers["retry-after"], "30");
    assert!(!refused.headers.contains_key("mcp-session-id"));
    assert_eq!(initialize("bob").await.status, StatusCode::OK);
    assert_eq!(initialize("carol").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(mount.described(), 3);
    let ended = gateway.client().with_session(Some(&first.session()));
    assert_eq!(ended.delete().await.status, StatusCode::OK);
    assert_eq!(initialize("carol").await.status, StatusCode::OK);
}

/// Far more sessions than there may be, of somebody who never comes back for them.
#[tokio::test]
async fn sec_026_a_flood_of_sessions_stops_at_the_bound_and_is_swept_away() {
    let (gateway, mount) = Gateway::start().await;
    let most = SessionLimits::default().per_principal;
    let flood = async |who: &str, count: usize| {
        let client = gateway.client().named(who);
        let mut begun = 0;
        for _ in 0..count {
            let reply = client.initialize(NEWEST, json!({})).await;
            begun += usize::from(reply.status == StatusCode::OK);
            assert!(matches!(reply.status.as_u16(), 200 | 503));
        }
        begun
    };
    assert_eq!(flood("mallory", 2 * most).await, most);
    assert_eq!((gateway.settings.sessions.len(), mount.described()), (most, most), "the others touched nothing");
    // That is nobody else's trouble.
    let alice = gateway.session(NEWEST).await;
    assert!(is_served(&alice).await);
    // What nobody ever used goes first.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6 * 60)).await;
    mount.closed(most).await;
    assert_eq!(gateway.settings.sessions.len(), 1);
    assert!(is_served(&alice).await);
    tokio::time::resume();
    assert_eq!(flood("mallory", 1).await, 1);
}

#[tokio::test]
async fn era_139_a_session_goes_on_after_a_restart_where_the_keys_do() {
    let keyed = |secret: u8| Settings {
        sealer: Arc::new(Sealer::new(&[[secret; 32]]).unwrap()),
        sessions_survive: true,
        ..Settings::default()
    };
    let (before, _mount) = Gateway::start_with(keyed(1)).await;
    let client = before.session("2025-06-18").await;
    let ended = before.session(NEWEST).await;
    assert_eq!(ended.delete().await.status, StatusCode::OK);
    assert!(!is_served(&ended).await, "what ended here does not come back here");

    let (after, mount) = Gateway::start_with(keyed(1)).await;
    let client = client.at(after.url("docs"));
    assert_eq!(client.named("bob").ask(1, "ping", json!({})).await.status, StatusCode::NOT_FOUND);
    assert!(after.settings.sessions.is_empty());
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    let caller = arrived.call.caller.clone();
    assert_eq!(caller.revision.as_str(), "2025-06-18");
    assert!(caller.capabilities.samples() && caller.scope.is_session());
    assert!(caller.client_info.as_ref().is_some_and(|i| i.to_object().is_some_and(|i| i.has("version"))));
    drop(caller);
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["result"]["content"][0]["text"], "done");
    assert_eq!(client.ask(2, "prompts/list", json!({})).await.fault(), (200, -32601));
    assert_eq!(after.settings.sessions.len(), 1);
    assert_eq!(client.delete().await.status, StatusCode::OK);
    mount.closed(1).await;
    assert!(!is_served(&client).await, "once ended, it stays so");

    let (other, _mount) = Gateway::start_with(keyed(2)).await;
    assert!(!is_served(&client.at(other.url("docs"))).await);
    let forgetful = Settings { sessions_survive: false, ..keyed(1) };
    let (other, _mount) = Gateway::start_with(forgetful).await;
    assert!(!is_served(&client.at(other.url("docs"))).await);
}

#[tokio::test]
async fn an_id_holds_what_fits() {
    let settings =
        Settings { sealer: Arc::new(Sealer::new(&[[1; 32]]).unwrap()), sessions_survive: true, ..Settings::default() };
    let (before, _mount) = Gateway::start_with(settings.clone()).await;
    let icons = json!([{"src": format!("data:image/png;base64,{}", "A".repeat(30_000))}]);
    let params = json!({
        "protocolVersion": NEWEST,
        "capabilities": {"sampling": {}},
        "clientInfo": {"name": "n".repeat(5000), "version": "1", "icons": icons},
    });
    let reply = before.client().ask(0, "initialize", params).await;
    assert!(reply.session().len() < 8192);
    let client = before.client().with_session(Some(&reply.session()));
    assert!(is_served(&client).await);
    let (after, mount) = Gateway::start_with(Settings { sessions: Arc::default(), ..settings }).await;
    let reply = client.at(after.url("docs")).call(1, "hold");
    let arrived = mount.next().await;
    assert!(arrived.call.caller.capabilities.samples());
    assert!(arrived.call.caller.client_info.is_none());
    arrived.say("done");
    reply.await.unwrap();
}

#[tokio::test]
async fn era_330_ending_a_session_cancels_its_calls() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let mut listening = client.get(None).await.events();
    let (waiting, streaming) = (client.call(1, "hold"), client.call_with_token(2, json!("t")));
    let (mut one, mut other) = (mount.next().await, mount.next().await);
    for call in [&one, &other] {
        call.progress(&json!(1));
    }
    let mut stream = streaming.await.unwrap().events();
    assert_eq!(stream.expect().await["method"], "notifications/progress");
    assert_eq!(client.delete().await.status, StatusCode::OK);
    one.dropped().await;
    other.dropped().await;
    assert_eq!(one.call.life.abandoned().as_deref(), Some("the client ended the session"));
    assert!(stream.rest().await.is_empty());
    assert!(waiting.await.unwrap().events().rest().await.is_empty());
    while listening.next().await.is_some() {}
    drop((one, other));
    mount.closed(1).await;
    assert!(!is_served(&client).await);
}

#[tokio::test]
async fn streams_end_when_the_gateway_drains_and_calls_do_not() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let mut listening = client.get(None).await.events();
    listening.next().await.unwrap();
    let reply = client.call_with_token(1, json!(1));
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    let mut stream = reply.await.unwrap().events();
    stream.expect().await;
    gateway.settings.draining.cancel();
    assert!(listening.next().await.is_none());
    arrived.say("done");
    assert_eq!(stream.expect().await["result"]["content"][0]["text"], "done");
    assert!(stream.next().await.is_none());
}
