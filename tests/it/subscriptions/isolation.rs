//! Whose subscription is whose.

use super::*;

/// Two people subscribe under the same id, each in a session of their own, or in one for everybody.
#[tokio::test]
async fn sec_031_era_300_each_hears_of_what_they_named_and_of_nothing_else() {
    for through in EVERY_WAY {
        for share in [Share::Principal, Share::Everybody, Share::LEASED] {
            let server = Server::new(Speaks::Legacy);
            let gateway = shared_gateway(&server, through, share).await;
            let (mut alice, _) = listen_to(&gateway, to(&["a:alice", "a:both"]).id(1)).await;
            let (mut bob, _) = listen_to(&gateway, to(&["a:bob", "a:both"]).id(1).principal("bob")).await;
            let sessions = if share == Share::Principal { 2 } else { 1 };
            server.has_ways(sessions).await;
            assert_eq!(server.seen("resources/subscribe").len(), if sessions == 2 { 4 } else { 3 });
            // Updates of a session are for those who subscribed in it.
            let of = |wanted: &str| {
                let all = server.sessions_of("resources/subscribe").into_iter().zip(server.uris("resources/subscribe"));
                all.filter(|(_, uri)| uri == wanted).map(|(session, _)| session).collect::<Vec<_>>()
            };
            for uri in ["a:alice", "a:alice/part", "a:bob", "a:bob/part", "a:other"] {
                let owner = of(uri.split('/').next().unwrap()).first().cloned();
                server.says_in(owner.as_deref(), UPDATED, &super::uri(uri));
            }
            server.updates("a:both");
            let mut parts = vec!["a:alice"];
            if share == Share::Principal {
                // Only where the session is hers alone a part, or another name, can be meant for her.
                parts.extend(["a:alice/part", "a:other"]);
            }
            parts.push("a:both");
            for uri in parts {
                assert_eq!(next(&mut alice).await, updated(uri, 1), "{through:?} {share:?}");
                let of_bob = uri.replace("alice", "bob");
                assert_eq!(next(&mut bob).await, updated(&of_bob, 1), "{through:?} {share:?}");
            }
            // Nobody ends the subscription of somebody else, whatever id is cancelled.
            for id in 0..5 {
                let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id,
                    "_meta": modern("x", json!({})).body()["params"]["_meta"]}});
                let sent = modern("notifications/cancelled", json!({})).principal("bob").text(cancel.to_string());
                assert_eq!(sent.send(&gateway).await.status, 202);
            }
            drop(bob);
            server.updates("a:both");
            assert_eq!(next(&mut alice).await, updated("a:both", 1));
        }
    }
}

/// Ids are a client's own, however many somebody else tries; and nobody is told what they did not ask for.
#[tokio::test]
async fn sec_031_nobody_guesses_a_subscription_away() {
    let cancel = |id: Value| {
        let meta = modern("x", json!({})).body()["params"]["_meta"].clone();
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "_meta": meta}})
    };
    for (speaks, share) in
        [(Speaks::Legacy, Share::Everybody), (Speaks::Legacy, Share::Principal), (Speaks::Modern, Share::Principal)]
    {
        let case = format!("{speaks:?} {share:?}");
        let server = Server::new(speaks);
        let gateway = shared_gateway(&server, Through::Pipe, share).await;
        let (mut alice, _) = listen_to(&gateway, to(&["a:x"]).id(17)).await;
        let (mut bob, honoured) =
            listen_to(&gateway, listen(json!({"toolsListChanged": true})).id(17).principal("bob")).await;
        assert_eq!(honoured, json!({"toolsListChanged": true}), "{case}");
        let client = Legacy::connect_as(&gateway, "bob").await;
        for id in (0..10_000).map(|id| json!(id)).chain([json!("17"), json!("1"), Value::Null]) {
            let sent = modern("notifications/cancelled", json!({})).principal("bob").text(cancel(id).to_string());
            let answer = sent.send(&gateway).await;
            assert_eq!((answer.status, answer.text.as_str()), (202, ""), "{case}");
        }
        for id in 0..100 {
            client.cancel(id).await;
        }
        for _ in 0..2 {
            server.updates("a:x");
            assert_eq!(next(&mut alice).await, updated("a:x", 17), "{case}: and nothing else");
            server.says(TOOLS, Value::Null);
            assert_eq!(next(&mut bob).await, (TOOLS.into(), Value::Null, json!(17)), "{case}: and nothing else");
        }
        assert!(server.seen("notifications/cancelled").is_empty(), "{case}");
    }
}

