//! Requests, what is said while they run, and how they end.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use rialto::hub::{Fault, Reason};

use crate::legacy_support::{Gateway, NEWEST, REVISIONS, object};

#[tokio::test]
async fn a_plain_call_is_answered_with_json() {
    let (gateway, _mount) = Gateway::start().await;
    for revision in REVISIONS {
        let client = gateway.session(revision).await;
        for id in [json!(1), json!("1"), json!(-7), json!("ü")] {
            let params = r#"{"name": "echo", "arguments": {"n": 1.50, "big": 12345678901234567890, "b": 1, "a": 2}}"#;
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
            let reply = client.post_text(text).await;
            assert_eq!(reply.headers["content-type"], "application/json");
            let answer = reply.json();
            assert_eq!(answer["id"], id);
            assert_eq!(answer["result"]["content"][0]["text"], params, "not a byte differs");
        }
    }
}

#[tokio::test]
async fn era_287_321_empty_results_are_empty() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let hung = client.call(0, "hold");
    for (method, params) in [
        ("ping", json!({})),
        ("logging/setLevel", json!({"level": "info"})),
        ("resources/subscribe", json!({"uri": "a:b"})),
        ("resources/unsubscribe", json!({"uri": "a:b"})),
    ] {
        let reply = client.ask(1, method, params).await;
        assert_eq!(reply.text(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    }
    let seen: Vec<_> = mount.seen().into_iter().map(|(method, _)| method).collect();
    assert!(!seen.contains(&"ping".to_owned()));
    assert!(seen.contains(&"logging/setLevel".to_owned()) && seen.contains(&"resources/subscribe".to_owned()));
    mount.next().await.say("done");
    hung.await.unwrap();
}

#[tokio::test]
async fn era_315_320_the_level_is_kept_and_filters() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    for level in [json!("loud"), json!(3), json!(null)] {
        let reply = client.ask(1, "logging/setLevel", json!({"level": level})).await;
        assert_eq!(reply.fault(), (200, -32602));
    }
    let log = |level: &str| json!({"level": level, "data": level});
    for (set, heard) in [(None, ["debug", "error"].as_slice()), (Some("warning"), &["error"])] {
        if let Some(level) = set {
            client.ask(1, "logging/setLevel", json!({"level": level})).await;
        }
        let reply = client.call(2, "hold");
        let arrived = mount.next().await;
        assert_eq!(arrived.call.caller.log_level.as_ref().and_then(|l| l.as_text()).as_deref(), set);
        for level in ["debug", "error"] {
            arrived.notify("notifications/message", &log(level));
        }
        arrived.say("done");
        let messages = reply.await.unwrap().events().rest().await;
        let levels: Vec<_> = messages.iter().filter_map(|m| m["params"]["level"].as_str()).collect();
        assert_eq!(levels, heard);
        assert_eq!(messages.last().unwrap()["id"], 2);
    }
}

#[tokio::test]
async fn era_323_324_325_progress_carries_the_clients_token_and_only_grows() {
    let (gateway, mount) = Gateway::start().await;
    let (one, other) = (gateway.session(NEWEST).await, gateway.session("2024-11-05").await);
    for (client, token) in [(&one, json!(1)), (&other, json!(1)), (&one, json!("1"))] {
        let reply = client.call_with_token(5, token.clone());
        let arrived = mount.next().await;
        for value in [json!(1), json!(0.5), json!(1), json!(2.5), json!(2)] {
            arrived.progress(&value);
        }
        let peer = arrived.call.peer.clone();
        arrived.say("done");
        let messages = reply.await.unwrap().events().rest().await;
        let late = object(&json!({"progressToken": "x", "progress": 9}));
        peer.notify(rialto::jsonrpc::Notification { method: "notifications/progress".into(), params: Some(late) });
        let seen: Vec<_> = messages.iter().filter(|m| m["method"] == "notifications/progress").collect();
        assert!(seen.iter().all(|m| m["params"]["progressToken"] == token), "{seen:?}");
        let values: Vec<_> = seen.iter().map(|m| m["params"]["progress"].clone()).collect();
        assert_eq!(values, [json!(1), json!(2.5)]);
        assert_eq!(messages.len(), 3);
    }
}

#[tokio::test]
async fn progress_that_nobody_wants_opens_no_stream() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["result"]["content"][0]["text"], "done");
    let reply = client.accepting("application/json").call_with_token(1, json!(1));
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn unknown_notifications_of_a_call_are_relayed_on_its_stream() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    arrived.notify("notifications/x-new", &json!({"a": 1}));
    let mut stream = reply.await.unwrap().events();
    assert_eq!(stream.expect().await, json!({"jsonrpc": "2.0", "method": "notifications/x-new", "params": {"a": 1}}));
    arrived.say("done");
    assert_eq!(stream.expect().await["id"], 1);
}

#[tokio::test]
async fn a_long_call_is_kept_alive() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    let mut stream = reply.await.unwrap().events();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(16)).await;
    }
    tokio::time::resume();
    arrived.say("done");
    assert_eq!(stream.expect().await["result"]["content"][0]["text"], "done");
    assert!(stream.comments >= 2);
}

