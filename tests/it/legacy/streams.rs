//! Event streams: ids, resuming, and what waits for a stream.

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};

use rialto::{downstream::Settings, hub::Peer, jsonrpc::Notification};

use crate::legacy_support::{Arrived, Client, Events, Gateway, NEWEST, REVISIONS, Scripted, client::able, object};

fn tell(peer: &Arc<dyn Peer>, method: &str, params: Value) {
    peer.notify(Notification { method: method.into(), params: Some(object(&params)) });
}

/// Starts a call that has reported some progress.
async fn progressing(client: &Client, mount: &Scripted, steps: u64) -> (Arrived, Events) {
    let reply = client.call_with_token(1, json!("t"));
    let arrived = mount.next().await;
    for step in 1..=steps {
        arrived.progress(&json!(step));
    }
    (arrived, reply.await.unwrap().events())
}

#[tokio::test]
async fn era_143_ids_and_priming_are_as_the_revision_has_them() {
    let (gateway, mount) = Gateway::start().await;
    for revision in REVISIONS {
        let client = gateway.session(revision).await;
        let (arrived, mut stream) = progressing(&client, &mount, 1).await;
        let first = stream.next().await.unwrap();
        assert_eq!(first.id.is_some(), revision >= "2025-03-26", "{revision}");
        let is_primed = revision == NEWEST;
        assert_eq!(first.data.as_deref() == Some(""), is_primed, "{revision}");
        assert_eq!(first.retry.is_some(), is_primed);
        arrived.say("done");
        let mut ids = vec![first.id];
        while let Some(event) = stream.next().await {
            assert_ne!(event.data.as_deref(), Some(""));
            ids.push(event.id);
        }
        let ids: Vec<_> = ids.into_iter().flatten().collect();
        assert!(ids.windows(2).all(|w| w[0] != w[1]));
        let listening = client.get(None).await;
        assert_eq!(listening.headers["cache-control"], "no-cache, no-transform");
        if is_primed {
            assert_eq!(listening.events().next().await.unwrap().data.as_deref(), Some(""));
        }
    }
}

#[tokio::test]
async fn era_459_sec_095_streams_are_held_back_by_nobody() {
    let (gateway, mount) = Gateway::start().await;
    for revision in REVISIONS {
        let client = gateway.session(revision).await;
        let reply = client.call_with_token(1, json!("t"));
        let arrived = mount.next().await;
        arrived.progress(&json!(1));
        let call = reply.await.unwrap();
        let last = "nonsense-1";
        for reply in [&call, &client.get(None).await, &client.get(Some(last)).await] {
            assert_eq!(reply.headers["content-type"], "text/event-stream", "{revision}");
            assert_eq!(reply.headers["x-accel-buffering"], "no", "{revision}");
            let cache = reply.headers["cache-control"].to_str().unwrap();
            assert!(cache.contains("no-cache") && cache.contains("no-transform"), "{revision}: {cache}");
            assert!(!reply.headers.contains_key("content-encoding"), "{revision}");
        }
        arrived.say("done");
    }
}

#[tokio::test]
async fn era_142_328_a_lost_connection_is_resumed_and_nothing_runs_twice() {
    let (gateway, mount) = Gateway::start().await;
    for revision in ["2025-03-26", "2025-06-18", NEWEST] {
        let client = gateway.session(revision).await;
        let (arrived, mut stream) = progressing(&client, &mount, 1).await;
        stream.expect().await;
        let last = stream.last_id.clone().unwrap();
        drop(stream);
        arrived.progress(&json!(2));
        assert!(!arrived.is_dropped());
        arrived.say("done");
        let mut resumed = client.get(Some(&last)).await.events();
        assert_eq!(resumed.expect().await["params"]["progress"], 2);
        assert_eq!(resumed.expect().await["result"]["content"][0]["text"], "done");
        let end = resumed.last_id.clone().unwrap();
        assert!(resumed.message().await.is_none());
        assert!(client.get(Some(&end)).await.events().rest().await.is_empty(), "once is enough");
    }
    assert_eq!(mount.seen().len(), 3);
}

