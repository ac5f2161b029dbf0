//! ERA-145 to ERA-165: which era a server speaks.

use rialto::{
    hub::Health,
    upstream::{EraChoice, Sharing},
};

use super::*;

/// A server whose answer to the probe is given, and which is legacy otherwise.
async fn probed(answer: fn(&Seen) -> Reply) -> Scripted {
    Scripted::start(move |seen| async move {
        match (seen.verb.as_str(), seen.method()) {
            (_, "server/discover") => answer(&seen),
            ("GET", _) => Reply::empty(405),
            _ => housekeeping(&seen, "2025-11-25", Some("s-1"))
                .unwrap_or_else(|| Reply::json(200, &seen.result(json!({"content": []})))),
        }
    })
    .await
}

fn unsupported(seen: &Seen, supported: &Value) -> Value {
    let mut error = seen.error(-32022, "Unsupported protocol version");
    error["error"]["data"] = json!({"supported": supported, "requested": "2026-07-28"});
    error
}

#[tokio::test]
async fn era_145_165_a_modern_server_is_asked_once() {
    let server = probed(discovered).await;
    let connector = connector(&server.url(), settings());
    assert_eq!(connector.known_sharing(), None);
    let (first, second) = tokio::join!(connector.sharing(), connector.sharing());
    assert_eq!((first.unwrap(), second.unwrap()), (Sharing::Everybody, Sharing::Everybody));
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
    open(&connector).await.unwrap();
    assert_eq!(server.trail(), ["server/discover"]);
    let probe = &server.seen()[0];
    assert_eq!(probe.header("mcp-method"), Some("server/discover"));
    assert_eq!(probe.header("mcp-protocol-version"), Some("2026-07-28"));
    let envelope = &probe.body["params"]["_meta"];
    assert_eq!(envelope["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(envelope["io.modelcontextprotocol/clientCapabilities"], json!({}));
    assert_eq!(envelope["io.modelcontextprotocol/clientInfo"]["name"], "rialto");
}

#[tokio::test]
async fn era_146_148_149_150_151_answers_to_the_probe() {
    type Case = (&'static str, fn(&Seen) -> Reply, &'static str, usize);
    // The number, the answer, what comes of it, and how often it was asked.
    let cases: &[Case] = &[
        ("146 -32601 200", |s| Reply::json(200, &s.error(-32601, "x")), "legacy", 1),
        ("146 -32601 404", |s| Reply::json(404, &s.error(-32601, "x")), "legacy", 1),
        ("146 -32602 400", |s| Reply::json(400, &s.error(-32602, "x")), "legacy", 1),
        ("146 -32600 400", |s| Reply::json(400, &s.error(-32600, "x")), "legacy", 1),
        ("146 -32000 400", |s| Reply::json(400, &s.error(-32000, "Bad Request: Server not initialized")), "legacy", 1),
        ("146 -32001 404", |s| Reply::json(404, &s.error(-32001, "Session not found")), "legacy", 1),
        ("146 code 0", |s| Reply::json(200, &s.error(0, "")), "legacy", 1),
        ("146 text 400", |_| Reply::text(400, "text/plain", "bad"), "legacy", 1),
        ("146 page 404", |_| Reply::text(404, "text/html", "<html>"), "legacy", 1),
        ("146 405", |_| Reply::empty(405), "legacy", 1),
        ("146 202", |_| Reply::empty(202), "legacy", 1),
        ("146 page 200", |_| Reply::text(200, "text/html", "<html>"), "legacy", 1),
        ("146 500 error", |s| Reply::json(500, &s.error(-32603, "x")), "legacy", 1),
        ("146 other result", |s| Reply::json(200, &s.result(json!({}))), "legacy", 1),
        (
            "145 in a stream",
            |s| Reply::messages(&[s.result(json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}))]),
            "modern",
            1,
        ),
        (
            "148",
            |s| {
                Reply::json(
                    200,
                    &s.result(json!({"supportedVersions": ["2025-11-25", "2025-06-18"], "capabilities": {}})),
                )
            },
            "legacy",
            1,
        ),
        (
            "148 and a newer one",
            |s| {
                let versions = json!(["2027-01-01", "2025-11-25"]);
                Reply::json(200, &s.result(json!({"supportedVersions": versions, "capabilities": {}})))
            },
            "legacy",
            1,
        ),
        ("149 twice", |s| Reply::json(400, &unsupported(s, &json!(["2026-07-28"]))), "upstream_version", 2),
        ("150", |s| Reply::json(400, &unsupported(s, &json!(["2027-01-01"]))), "upstream_version", 1),
        (
            "150 discovered",
            |s| Reply::json(200, &s.result(json!({"supportedVersions": ["2027-01-01"], "capabilities": {}}))),
            "upstream_version",
            1,
        ),
        (
            "legacy list and a newer one",
            |s| Reply::json(400, &unsupported(s, &json!(["2027-01-01", "2025-06-18"]))),
            "legacy",
            1,
        ),
        ("no date", |s| Reply::json(400, &unsupported(s, &json!(["DRAFT-2027-v1"]))), "legacy", 1),
        ("legacy list", |s| Reply::json(400, &unsupported(s, &json!(["2025-11-25"]))), "legacy", 1),
        ("no list", |s| Reply::json(400, &unsupported(s, &json!("x"))), "legacy", 1),
        ("151", |s| Reply::json(400, &s.error(-32020, "Mcp-Method header is missing")), "upstream_header_mismatch", 1),
        ("151 capability", |s| Reply::json(400, &s.error(-32021, "")), "upstream_header_mismatch", 1),
        ("152", |_| Reply::empty(401), "upstream_auth", 1),
        ("152 403 error", |s| Reply::json(403, &s.error(-32600, "Forbidden")), "upstream_auth", 1),
        ("152 proxy", |_| Reply::empty(407), "upstream_auth", 1),
        ("153", |_| Reply::empty(503), "upstream_http", 1),
        ("153 408", |_| Reply::empty(408), "upstream_http", 1),
        ("153 425", |_| Reply::empty(425), "upstream_http", 1),
        ("153 500", |_| Reply::text(500, "text/html", "<html>"), "upstream_http", 1),
        ("153 504", |_| Reply::empty(504), "upstream_http", 1),
        (
            "149 twice, no status of its own",
            |s| Reply::json(200, &unsupported(s, &json!(["2026-07-28"]))),
            "upstream_version",
            2,
        ),
        ("146 410", |_| Reply::empty(410), "legacy", 1),
        ("146 422", |_| Reply::text(422, "text/plain", "expect initialize request"), "legacy", 1),
        ("153 429", |s| Reply::json(429, &s.error(-32000, "slow down")), "-32000", 1),
        ("redirect", |_| Reply::empty(308).with("location", "https://elsewhere.example/"), "upstream_http", 1),
    ];
    for (name, answer, expected, asked) in cases {
        let server = probed(*answer).await;
        let connector = connector(&server.url(), settings());
        let opened = open(&connector).await;
        match *expected {
            "modern" | "legacy" => {
                let session = opened.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(session.revision().is_modern(), *expected == "modern", "{name}");
                call(&session, tool("t")).await.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(server.count("initialize"), usize::from(*expected == "legacy"), "{name}");
                assert_eq!(connector.health(), Health::Up, "{name}");
            }
            reason => {
                assert_eq!(wrong(opened), reason, "{name}");
                assert_eq!(server.count("initialize"), 0, "{name}");
                assert_eq!(connector.known_sharing(), None, "{name}");
            }
        }
        assert_eq!(server.count("server/discover"), *asked, "{name}");
    }
}

