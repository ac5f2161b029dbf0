//! Modern clients in front of legacy servers.

use super::*;

/// Every resource that is subscribed to is subscribed to once, and given up when nobody has wanted it for a while.
#[tokio::test(start_paused = true)]
async fn era_294_295_a_resource_is_subscribed_to_once_and_given_up_after_a_while() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (mut first, honoured) = listen_to(&gateway, to(&["a:x"]).id("a")).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:x"]}));
    let (mut second, honoured) = listen_to(&gateway, to(&["a:y", "a:x", "a:y"]).id(7)).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:y", "a:x"]}));
    assert_eq!(server.uris("resources/subscribe"), ["a:x", "a:y"]);

    server.updates("a:x");
    assert_eq!(next(&mut first).await, updated("a:x", "a"));
    assert_eq!(next(&mut second).await, updated("a:x", 7));
    server.updates("a:y");
    assert_eq!(next(&mut second).await, updated("a:y", 7));

    drop(first);
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.updates("a:x");
    assert_eq!(next(&mut second).await, updated("a:x", 7));
    assert!(server.seen("resources/unsubscribe").is_empty());

    drop(second);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(server.seen("resources/unsubscribe").is_empty());
    // Whoever comes back meanwhile finds it as it was.
    let (third, honoured) = listen_to(&gateway, to(&["a:x"])).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:x"]}));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(server.uris("resources/unsubscribe"), ["a:y"]);
    drop(third);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(server.uris("resources/unsubscribe"), ["a:y", "a:x"]);
    assert_eq!(server.uris("resources/subscribe"), ["a:x", "a:y"]);
}

/// A server may speak on of something that was given up: that is meant for nobody, also where only one listens any more.
#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_told_to_nobody_else() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (first, _) = listen_to(&gateway, to(&["a:x"]).id("a")).await;
    let (mut second, _) = listen_to(&gateway, to(&["b:y"]).id("b")).await;
    drop(first);
    // First the subscription lingers, then the server is told to forget it and does not.
    for after in [Duration::from_secs(1), Duration::from_secs(60)] {
        tokio::time::sleep(after).await;
        server.updates("a:x");
        server.updates("b:y");
        assert_eq!(next(&mut second).await, updated("b:y", "b"));
    }
    assert_eq!(server.uris("resources/unsubscribe"), ["a:x"]);
    // Under a name that nobody ever subscribed to it can only be meant for the one who is left.
    server.says(UPDATED, uri("c:z"));
    assert_eq!(next(&mut second).await, updated("c:z", "b"));
}

#[tokio::test]
async fn era_296_297_what_the_server_refuses_or_does_not_offer_is_left_out() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Legacy);
        let gateway = gateway(&server, through).await;
        let (mut stream, honoured) = listen_to(&gateway, to(&["a:refused", "a:x"])).await;
        assert_eq!(honoured, json!({"resourceSubscriptions": ["a:x"]}), "{through:?}");
        server.has_ways(1).await;
        server.updates("a:x");
        assert_eq!(next(&mut stream).await, updated("a:x", 1));

        let server = Server::new(Speaks::Legacy);
        server.manners().capabilities = json!({"resources": {"subscribe": false}, "tools": {}});
        let gateway = super::gateway(&server, through).await;
        let filter = json!({"resourceSubscriptions": ["a:x"], "toolsListChanged": true, "promptsListChanged": true});
        let (_stream, honoured) = listen_to(&gateway, listen(filter)).await;
        assert_eq!(honoured, json!({}), "{through:?}");
        assert!(server.seen("resources/subscribe").is_empty());
    }
}