#[tokio::test]
async fn sec_091_a_disconnect_cancels_nothing_at_any_stage() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call_with_token(1, json!(1));
    let arrived = mount.next().await;
    reply.abort();
    let _ = reply.await;
    let twin = client.call(1, "hold");
    assert_eq!(twin.await.unwrap().fault(), (200, -32600), "it still runs");
    assert!(!arrived.is_dropped());
    arrived.progress(&json!(1));
    arrived.say("to nobody");
    for stage in ["progress", "question"] {
        let reply = client.call_with_token(2, json!(1));
        let arrived = mount.next().await;
        let asked = (stage == "question").then(|| arrived.elicit("name?"));
        arrived.progress(&json!(1));
        drop(reply.await.unwrap());
        assert_eq!(client.call(2, "hold").await.unwrap().fault(), (200, -32600), "it still runs");
        assert!(!arrived.is_dropped() && asked.is_none_or(|a| !a.is_finished()));
        arrived.progress(&json!(2));
        arrived.say("to nobody");
        free(&client, 2).await;
    }
    free(&client, 1).await;
}

/// Waits until no call runs under `id`, which nobody is told.
async fn free(client: &Client, id: u64) {
    while client.ask(id, "x/free", json!({})).await.json().get("error").is_some() {}
}

#[tokio::test]
async fn era_144_an_unknown_event_leads_nowhere() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let (arrived, mut stream) = progressing(&client, &mount, 1).await;
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    let (name, _) = last.rsplit_once('-').unwrap();
    let wrong = [
        "nonsense".to_owned(),
        "nonsense-1".to_owned(),
        "-1".to_owned(),
        name.to_owned(),
        format!("{name}--1"),
        format!("{name}-999"),
        format!("{name}-99999999999999999999999"),
        format!("{name}-1x"),
    ];
    for id in &wrong {
        let reply = client.get(Some(id)).await;
        assert_eq!(reply.status, StatusCode::OK, "{id}");
        assert_eq!(reply.events().next().await, None, "{id}");
    }
    arrived.say("done");
    assert_eq!(stream.expect().await["id"], 1);
}

#[tokio::test]
async fn sec_025_only_the_own_session_resumes_and_only_once_at_a_time() {
    let (docs, finance) = (Scripted::new("docs"), Scripted::new("finance"));
    let gateway = Gateway::serve(Settings::default(), &[docs.clone(), finance]).await;
    let client = gateway.session(NEWEST).await;
    let other = gateway.session(NEWEST).await;
    let (arrived, mut stream) = progressing(&client, &docs, 1).await;
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    assert_eq!(other.get(Some(&last)).await.events().next().await, None, "another session");
    assert_eq!(client.named("bob").get(Some(&last)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.at(gateway.url("finance")).get(Some(&last)).await.status, StatusCode::NOT_FOUND);
    let mut first = client.get(Some(&last)).await.events();
    let mut second = client.get(Some(&last)).await.events();
    arrived.say("done");
    assert_eq!(second.expect().await["id"], 1);
    assert!(first.message().await.is_none(), "each message is on one stream only");
    assert!(stream.message().await.is_none());
}

#[tokio::test]
async fn era_127_the_newer_standalone_stream_takes_over_and_a_resumed_one_does_not_close_it() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let peer = mount.last_caller().scope.peer().clone();
    let mut older = client.get(None).await.events();
    older.next().await.unwrap();
    tell(&peer, "notifications/x-a", json!({"n": 1}));
    assert_eq!(older.expect().await["params"]["n"], 1);
    let mut newer = client.get(None).await.events();
    newer.next().await.unwrap();
    assert!(older.message().await.is_none());
    let (arrived, mut stream) = progressing(&client, &mount, 1).await;
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    drop(stream);
    let mut resumed = client.get(Some(&last)).await.events();
    tell(&peer, "notifications/x-a", json!({"n": 2}));
    arrived.say("done");
    assert_eq!(newer.expect().await["params"]["n"], 2);
    assert_eq!(resumed.rest().await.len(), 1);
    resumed = client.get(newer.last_id.as_deref()).await.events();
    resumed.next().await.unwrap();
    assert!(newer.message().await.is_none(), "the standalone stream was resumed");
    tell(&peer, "notifications/x-a", json!({"n": 3}));
    assert_eq!(resumed.expect().await["params"]["n"], 3);
}

