//! What nobody can do to somebody else's session, and what nobody can smuggle in.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use rialto::downstream::Settings;

use crate::legacy_support::{Client, Gateway, NEWEST, REVISIONS, Scripted};

/// What everybody hears of a session that is not theirs, or not there, or over.
const ABSENT: &str = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no such session: send `initialize` without `Mcp-Session-Id`"}}"#;

/// Uses the session of a client in every way there is; fails unless each is answered as if there were none. `question` is one
/// that its owner is asked, and `event` one that its owner saw.
async fn assert_absent(client: &Client, question: &Value, event: &str) {
    for reply in [
        client.ask(1, "tools/list", json!({})).await,
        client.ask(1, "tools/call", json!({"name": "hold"})).await,
        client.tell("notifications/initialized", json!({})).await,
        client.tell("notifications/cancelled", json!({"requestId": 1})).await,
        client.post(&json!({"jsonrpc": "2.0", "id": question, "result": {"action": "accept"}})).await,
        client.post(&json!({"jsonrpc": "2.0", "id": question, "error": {"code": 1, "message": ""}})).await,
        client.get(None).await,
        client.get(Some(event)).await,
        client.delete().await,
    ] {
        assert_eq!((reply.status, reply.text()), (StatusCode::NOT_FOUND, ABSENT));
        let mut headers: Vec<_> = reply.headers.keys().map(|name| name.as_str()).collect();
        headers.sort_unstable();
        assert_eq!(headers, ["content-length", "content-type", "date"]);
        assert_eq!(reply.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn sec_020_a_session_is_of_one_mount() {
    let (docs, finance) = (Scripted::new("docs"), Scripted::new("finance"));
    let gateway = Gateway::serve(Settings::default(), &[docs, finance.clone()]).await;
    for revision in REVISIONS {
        let client = gateway.session(revision).await;
        let stranger = client.at(gateway.url("finance"));
        for stranger in [stranger.clone(), stranger.with_session(Some("unknown"))] {
            assert_absent(&stranger, &json!(1), "x-1").await;
        }
        assert!(finance.seen().is_empty() && finance.described() == 0);
        assert_eq!(client.ask(1, "ping", json!({})).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn sec_021_022_023_a_session_is_of_one_principal() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logging = crate::support::log::listen(subscriber);
    let (gateway, mount) = Gateway::start().await;
    for revision in ["2025-06-18", NEWEST] {
        let alice = gateway.session(revision).await;
        let mut listening = alice.get(None).await.events();
        let reply = alice.call_with_token(1, json!(1));
        let arrived = mount.next().await;
        let asked = arrived.elicit("secret?");
        let mut stream = reply.await.unwrap().events();
        let question = stream.expect().await;
        let last = stream.last_id.clone().unwrap();
        assert!(!log.text().contains("session_owner_mismatch"), "her own use is nothing to write down");
        assert_absent(&alice.with_session(Some("absent")), &question["id"], &last).await;
        assert!(!log.text().contains("session_owner_mismatch"), "nor is an id that nobody has");
        for who in ["bob", "alicE", "anonymous", ""] {
            assert_absent(&alice.named(who), &question["id"], &last).await;
        }
        // Who it was, where, and not with what.
        let written = log.take();
        let found = written.matches("session_owner_mismatch").count();
        assert_eq!(found, 4 * 9, "{written}");
        assert!(written.contains("mount=docs") && written.contains("principal=\"bob\""), "{written}");
        assert!(!written.contains(alice.session.as_deref().unwrap()), "{written}");
        assert!(!arrived.is_dropped() && !asked.is_finished());
        alice.answer(&question, json!({"action": "decline"})).await;
        asked.await.unwrap().unwrap();
        arrived.say("done");
        assert_eq!(stream.expect().await["id"], 1);
        listening.silent().await;
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    let client = gateway.client();
    for _ in 0..200 {
        let reply = client.initialize(NEWEST, json!({})).await;
        let id = reply.session();
        assert!(id.len() >= 32 && id.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        assert!(ids.insert(id));
    }
    let fixed = client.with_session(Some("attacker")).initialize(NEWEST, json!({})).await;
    assert_ne!(fixed.session(), "attacker");
    for id in ["x".repeat(10 << 10), "a b".into(), "{}".into(), "%0d%0a".into()] {
        let reply = client.with_session(Some(&id)).ask(1, "tools/list", json!({})).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    // Two of them are none, whatever they are.
    let one = ids.iter().next().unwrap();
    for second in [one.as_str(), "other", ""] {
        for verb in [Method::GET, Method::POST, Method::DELETE] {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
            let request = client.with_session(Some(one)).request(verb).header("mcp-session-id", second);
            let reply = client.send(request.header("content-type", "application/json").body(body)).await;
            assert_eq!((reply.status, reply.text()), (StatusCode::NOT_FOUND, ABSENT));
        }
    }
    // Bytes that no client library sends: those that break the framing never arrive as a header at all.
    for (bytes, status) in [
        (&b"a\rb"[..], 400),
        (b"a\nb", 400),
        (b"a\r\nb", 400),
        (b"a\0b", 400),
        (b"a\x7fb", 400),
        (b"a\x1bb", 400),
        (b"a\tb", 404),
        (b"a b", 404),
        (b"\xff", 404),
        (b"", 404),
    ] {
        let mut text = b"GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: text/event-stream\r\nmcp-session-id: ".to_vec();
        text.extend_from_slice(bytes);
        text.extend_from_slice(b"\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(&text).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{}: {answer}", bytes.escape_ascii());
        assert_eq!(answer.ends_with(ABSENT), status == 404, "{answer}");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xc3\xbc").unwrap();
    let request = client.request(Method::POST).header("mcp-session-id", bytes);
    let request =
        request.header("content-type", "application/json").body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(client.send(request).await.status, StatusCode::NOT_FOUND);
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
    // What is somebody else's, what nobody has, and what is no id: taken, and without any effect.
    for id in [json!(7), json!("7"), json!(8), json!("x"), json!(7.5), Value::Null, json!({}), json!([7])] {
        let mut cancelling = vec![&foreign];
        if id != 7 {
            cancelling.push(&twin);
        }
        for client in cancelling {
            let reply = client.tell("notifications/cancelled", json!({"requestId": id})).await;
            assert_eq!((reply.status, reply.text()), (StatusCode::ACCEPTED, ""), "{id}");
        }
    }
    for params in [json!({}), json!({"reason": "no id"})] {
        assert_eq!(twin.tell("notifications/cancelled", params).await.status, StatusCode::ACCEPTED);
    }
    // Without a session there is nothing to be cancelled.
    let nobody = twin.with_session(None);
    assert_eq!(nobody.tell("notifications/cancelled", json!({"requestId": 7})).await.status, StatusCode::ACCEPTED);
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
