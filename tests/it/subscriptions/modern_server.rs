//! Legacy clients in front of modern servers.

use super::*;

#[tokio::test]
async fn era_307_a_subscription_becomes_a_listen_that_follows_what_is_wanted() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        assert_eq!(client.capabilities["resources"], json!({"listChanged": true, "subscribe": true}));
        let mut outside = client.outside().await;

        client.subscribe("a:x").await;
        assert_eq!(server.listened_to(), [json!(["a:x"])], "{through:?}");
        server.updates("a:x");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")));
        server.updates("a:x/part");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x/part")));

        // The new listen is there before the old one goes, and what both bring is told once.
        client.subscribe("a:y").await;
        assert_eq!(server.listened_to(), [json!(["a:x"]), json!(["a:x", "a:y"])], "{through:?}");
        server.updates("a:x");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")));
        until("the first listen to be closed", || server.listened_to() == [json!(["a:x", "a:y"])]).await;
        server.updates("a:y");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:y")));
        assert!(outside.rest().await.is_empty());

        // Subscribing again asks nobody.
        let before = server.seen("subscriptions/listen").len();
        client.subscribe("a:x").await;
        assert_eq!(server.seen("subscriptions/listen").len(), before);

        // It is told in the words of the client, and what was given up is not told.
        client.unsubscribe("a:x").await;
        server.updates("a:x");
        server.says(UPDATED, json!({"uri": "a:y", "title": "Y"}));
        assert_eq!(outside.next().await, (UPDATED.into(), json!({"uri": "a:y", "title": "Y"})));
    }
}

/// What the server said on the old listen before it knew of the new one may arrive after the acknowledgement.
#[tokio::test]
async fn nothing_is_lost_when_a_listen_takes_the_place_of_another() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        let mut outside = client.outside().await;
        client.subscribe("a:x").await;
        for n in 0..5 {
            client.subscribe(&format!("a:{n}")).await;
            server.updates_first("a:x");
            assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")), "{through:?}");
            until("one listen", || server.listened_to().len() == 1).await;
        }
    }
}

/// Wishes that come together become one listen.
#[tokio::test]
async fn subscriptions_at_the_same_time_are_opened_together() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        let all: Vec<_> = (0..50).map(|n| format!("a:{n}")).collect();
        futures_util::future::join_all(all.iter().map(|uri| client.subscribe(uri))).await;
        let opened = server
            .seen("subscriptions/listen")
            .iter()
            .filter(|p| !p["notifications"]["resourceSubscriptions"].is_null())
            .count();
        assert!(opened <= 3, "{through:?}: {opened} listens");
        until("one listen", || server.listened_to().len() == 1).await;
        assert_eq!(server.listened_to()[0].as_array().unwrap().len(), 50);
    }
}

#[tokio::test]
async fn era_308_what_is_not_honoured_is_refused_and_no_listen_is_kept_for_it() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        assert_eq!(client.refused("a:refused").await.0, -32602);
        until("no listen", || server.listened_to().is_empty()).await;
        assert!(client.request("resources/unsubscribe", json!({"uri": "a:refused"})).await["result"].is_object());
        let opened = server.seen("subscriptions/listen").len();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(server.seen("subscriptions/listen").len(), opened, "{through:?}: it is opened again for nothing");
        // Beside one that is honoured it is refused as well, and the other goes on.
        client.subscribe("a:x").await;
        assert_eq!(client.refused("a:refused").await.0, -32602);
        let mut outside = client.outside().await;
        server.updates("a:x");
        assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")));
    }
}

#[tokio::test]
async fn era_309_unsubscribing_always_works_and_the_last_one_closes_the_listen() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        for uri in ["a:x", "a:y"] {
            client.subscribe(uri).await;
        }
        client.unsubscribe("a:x").await;
        client.unsubscribe("a:x").await;
        client.unsubscribe("a:never").await;
        until("one listen", || server.listened_to().len() == 1).await;
        client.unsubscribe("a:y").await;
        until("the listen to be closed", || server.listened_to().is_empty()).await;
        if through == Through::Pipe {
            // On a pipe a listen is closed in words; over HTTP by closing its stream.
            server.sees("notifications/cancelled", 2).await;
        }
    }
}

