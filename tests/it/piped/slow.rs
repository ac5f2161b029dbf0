//! A client that does not read: what is kept for it is bounded, and nobody else notices.

use std::time::Duration;

use rialto::downstream::{Endpoint, Settings};
use serde_json::{Value, json};

use super::{
    NEWEST, Pipe,
    kit::{done, text_of, tool},
    modern, request,
};
use crate::{
    legacy_support::Scripted,
    support::{mount::notification, wait::soon},
};

#[tokio::test]
async fn whoever_does_not_read_loses_progress_and_no_answer() {
    let mount = Scripted::new("docs");
    let endpoint = Endpoint::new(mount.clone(), Settings::default());
    let (mut slow, serving) = Pipe::at_endpoint(&endpoint);
    slow.handshake(NEWEST).await;
    let mut held = Vec::new();
    for n in 0..50 {
        let mut call = request(n, "tools/call", tool("hold"));
        call["params"]["_meta"] = json!({"progressToken": n});
        slow.send(&call).await;
        held.push(mount.next().await);
    }
    for step in 1..=100 {
        for held in &held {
            held.progress(&json!(step));
        }
    }
    let peer = mount.last_caller().scope.peer().clone();
    for _ in 0..1000 {
        peer.notify(notification("notifications/tools/list_changed", Value::Null));
    }
    for held in held {
        held.say(&"x".repeat(100_000));
    }
    // Somebody else at the same endpoint.
    let (mut other, others) = Pipe::at_endpoint(&endpoint);
    other.handshake(NEWEST).await;
    assert!(other.ask(&request(1, "tools/list", json!({}))).await["result"].is_object());
    other.close().await;
    done(others).await;

    slow.close().await;
    let rest = slow.rest().await;
    done(serving).await;
    let answers: Vec<_> = rest.iter().filter(|m| !m["id"].is_null()).collect();
    assert_eq!(answers.len(), 50);
    assert!(answers.iter().all(|a| text_of(a).len() == 100_000));
    let progress: Vec<_> = rest.iter().filter(|m| m["method"] == "notifications/progress").collect();
    // What fits into the pipe, and what waits at most.
    assert!((256..2000).contains(&progress.len()), "{}", progress.len());
    assert_eq!(progress.last().unwrap()["params"]["progress"], 100, "the oldest ones are left out");
    assert!(rest.iter().filter(|m| m["method"] == "notifications/tools/list_changed").count() <= 2);
}

/// Writes requests without reading anything until nobody takes them any more, and says how many.
async fn flood(client: &mut Pipe) -> usize {
    let text = "x".repeat(100_000);
    let mut sent = 0;
    loop {
        let call = request(sent, "tools/call", json!({"name": "echo", "arguments": {"text": text}}));
        let line = format!("{call}\n");
        match tokio::time::timeout(Duration::from_secs(2), client.try_write(line.as_bytes())).await {
            Ok(true) => sent += 1,
            Ok(false) => panic!("the connection ended"),
            Err(_) => return sent,
        }
        assert!(sent < 1000, "everything is taken");
    }
}

#[tokio::test]
async fn whoever_writes_without_reading_is_not_read_until_it_reads() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    let sent = flood(&mut client).await;
    // 8 MiB wait, and a line of the client.
    assert!((60..120).contains(&sent), "{sent}");
    // It gets every answer when it reads.
    for n in 0..sent {
        assert!(text_of(&client.answer(&json!(n)).await).len() > 100_000, "{n}");
    }
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_any_more_is_noticed_when_it_goes() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    let mut held = Vec::new();
    for n in 0..100 {
        client.send(&modern(n, "tools/call", tool("hold"))).await;
        held.push(mount.next().await);
    }
    let mut last = held.pop().unwrap();
    for held in held {
        held.complete(&json!({"resultType": "complete", "content": [], "x": "x".repeat(100_000)}));
    }
    // It closes its end, and reads no more than before.
    client.close().await;
    soon("the end of the call", last.dropped()).await;
    soon("the end of the connection", serving).await.unwrap().unwrap();
    drop(client);
}