/// The same for people who come with sessions.
#[tokio::test]
async fn sec_031_sessions_hear_of_what_they_named_and_of_nothing_else() {
    for (speaks, share) in [
        (Speaks::Modern, Share::Principal),
        (Speaks::Legacy, Share::Principal),
        (Speaks::Legacy, Share::Everybody),
        (Speaks::Legacy, Share::LEASED),
    ] {
        for through in EVERY_WAY {
            let case = format!("{speaks:?} {share:?} {through:?}");
            let server = Server::new(speaks);
            let gateway = shared_gateway(&server, through, share).await;
            let alice = Legacy::connect_as(&gateway, "alice").await;
            let bob = Legacy::connect_as(&gateway, "bob").await;
            let (mut at_alice, mut at_bob) = (alice.outside().await, bob.outside().await);
            alice.subscribe("a:alice").await;
            alice.subscribe("a:both").await;
            bob.subscribe("a:bob").await;
            bob.subscribe("a:both").await;
            let ways = match (speaks, share) {
                // Two for what each named, one for the lists.
                (Speaks::Modern, _) => 3,
                (_, Share::Everybody | Share::Leased { .. }) => 1,
                _ => 2,
            };
            server.has_ways(ways).await;
            if speaks == Speaks::Legacy && share == Share::Principal {
                let session = server.sessions_of("resources/subscribe")[0].clone();
                server.says_in(Some(&session), UPDATED, &uri("a:alice"));
            } else {
                server.updates("a:alice");
            }
            assert_eq!(at_alice.next().await, (UPDATED.into(), uri("a:alice")), "{case}");
            server.updates("a:both");
            assert_eq!(at_alice.next().await, (UPDATED.into(), uri("a:both")), "{case}");
            assert_eq!(at_bob.next().await, (UPDATED.into(), uri("a:both")), "{case}");
            // What one gives up, or takes along, the other keeps.
            alice.unsubscribe("a:both").await;
            alice.close().await;
            server.updates("a:both");
            assert_eq!(at_bob.next().await, (UPDATED.into(), uri("a:both")), "{case}");
            assert!(at_bob.rest().await.is_empty(), "{case}");
        }
    }
}

/// People of whom nothing is known share no session, and yet hear of what one of their calls changed.
#[tokio::test]
async fn era_462_463_464_those_who_share_nothing_listen_through_one_session_in_which_nothing_is_done() {
    for through in EVERY_WAY {
        for (share, principal) in [(Share::Principal, ""), (Share::Nobody, "alice")] {
            let case = format!("{through:?} {share:?}");
            let server = Server::new(Speaks::Legacy);
            let gateway = shared_gateway(&server, through, share).await;
            let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["a:x"]});
            let (mut first, _) = listen_to(&gateway, listen(filter.clone()).principal(principal)).await;
            let (mut second, _) = listen_to(&gateway, listen(filter).principal(principal)).await;
            server.has_ways(1).await;
            assert_eq!(server.uris("resources/subscribe"), ["a:x"], "{case}");
            let call = crate::support::client::tool("t", json!({})).principal(principal);
            let answer = call.response(&gateway, 200).await;
            let session = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
            assert_ne!(session, server.sessions_of("resources/subscribe")[0], "{case}");
            // Said after the answer, in the session of that call.
            server.says_in(Some(&session), TOOLS, &Value::Null);
            server.says_in(Some(&session), UPDATED, &uri("a:x"));
            assert_eq!(next(&mut first).await.0, TOOLS, "{case}");
            assert_eq!(next(&mut second).await.0, TOOLS, "{case}");
            // The session of the call goes, and what it said of a resource was for nobody.
            server.has_ways(1).await;
            server.updates("a:x");
            assert_eq!(next(&mut first).await, updated("a:x", 1), "{case}");
            let observer = server.sessions_of("resources/subscribe")[0].clone();
            for method in ["tools/call", "prompts/get", "resources/read"] {
                assert!(!server.sessions_of(method).contains(&observer), "{case}: {method}");
            }
        }
    }
}

/// The session that listens for those who share nothing ends with the last of them.
#[tokio::test(start_paused = true)]
async fn the_session_that_only_listens_ends_with_the_last_listener() {
    let server = Server::new(Speaks::Legacy);
    let gateway = shared_gateway(&server, Through::Pipe, Share::Nobody).await;
    let (first, _) = listen_to(&gateway, to(&["a:x"])).await;
    let (second, _) = listen_to(&gateway, to(&["a:y"]).principal("bob")).await;
    assert_eq!(server.ways(), 1);
    drop(first);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!((server.ways(), server.uris("resources/unsubscribe")), (1, vec!["a:x".to_owned()]));
    drop(second);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(server.ways(), 0);
}
