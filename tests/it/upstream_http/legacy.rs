//! Legacy servers: resuming, cancelling, odd manners.

mod questions;
mod sessions;

use super::*;

fn ok(seen: &Seen) -> Reply {
    Reply::json(200, &seen.result(json!({"content": []})))
}

fn asking(peer: &Arc<Client>, capabilities: &Value) -> Outgoing {
    let capabilities = ClientCapabilities::new(object(capabilities));
    Outgoing { peer: peer.clone(), capabilities, ..tool("t") }
}

fn shared(capabilities: &Value) -> Arc<Caller> {
    caller(Revision::R2026_07_28, capabilities, false)
}

fn eliciting() -> Value {
    json!({"elicitation": {"form": {}}})
}

fn question(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}})
}

/// A legacy server whose `GET` stream and calls are in the hands of the test.
async fn standing(calls: mpsc::UnboundedSender<(Seen, mpsc::Sender<Piece>)>) -> Scripted {
    Scripted::start(move |seen| {
        let calls = calls.clone();
        async move {
            housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| {
                let (reply, pieces) = Reply::events();
                let _ = calls.send((seen, pieces));
                reply
            })
        }
    })
    .await
}

#[tokio::test]
async fn era_171_a_polling_stream_is_resumed_when_the_server_said() {
    let (reply, pieces) = Reply::events();
    let streams = Arc::new(Mutex::new(Some(reply)));
    let id = Arc::new(Mutex::new(Value::Null));
    let server = Scripted::start(move |seen| {
        let (streams, id) = (streams.clone(), id.clone());
        async move {
            if let Some(reply) = housekeeping(&seen, "2025-11-25", Some("s-1")) {
                return reply;
            }
            match (seen.verb.as_str(), seen.header("last-event-id")) {
                ("GET", None) => Reply::empty(405),
                ("GET", Some("e-1")) => {
                    Reply::text(200, "text/event-stream", "id: e-2\nretry: 30\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n")
                }
                ("GET", Some(last)) => {
                    assert_eq!(last, "e-2");
                    let id = id.lock().unwrap().clone();
                    Reply::messages(&[json!({"jsonrpc": "2.0", "id": id, "result": {"late": true}})])
                }
                _ => {
                    *id.lock().unwrap() = seen.body["id"].clone();
                    streams.lock().unwrap().take().unwrap()
                }
            }
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let running = tokio::spawn(session.call(tool("t")));
    server.wait_for("tools/call").await;
    pieces.send(Piece::Text("id: e-1\nretry: 500\ndata:\n\n".into())).await.ok().unwrap();
    drop(pieces);
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"late": true}));
    assert_eq!(server.count("tools/call"), 1);
    let resumed = server.seen().into_iter().find(|s| s.header("last-event-id") == Some("e-1")).unwrap();
    let called = server.wait_for("tools/call").await;
    assert!(resumed.at - called.at >= Duration::from_millis(500));
    assert_eq!(resumed.header("accept"), Some("text/event-stream"));
    assert_eq!(server.count("notifications/cancelled"), 0);
}

#[tokio::test]
async fn era_172_a_stream_that_cannot_be_resumed_loses_the_call() {
    for (stream, gets) in [(": nothing\n\n", 1), ("id: e-1\ndata:\n\n", 1 + 5)] {
        let server = legacy(move |_| async move { Reply::text(200, "text/event-stream", stream) }).await;
        let fast = HttpSettings { backoff: Duration::from_millis(1), ..settings() };
        // A server that answers 405 to the resuming says at once that it cannot.
        let connector = connector(&server.url(), fast);
        let session = open(&connector).await.unwrap();
        assert_eq!(wrong(call(&session, tool("t")).await), "stream_lost");
        assert_eq!(server.count("tools/call"), 1);
        assert!(server.count("GET") <= gets);
        // What is safe goes out once more.
        assert_eq!(wrong(call(&session, outgoing(Method::ToolsList, &json!({}))).await), "stream_lost");
        assert_eq!(server.count("tools/list"), 2);
    }
}

