//! Logging, pings, cancelling and roots that change.

use std::sync::Mutex;

use rialto::upstream::lines::LineSettings;
use tokio::sync::mpsc;

use super::*;
use crate::{lines::played, upstream_http::scripted::Piece};

/// A server that logs at every level on the way to its answer.
async fn chatty() -> Old {
    Old::start(Like::default(), |call: Arrived| async move {
        for level in ["debug", "info", "warning", "error"] {
            call.log(level, &format!("{level} of {}", call.outside.session)).await;
        }
        if call.argument("wait") == true {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        text("done")
    })
    .await
}

/// The levels of the log messages that came before the response.
fn heard(whole: &crate::support::client::Whole) -> Vec<String> {
    let messages = whole.notifications().iter().filter(|n| n["method"] == "notifications/message");
    messages.map(|n| n["params"]["level"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn era_317_318_a_session_logs_what_a_request_wants_and_each_hears_what_it_asked_for() {
    let server = chatty().await;
    let gateway = gateway_at(&server.scripted).await;
    // Nobody wants messages: there are none, and the server is told nothing.
    assert!(heard(&tool("t", json!({})).send(&gateway).await).is_empty());
    assert_eq!(server.scripted.count("logging/setLevel"), 0);

    let warned = tool("t", json!({})).level("warning").send(&gateway).await;
    assert_eq!(heard(&warned), ["warning", "error"]);
    let wait = json!({"wait": true});
    let (curious, silent) = (tool("t", wait.clone()).level("debug"), tool("t", wait));
    let (curious, silent) = tokio::join!(curious.send(&gateway), silent.send(&gateway));
    assert_eq!(heard(&curious), ["debug", "info", "warning", "error"]);
    assert!(heard(&silent).is_empty());
    // The session is verbose enough for this one.
    tool("t", json!({})).level("error").send(&gateway).await;

    let levels: Vec<_> = server.scripted.seen().into_iter().filter(|s| s.method() == "logging/setLevel").collect();
    let told: Vec<_> = levels.iter().map(|s| s.body["params"]["level"].as_str().unwrap()).collect();
    assert_eq!(told, ["warning", "debug"]);
    let trail = server.scripted.trail();
    let place = |what: &str, nth: usize| trail.iter().enumerate().filter(|(_, l)| *l == what).nth(nth).unwrap().0;
    assert!(place("logging/setLevel", 0) < place("tools/call", 1), "{trail:?}");
}

#[tokio::test]
async fn era_317_a_server_that_logs_nothing_is_told_no_level() {
    let like = Like { capabilities: json!({"tools": {}}), ..Like::default() };
    let server = Old::start(like, |_| async { text("done") }).await;
    let gateway = gateway_at(&server.scripted).await;
    assert_eq!(said(&tool("t", json!({})).level("debug").response(&gateway, 200).await), "done");
    assert_eq!(server.scripted.count("logging/setLevel"), 0);
}

#[tokio::test]
async fn era_319_levels_of_two_principals_do_not_mix() {
    let server = chatty().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = |who: &str, level: &str| tool("t", json!({"wait": true})).principal(who).level(level);
    let (alice, bob) = (call("alice", "debug"), call("bob", "error"));
    let (of_alice, of_bob) = tokio::join!(alice.send(&gateway), bob.send(&gateway));
    assert_eq!((heard(&of_alice).len(), heard(&of_bob)), (4, vec!["error".to_owned()]));
    let session = |whole: &crate::support::client::Whole| {
        let sessions: std::collections::BTreeSet<_> = whole
            .notifications()
            .iter()
            .map(|n| n["params"]["data"].to_string().split(" of ").nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(sessions.len(), 1);
        sessions.into_iter().next().unwrap()
    };
    assert_ne!(session(&of_alice), session(&of_bob));
    assert_eq!(server.scripted.count("logging/setLevel"), 2);
}

#[tokio::test]
async fn clients_of_one_session_set_no_level_for_each_other() {
    let server = chatty().await;
    let gateway = gateway_with(at(&server.scripted.url(), quick()), Share::Everybody, Settings::default()).await;
    let (first, second) = (legacy(&gateway, LEGACY, json!({})).await, legacy(&gateway, LEGACY, json!({})).await);
    let set = async |client: &Client, level: &str| {
        let reply = client.ask(1, "logging/setLevel", json!({"level": level})).await;
        assert_eq!(reply.json()["result"], json!({}));
    };
    set(&first, "error").await;
    set(&second, "debug").await;
    assert_eq!(server.scripted.count("logging/setLevel"), 0, "no call wants messages yet");
    let levels = async |client: &Client| {
        let reply = client.call(2, "t").await.unwrap();
        converse(client, reply, |q| panic!("asked {q}")).await.notifications.len()
    };
    assert_eq!((levels(&first).await, levels(&second).await, levels(&first).await), (1, 4, 1));
    let told: Vec<_> = server.scripted.seen().into_iter().filter(|s| s.method() == "logging/setLevel").collect();
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn era_322_pings_of_a_server_are_answered_here() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let (inside, outside) = (call.ask("ping", json!({})).await, call.outside.ask("ping", Value::Null).await);
        text(json!([inside["result"], outside["result"]]))
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "[{},{}]");
    let client = legacy(&gateway, LEGACY, json!({})).await;
    let reply = client.call(1, "t").await.unwrap();
    let talk = converse(&client, reply, |question| panic!("asked {question}")).await;
    assert_eq!(said(&talk.response), "[{},{}]");
}

/// A modern server whose answers never come, and tells when somebody stops waiting for one.
async fn endless() -> (Scripted, mpsc::UnboundedReceiver<()>) {
    let (closed, closes) = mpsc::unbounded_channel();
    let server = new(json!({"tools": {}}), move |seen| {
        let closed = closed.clone();
        async move {
            if seen.method() == "tools/list" {
                return listed(&seen, &json!([plain("t")]));
            }
            let (reply, pieces) = Reply::events();
            let _ = pieces.send(Piece::Text(": begun\n\n".into())).await;
            tokio::spawn(async move {
                pieces.closed().await;
                let _ = closed.send(());
            });
            reply
        }
    })
    .await;
    (server, closes)
}

#[tokio::test]
async fn era_326_a_client_that_closes_its_stream_cancels_the_call() {
    // Over HTTP, legacy: a notification. Modern: the end of the stream.
    let server = Old::start(Like::default(), |_| std::future::pending()).await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({}));
    tokio::select! {
        _ = call.open(&gateway) => panic!("no answer"),
        _ = server.scripted.wait_for("tools/call") => {}
    }
    let cancelled = server.scripted.wait_for("notifications/cancelled").await;
    assert_eq!(cancelled.body["params"]["requestId"], server.calls()[0].body["id"]);
    assert!(cancelled.body["params"]["reason"].as_str().unwrap().contains("closed"), "{:?}", cancelled.body);

    let (server, mut closes) = endless().await;
    let gateway = gateway_at(&server).await;
    tokio::select! {
        _ = call.open(&gateway) => panic!("no answer"),
        _ = server.wait_for("tools/call") => {}
    }
    soon("the end of the stream", closes.recv()).await.unwrap();
    assert_eq!(server.count("notifications/cancelled"), 0);

    // On a pipe, both: a notification.
    for is_modern in [false, true] {
        let (connector, mut started) = played(LineSettings::default());
        let gateway = super::gateway(connector).await;
        let serving = tokio::spawn(async move {
            let mut server = soon("a server", started.recv()).await.unwrap();
            match is_modern {
                true => server.modern().await,
                false => drop(server.legacy().await),
            }
            loop {
                let message = server.next().await;
                if message["method"] == "tools/call" {
                    return (server, message);
                }
                let list = json!({"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
                server.result(&message, list).await;
            }
        });
        let (mut server, sent) = tokio::select! {
            _ = call.open(&gateway) => panic!("no answer"),
            served = serving => served.unwrap(),
        };
        let cancelled = server.expect("notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], sent["id"], "{is_modern}");
    }
}

#[tokio::test]
async fn era_333_a_call_that_takes_too_long_is_cancelled_and_told() {
    let settings = || Settings {
        life: LifeLimits { silent: Duration::from_millis(300), ..LifeLimits::default() },
        ..Settings::default()
    };
    let old = Old::start(Like::default(), |_| std::future::pending()).await;
    let (new, mut closes) = endless().await;
    for server in [&old.scripted, &new] {
        let gateway = gateway_with(at(&server.url(), quick()), Share::Principal, settings()).await;
        let error = tool("t", json!({})).error(&gateway, 200, -32603).await;
        assert_eq!((&error["data"]["reason"], &error["data"]["retryable"]), (&json!("timeout"), &json!(false)));
        let client = legacy(&gateway, LEGACY, json!({})).await;
        let reply = client.call(1, "t").await.unwrap();
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]["data"]["reason"]), (200, &json!("timeout")));
    }
    let cancelled = old.scripted.wait_for_nth("notifications/cancelled", 2).await;
    assert_eq!(cancelled.body["params"]["reason"], "timeout");
    for _ in 0..2 {
        soon("the end of the stream", closes.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn era_334_roots_that_change_are_told_where_the_client_said_that_they_would() {
    let changed = "notifications/roots/list_changed";
    for (share, capabilities, expected) in [
        (Share::Principal, json!({"roots": {"listChanged": true}}), 1),
        (Share::Principal, json!({"roots": {}}), 0),
        (Share::Principal, json!({}), 0),
        (Share::Everybody, json!({"roots": {"listChanged": true}}), 0),
    ] {
        let server = Old::start(Like::default(), |_| async { text("done") }).await;
        let gateway = gateway_with(at(&server.scripted.url(), quick()), share, Settings::default()).await;
        let client = legacy(&gateway, LEGACY, capabilities.clone()).await;
        client.call(1, "t").await.unwrap();
        assert_eq!(client.tell(changed, json!({})).await.status, 202);
        // Behind it in the queue.
        client.call(2, "t").await.unwrap();
        assert_eq!(server.scripted.count(changed), expected, "{share:?} {capabilities}");
    }
}

#[tokio::test]
async fn era_451_a_call_that_is_sent_again_finds_the_first_one_cancelled() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        if call.argument("n") == 1 { std::future::pending().await } else { text("second") }
    })
    .await;
    let settings = Settings::default();
    let single = Arc::new(mount(at(&server.scripted.url(), quick()), Share::Principal, &settings));
    let gateway = Gateway::around(single, settings);
    for round in 1..=10 {
        let (first, second) = (tool("t", json!({"n": 1})), tool("t", json!({"n": 2})).id(2));
        tokio::select! {
            _ = first.open(&gateway) => panic!("no answer"),
            _ = server.scripted.wait_for_nth("tools/call", 2 * round - 1) => {}
        }
        assert_eq!(said(&second.response(&gateway, 200).await), "second");
        let trail = server.scripted.trail();
        let tail: Vec<_> = trail.iter().rev().take(3).rev().map(String::as_str).collect();
        assert_eq!(tail, ["tools/call", "notifications/cancelled", "tools/call"]);
    }
}

#[tokio::test]
async fn sec_032_progress_and_cursors_are_of_who_asked() {
    let gate = Arc::new(Mutex::new(Vec::new()));
    let (own, meeting) = (gate.clone(), Arc::new(tokio::sync::Barrier::new(4)));
    let tools: Vec<_> = (0..1500).map(|n| plain(&format!("t{n}"))).collect();
    let server = Old::start(Like { tools: json!(tools), ..Like::default() }, move |call: Arrived| {
        let (gate, meeting) = (own.clone(), meeting.clone());
        async move {
            let token = call.seen.body["params"]["_meta"]["progressToken"].clone();
            gate.lock().unwrap().push(token.clone());
            // All of them run at the same time.
            meeting.wait().await;
            let progress = call.argument("n").clone();
            call.say("notifications/progress", json!({"progressToken": token, "progress": progress})).await;
            text("done")
        }
    })
    .await;
    let settings = Settings::default();
    let connector = || at(&server.scripted.url(), quick());
    let gateway = gateway_with(connector(), Share::Principal, settings.clone()).await;
    let modern_call = |who: &str, n: u64| tool("t", json!({"n": n})).principal(who).token(1);
    let (alice, bob) = (modern_call("alice", 10), modern_call("bob", 20));
    let [of_hers, of_his] = ["alice", "bob"].map(|who| Client::new(gateway.url("docs")).named(who));
    let (of_hers, of_his) = (shaken(of_hers).await, shaken(of_his).await);
    let legacy_call = async |client: &Client, n: u64| {
        let params = json!({"name": "t", "arguments": {"n": n}, "_meta": {"progressToken": 1}});
        let reply = client.ask(1, "tools/call", params).await;
        converse(client, reply, |question| panic!("asked {question}")).await.notifications
    };
    let (of_alice, of_bob, hers, his) =
        tokio::join!(alice.send(&gateway), bob.send(&gateway), legacy_call(&of_hers, 30), legacy_call(&of_his, 40));
    let (of_alice, of_bob) = (of_alice.notifications().to_vec(), of_bob.notifications().to_vec());
    for (told, n) in [(of_alice, 10), (of_bob, 20), (hers, 30), (his, 40)] {
        let told: Vec<_> = told.iter().map(|p| p["params"].clone()).collect();
        assert_eq!(told, [json!({"progressToken": 1, "progress": n})]);
    }
    let tokens: std::collections::BTreeSet<_> = gate.lock().unwrap().iter().map(Value::to_string).collect();
    // Those of one session are told apart by their tokens, those of several by the session.
    assert!(tokens.len() >= 2, "{tokens:?}");

    let list = |cursor: &Value| modern("tools/list", json!({"cursor": cursor}));
    let elsewhere = Single::new("finance", connector(), Share::Principal, settings.sealer.clone());
    let elsewhere = Gateway::around(Arc::new(elsewhere), settings);
    let invalid = json!({"code": -32602, "message": "invalid or expired cursor"});
    let first = modern("tools/list", json!({})).principal("alice").response(&gateway, 200).await;
    let cursor = first["result"]["nextCursor"].clone();
    let mut touched = cursor.as_str().unwrap().to_owned().into_bytes();
    touched[20] ^= 1;
    let touched = json!(String::from_utf8(touched).unwrap());
    for sent in [
        list(&cursor).principal("bob"),
        list(&cursor).principal(""),
        list(&touched),
        list(&json!("")),
        list(&json!("1")),
        list(&json!(1)),
    ] {
        assert_eq!(sent.error(&gateway, 200, -32602).await, invalid, "{sent:?}");
    }
    let sent = list(&cursor).mount("finance").principal("alice");
    assert_eq!(sent.error(&elsewhere, 200, -32602).await, invalid);
    assert!(list(&cursor).principal("alice").response(&gateway, 200).await["result"]["tools"].is_array());
    let page = of_hers.ask(2, "tools/list", json!({})).await.json();
    let cursor = json!({"cursor": page["result"]["nextCursor"]});
    for client in [&of_his, &of_hers.named("bob").with_session(None), &of_hers.named("").with_session(None)] {
        let reply = client.ask(3, "tools/list", cursor.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (200, &invalid));
    }
    assert!(of_hers.ask(4, "tools/list", cursor).await.json()["result"]["tools"].is_array());
}

/// A client that has shaken hands.
async fn shaken(mut client: Client) -> Client {
    client.handshake(LEGACY).await;
    client
}
