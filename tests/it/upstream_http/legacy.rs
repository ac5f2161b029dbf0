//! Legacy servers: the handshake, sessions, questions, cancelling, resuming.

use rialto::upstream::EraChoice;

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

#[tokio::test]
async fn the_handshake_is_in_order_and_the_session_is_closed_with_its_last_holder() {
    let server = legacy(|seen| async move { ok(&seen) }).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    assert_eq!(session.revision(), Revision::R2025_11_25);
    assert!(!session.mirrors_headers());
    assert_eq!(value(session.description().instructions.as_ref().unwrap()), "Read me.");
    call(&session, tool("t")).await.unwrap();
    let trail = server.trail();
    assert_eq!(trail[..3], ["server/discover", "initialize", "notifications/initialized"]);
    let place = |what: &str| trail.iter().position(|l| l == what).unwrap();
    assert!(place("GET") < place("tools/call"), "{trail:?}");
    for seen in server.seen().iter().skip(1) {
        let (version, id) = match seen.method() {
            "initialize" => (None, None),
            _ => (Some("2025-11-25"), Some("s-1")),
        };
        assert_eq!((seen.header("mcp-protocol-version"), seen.header("mcp-session-id")), (version, id));
        assert!(seen.headers.get("mcp-method").is_none());
        assert_eq!(seen.header("x-key"), Some("secret"));
    }
    let listening = within(session.listen(object(&json!({})))).await;
    assert_eq!(wrong(listening), "-32601");

    let running = tokio::spawn(session.call(tool("t")));
    drop(session);
    running.await.unwrap().unwrap();
    let goodbye = server.wait_for("DELETE").await;
    assert_eq!(goodbye.header("mcp-session-id"), Some("s-1"));
    assert_eq!(goodbye.header("mcp-protocol-version"), Some("2025-11-25"));
}

#[tokio::test]
async fn who_the_server_is_told_that_it_talks_to() {
    let declared = json!({"roots": {"listChanged": true}, "elicitation": {}, "sampling": {"tools": {}}, "tasks": {}, "x": 1,
        "extensions": {"io.modelcontextprotocol/tasks": {}, "a/b": {"z": 1, "a": 1.0}}});
    for (caller, version, name, capabilities) in [
        (
            caller(Revision::R2025_06_18, &declared, true),
            "2025-06-18",
            "client",
            json!({"roots": {"listChanged": true}, "elicitation": {}, "sampling": {"tools": {}}, "x": 1,
                "extensions": {"io.modelcontextprotocol/tasks": {}, "a/b": {"z": 1, "a": 1.0}}}),
        ),
        (
            shared(&declared),
            "2025-11-25",
            "rialto",
            json!({"roots": {}, "elicitation": {"form": {}}, "sampling": {"tools": {}}, "extensions": {"a/b": {"z": 1, "a": 1.0}}}),
        ),
        (shared(&json!({"elicitation": {"url": {}}})), "2025-11-25", "rialto", json!({"elicitation": {"url": {}}})),
        (shared(&json!({})), "2025-11-25", "rialto", json!({})),
    ] {
        let server = legacy(|seen| async move { ok(&seen) }).await;
        let connector = connector(&server.url(), settings());
        open_for(&connector, caller).await.unwrap();
        let params = &server.wait_for("initialize").await.body["params"];
        assert_eq!(params["protocolVersion"], version);
        assert_eq!(params["clientInfo"]["name"], name);
        assert_eq!(params["capabilities"], capabilities);
    }
}

#[tokio::test]
async fn era_166_revisions_are_negotiated() {
    for (answered, revision, header) in [
        ("2024-11-05", Revision::R2024_11_05, None),
        ("2025-03-26", Revision::R2025_03_26, None),
        ("2025-06-18", Revision::R2025_06_18, Some("2025-06-18")),
        ("2024-12-01", Revision::R2024_11_05, None),
        ("2024-10-07", Revision::R2024_11_05, None),
    ] {
        let server = Scripted::start(move |seen| async move {
            housekeeping(&seen, answered, Some("s-1")).unwrap_or_else(|| match seen.method() {
                "" => Reply::empty(405),
                _ => ok(&seen),
            })
        })
        .await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        assert_eq!(session.revision(), revision);
        call(&session, tool("t")).await.unwrap();
        assert_eq!(server.wait_for("tools/call").await.header("mcp-protocol-version"), header, "{answered}");
    }
}