#[tokio::test]
async fn a_listen_shrinks_after_a_while() {
    tokio::time::pause();
    let server = Server::new(Speaks::Modern);
    let gateway = gateway(&server, Through::Pipe).await;
    let client = Legacy::connect(&gateway).await;
    for uri in ["a:x", "a:y"] {
        client.subscribe(uri).await;
    }
    client.unsubscribe("a:x").await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(server.listened_to(), [json!(["a:x", "a:y"])]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.listened_to(), [json!(["a:y"])]);
}

#[tokio::test]
async fn era_310_a_change_waits_for_the_clients_stream_and_is_told_once() {
    for (speaks, through) in
        [(Speaks::Modern, Through::Http), (Speaks::Modern, Through::Pipe), (Speaks::Legacy, Through::Pipe)]
    {
        let server = Server::new(speaks);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        client.request("tools/call", json!({"name": "t", "arguments": {}})).await;
        client.subscribe("a:x").await;
        for _ in 0..3 {
            server.says(TOOLS, Value::Null);
            server.updates("a:x");
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        let mut outside = client.outside().await;
        let mut told = outside.rest().await;
        told.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(told, [(UPDATED.to_owned(), uri("a:x")), (TOOLS.to_owned(), Value::Null)], "{speaks:?} {through:?}");
    }
}

/// One listen watches the lists for every legacy client of the mount, as long as there is any.
#[tokio::test]
async fn the_lists_are_watched_once_for_all_clients() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let alice = Legacy::connect(&gateway).await;
        let bob = Legacy::connect_as(&gateway, "bob").await;
        let all = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
        assert_eq!(server.listens(), [all], "{through:?}");
        let (mut at_alice, mut at_bob) = (alice.outside().await, bob.outside().await);
        for kind in ["tools", "prompts", "resources"] {
            let method = format!("notifications/{kind}/list_changed");
            server.says(&method, Value::Null);
            assert_eq!(at_alice.next().await, (method.clone(), Value::Null));
            assert_eq!(at_bob.next().await, (method, Value::Null));
        }
        alice.close().await;
        server.says(TOOLS, Value::Null);
        assert_eq!(at_bob.next().await.0, TOOLS);
        assert_eq!(server.ways(), 1);
        bob.close().await;
        server.has_ways(0).await;
        // And again for the next one.
        let carol = Legacy::connect_as(&gateway, "carol").await;
        assert_eq!(server.ways(), 1);
        let mut at_carol = carol.outside().await;
        server.says(TOOLS, Value::Null);
        assert_eq!(at_carol.next().await.0, TOOLS);
    }
}

#[tokio::test]
async fn lists_that_are_not_announced_are_not_watched() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        server.manners().capabilities = json!({"tools": {}, "resources": {}});
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        assert_eq!(client.capabilities, json!({"tools": {}, "resources": {}}));
        assert!(server.seen("subscriptions/listen").is_empty());
        assert_eq!(client.refused("a:x").await.0, -32601);

        // One that says it announces them, and honours nothing, is asked once.
        let server = Server::new(Speaks::Modern);
        server.manners().honours_no_lists = true;
        let gateway = super::gateway(&server, through).await;
        for principal in ["alice", "bob"] {
            let client = Legacy::connect_as(&gateway, principal).await;
            client.request("tools/call", json!({"name": "t", "arguments": {}})).await;
        }
        server.has_ways(0).await;
        assert_eq!(server.seen("subscriptions/listen").len(), 1, "{through:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_listens_along() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Modern);
        let gateway = gateway(&server, through).await;
        let client = Legacy::connect(&gateway).await;
        client.subscribe("a:x").await;
        assert_eq!(server.ways(), 2);
        client.close().await;
        server.has_ways(0).await;
    }
}

#[tokio::test]
async fn a_client_without_a_session_is_told_that_it_needs_one() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        for through in EVERY_WAY {
            let server = Server::new(speaks);
            let gateway = gateway(&server, through).await;
            let client = Legacy::sessionless(&gateway, "alice");
            let (code, _) = client.refused("a:x").await;
            assert_eq!(code, -32600, "{speaks:?} {through:?}");
            client.unsubscribe("a:x").await;
            assert!(server.seen("resources/subscribe").is_empty() && server.seen("resources/unsubscribe").is_empty());
        }
    }
}
