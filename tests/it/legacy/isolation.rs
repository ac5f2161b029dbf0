//! What nobody can do to somebody else's session, and what nobody can smuggle in.

use std::collections::HashSet;

use reqwest::{Method, StatusCode};
use serde_json::json;

use rialto::downstream::Settings;

use crate::legacy_support::{Gateway, NEWEST, Scripted};

#[tokio::test]
async fn sec_020_a_session_is_of_one_mount() {
    let (docs, finance) = (Scripted::new("docs"), Scripted::new("finance"));
    let gateway = Gateway::serve(Settings::default(), &[docs, finance.clone()]).await;
    let client = gateway.session(NEWEST).await;
    let stranger = client.at(gateway.url("finance"));
    let known = stranger.ask(1, "tools/list", json!({})).await;
    assert_eq!(known.status, StatusCode::NOT_FOUND);
    let unknown = stranger.with_session(Some("unknown")).ask(1, "tools/list", json!({})).await;
    assert_eq!(known.text(), unknown.text());
    assert_eq!(stranger.get(None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.delete().await.status, StatusCode::NOT_FOUND);
    assert!(finance.seen().is_empty());
    assert_eq!(client.ask(1, "ping", json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn sec_021_022_023_a_session_is_of_one_principal() {
    let (gateway, mount) = Gateway::start().await;
    let alice = gateway.session(NEWEST).await;
    let mut listening = alice.get(None).await.events();
    let reply = alice.call_with_token(1, json!(1));
    let arrived = mount.next().await;
    let asked = arrived.elicit("secret?");
    let mut stream = reply.await.unwrap().events();
    let question = stream.expect().await;
    let last = stream.last_id.clone().unwrap();
    let absent = alice.with_session(Some("absent")).ask(1, "ping", json!({})).await.text().to_owned();
    for who in ["bob", "alicE", "anonymous", ""] {
        let bob = alice.named(who);
        let replies = [
            bob.ask(1, "ping", json!({})).await,
            bob.tell("notifications/cancelled", json!({"requestId": 1})).await,
            bob.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})).await,
            bob.get(None).await,
            bob.get(Some(&last)).await,
            bob.delete().await,
        ];
        for reply in replies {
            assert_eq!(reply.status, StatusCode::NOT_FOUND);
            assert_eq!(reply.text(), absent);
        }
    }
    assert!(!arrived.is_dropped() && !asked.is_finished());
    alice.answer(&question, json!({"action": "decline"})).await;
    asked.await.unwrap().unwrap();
    arrived.say("done");
    assert_eq!(stream.expect().await["id"], 1);
    listening.silent().await;
}

#[tokio::test]
async fn sec_022_a_session_of_nobody_is_not_taken_over() {
    let (gateway, mount) = Gateway::start().await;
    let mut nobody = gateway.client().named("");
    nobody.handshake(NEWEST).await;
    let alice = nobody.named("alice");
    let absent = alice.with_session(Some("absent")).ask(1, "ping", json!({})).await;
    for reply in [alice.ask(1, "ping", json!({})).await, alice.get(None).await, alice.delete().await] {
        assert_eq!((reply.status, reply.text()), (StatusCode::NOT_FOUND, absent.text()));
    }
    assert_eq!(nobody.ask(1, "ping", json!({})).await.status, StatusCode::OK);
    assert!(mount.seen().is_empty());
}

#[tokio::test]
async fn sec_024_ids_are_ours_sealed_and_never_repeated() {
    let (gateway, mount) = Gateway::start().await;
    let mut ids = HashSet::new();
    for _ in 0..200 {
        let reply = gateway.client().initialize(NEWEST, json!({})).await;
        let id = reply.session();
        assert!(id.len() >= 32 && id.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        assert!(ids.insert(id));
    }
    let fixed = gateway.client().with_session(Some("attacker")).initialize(NEWEST, json!({})).await;
    assert_ne!(fixed.session(), "attacker");
    let client = gateway.client();
    for id in ["x".repeat(10 << 10), "a b".into(), "{}".into(), "%0d%0a".into()] {
        let reply = client.with_session(Some(&id)).ask(1, "tools/list", json!({})).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xc3\xbc").unwrap();
    let request = client.request(Method::POST).header("mcp-session-id", bytes);
    let request =
        request.header("content-type", "application/json").body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(client.send(request).await.status, StatusCode::NOT_FOUND);
    let one = ids.iter().next().unwrap();
    let request = client.with_session(Some(one)).request(Method::GET);
    let two = request.header("mcp-session-id", one.as_str()).header("accept", "text/event-stream");
    assert_eq!(client.send(two).await.status, StatusCode::NOT_FOUND);
    assert!(mount.seen().is_empty());
}

#[tokio::test]
async fn sec_033_ids_of_requests_are_of_one_session() {
    let (gateway, mount) = Gateway::start().await;
    let (mine, twin) = (gateway.session(NEWEST).await, gateway.session(NEWEST).await);
    let foreign = gateway.client().named("bob");
    let mut foreign = foreign;
    foreign.handshake(NEWEST).await;
    let replies = [mine.call(7, "hold"), twin.call(7, "hold")];
    let mut calls = [mount.next().await, mount.next().await];
    foreign.tell("notifications/cancelled", json!({"requestId": 7})).await;
    assert!(calls.iter().all(|c| !c.is_dropped()));
    twin.tell("notifications/cancelled", json!({"requestId": 7})).await;
    let [one, other] = &mut calls;
    tokio::select! {
        () = one.dropped() => {}
        () = other.dropped() => {}
    }
    assert_eq!(calls.iter().filter(|c| c.is_dropped()).count(), 1);
    for call in calls {
        call.say("done");
    }
    let [mine, twin] = replies;
    assert_eq!(mine.await.unwrap().json()["id"], 7);
    assert!(twin.await.unwrap().events().rest().await.is_empty());
}

#[tokio::test]
async fn sec_067_ids_are_typed_and_used_once_at_a_time() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let long = format!("\"{}\"", "x".repeat(10 << 10));
    for id in ["1.0", "1e3", "true", "null", "{}", "[]", &long] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert_eq!(client.post_text(text).await.fault(), (400, -32600), "{id}");
    }
    for id in ["-1", "9007199254740993", "18446744073709551616", "\"\"", "\"1\"", "1"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let answer = client.post_text(text).await;
        assert_eq!(answer.text(), format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
    let number = client.call(1, "hold");
    let first = mount.next().await;
    let string = client.call("1", "hold");
    let second = mount.next().await;
    assert_eq!(client.call(1, "hold").await.unwrap().fault(), (200, -32600));
    first.say("number");
    second.say("string");
    for (reply, id) in [(number, json!(1)), (string, json!("1"))] {
        assert_eq!(reply.await.unwrap().json()["id"], id);
    }
    let again = client.call(1, "hold");
    mount.next().await.say("again");
    assert_eq!(again.await.unwrap().json()["result"]["content"][0]["text"], "again");
}

#[tokio::test]
async fn sec_088_no_text_breaks_out_of_an_event() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let nasty = [
        "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        "\r",
        "\r\nevent: x\r\n",
        "id: 9\n",
        "\0",
        "\u{2028}\u{2029}\u{85}",
    ];
    let reply = client.call_with_token(1, json!("\n\ndata: x\n\n"));
    let arrived = mount.next().await;
    for (step, text) in nasty.iter().enumerate() {
        arrived.notify("notifications/progress", &json!({"progress": step + 1, "message": text}));
        arrived.notify("notifications/message", &json!({"level": "info", "data": {*text: text}}));
    }
    arrived.call.peer.notify(rialto::jsonrpc::Notification {
        method: "notifications/x-\n\ndata: {}".into(),
        params: Some(crate::legacy_support::raw(&json!({})).to_object().unwrap()),
    });
    let pretty = "{\"content\":\r\n[{\"type\":\"text\",\n\n\"text\":\"done\"}]\r}";
    let pretty = rialto::jsonrpc::Raw::scan(pretty.into(), rialto::jsonrpc::scan::ScanLimits::ANSWER).unwrap();
    arrived.end(Ok(rialto::hub::Outcome::Complete(pretty)));
    let mut stream = reply.await.unwrap().events();
    for text in nasty {
        let progress = stream.expect().await;
        assert_eq!(
            (&progress["params"]["message"], &progress["params"]["progressToken"]),
            (&json!(text), &json!("\n\ndata: x\n\n"))
        );
        assert_eq!(stream.expect().await["params"]["data"], json!({text: text}));
    }
    assert_eq!(stream.expect().await["method"], "notifications/x-\n\ndata: {}");
    assert_eq!(stream.expect().await["result"]["content"][0]["text"], "done");
    assert!(stream.next().await.is_none());
}
