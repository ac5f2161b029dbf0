//! How much anybody may subscribe to, and what happens to those who do not read.

use super::*;

fn many(count: usize, name: &str) -> Vec<String> {
    (0..count).map(|n| format!("{name}:{n}")).collect()
}

#[tokio::test]
async fn a_principal_may_hold_so_many_subscriptions_at_a_server() {
    let server = Server::new(Speaks::Legacy);
    let gateway = shared_gateway(&server, Through::Pipe, Share::Everybody).await;
    let mut open = Vec::new();
    let mut taken = 0;
    for round in 0..5 {
        let uris = many(1000, &format!("a{round}"));
        let (stream, honoured) = listen_to(&gateway, listen(json!({"resourceSubscriptions": uris}))).await;
        taken += honoured["resourceSubscriptions"].as_array().map_or(0, Vec::len);
        open.push(stream);
    }
    assert_eq!((taken, server.seen("resources/subscribe").len()), (4096, 4096));
    // That is nobody else's trouble.
    let (mut bob, honoured) = listen_to(&gateway, to(&["a0:0", "b:1"]).principal("bob")).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a0:0", "b:1"]}));
    server.updates("b:1");
    assert_eq!(next(&mut bob).await, updated("b:1", 1));
    // What is given up can be taken again.
    drop(open.remove(0));
    let again = async {
        while listen_to(&gateway, to(&["c:1"])).await.1 != json!({"resourceSubscriptions": ["c:1"]}) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    Box::pin(within(again)).await;
}

#[tokio::test]
async fn a_client_may_subscribe_to_so_many_resources() {
    let server = Server::new(Speaks::Modern);
    let gateway = gateway(&server, Through::Pipe).await;
    let client = Legacy::connect(&gateway).await;
    let all = many(900, "a");
    futures_util::future::join_all(all.iter().map(|uri| client.subscribe(uri))).await;
    let more = many(100, "b");
    futures_util::future::join_all(more.iter().map(|uri| client.subscribe(uri))).await;
    let (code, data) = client.refused("c:1").await;
    assert_eq!((code, &data["reason"]), (-32603, &json!("limit")));
    // Those it has are served, and may be replaced.
    client.subscribe("a:1").await;
    client.unsubscribe("a:1").await;
    client.subscribe("c:1").await;
    assert_eq!(client.refused(&"x".repeat(10_000)).await.1["reason"], "limit");
}

/// A client that reads nothing holds up nobody, and is told what still holds when it reads again.
#[tokio::test]
async fn era_314_a_listener_that_does_not_read_is_told_less() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Legacy);
        let gateway = gateway(&server, through).await;
        let (mut slow, _) = listen_to(&gateway, to(&["a:", "b:/x"]).id("slow")).await;
        let (mut quick, _) = listen_to(&gateway, to(&["b:/x"]).id("quick")).await;
        server.has_ways(1).await;
        let params = |n: usize| json!({"uri": format!("b:/x/{n}"), "_meta": {"example.com/more": "m".repeat(1000)}});
        for n in 0..5000 {
            server.says(UPDATED, params(n));
            if n % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        // `quick` did not read either until now; both get what is left, and then what is new.
        for (stream, id) in [(&mut quick, "quick"), (&mut slow, "slow")] {
            let mut told = Vec::new();
            while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), stream.next()).await {
                told.push(event.unwrap()["params"]["uri"].as_str().unwrap().to_owned());
            }
            assert!((1..=80).contains(&told.len()), "{through:?} {id}: {}", told.len());
            assert!(told.iter().any(|uri| uri == "b:/x"), "{through:?} {id}: whoever reads it again sees everything");
        }
        server.updates("b:/x");
        assert_eq!(next(&mut quick).await, updated("b:/x", "quick"));
        assert_eq!(next(&mut slow).await, updated("b:/x", "slow"));
    }
}

/// A legacy client that reads nothing keeps one of each that waits, and nothing else is pushed out by it.
#[tokio::test(start_paused = true)]
async fn era_314_what_waits_for_a_legacy_client_waits_once() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let server = Server::new(speaks);
        let gateway = gateway(&server, Through::Pipe).await;
        let client = Legacy::connect(&gateway).await;
        client.request("tools/call", json!({"name": "t", "arguments": {}})).await;
        client.subscribe("a:x").await;
        // Open, and not read.
        let mut outside = client.outside().await;
        server.says(TOOLS, Value::Null);
        for _ in 0..2000 {
            server.updates("a:x");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let mut told = outside.rest().await;
        told.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(told, [(UPDATED.to_owned(), uri("a:x")), (TOOLS.to_owned(), Value::Null)], "{speaks:?}");
    }
}

/// A client with a session of its own at the server may subscribe to as much as the server lets it. What is beyond the bound
/// is not made again when that session is lost, and everything else is.
#[tokio::test]
async fn what_a_client_subscribes_to_beyond_the_bound_is_not_remembered() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let client = Legacy::connect(&gateway).await;
    client.calls().await;
    let all = many(4100, "a");
    for some in all.chunks(100) {
        futures_util::future::join_all(some.iter().map(|uri| client.subscribe(uri))).await;
    }
    assert_eq!(server.seen("resources/subscribe").len(), 4100);
    server.crashes();
    server.sees("resources/subscribe", 4100 + 4096).await;
    client.calls().await;
    assert_eq!(server.seen("resources/subscribe").len(), 4100 + 4096);
    // What was given up leaves room.
    client.unsubscribe("a:0").await;
    client.subscribe("a:4099").await;
}
