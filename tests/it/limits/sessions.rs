//! The bounds of the sessions of legacy clients, and of what their streams keep.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::clients::{legacy, said};
use crate::legacy_support::{Client, NEWEST, client::able};

const SECOND: Duration = Duration::from_secs(1);

async fn is_served(client: &Client) -> bool {
    client.ask(1, "ping", json!({})).await.status == 200
}

#[tokio::test]
async fn limit_session_idle() {
    let (gateway, mount) = legacy(json!({"session_idle": "1m"})).await;
    let client = gateway.session(NEWEST).await;
    tokio::time::pause();
    tokio::time::advance(59 * SECOND).await;
    assert!(is_served(&client).await);
    tokio::time::advance(61 * SECOND).await;
    mount.closed(1).await;
    assert!(!is_served(&client).await);
}

#[tokio::test]
async fn limit_session_silent() {
    let (gateway, mount) = legacy(json!({"session_silent": "1m"})).await;
    let (mut silent, heard) = (gateway.client(), gateway.session(NEWEST).await);
    silent.open(NEWEST, able()).await;
    tokio::time::pause();
    tokio::time::advance(61 * SECOND).await;
    mount.closed(1).await;
    assert!(!is_served(&silent).await);
    assert!(is_served(&heard).await);
}

#[tokio::test]
async fn limit_session_total() {
    let (gateway, mount) = legacy(json!({"session_idle": "1m", "session_total": "2m"})).await;
    let client = gateway.session(NEWEST).await;
    let mut stream = client.get(None).await.events();
    stream.next().await.unwrap();
    tokio::time::pause();
    tokio::time::advance(110 * SECOND).await;
    assert!(is_served(&client).await, "its stream is open");
    tokio::time::advance(11 * SECOND).await;
    mount.closed(1).await;
    assert!(!is_served(&client).await);
}

#[tokio::test]
async fn limit_sessions_each() {
    let (gateway, _) = legacy(json!({"sessions_each": 1})).await;
    let initialize = async |who: &str| gateway.client().named(who).initialize(NEWEST, able()).await.status.as_u16();
    assert_eq!((initialize("alice").await, initialize("alice").await, initialize("bob").await), (200, 503, 200));
}

#[tokio::test]
async fn limit_sessions() {
    let (gateway, _) = legacy(json!({"sessions_each": 1, "sessions": 1})).await;
    let initialize = async |who: &str| gateway.client().named(who).initialize(NEWEST, able()).await.status.as_u16();
    assert_eq!((initialize("alice").await, initialize("bob").await), (200, 503));
}

/// A client loses its connection; twenty log messages of so many bytes and an answer later it comes back.
async fn replayed(given: Value, length: usize) -> Vec<Value> {
    let (gateway, mount) = legacy(given).await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call_with_token(1, json!("t"));
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    let mut stream = reply.await.unwrap().events();
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    drop(stream);
    for _ in 0..20 {
        arrived.notify("notifications/message", &json!({"level": "info", "data": "x".repeat(length)}));
    }
    arrived.say("done");
    // Its id is free once it is answered.
    while client.ask(1, "x/free", json!({})).await.json()["error"]["code"] == -32600 {}
    client.get(Some(&last)).await.events().rest().await
}

#[tokio::test]
async fn limit_replay() {
    let messages = replayed(json!({"replay": 3}), 1).await;
    assert_eq!(messages.len(), 3);
    assert_eq!(said(&messages[2]), "done");
    assert_eq!(replayed(json!({"replay": 30}), 1).await.len(), 21);
}

#[tokio::test]
async fn limit_replay_size() {
    let messages = replayed(json!({"replay_size": "1KiB"}), 300).await;
    assert!((2..=4).contains(&messages.len()), "{messages:?}");
    assert_eq!(said(messages.last().unwrap()), "done");
}

#[tokio::test]
async fn limit_replay_time() {
    let (gateway, mount) = legacy(json!({"replay_time": "10s"})).await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call_with_token(1, json!("t"));
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    let mut stream = reply.await.unwrap().events();
    let first = stream.next().await.unwrap().id.unwrap();
    arrived.say("done");
    assert_eq!(stream.rest().await.len(), 2);
    tokio::time::pause();
    tokio::time::advance(8 * SECOND).await;
    assert_eq!(client.get(Some(&first)).await.events().rest().await.len(), 2);
    // What is over is looked for every half minute.
    tokio::time::advance(10 * SECOND).await;
    sleep(60 * SECOND).await;
    assert!(client.get(Some(&first)).await.events().rest().await.is_empty());
}