#[tokio::test]
async fn era_149_a_listed_version_is_asked_for_once_more() {
    let first = Arc::new(Mutex::new(true));
    let server =
        Scripted::start(move |seen| {
            let again = !std::mem::take(&mut *first.lock().unwrap());
            async move {
                if again { discovered(&seen) } else { Reply::json(400, &unsupported(&seen, &json!(["2026-07-28"]))) }
            }
        })
        .await;
    let connector = connector(&server.url(), settings());
    assert!(open(&connector).await.unwrap().revision().is_modern());
}

#[tokio::test]
async fn era_147_a_session_that_the_probe_opened_is_closed() {
    let server =
        probed(|s| Reply::json(400, &s.error(-32600, "Missing session ID")).with("mcp-session-id", "leaked")).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    assert_eq!(server.wait_for("DELETE").await.header("mcp-session-id"), Some("leaked"));
    // The one that is used stays, and is the only one.
    call(&session, tool("t")).await.unwrap();
    assert_eq!(server.wait_for("tools/call").await.header("mcp-session-id"), Some("s-1"));
    assert_eq!((server.count("DELETE"), server.count("initialize")), (1, 1));
}

#[tokio::test]
async fn a_modern_revision_is_no_answer_to_the_handshake() {
    // The probe is refused once or always; what comes of it, and how often the server was probed.
    for (refusals, expected) in [(1, "nothing"), (9, "upstream_version")] {
        let left = Arc::new(Mutex::new(refusals));
        let server = Scripted::start(move |seen| {
            let left = left.clone();
            async move {
                if seen.method() != "server/discover" {
                    return housekeeping(&seen, "2026-07-28", Some("s-1")).unwrap_or_else(|| Reply::empty(405));
                }
                let mut left = left.lock().unwrap();
                if *left == 0 {
                    return discovered(&seen);
                }
                *left -= 1;
                Reply::json(404, &seen.error(-32601, "Method not found"))
            }
        })
        .await;
        let connector = connector(&server.url(), settings());
        let opened = open(&connector).await;
        assert!(opened.as_ref().is_ok_and(|s| s.revision().is_modern()) == (refusals == 1));
        assert_eq!(wrong(opened), expected);
        assert_eq!((server.count("server/discover"), server.count("initialize")), (2, 1));
        // Whatever session that began is not kept at the server.
        assert_eq!(server.wait_for("DELETE").await.header("mcp-session-id"), Some("s-1"));
    }
}