/// A server that does not answer one subscription does not keep the others waiting for ever, and is told to forget it.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_not_answered_is_left_out() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (_stream, honoured) = listen_to(&gateway, to(&["a:ignored", "a:x"])).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:x"]}));
    server.sees("notifications/cancelled", 1).await;
    server.sees("resources/unsubscribe", 1).await;
    assert_eq!(server.uris("resources/unsubscribe"), ["a:ignored"]);

    // However many there are, the client does not wait for each of them.
    let mut many: Vec<_> = (0..500).map(|n| format!("a:ignored{n}")).collect();
    many.insert(0, "a:y".into());
    let begun = tokio::time::Instant::now();
    let (_many, honoured) = listen_to(&gateway, listen(json!({"resourceSubscriptions": many}))).await;
    assert_eq!(honoured, json!({"resourceSubscriptions": ["a:y"]}));
    assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn era_298_updates_of_parts_reach_whoever_subscribed_to_the_whole() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Legacy);
        let gateway = gateway(&server, through).await;
        let (mut one, _) = listen_to(&gateway, to(&["file:///a"]).id(1)).await;
        server.has_ways(1).await;
        server.updates("file:///a/b");
        assert_eq!(next(&mut one).await, updated("file:///a/b", 1));
        // With one subscriber there is no doubt who is meant.
        server.says(UPDATED, uri("another:name"));
        assert_eq!(next(&mut one).await, updated("another:name", 1));

        let (mut two, _) = listen_to(&gateway, to(&["file:///a/b", "file:///c/"]).id(2)).await;
        server.updates("file:///a/b#d");
        assert_eq!(next(&mut one).await, updated("file:///a/b#d", 1));
        assert_eq!(next(&mut two).await, updated("file:///a/b#d", 2));
        // With two there is: neither `file:///ab` nor `another:name` is a part of anything.
        for part in ["file:///ab", "another:name", "file:///c/d", "file:///a?q"] {
            server.says(UPDATED, uri(part));
        }
        assert_eq!(next(&mut one).await, updated("file:///a?q", 1));
        assert_eq!(next(&mut two).await, updated("file:///c/d", 2));
    }
}

#[tokio::test]
async fn what_else_an_update_says_is_passed_on() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Legacy);
        let gateway = gateway(&server, through).await;
        let (mut stream, _) = listen_to(&gateway, to(&["a:x"])).await;
        server.has_ways(1).await;
        let more = json!({"uri": "a:x", "title": "X", "_meta": {"example.com/n": 1}});
        server.says(UPDATED, more);
        let event = within(stream.next()).await.unwrap();
        let meta = json!({"example.com/n": 1, SUBSCRIPTION: 1});
        assert_eq!(event["params"], json!({"uri": "a:x", "title": "X", "_meta": meta}));
    }
}