#[tokio::test]
async fn era_327_332_a_cancelled_call_is_dropped_and_not_answered() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let cancel = async |id: Value| {
        client.tell("notifications/cancelled", json!({"requestId": id, "reason": "r".repeat(300)})).await;
    };
    for accept in ["application/json, text/event-stream", "application/json"] {
        let reply = client.accepting(accept).call(1, "hold");
        let mut arrived = mount.next().await;
        cancel(json!("1")).await;
        assert!(!arrived.is_dropped(), "`\"1\"` is another id");
        cancel(json!(1)).await;
        arrived.dropped().await;
        assert_eq!(arrived.call.life.abandoned(), Some("r".repeat(200)));
        let reply = reply.await.unwrap();
        match reply.status {
            StatusCode::ACCEPTED => assert_eq!((reply.text(), accept), ("", "application/json")),
            _ => assert!(reply.events().rest().await.is_empty()),
        }
    }
    let reply = client.call_with_token(2, json!("t"));
    let mut arrived = mount.next().await;
    arrived.progress(&json!(1));
    let mut stream = reply.await.unwrap().events();
    assert_eq!(stream.expect().await["method"], "notifications/progress");
    cancel(json!(2)).await;
    arrived.dropped().await;
    arrived.progress(&json!(2));
    arrived.notify("notifications/message", &json!({"level": "error", "data": 1}));
    assert!(matches!(arrived.elicit("name?").await.unwrap(), Err(rialto::hub::Refusal::NoOne)));
    let last = stream.last_id.clone().unwrap();
    assert!(stream.rest().await.is_empty());
    let resumed = client.get(Some(&last)).await;
    assert_eq!(resumed.status, StatusCode::METHOD_NOT_ALLOWED, "there is nothing to come back for");
}

#[tokio::test]
async fn era_331_460_cancelling_what_does_not_run_does_nothing() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    for params in [
        json!({"requestId": 99}),
        json!({"requestId": 0}),
        json!({"requestId": null}),
        json!({"requestId": {}}),
        json!({}),
        json!({"reason": "none"}),
    ] {
        assert_eq!(client.tell("notifications/cancelled", params).await.status, StatusCode::ACCEPTED);
    }
    let bare = client.post(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled"})).await;
    assert_eq!(bare.status, StatusCode::ACCEPTED);
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["id"], 1);
    client.tell("notifications/cancelled", json!({"requestId": 1})).await;
    assert_eq!(client.ask(1, "ping", json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn faults_are_answers() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-06-18").await;
    for (fault, code, reason) in [
        (Fault::gateway(Reason::Timeout, "too slow"), -32603, json!("timeout")),
        (Fault::error(-32002, "no such resource"), -32002, Value::Null),
        (Fault::method_not_found("tools/call"), -32601, Value::Null),
    ] {
        let reply = client.call(1, "hold");
        mount.next().await.fail(fault);
        let reply = reply.await.unwrap();
        assert_eq!(reply.fault(), (200, code));
        assert_eq!(reply.json()["error"]["data"]["reason"], reason);
    }
}

#[tokio::test]
async fn methods_that_are_not_there_and_methods_nobody_knows() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    for method in ["prompts/list", "prompts/get", "notifications/initialized", "tasks/update"] {
        assert_eq!(client.ask(1, method, json!({})).await.fault(), (200, -32601), "{method}");
    }
    assert!(mount.seen().is_empty());
    let reply = client.ask(1, "x/unknown", json!({"a": {"b": 1}})).await;
    assert_eq!(reply.json()["result"], json!({"other": "x/unknown"}));
    assert_eq!(mount.seen(), [("x/unknown".to_owned(), json!({"a": {"b": 1}}))]);
}

#[tokio::test]
async fn a_legacy_client_cannot_speak_modern() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let params = json!({
        "name": "echo", "inputResponses": {}, "requestState": "x",
        "_meta": {"a": 1, "io.modelcontextprotocol/logLevel": "debug", "io.modelcontextprotocol/clientInfo": {}},
    });
    client.ask(1, "tools/call", params).await;
    assert_eq!(mount.seen()[0].1, json!({"name": "echo", "_meta": {"a": 1}}));
}

#[tokio::test]
async fn notifications_reach_the_server() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    for method in ["notifications/roots/list_changed", "notifications/x-mine"] {
        let meta =
            json!({"own": 1, "io.modelcontextprotocol/logLevel": "debug", "io.modelcontextprotocol/clientInfo": {}});
        let reply = client.tell(method, json!({"a": 1, "_meta": meta})).await;
        assert_eq!((reply.status, reply.text()), (StatusCode::ACCEPTED, ""));
        let (caller, notification) = mount.notified().await;
        assert_eq!(notification.method, method);
        let params = crate::support::json::value(&notification.params.unwrap().to_raw());
        assert_eq!(params, json!({"a": 1, "_meta": {"own": 1}}), "what belongs to modern hops stays behind");
        assert_eq!(caller.revision.as_str(), NEWEST);
    }
}

#[tokio::test]
async fn era_430_what_is_no_message_gets_a_400() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    for (text, code) in [
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, -32600),
        ("7", -32600),
        ("{", -32700),
    ] {
        assert_eq!(client.post_text(text).await.fault(), (400, code), "{text}");
    }
    assert!(mount.seen().is_empty());
}
