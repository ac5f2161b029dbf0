//! Servers that go away while somebody listens.

use super::*;
use crate::support::wait::soon;

/// What a client is told when nobody knows what it missed, in any order.
fn everything(subscribed: &[&str]) -> Vec<(String, Value)> {
    let lists =
        ["prompts", "resources", "tools"].map(|kind| (format!("notifications/{kind}/list_changed"), Value::Null));
    let updates = subscribed.iter().map(|uri| (UPDATED.to_owned(), super::uri(uri)));
    let mut all: Vec<_> = lists.into_iter().chain(updates).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

async fn told(stream: &mut Streaming, count: usize) -> Vec<(String, Value)> {
    let mut told = Vec::new();
    for _ in 0..count {
        let (method, uri, _) = next(stream).await;
        told.push((method, if uri.is_null() { uri } else { json!({"uri": uri}) }));
    }
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn all_lists(uris: &[&str]) -> Sent {
    listen(json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": uris}))
}

#[tokio::test]
async fn era_301_a_stream_that_broke_is_made_up_for_once() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Http).await;
    let (mut stream, _) = listen_to(&gateway, all_lists(&["a:x"])).await;
    let client = Legacy::connect_as(&gateway, "bob").await;
    let mut outside = client.outside().await;
    client.subscribe("a:y").await;
    server.has_ways(2).await;
    server.cuts();
    server.has_ways(2).await;
    assert_eq!(told(&mut stream, 4).await, everything(&["a:x"]));
    let mut at_bob = outside.rest().await;
    at_bob.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(at_bob, everything(&["a:y"]));
    // And then it goes on.
    assert_eq!(server.uris("resources/subscribe"), ["a:x", "a:y"]);
    server.updates("a:x");
    assert_eq!(next(&mut stream).await, updated("a:x", 1));
}

/// A server that has forgotten the session is greeted again although nobody calls it, and everything is set up again.
#[tokio::test]
async fn era_169_a_forgotten_session_is_opened_again_for_whoever_listens() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Http).await;
    let (mut stream, _) = listen_to(&gateway, all_lists(&["a:x"])).await;
    server.has_ways(1).await;
    server.crashes();
    server.sees("initialize", 2).await;
    server.sees("resources/subscribe", 2).await;
    assert_eq!(server.uris("resources/subscribe"), ["a:x", "a:x"]);
    assert_eq!(told(&mut stream, 4).await, everything(&["a:x"]));
    server.updates("a:x");
    assert_eq!(next(&mut stream).await, updated("a:x", 1));
}

/// The process behind a pipe ends: it is started again for whoever listens, and their streams stay open.
#[tokio::test(start_paused = true)]
async fn sec_107_a_process_that_ended_is_started_again_for_whoever_listens() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (mut stream, _) = listen_to(&gateway, all_lists(&["a:x"])).await;
    let client = Legacy::connect_as(&gateway, "bob").await;
    let mut outside = client.outside().await;
    client.subscribe("a:y").await;
    client.subscribe("a:z").await;
    client.unsubscribe("a:z").await;
    for _ in 0..3 {
        server.crashes();
        assert_eq!(told(&mut stream, 4).await, everything(&["a:x"]));
        let mut at_bob = outside.rest().await;
        at_bob.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(at_bob, everything(&["a:y"]));
        server.updates("a:x");
        assert_eq!(next(&mut stream).await, updated("a:x", 1));
        server.updates("a:y");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:y")));
    }
    let mut subscribed = server.uris("resources/subscribe");
    subscribed.sort_unstable();
    assert_eq!(subscribed, [vec!["a:x"; 4], vec!["a:y"; 4], vec!["a:z"]].concat());
    // Nobody is left: nothing is started for nobody.
    drop(stream);
    client.close().await;
    let started = server.seen("initialize").len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.crashes();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.seen("initialize").len(), started);
}

#[tokio::test]
async fn era_302_a_listen_that_ends_or_breaks_is_opened_again() {
    for through in EVERY_WAY {
        for breaks in [false, true] {
            let server = Server::new(Speaks::Modern);
            let gateway = gateway(&server, through).await;
            let client = Legacy::connect(&gateway).await;
            let mut outside = client.outside().await;
            client.subscribe("a:x").await;
            server.has_ways(2).await;
            let begun = std::time::Instant::now();
            if breaks {
                server.crashes()
            } else {
                server.ends()
            }
            let mut told = vec![outside.next().await];
            assert!(begun.elapsed() >= Duration::from_millis(900), "{through:?}: it is left alone for a moment");
            for _ in 0..3 {
                told.push(outside.next().await);
            }
            told.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(told, everything(&["a:x"]), "{through:?} {breaks}");
            assert_eq!(server.ways(), 2);
            server.updates("a:x");
            assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")));
            server.says(TOOLS, Value::Null);
            assert_eq!(outside.next().await.0, TOOLS);
        }
    }
}