#[tokio::test]
async fn era_152_153_154_an_outage_is_no_verdict() {
    for (status, reason) in [(401, "upstream_auth"), (503, "upstream_http"), (0, "timeout")] {
        let well = Arc::new(Mutex::new(false));
        let seen_well = well.clone();
        let server = Scripted::start(move |seen| {
            let well = *seen_well.lock().unwrap();
            async move {
                match (well, status) {
                    (true, _) => discovered(&seen),
                    (false, 0) => std::future::pending().await,
                    (false, status) => Reply::empty(status),
                }
            }
        })
        .await;
        let connector = connector(&server.url(), HttpSettings { probe: Duration::from_millis(200), ..settings() });
        let opened = open(&connector).await;
        if let Err(Fault::Gateway(fault)) = &opened {
            assert_eq!(fault.retryable, reason != "upstream_auth", "{reason}");
        }
        assert_eq!(wrong(opened), reason);
        assert!(matches!(connector.health(), Health::Down(_)));
        *well.lock().unwrap() = true;
        assert!(open(&connector).await.unwrap().revision().is_modern());
        assert_eq!(connector.health(), Health::Up);
    }
}

#[tokio::test]
async fn era_155_a_server_of_the_oldest_transport_is_named() {
    for status in [404, 405, 400] {
        let server = Scripted::start(move |seen| async move {
            match seen.verb.as_str() {
                "GET" => {
                    let (reply, pieces) = Reply::events();
                    pieces
                        .try_send(Piece::Text("event: endpoint\ndata: /messages?sessionId=1\n\n".into()))
                        .ok()
                        .unwrap();
                    tokio::spawn(async move { pieces.closed().await });
                    reply
                }
                _ => Reply::empty(status),
            }
        })
        .await;
        let connector = connector(&server.url(), settings());
        let Err(Fault::Gateway(fault)) = open(&connector).await else { panic!("it cannot be used") };
        assert_eq!(fault.reason, Reason::UpstreamVersion);
        assert!(fault.message.contains("HTTP+SSE"), "{}", fault.message);
        assert_eq!(connector.known_sharing(), None);
    }
}

