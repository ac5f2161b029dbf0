//! Sessions, and the keys that they are used with.

use rialto::{
    auth::{Auth, Key, fresh_key},
    downstream::Settings,
};
use serde_json::{Value, json};

use super::kit::{App, bearer, head};
use crate::listener::raw::Answer;

/// Posts a legacy message to a mount, with a key and in a session.
async fn post(app: &App, mount: &str, key: &str, session: Option<&str>, message: &Value) -> Answer {
    let body = message.to_string();
    let length = body.len();
    let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
    let key = bearer(key);
    let headers = format!(
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: {length}\r\n{key}{session}"
    );
    app.send(head("POST", &format!("/mcp/{mount}"), &headers) + &body).await
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

async fn initialized(app: &App, mount: &str, key: &str) -> String {
    let info = json!({"name": "c", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    let answer = post(app, mount, key, None, &request("initialize", params)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let line = answer.text.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    line.unwrap_or_else(|| panic!("{answer:?}")).trim().to_owned()
}

#[tokio::test]
async fn sec_021_023_a_session_outlives_its_key_and_no_key_reaches_further_than_itself() {
    let [old, new, narrow, bob] = std::array::from_fn(|_| fresh_key());
    let auth = Auth::keys([
        Key::new("alice", &old).unwrap(),
        Key::new("alice", &new).unwrap(),
        Key::new("alice", &narrow).unwrap().only(["docs"]),
        Key::new("bob", &bob).unwrap(),
    ])
    .unwrap();
    let app = App::with(Settings::default(), |builder| builder.auth(auth)).await;
    let ping = request("ping", json!({}));
    for mount in ["docs", "finance"] {
        let session = initialized(&app, mount, &old).await;
        // Another key of the same principal: the session goes on.
        for key in [&old, &new] {
            assert_eq!(post(&app, mount, key, Some(&session), &ping).await.status, 200, "{mount}");
        }
        // What a key may not use it may not use in a session either, and the session stays what it was.
        let narrowed = post(&app, mount, &narrow, Some(&session), &ping).await;
        assert_eq!(narrowed.status, if mount == "docs" { 200 } else { 403 }, "{narrowed:?}");
        // Somebody else's key finds none.
        let foreign = post(&app, mount, &bob, Some(&session), &ping).await;
        let absent = post(&app, mount, &bob, Some("absent"), &ping).await;
        assert_eq!((foreign.status, absent.status), (404, 404));
        let body = |answer: &Answer| answer.text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        assert_eq!(body(&foreign), body(&absent));
        // Without a key there is no session to be found, whatever its id.
        let message = head("GET", &format!("/mcp/{mount}"), &format!("mcp-session-id: {session}\r\n"));
        assert_eq!(app.send(message).await.status, 401);
        assert_eq!(post(&app, mount, &new, Some(&session), &ping).await.status, 200);
    }
}

/// REST has no sessions: one that is brought along opens nothing, closes nothing, and goes nowhere.
#[tokio::test]
async fn sec_020_a_session_means_nothing_to_rest() {
    let app = App::start().await;
    let session = initialized(&app, "docs", &app.alice).await;
    for mount in ["docs", "finance"] {
        for (verb, path) in [("GET", "tools"), ("POST", "tools/secret_tool"), ("GET", "resources"), ("DELETE", "tools")]
        {
            let path = format!("/api/mounts/{mount}/{path}");
            let headers = format!("content-type: application/json\r\ncontent-length: 0\r\n{}", bearer(&app.alice));
            let without = app.ask(verb, &path, &headers).await;
            let with = app.ask(verb, &path, &format!("{headers}mcp-session-id: {session}\r\n")).await;
            assert_eq!((with.status, with.body()), (without.status, without.body()), "{verb} {path}");
            assert_eq!(with.header("mcp-session-id"), None);
        }
    }
    for seen in [app.docs.seen(), app.finance.seen()].concat() {
        assert_ne!(seen.header("mcp-session-id"), Some(session.as_str()), "{seen:?}");
    }
    let ping = post(&app, "docs", &app.alice, Some(&session), &request("ping", json!({}))).await;
    assert_eq!(ping.status, 200, "{ping:?}");
}
