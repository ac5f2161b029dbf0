//! Batches.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::legacy_support::{Client, Gateway, NEWEST, client::request};

fn ids(answer: &Value) -> Vec<Value> {
    let mut ids: Vec<_> = answer.as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    ids
}

fn notification() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/x-mine"})
}

async fn post(client: &Client, elements: &[Value]) -> crate::legacy_support::Reply {
    client.post(&Value::from(elements)).await
}

#[tokio::test]
async fn era_128_131_a_batch_is_answered_with_an_array() {
    let (gateway, mount) = Gateway::start().await;
    for revision in ["2024-11-05", "2025-03-26"] {
        let client = gateway.session(revision).await;
        let batch = [request(1, "tools/list", json!({})), request("1", "ping", json!({})), notification()];
        let reply = post(&client, &batch).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(ids(&reply.json()), [json!("1"), json!(1)]);
        assert_eq!(mount.notified().await.1.method, "notifications/x-mine");
        let reply = post(&client, &[request(1, "ping", json!({}))]).await;
        assert_eq!(reply.json(), json!([{"jsonrpc": "2.0", "id": 1, "result": {}}]));
    }
    let reply = post(&gateway.client(), &[request(1, "ping", json!({}))]).await;
    assert_eq!(reply.json().as_array().unwrap().len(), 1, "without a session 2025-03-26 is assumed");
}

#[tokio::test]
async fn era_129_130_batches_that_are_refused() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-03-26").await;
    let many = |n: usize| (0..n).map(|i| request(i, "ping", json!({}))).collect::<Vec<_>>();
    let initialize = request(1, "initialize", json!({"protocolVersion": "2025-03-26", "capabilities": {}}));
    for batch in [vec![initialize.clone()], vec![initialize; 50], vec![], many(51), many(10_000)] {
        let reply = post(&client, &batch).await;
        assert!(!reply.headers.contains_key("mcp-session-id"));
        assert_eq!(reply.fault(), (400, -32600));
    }
    for revision in ["2025-06-18", NEWEST] {
        let client = gateway.session(revision).await;
        assert_eq!(post(&client, &many(1)).await.fault(), (400, -32600), "{revision}");
    }
    assert_eq!(post(&client, &many(50)).await.json().as_array().unwrap().len(), 50);
    assert_eq!(gateway.settings.sessions.len(), 3);
    assert!(mount.seen().is_empty());
}

#[tokio::test]
async fn sec_066_one_bad_element_spoils_no_other() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-03-26").await;
    let batch = [
        json!([request(1, "ping", json!({}))]),
        json!({"jsonrpc": "2.0", "id": 5}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        request(2, "ping", json!({})),
        request(3, "x/held", json!({})),
        request(4, "prompts/list", json!({})),
    ];
    let answer = post(&client, &batch).await.json();
    let codes: Vec<_> = answer.as_array().unwrap().iter().map(|m| m["error"]["code"].as_i64()).collect();
    assert_eq!(codes.iter().filter(|c| **c == Some(-32600)).count(), 3, "{answer}");
    assert_eq!(codes.iter().filter(|c| **c == Some(-32601)).count(), 1);
    assert_eq!(codes.iter().filter(|c| c.is_none()).count(), 2);
    assert!(answer.as_array().unwrap().iter().all(|m| m.get("id").is_none_or(|id| !id.is_null())));
    let call = |id: u64| request(id, "tools/call", json!({"name": "hold"}));
    let twins = tokio::spawn({
        let client = client.clone();
        async move { post(&client, &[call(1), call(1)]).await.json() }
    });
    mount.next().await.say("done");
    let answer = twins.await.unwrap();
    assert_eq!(ids(&answer), [json!(1), json!(1)]);
    assert_eq!(answer.as_array().unwrap().iter().filter(|m| m["error"]["code"] == -32600).count(), 1);
}

#[tokio::test]
async fn a_batch_without_requests_is_taken() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-03-26").await;
    let reply = post(&client, &[notification(), json!({"jsonrpc": "2.0", "id": "x", "result": {}})]).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::ACCEPTED, ""));
    mount.notified().await;
}

#[tokio::test]
async fn a_batch_that_has_something_to_say_is_streamed() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session("2025-03-26").await;
    let call = |id: u64| request(id, "tools/call", json!({"name": "hold", "_meta": {"progressToken": id}}));
    let posted = tokio::spawn({
        let client = client.clone();
        async move { post(&client, &[call(1), request(2, "ping", json!({})), call(3), call(4)]).await }
    });
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(mount.next().await);
    }
    calls.sort_by_key(|c| c.params()["_meta"]["progressToken"].as_u64());
    calls[0].progress(&json!(1));
    let mut stream = posted.await.unwrap().events();
    assert_eq!(stream.expect().await["id"], 2, "what was answered before is on the stream");
    assert_eq!(stream.expect().await["params"]["progressToken"], 1);
    let asked = calls[1].ask("roots/list", &json!({}));
    let question = stream.expect().await;
    let answers = [json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}), notification()];
    assert_eq!(post(&client, &answers).await.status, StatusCode::ACCEPTED);
    asked.await.unwrap().unwrap();
    client.tell("notifications/cancelled", json!({"requestId": 4})).await;
    calls.remove(2).dropped().await;
    for call in calls {
        call.say("done");
    }
    let mut ids: Vec<_> = stream.rest().await.iter().map(|m| m["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 3]);
}
