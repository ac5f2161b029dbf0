//! Legacy servers: the handshake, and sessions from their beginning to their end.

use rialto::upstream::EraChoice;

use super::*;

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

/// Tools may have sessions of their own, and speak of them in errors that their server sends with a status of its own.
#[tokio::test]
async fn a_tool_that_speaks_of_a_session_is_not_called_again() {
    for (status, code) in [(400, -32602), (400, -32603), (400, 1001), (404, -32601)] {
        let server = legacy(move |seen| async move {
            Reply::json(status, &seen.error(code, "the browser session is not initialized"))
        })
        .await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        assert_eq!(wrong(call(&session, tool("t")).await), code.to_string());
        assert_eq!((server.count("tools/call"), server.count("initialize")), (1, 1), "{status} {code}");
        assert!(session.is_open());
    }
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
    let opening = Opening {
        caller: shared(&json!({})),
        outside: Arc::new(SilentPeer),
        counts: Arc::default(),
        alone: false,
        lent: false,
    };
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