#[tokio::test]
async fn an_abandoned_call_is_cancelled_before_anything_newer() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let connector = connector(&server.url(), settings());
    let session = open_for(&connector, shared(&eliciting())).await.unwrap();
    let _standing = within(streams.recv()).await.unwrap();
    let (peer, mut hears) = Client::new(None);
    let outgoing = asking(&peer, &eliciting());
    let life = outgoing.life.clone();
    let running = tokio::spawn(session.call(outgoing));
    let (called, stream) = within(streams.recv()).await.unwrap();
    scripted::send(&stream, &question("q-1")).await;
    within(hears.recv()).await.unwrap();

    life.abandon("the client left");
    running.abort();
    let _ = running.await;
    let newer = tokio::spawn(session.call(tool("newer")));
    let (seen, newer_stream) = within(streams.recv()).await.unwrap();
    assert_eq!(seen.body["params"]["name"], "newer");
    let trail = server.trail();
    assert_eq!(trail[trail.len() - 3..], ["notifications/cancelled", "reply", "tools/call"], "{trail:?}");
    let cancelled = server.wait_for("notifications/cancelled").await;
    assert_eq!(cancelled.body["params"], json!({"requestId": called.body["id"], "reason": "the client left"}));
    assert!(cancelled.body.get("id").is_none());
    assert_eq!(
        server.wait_for("reply").await.body,
        json!({"jsonrpc": "2.0", "id": "q-1", "result": {"action": "cancel"}})
    );
    assert_eq!(*peer.withdrawn.lock().unwrap(), 1);
    scripted::send(&newer_stream, &seen.result(json!({}))).await;
    within(newer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_does_not_wait_for_ever_for_a_cancel_that_hangs() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "notifications/cancelled" => std::future::pending().await,
            "tools/call" if seen.body["params"]["name"] == "slow" => std::future::pending().await,
            _ => housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| ok(&seen)),
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let slow = tokio::spawn(session.call(tool("slow")));
    server.wait_for("tools/call").await;
    slow.abort();
    let _ = slow.await;
    call(&session, tool("t")).await.unwrap();
}

#[tokio::test]
async fn what_the_client_says_is_passed_on_in_order() {
    let server = legacy(|seen| async move { ok(&seen) }).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    for n in 0..5 {
        let params = Some(object(&json!({"n": n})));
        session.notify(Notification { method: "notifications/roots/list_changed".into(), params });
    }
    session.notify(Notification { method: "notifications/initialized".into(), params: None });
    call(&session, tool("t")).await.unwrap();
    let said: Vec<_> = server.seen().into_iter().filter(|s| s.method().ends_with("list_changed")).collect();
    assert_eq!(
        said.iter().map(|s| s.body["params"]["n"].clone()).collect::<Vec<_>>(),
        (0..5).map(Value::from).collect::<Vec<_>>()
    );
    assert_eq!(server.trail().last().unwrap(), "tools/call");
    assert_eq!(server.count("notifications/initialized"), 1);
}

#[tokio::test]
async fn era_173_425_429_odd_manners_are_tolerated_and_nothing_is_called_before_the_handshake() {
    let server = Scripted::start(|seen| async move {
        if seen.method().starts_with("notifications/") {
            return Reply::json(200, &json!({"ok": true}));
        }
        housekeeping(&seen, "2025-03-26", Some("s-1")).unwrap_or_else(|| match seen.verb.as_str() {
            "GET" => Reply::text(200, "application/json", "{}"),
            // A response to nothing, in a batch.
            _ => Reply::json(200, &json!([{"jsonrpc": "2.0", "id": 1, "result": 0}, seen.result(json!({"n": 12_345_678_901_234_567_890_u64}))])),
        })
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let result = within(session.call(tool("t"))).await.unwrap();
    assert_eq!(result.as_bytes(), br#"{"n":12345678901234567890}"#);
    let trail = server.trail();
    let place = |what: &str| trail.iter().position(|l| l == what).unwrap();
    assert!(place("initialize") < place("notifications/initialized"));
    assert!(place("notifications/initialized") < place("tools/call"));
}