#[tokio::test]
async fn a_wrong_path_is_not_taken_for_a_legacy_server_for_long() {
    let right = Arc::new(Mutex::new(false));
    let seen_right = right.clone();
    let server = Scripted::start(move |seen| {
        let right = *seen_right.lock().unwrap();
        async move { if right { discovered(&seen) } else { Reply::text(404, "text/plain", "nothing here") } }
    })
    .await;
    let connector = connector(&server.url(), settings());
    assert_eq!(wrong(open(&connector).await), "upstream_http");
    *right.lock().unwrap() = true;
    assert!(open(&connector).await.unwrap().revision().is_modern());
}

/// A server that changes from one era to the other when told to.
async fn changing(modern: Arc<Mutex<bool>>) -> Scripted {
    Scripted::start(move |seen| {
        let is_modern = *modern.lock().unwrap();
        async move {
            let envelope = seen.header("mcp-protocol-version") == Some("2026-07-28");
            match (is_modern, seen.method()) {
                (true, "server/discover") => discovered(&seen),
                (true, "tools/call") if envelope => Reply::json(200, &seen.result(json!({"era": "modern"}))),
                (true, _) => Reply::json(400, &unsupported(&seen, &json!(["2026-07-28"]))),
                (false, "tools/call") if envelope => {
                    Reply::json(400, &seen.error(-32000, "Bad Request: Unsupported protocol version"))
                }
                (false, _) if seen.verb == http::Method::GET => Reply::empty(405),
                (false, _) => housekeeping(&seen, "2025-11-25", Some("s-1"))
                    .unwrap_or_else(|| Reply::json(200, &seen.result(json!({"era": "legacy"})))),
            }
        }
    })
    .await
}

#[tokio::test]
async fn era_162_163_a_server_that_changes_its_era_is_found_out() {
    for (from, to) in [(false, true), (true, false)] {
        let modern = Arc::new(Mutex::new(from));
        let server = changing(modern.clone()).await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        call(&session, tool("t")).await.unwrap();
        *modern.lock().unwrap() = to;
        // A verdict is not doubted twice in a row, so that a server that answers oddly is not probed with every call.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
        let calls = server.count("tools/call");
        assert_eq!(wrong(call(&session, tool("t")).await), "upstream_version");
        assert!(!session.is_open());
        let session = open(&connector).await.unwrap();
        assert_eq!(session.revision().is_modern(), to);
        let result = call(&session, tool("t")).await.unwrap();
        assert_eq!(result["era"], if to { "modern" } else { "legacy" });
        assert_eq!(server.count("tools/call"), calls + 2);
    }
}