#[tokio::test]
async fn era_167_a_server_without_sessions_is_told_that_nobody_answers() {
    let server = Scripted::start(|seen| async move {
        housekeeping(&seen, "2025-11-25", None).unwrap_or_else(|| {
            assert_eq!(seen.verb, http::Method::POST, "there is no session that a stream could belong to");
            Reply::messages(&[question("q"), seen.result(json!({}))])
        })
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open_for(&connector, shared(&eliciting())).await.unwrap();
    let (peer, _hears) = Client::new(None);
    call(&session, asking(&peer, &eliciting())).await.unwrap();
    assert!(peer.heard.lock().unwrap().is_empty());
    let call = server.wait_for("tools/call").await;
    assert_eq!((call.header("mcp-session-id"), call.header("mcp-protocol-version")), (None, Some("2025-11-25")));
    let handshakes: Vec<_> = server.seen().into_iter().filter(|s| s.method() == "initialize").collect();
    assert_eq!(handshakes.last().unwrap().body["params"]["capabilities"], json!({}));
    // It is remembered: the next session is opened at once as it should be.
    open_for(&connector, shared(&eliciting())).await.unwrap();
    assert_eq!(server.count("initialize"), handshakes.len() + 1);
    assert_eq!(server.count("DELETE"), 0);
}

#[tokio::test]
async fn era_168_a_session_id_must_be_visible() {
    for id in ["a b", "", "é"] {
        let server = Scripted::start(move |seen| async move {
            housekeeping(&seen, "2025-11-25", Some(id)).unwrap_or_else(|| Reply::empty(405))
        })
        .await;
        let connector = connector(&server.url(), settings());
        assert_eq!(wrong(open(&connector).await), "upstream_protocol", "{id:?}");
    }
}

#[tokio::test]
async fn era_169_170_a_forgotten_session_begins_anew_and_is_set_up_again() {
    type Case = (&'static str, fn(&Seen) -> Reply);
    let cases: &[Case] = &[
        ("169 TypeScript", |s| {
            Reply::json(
                404,
                &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}, "x": s.body["id"]}),
            )
        }),
        ("169 Python", |_| {
            Reply::json(
                404,
                &json!({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Session not found"}}),
            )
        }),
        ("169 text", |_| Reply::text(404, "text/plain", "gone")),
        ("170", |_| {
            Reply::json(
                400,
                &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Bad Request: Server not initialized"}}),
            )
        }),
        ("170 missing", |_| {
            Reply::json(
                400,
                &json!({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Bad Request: Missing session ID"}}),
            )
        }),
    ];
    for (name, rejection) in cases {
        let (lives, handshakes) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(0)));
        let life = lives.clone();
        let server = Scripted::start(move |seen| {
            let current = format!("s-{}", life.lock().unwrap());
            let handshakes = handshakes.clone();
            async move {
                if seen.method() == "initialize" {
                    *handshakes.lock().unwrap() += 1;
                    return housekeeping(&seen, "2025-11-25", Some(&current)).unwrap();
                }
                if seen.header("mcp-session-id").is_some_and(|id| id != current) {
                    return rejection(&seen);
                }
                let reply = housekeeping(&seen, "2025-11-25", Some(&current));
                reply.unwrap_or_else(|| if seen.method().is_empty() { Reply::empty(405) } else { ok(&seen) })
            }
        })
        .await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        call(&session, outgoing(Method::SetLevel, &json!({"level": "debug"}))).await.unwrap();
        for uri in ["a:1", "a:2"] {
            call(&session, outgoing(Method::ResourcesSubscribe, &json!({"uri": uri}))).await.unwrap();
        }
        call(&session, outgoing(Method::ResourcesUnsubscribe, &json!({"uri": "a:2"}))).await.unwrap();
        *lives.lock().unwrap() = 2;
        let calls = (0..8).map(|_| tokio::spawn(session.call(tool("t"))));
        for call in calls.collect::<Vec<_>>() {
            within(call).await.unwrap().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        assert_eq!(server.count("initialize"), 2, "{name}");
        let again: Vec<_> = server.seen().into_iter().filter(|s| s.header("mcp-session-id") == Some("s-2")).collect();
        let again = |what: &str| again.iter().filter(|s| s.method() == what).cloned().collect::<Vec<_>>();
        assert_eq!(again("logging/setLevel")[0].body["params"]["level"], "debug", "{name}");
        assert_eq!(again("resources/subscribe").len(), 1, "{name}");
        assert_eq!(again("resources/subscribe")[0].body["params"]["uri"], "a:1", "{name}");
        assert_eq!(again("tools/call").len(), 8, "{name}");
        assert!(session.is_open());
    }
}

/// A server that keeps sessions, until it forgets the one that lives, and says so.
async fn forgetful(lives: &Arc<Mutex<usize>>, handshakes: Arc<tokio::sync::Semaphore>) -> Scripted {
    let lives = lives.clone();
    Scripted::start(move |seen| {
        let current = format!("s-{}", lives.lock().unwrap());
        let handshakes = handshakes.clone();
        async move {
            if seen.method() == "initialize" {
                handshakes.acquire().await.unwrap().forget();
            } else if seen.header("mcp-session-id").is_some_and(|id| id != current) {
                return Reply::empty(404);
            } else if seen.method() == "resources/unsubscribe" {
                return Reply::empty(500);
            }
            let reply = housekeeping(&seen, "2025-11-25", Some(&current));
            reply.unwrap_or_else(|| if seen.method().is_empty() { Reply::empty(405) } else { ok(&seen) })
        }
    })
    .await
}

#[tokio::test]
async fn what_was_given_up_is_not_set_up_again_though_the_server_failed_to_hear_of_it() {
    let lives = Arc::new(Mutex::new(1));
    let server = forgetful(&lives, Arc::new(tokio::sync::Semaphore::new(2))).await;
    let session = open(&connector(&server.url(), settings())).await.unwrap();
    for uri in ["a:1", "a:2"] {
        call(&session, outgoing(Method::ResourcesSubscribe, &json!({"uri": uri}))).await.unwrap();
    }
    call(&session, outgoing(Method::ResourcesUnsubscribe, &json!({"uri": "a:2"}))).await.unwrap_err();
    *lives.lock().unwrap() = 2;
    call(&session, tool("t")).await.unwrap();
    let again = server.seen().into_iter().filter(|s| s.header("mcp-session-id") == Some("s-2"));
    let again: Vec<_> = again.filter(|s| s.method() == "resources/subscribe").collect();
    assert_eq!(again.iter().map(|s| &s.body["params"]["uri"]).collect::<Vec<_>>(), ["a:1"]);
}

#[tokio::test]
async fn a_session_that_is_let_go_of_while_it_begins_anew_is_ended_at_the_server() {
    let (lives, handshakes) = (Arc::new(Mutex::new(1)), Arc::new(tokio::sync::Semaphore::new(1)));
    let server = forgetful(&lives, handshakes.clone()).await;
    let session = open(&connector(&server.url(), settings())).await.unwrap();
    *lives.lock().unwrap() = 2;
    let calling = tokio::spawn(session.call(tool("t")));
    server.wait_for_nth("initialize", 2).await;
    calling.abort();
    drop(session);
    let first = server.wait_for("DELETE").await;
    assert_eq!(first.header("mcp-session-id"), Some("s-1"));
    handshakes.add_permits(1);
    let second = server.wait_for_nth("DELETE", 2).await;
    assert_eq!(second.header("mcp-session-id"), Some("s-2"));
}

#[tokio::test]
async fn a_session_that_is_refused_again_and_again_fails_the_call() {
    let server = legacy(|_| async { Reply::text(404, "text/plain", "gone") }).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    assert_eq!(wrong(call(&session, tool("t")).await), "upstream_http");
    assert_eq!((server.count("initialize"), server.count("tools/call")), (2, 2));
    // A method that the server does not know is no lost session.
    let server = legacy(|seen| async move { Reply::json(404, &seen.error(-32601, "Method not found")) }).await;
    let connector = super::connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    assert_eq!(wrong(call(&session, outgoing(Method::Other("acme/do".into()), &json!({}))).await), "-32601");
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn calls_that_ran_when_the_session_was_forgotten_fail() {
    let (reply, pieces) = Reply::events();
    let reply = Arc::new(Mutex::new(Some(reply)));
    let server = legacy(move |_| {
        let first = reply.lock().unwrap().take();
        async move { first.unwrap_or_else(|| Reply::empty(404)) }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let running = tokio::spawn(session.call(tool("t")));
    server.wait_for("tools/call").await;
    scripted::send(&pieces, &json!({"jsonrpc": "2.0", "method": "notifications/x"})).await;
    let _ = call(&session, tool("u")).await;
    assert_eq!(wrong(within(running).await.unwrap()), "session_lost");
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
async fn a_question_on_the_calls_own_stream_is_answered() {
    let (reply, pieces) = Reply::events();
    let stream = Arc::new(Mutex::new(Some(reply)));
    let server = legacy(move |_| {
        let reply = stream.lock().unwrap().take().unwrap();
        async move { reply }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open_for(&connector, shared(&eliciting())).await.unwrap();
    let (peer, _hears) = Client::new(Some(json!({"action": "accept", "content": {"n": 1.0}})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let called = server.wait_for("tools/call").await;
    scripted::send(&pieces, &question("q-1")).await;
    let reply = server.wait_for("reply").await;
    assert_eq!(reply.body["id"], "q-1");
    assert_eq!(reply.body["result"], json!({"action": "accept", "content": {"n": 1.0}}));
    assert_eq!(reply.header("mcp-session-id"), Some("s-1"));
    // What the client never declared is refused without asking it; a ping is answered; the rest is unknown.
    for (n, method, answered) in
        [(2, "sampling/createMessage", json!(-32601)), (3, "ping", json!({})), (4, "acme/ask", json!(-32601))]
    {
        scripted::send(&pieces, &json!({"jsonrpc": "2.0", "id": n, "method": method, "params": {}})).await;
        let reply = server.wait_for_nth("reply", n).await;
        assert_eq!(reply.body["id"], n);
        assert!(reply.body["error"]["code"] == answered || reply.body["result"] == answered, "{method}");
    }
    scripted::send(&pieces, &called.result(json!({"done": 1}))).await;
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"done": 1}));
    assert_eq!(peer.heard.lock().unwrap().len(), 1);
    assert_eq!(*peer.withdrawn.lock().unwrap(), 0);
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
async fn a_question_on_the_standing_stream_reaches_the_call_that_can_answer_it() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let connector = connector(&server.url(), settings());
    let (outside, mut outside_hears) = Client::new(Some(json!({"roots": []})));
    let opening = Opening {
        caller: shared(&json!({"elicitation": {"form": {}}, "roots": {}})),
        outside: outside.clone(),
        alone: false,
    };
    let session = within(connector.open(opening)).await.unwrap();
    let (get, standing) = within(streams.recv()).await.unwrap();
    assert_eq!(get.verb, http::Method::GET);

    let (peer, mut hears) = Client::new(Some(json!({"action": "decline"})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let (called, stream) = within(streams.recv()).await.unwrap();
    scripted::send(&standing, &question("q-1")).await;
    assert_eq!(within(hears.recv()).await.unwrap()["method"], "elicitation/create");
    assert_eq!(
        server.wait_for("reply").await.body,
        json!({"jsonrpc": "2.0", "id": "q-1", "result": {"action": "decline"}})
    );

    // No call can answer this one: it goes to whoever stands for the session.
    scripted::send(&standing, &json!({"jsonrpc": "2.0", "id": 9, "method": "roots/list"})).await;
    assert_eq!(within(outside_hears.recv()).await.unwrap()["method"], "roots/list");
    assert_eq!(server.wait_for_nth("reply", 2).await.body["result"], json!({"roots": []}));

    // Notifications: progress by its token, a log message to the only call, the rest to the session.
    let said = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let token = format!("p{}", called.body["id"]);
    scripted::send(&standing, &said("notifications/progress", json!({"progressToken": token, "progress": 1}))).await;
    scripted::send(&standing, &said("notifications/progress", json!({"progressToken": "p1", "progress": 2}))).await;
    scripted::send(&standing, &said("notifications/message", json!({"data": 1}))).await;
    scripted::send(&standing, &said("notifications/tools/list_changed", json!({}))).await;
    assert_eq!(within(outside_hears.recv()).await.unwrap()["method"], "notifications/tools/list_changed");
    let first = within(hears.recv()).await.unwrap();
    assert_eq!((first["method"].as_str(), &first["params"]["progress"]), (Some("notifications/progress"), &json!(1)));
    assert_eq!(within(hears.recv()).await.unwrap()["method"], "notifications/message");

    // A question that is taken back is taken back from the client too.
    scripted::send(&stream, &called.result(json!({}))).await;
    within(running).await.unwrap().unwrap();
    let (silent, mut hears) = Client::new(None);
    let running = tokio::spawn(session.call(asking(&silent, &eliciting())));
    let (called, stream) = within(streams.recv()).await.unwrap();
    scripted::send(&standing, &question("q-2")).await;
    within(hears.recv()).await.unwrap();
    scripted::send(&standing, &said("notifications/cancelled", json!({"requestId": "q-2"}))).await;
    within(async {
        while *silent.withdrawn.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A response that comes on the standing stream counts.
    scripted::send(&standing, &called.result(json!({"here": 1}))).await;
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"here": 1}));
    assert_eq!(server.count("reply"), 2);
    drop(stream);
}

/// A session with a server whose streams are in the hands of the test, the standing one first.
async fn stood(
    server: &Scripted,
    streams: &mut mpsc::UnboundedReceiver<(Seen, mpsc::Sender<Piece>)>,
) -> (Arc<dyn Session>, mpsc::Sender<Piece>, mpsc::UnboundedReceiver<Value>) {
    let connector = connector(&server.url(), settings());
    let (outside, hears) = Client::new(None);
    let opening = Opening { caller: shared(&eliciting()), outside, alone: false };
    let session = within(connector.open(opening)).await.unwrap();
    let (get, standing) = within(streams.recv()).await.unwrap();
    assert_eq!(get.verb, http::Method::GET);
    (session, standing, hears)
}

/// Waits until everything was read that was said on the standing stream.
async fn read_so_far(standing: &mpsc::Sender<Piece>, outside: &mut mpsc::UnboundedReceiver<Value>) {
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    scripted::send(standing, &changed).await;
    assert_eq!(within(outside.recv()).await.unwrap()["method"], "notifications/tools/list_changed");
}

/// A server that got no reply would wait for ever, and with it whatever else it does in the session.
#[tokio::test]
async fn a_question_is_refused_whose_call_is_dropped_before_it_looked() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (peer, hears) = Client::new(None);
    let mut running = session.call(asking(&peer, &eliciting()));
    let (called, _stream) = tokio::select! {
        _ = &mut running => panic!("nothing was answered"),
        called = within(streams.recv()) => called.unwrap(),
    };
    // Nobody polls the call any more.
    scripted::send(&standing, &question("q-1")).await;
    scripted::send(&standing, &question("q-2")).await;
    let taken_back = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q-2"}});
    scripted::send(&standing, &taken_back).await;
    read_so_far(&standing, &mut outside).await;
    drop(running);
    assert_eq!(server.wait_for("notifications/cancelled").await.body["params"]["requestId"], called.body["id"]);
    let reply = server.wait_for("reply").await;
    assert_eq!(reply.body, json!({"jsonrpc": "2.0", "id": "q-1", "result": {"action": "cancel"}}));
    assert!(hears.is_empty() && server.count("reply") == 1);
}

/// The head of an answer says nothing about when the rest of it comes.
#[tokio::test]
async fn a_question_is_put_to_a_call_whose_answer_has_begun() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = Scripted::start(move |seen| {
        let calls = calls.clone();
        async move {
            housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| {
                let (reply, pieces) = if seen.verb == http::Method::GET { Reply::events() } else { Reply::body() };
                let _ = calls.send((seen, pieces));
                reply
            })
        }
    })
    .await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (peer, _hears) = Client::new(Some(json!({"action": "decline"})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let (called, body) = within(streams.recv()).await.unwrap();
    let result = called.result(json!({"done": 1})).to_string();
    let (begin, rest) = result.split_at(10);
    assert!(body.send(Piece::Text(begin.to_owned())).await.is_ok());
    read_so_far(&standing, &mut outside).await;
    scripted::send(&standing, &question("q-1")).await;
    assert_eq!(server.wait_for("reply").await.body["result"], json!({"action": "decline"}));
    assert!(body.send(Piece::Text(rest.to_owned())).await.is_ok());
    drop(body);
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"done": 1}));
}

/// What a server took back while a call was about to end is not put to the next.
#[tokio::test]
async fn a_question_that_was_taken_back_is_put_to_nobody_else() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let ends = Arc::new(tokio::sync::Notify::new());
    let end = ends.clone();
    let server = Scripted::start(move |seen| {
        let (calls, end) = (calls.clone(), end.clone());
        async move {
            if let Some(reply) = housekeeping(&seen, "2025-11-25", Some("s-1")) {
                return reply;
            }
            let (reply, pieces) = Reply::events();
            let is_second = seen.body["params"]["name"] == "second";
            let whole = Reply::json(200, &seen.result(json!({"done": 1})));
            let _ = calls.send((seen, pieces));
            if !is_second {
                return reply;
            }
            end.notified().await;
            whole
        }
    })
    .await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (other, mut others) = Client::new(Some(json!({"action": "decline"})));
    let staying = tokio::spawn(session.call(asking(&other, &eliciting())));
    let (stays, stream) = within(streams.recv()).await.unwrap();
    let (peer, _hears) = Client::new(Some(json!({"action": "decline"})));
    let second = Outgoing { params: object(&json!({"name": "second"})), ..asking(&peer, &eliciting()) };
    let mut running = session.call(second);
    tokio::select! {
        _ = &mut running => panic!("nothing was answered"),
        called = within(streams.recv()) => assert_eq!(called.unwrap().0.body["params"]["name"], "second"),
    }
    // Of both it is the one that began last, which nobody polls now.
    for id in ["q-1", "q-2"] {
        scripted::send(&standing, &question(id)).await;
    }
    let taken_back = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q-1"}});
    scripted::send(&standing, &taken_back).await;
    ends.notify_one();
    read_so_far(&standing, &mut outside).await;
    // Its answer is there by now, and comes first.
    assert_eq!(value(&within(running).await.unwrap()), json!({"done": 1}));
    assert_eq!(server.wait_for("reply").await.body["id"], "q-2");
    let token = format!("p{}", stays.body["id"]);
    let params = json!({"progressToken": token, "progress": 1});
    let said = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
    scripted::send(&standing, &said).await;
    let mut asked = 0;
    while within(others.recv()).await.unwrap()["method"] != "notifications/progress" {
        asked += 1;
    }
    assert!(asked <= 1, "the other was asked what was taken back");
    scripted::send(&stream, &stays.result(json!({}))).await;
    within(staying).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_standing_stream_is_opened_again() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let (_, first) = within(streams.recv()).await.unwrap();
    first.send(Piece::Text("id: 5\nretry: 20\ndata:\n\n".into())).await.ok().unwrap();
    drop(first);
    let (again, second) = within(streams.recv()).await.unwrap();
    assert_eq!(again.header("last-event-id"), Some("5"));
    drop(session);
    server.wait_for("DELETE").await;
    within(second.closed()).await;
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

#[tokio::test]
async fn a_question_that_was_refused_is_told_apart_when_the_call_fails_of_it() {
    let server = legacy(|seen| async move {
        let sampling = json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}});
        Reply::messages(&[sampling, seen.error(-32000, "cannot")])
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let Err(Fault::Undeclared { required, cause }) = call(&session, tool("t")).await else { panic!("it failed") };
    assert_eq!((value(&required), cause.code), (json!({"sampling": {}}), -32000));
}

#[tokio::test]
async fn a_handshake_that_nobody_waits_for_leaves_no_session_behind() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let server = Scripted::start(move |seen| {
        let mut wait = wait.clone();
        async move {
            if seen.method() == "initialize" {
                let _ = wait.wait_for(|go| *go).await;
            }
            housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| Reply::empty(405))
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let opening = Opening { caller: shared(&json!({})), outside: Arc::new(SilentPeer), alone: false };
    let open = tokio::spawn(connector.open(opening));
    server.wait_for("initialize").await;
    open.abort();
    go.send(true).unwrap();
    server.wait_for("DELETE").await;
}

#[tokio::test]
async fn a_session_whose_handshake_fails_is_closed() {
    for (failure, expected) in
        [("refused", "upstream_auth"), ("silent", "timeout"), ("ended", "stream_lost"), ("error", "upstream_protocol")]
    {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let server = Scripted::start(move |seen| {
            let kept = kept.clone();
            async move {
                match (seen.method(), failure) {
                    ("notifications/initialized", "refused") => Reply::empty(401),
                    ("initialize", "error") => {
                        Reply::json(200, &seen.error(-32603, "out of order")).with("mcp-session-id", "s-1")
                    }
                    ("initialize", "ended") => Reply::messages(&[]).with("mcp-session-id", "s-1"),
                    ("initialize", "silent") => {
                        let (reply, pieces) = Reply::events();
                        kept.lock().unwrap().push(pieces);
                        reply.with("mcp-session-id", "s-1")
                    }
                    _ => housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| Reply::empty(405)),
                }
            }
        })
        .await;
        let handshake = Duration::from_millis(500);
        let settings = HttpSettings { era: EraChoice::Legacy, handshake, ..settings() };
        assert_eq!(wrong(open(&connector(&server.url(), settings)).await), expected, "{failure}");
        let goodbye = server.wait_for("DELETE").await;
        assert_eq!((goodbye.header("mcp-session-id"), server.count("DELETE")), (Some("s-1"), 1), "{failure}");
    }
}