/// A modern client's subscription at a modern server outlives the server's: it is opened again, and made up for.
#[tokio::test]
async fn era_302_a_modern_clients_listen_outlives_that_at_a_modern_server() {
    for through in EVERY_WAY {
        for breaks in [false, true] {
            let server = Server::new(Speaks::Modern);
            let gateway = gateway(&server, through).await;
            let (mut stream, honoured) = listen_to(&gateway, all_lists(&["a:x", "a:refused"])).await;
            assert_eq!(honoured["resourceSubscriptions"], json!(["a:x"]));
            server.updates("a:x");
            assert_eq!(next(&mut stream).await, updated("a:x", 1));
            let begun = std::time::Instant::now();
            if breaks {
                server.crashes()
            } else {
                server.ends()
            }
            assert_eq!(told(&mut stream, 4).await, everything(&["a:x"]), "{through:?} {breaks}");
            assert!(begun.elapsed() >= Duration::from_millis(900), "{through:?}: it is left alone for a moment");
            server.updates("a:x");
            assert_eq!(next(&mut stream).await, updated("a:x", 1));
            // A server that honours less by now: the client has to hear of it, and subscribes again.
            server.manners().honours_no_lists = true;
            server.ends();
            let last = within(stream.next()).await.unwrap();
            assert_eq!(last["result"]["resultType"], "complete", "{through:?} {breaks}");
            assert!(within(stream.next()).await.is_none());
            server.has_ways(0).await;
        }
    }
}

/// Nothing is opened again for a client that is gone.
#[tokio::test(start_paused = true)]
async fn a_listen_is_not_opened_again_for_nobody() {
    let server = Server::new(Speaks::Modern);
    let gateway = gateway(&server, Through::Pipe).await;
    let (stream, _) = listen_to(&gateway, to(&["a:x"])).await;
    server.ends();
    server.has_ways(0).await;
    drop(stream);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.seen("subscriptions/listen").len(), 1);
}

/// What nobody would ever hear of is not kept open at the server, and stays open towards the client.
#[tokio::test]
async fn a_listen_that_brings_nothing_is_not_kept_at_the_server() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        server.manners().honours_no_lists = true;
        let gateway = gateway(&server, through).await;
        let (mut nothing, honoured) = listen_to(&gateway, listen(json!({}))).await;
        assert_eq!(honoured, json!({}));
        assert!(server.seen("subscriptions/listen").is_empty(), "{through:?}");
        let (mut refused, honoured) = listen_to(&gateway, listen(json!({"toolsListChanged": true}))).await;
        assert_eq!(honoured, json!({}));
        server.has_ways(0).await;
        let silent = tokio::time::timeout(
            Duration::from_millis(100),
            futures_util::future::join(nothing.next(), refused.next()),
        );
        assert!(silent.await.is_err(), "both stay open");
        assert_eq!(gateway.settings.held.listens(), 2);
    }
}

/// A server that is replaced by one of the other era: who is subscribed stays so, in the ways of that era.
#[tokio::test]
async fn subscriptions_follow_a_server_into_the_other_era() {
    let eras = [(Speaks::Legacy, Speaks::Modern), (Speaks::Modern, Speaks::Legacy)];
    let cases = EVERY_WAY.iter().flat_map(|through| eras.map(|(before, after)| followed(*through, before, after)));
    futures_util::future::join_all(cases).await;
}

async fn followed(through: Through, before: Speaks, after: Speaks) {
    let case = format!("{through:?} {before:?}");
    let server = Server::new(before);
    let gateway = gateway(&server, through).await;
    let client = Legacy::connect(&gateway).await;
    let mut outside = client.outside().await;
    client.subscribe("a:x").await;
    let (mut stream, _) = listen_to(&gateway, to(&["a:y"])).await;
    server.becomes(after);
    // Over HTTP a session finds out when it is used, and a gateway does not probe again and again.
    let call = || client.request("tools/call", json!({"name": "t", "arguments": {}}));
    let called = async {
        while call().await["result"].is_null() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Box::pin(soon("a call", called)).await;
    // A modern client is told to subscribe again.
    let last = within(stream.next()).await.unwrap();
    assert_eq!(last["result"]["resultType"], "complete", "{case}");
    match after {
        Speaks::Modern => until("a listen", || server.listened_to() == [json!(["a:x"])]).await,
        Speaks::Legacy => server.sees("resources/subscribe", 1).await,
    }
    outside.rest().await;
    server.updates("a:x");
    assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")), "{case}");
    let (mut stream, honoured) = listen_to(&gateway, to(&["a:y"])).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:y"]}), "{case}");
    server.updates("a:y");
    assert_eq!(next(&mut stream).await, updated("a:y", 1), "{case}");
    server.says(TOOLS, Value::Null);
    assert_eq!(outside.next().await.0, TOOLS, "{case}");
    client.unsubscribe("a:x").await;
}

/// Who did not lose a session is not told that anything may have been missed in it.
#[tokio::test(start_paused = true)]
async fn a_lost_session_is_nobody_elses_trouble() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (mut alice, _) = listen_to(&gateway, all_lists(&["a:x"])).await;
    let (mut bob, _) = listen_to(&gateway, all_lists(&["a:x"]).principal("bob")).await;
    let session = server.sessions_of("resources/subscribe").pop().unwrap();
    server.ends_session(&session);
    assert_eq!(told(&mut bob, 4).await, everything(&["a:x"]));
    let more = tokio::time::timeout(Duration::from_secs(5), alice.next()).await;
    assert!(more.is_err(), "{more:?}");
}