/// A listen that is closed holds nothing any more: not the session, and not its place.
#[tokio::test(start_paused = true)]
async fn a_closed_listen_holds_nothing() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (stream, _) = listen_to(&gateway, to(&["a:x"])).await;
    assert_eq!((gateway.settings.held.listens(), server.ways()), (1, 1));
    drop(stream);
    until("the place to be free", || gateway.settings.held.listens() == 0).await;
    // The session of a principal is kept for a while, and no longer than that.
    tokio::time::sleep(Duration::from_secs(700)).await;
    server.has_ways(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_lasts_as_long_as_somebody_listens() {
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let (mut stream, _) = listen_to(&gateway, listen(json!({"toolsListChanged": true}))).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    server.says(TOOLS, Value::Null);
    assert_eq!(next(&mut stream).await.0, TOOLS);
    assert_eq!(server.seen("initialize").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn era_312_many_changes_are_told_in_few_announcements() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let server = Server::new(speaks);
        let gateway = gateway(&server, Through::Pipe).await;
        let mut modern = match speaks {
            Speaks::Legacy => Some(listen_to(&gateway, listen(json!({"toolsListChanged": true}))).await.0),
            // Between modern ends nothing is gathered: what the server says is passed on.
            Speaks::Modern => None,
        };
        let client = Legacy::connect(&gateway).await;
        let mut outside = client.outside().await;
        client.request("tools/call", json!({"name": "t", "arguments": {}})).await;
        outside.rest().await;
        for _ in 0..100 {
            server.says(TOOLS, Value::Null);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let told = outside.rest().await;
        assert!((1..=10).contains(&told.len()), "{speaks:?}: {}", told.len());
        assert!(told.iter().all(|(method, _)| method == TOOLS));
        if let Some(stream) = &mut modern {
            let mut told = 0;
            while tokio::time::timeout(Duration::from_millis(400), stream.next()).await.is_ok() {
                told += 1;
            }
            assert!((1..=10).contains(&told), "{told}");
        }
    }
}

/// A session of one request is kept for a moment where a list is kept that the request may have changed.
#[tokio::test]
async fn era_313_a_list_that_a_call_changed_is_not_shown_again_though_nobody_listens() {
    for through in EVERY_WAY {
        let server = Server::new(Speaks::Legacy);
        let gateway = shared_gateway(&server, through, Share::Nobody).await;
        let list = || modern("tools/list", json!({}));
        for _ in 0..2 {
            list().response(&gateway, 200).await;
        }
        assert_eq!(server.seen("tools/list").len(), 1, "{through:?}");
        let answer = crate::support::client::tool("t", json!({})).response(&gateway, 200).await;
        let session = answer["result"]["content"][0]["text"].as_str().unwrap();
        // Said after the answer.
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.says_in(Some(session), TOOLS, &Value::Null);
        let again = async {
            while server.seen("tools/list").len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                list().response(&gateway, 200).await;
            }
        };
        within(again).await;
    }
}

/// A session that began before a restart: nobody knows what was subscribed to, and giving it up succeeds all the same.
#[tokio::test]
async fn era_139_sec_163_a_session_of_before_a_restart_is_told_what_it_may_have_missed() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        for through in EVERY_WAY {
            let case = format!("{speaks:?} {through:?}");
            let server = Server::new(speaks);
            let settings = || Settings {
                sealer: Arc::new(Sealer::new(&[[7; 32]]).unwrap()),
                sessions_survive: true,
                ..Settings::default()
            };
            let connector = server.connector(through).await;
            let start = || {
                let settings = settings();
                let mount = Single::new("docs", connector.clone(), Share::Principal, settings.sealer.clone());
                Gateway::with(&[&Arc::new(mount)], settings)
            };
            let before = start();
            let client = Legacy::connect(&before).await;
            client.subscribe("a:x").await;
            let id = client.id();
            drop(before);
            let after = start();
            let client = Legacy::going_on(&after, "alice", id);
            let mut outside = client.outside().await;
            client.calls().await;
            let mut told = [outside.next().await, outside.next().await, outside.next().await].map(|(method, _)| method);
            told.sort();
            let lists = ["prompts", "resources", "tools"].map(|kind| format!("notifications/{kind}/list_changed"));
            assert_eq!(told, lists, "{case}");
            // It does not know that it is not subscribed any more, and may say so as often as it likes.
            for uri in ["a:x", "a:refused later", "a:refused later"] {
                client.unsubscribe(uri).await;
            }
            client.subscribe("a:x").await;
            server.updates("a:x");
            assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")), "{case}");
        }
    }
}

/// However much a server refuses in a new session, and in whatever words: that is one line of the log.
#[tokio::test]
async fn sec_126_what_cannot_be_subscribed_to_again_is_one_line_that_nothing_breaks() {
    let written = crate::support::log::Written::default();
    let writer = written.clone();
    let lines = tracing_subscriber::fmt().with_env_filter("rialto=warn").with_ansi(false);
    let _logging = crate::support::log::listen(lines.with_writer(move || writer.clone()).finish());
    let server = Server::new(Speaks::Legacy);
    let gateway = gateway(&server, Through::Pipe).await;
    let uris: Vec<_> = (0..50).map(|n| format!("a:{n}")).collect();
    let (_stream, honoured) = listen_to(&gateway, listen(json!({"resourceSubscriptions": uris}))).await;
    assert_eq!(honoured["resourceSubscriptions"].as_array().map(Vec::len), Some(50));
    server.manners().refuses = ":";
    server.crashes();
    server.sees("resources/subscribe", 100).await;
    within(async {
        while !written.text().contains("in a new session") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let told: Vec<_> =
        written.text().lines().filter(|line| !line.contains("lost a session")).map(str::to_owned).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("count=50") && told[0].contains("all is well"), "{told:#?}");
}