#[tokio::test]
async fn era_141_310_changes_wait_for_a_stream_once_each() {
    let (gateway, mount) = Gateway::start().await;
    for revision in REVISIONS {
        let mut client = gateway.client();
        client.open(revision, able()).await;
        let peer = mount.last_caller().scope.peer().clone();
        for _ in 0..3 {
            tell(&peer, "notifications/tools/list_changed", json!({}));
            tell(&peer, "notifications/resources/updated", json!({"uri": "a:1"}));
            tell(&peer, "notifications/resources/updated", json!({"uri": "a:2"}));
            tell(&peer, "notifications/message", json!({"level": "error", "data": "lost"}));
        }
        let mut stream = client.get(None).await.events();
        let mut heard = Vec::new();
        for _ in 0..3 {
            let message = stream.expect().await;
            heard.push((message["method"].clone(), message["params"]["uri"].clone()));
        }
        assert_eq!(
            heard,
            [
                (json!("notifications/tools/list_changed"), Value::Null),
                (json!("notifications/resources/updated"), json!("a:1")),
                (json!("notifications/resources/updated"), json!("a:2")),
            ]
        );
        tell(&peer, "notifications/message", json!({"level": "error", "data": "heard"}));
        assert_eq!(stream.expect().await["params"]["data"], "heard");
        stream.silent().await;
    }
}

#[tokio::test]
async fn changes_are_no_part_of_a_call() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    arrived.notify("notifications/tools/list_changed", &json!({}));
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["id"], 1);
    let mut stream = client.get(None).await.events();
    assert_eq!(stream.expect().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn what_a_stream_keeps_is_bounded_and_the_answer_is_kept_longest() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let (arrived, mut stream) = progressing(&client, &mount, 1).await;
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    drop(stream);
    let asked = arrived.elicit("name?");
    for step in 2..1000 {
        arrived.progress(&json!(step));
    }
    arrived.notify("notifications/message", &json!({"level": "info", "data": "x".repeat(2 << 20)}));
    arrived.say("done");
    free(&client, 1).await;
    let messages = client.get(Some(&last)).await.events().rest().await;
    assert!(messages.len() <= 256);
    assert!(messages.iter().any(|m| m["method"] == "elicitation/create"));
    assert!(messages.iter().map(|m| m.to_string().len()).sum::<usize>() < 1 << 20);
    assert_eq!(messages.last().unwrap()["result"]["content"][0]["text"], "done");
    asked.abort();

    let (arrived, mut stream) = progressing(&client, &mount, 1).await;
    stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    arrived.say(&"y".repeat(3 << 20));
    assert_eq!(stream.expect().await["result"]["content"][0]["text"].as_str().unwrap().len(), 3 << 20);
    assert!(client.get(Some(&last)).await.events().rest().await.is_empty(), "too large to be kept");

    let reply = client.call_with_token(1, json!("t"));
    let arrived = mount.next().await;
    arrived.progress(&json!(1));
    arrived.say(&"y".repeat(3 << 20));
    assert_eq!(reply.await.unwrap().events().rest().await.len(), 2, "large, but somebody waits for it");
}

#[tokio::test]
async fn an_ended_stream_is_kept_for_a_while() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let (arrived, mut stream) = progressing(&client, &mount, 1).await;
    let first = stream.next().await.unwrap().id.unwrap();
    arrived.say("done");
    assert_eq!(stream.rest().await.len(), 2);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(290)).await;
    assert_eq!(client.get(Some(&first)).await.events().rest().await.len(), 2);
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(client.get(Some(&first)).await.events().rest().await.is_empty());
}