/// Servers of the legacy era have many ways to refuse what they do not know.
#[tokio::test]
async fn era_163_whatever_an_older_server_refuses_a_modern_call_with_it_is_found_out() {
    type Case = (&'static str, fn(&Seen) -> Reply);
    let cases: &[Case] = &[
        ("rmcp", |_| Reply::text(422, "text/plain", "Unexpected message, expect initialize request")),
        ("a text", |_| Reply::text(400, "text/plain", "Bad Request: Session ID is required")),
        ("nothing", |_| Reply::empty(404)),
        ("another verb", |_| Reply::empty(405)),
        ("another type", |_| Reply::empty(415)),
        ("gone", |_| Reply::empty(410)),
        ("TypeScript", |s| Reply::json(400, &s.error(-32000, "Bad Request: Server not initialized"))),
        ("Python", |s| Reply::json(400, &s.error(-32600, "Bad Request: Missing session ID"))),
        ("a version", |s| Reply::json(400, &s.error(-32600, "Bad Request: Unsupported protocol version: 2026-07-28"))),
    ];
    for (name, refusal) in cases {
        let modern = Arc::new(Mutex::new(true));
        let is_modern = modern.clone();
        let server = Scripted::start(move |seen| {
            let is_modern = *is_modern.lock().unwrap();
            async move {
                let envelope = seen.header("mcp-protocol-version") == Some("2026-07-28");
                match seen.method() {
                    "server/discover" if is_modern => discovered(&seen),
                    "tools/call" if envelope && !is_modern => refusal(&seen),
                    "tools/call" => Reply::json(200, &seen.result(json!({"content": []}))),
                    _ if seen.verb == http::Method::GET => Reply::empty(405),
                    _ => housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap(),
                }
            }
        })
        .await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        call(&session, tool("t")).await.unwrap();
        *modern.lock().unwrap() = false;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
        assert_eq!(wrong(call(&session, tool("t")).await), "upstream_version", "{name}");
        assert!(!session.is_open(), "{name}");
        let session = open(&connector).await.unwrap();
        assert!(!session.revision().is_modern(), "{name}");
        call(&session, tool("t")).await.unwrap();
    }
}

#[tokio::test]
async fn era_164_an_old_legacy_verdict_is_looked_at_again() {
    let modern = Arc::new(Mutex::new(false));
    let server = changing(modern.clone()).await;
    let connector = connector(&server.url(), HttpSettings { legacy_verdict: Duration::ZERO, ..settings() });
    assert_eq!(connector.sharing().await.unwrap(), Sharing::ScopeAndCapabilities);
    *modern.lock().unwrap() = true;
    // The old verdict is used once more, and the probe runs behind it.
    assert_eq!(connector.sharing().await.unwrap(), Sharing::ScopeAndCapabilities);
    server.wait_for_nth("server/discover", 2).await;
    within(async {
        while connector.known_sharing() != Some(Sharing::Everybody) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn era_164_the_sessions_of_the_old_era_are_not_cut_off() {
    let modern = Arc::new(Mutex::new(false));
    let is_modern = modern.clone();
    let (go, gate) = tokio::sync::watch::channel(false);
    let server = Scripted::start(move |seen| {
        let (modern, mut gate) = (*is_modern.lock().unwrap(), gate.clone());
        async move {
            match seen.method() {
                "server/discover" if modern => discovered(&seen),
                _ if seen.verb == http::Method::GET => Reply::empty(405),
                "tools/call" => {
                    let _ = gate.wait_for(|open| *open).await;
                    Reply::json(200, &seen.result(json!({"session": seen.header("mcp-session-id")})))
                }
                _ => housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap(),
            }
        }
    })
    .await;
    let connector = connector(&server.url(), HttpSettings { legacy_verdict: Duration::ZERO, ..settings() });
    let old = open(&connector).await.unwrap();
    let running = tokio::spawn(old.call(tool("t")));
    server.wait_for("tools/call").await;
    *modern.lock().unwrap() = true;
    within(async {
        while connector.sharing().await.unwrap() != Sharing::Everybody {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(open(&connector).await.unwrap().revision().is_modern());
    // What runs goes on, and who holds a session may use it on.
    assert!(old.is_open());
    go.send_replace(true);
    assert_eq!(value(&within(running).await.unwrap().unwrap())["session"], "s-1");
    assert_eq!(call(&old, tool("t")).await.unwrap()["session"], "s-1");
    assert_eq!((server.count("initialize"), server.count("DELETE")), (1, 0));
}

#[tokio::test]
async fn a_chosen_era_is_not_argued_with() {
    let server = probed(discovered).await;
    let forced = connector(&server.url(), HttpSettings { era: EraChoice::Legacy, ..settings() });
    assert_eq!(forced.known_sharing(), Some(Sharing::ScopeAndCapabilities));
    assert!(!open(&forced).await.unwrap().revision().is_modern());
    assert_eq!(server.count("server/discover"), 0);

    let server = legacy(|seen| async move { Reply::json(200, &seen.result(json!({}))) }).await;
    let forced = connector(&server.url(), HttpSettings { era: EraChoice::Modern, ..settings() });
    assert_eq!(wrong(open(&forced).await), "upstream_version");
    assert_eq!(server.count("initialize"), 0);
}
