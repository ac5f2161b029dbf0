//! Modern servers: answers in every form, cancelling, listening.

use rialto::hub::Health;

use super::*;

/// A modern server whose tool calls are answered by `call`.
async fn modern<F>(call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    Scripted::greeting(|seen| (seen.method() == "server/discover").then(|| discovered(seen)), call).await
}

#[tokio::test]
async fn a_request_carries_its_headers_and_one_connection_serves_many() {
    let server = modern(|seen| async move { Reply::json(200, &seen.result(json!({"n": 1.50, "z": 1, "a": 2}))) }).await;
    let connector = connector(&server.url(), settings());
    assert_eq!(connector.health(), Health::Unknown);
    let session = open(&connector).await.unwrap();
    assert!(session.mirrors_headers());
    assert_eq!(session.revision(), Revision::R2026_07_28);
    assert_eq!(value(session.description().server_info.as_ref().unwrap()), json!({"name": "s", "version": "1"}));
    let left = session.description().until.unwrap().saturating_duration_since(tokio::time::Instant::now());
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");

    for (name, header) in [
        ("get", "get"),
        ("größe", "=?base64?Z3LDtsOfZQ==?="),
        (" x", "=?base64?IHg=?="),
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
    ] {
        let mut call = tool(name);
        call.headers.push((http::HeaderName::from_static("mcp-param-region"), http::HeaderValue::from_static("eu")));
        let result = within(session.call(call)).await.unwrap();
        assert_eq!(result.as_bytes(), br#"{"n":1.5,"z":1,"a":2}"#);
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.header("mcp-name"), Some(header));
        for (name, value) in [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-param-region", "eu"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("user-agent", concat!("rialto/", env!("CARGO_PKG_VERSION"))),
            ("x-key", "secret"),
        ] {
            assert_eq!(seen.header(name), Some(value), "{name}");
        }
        assert_eq!(seen.header("host"), Some(&*format!("127.0.0.1:{}", server.port)));
        assert!(seen.headers.get("accept-encoding").is_none() && seen.headers.get("mcp-session-id").is_none());
    }
    assert!(server.seen().iter().all(|s| s.connection == 0));
    assert_eq!(connector.health(), Health::Up);
}

#[tokio::test]
async fn era_418_420_423_424_426_427_428_429_answers_in_every_form_are_read() {
    // The number of the scenario, the answer, and what the call makes of it.
    type Case = (&'static str, fn(&Seen) -> Reply, &'static str);
    let cases: &[Case] = &[
        (
            "423 null id",
            |_| Reply::text(400, "application/json", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-7,"message":""}}"#),
            "-7",
        ),
        (
            "423 no id",
            |_| Reply::text(400, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-7,"message":""}}"#),
            "-7",
        ),
        (
            "423 foreign id",
            |_| {
                Reply::text(
                    400,
                    "text/plain",
                    r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-7,"message":""}}"#,
                )
            },
            "-7",
        ),
        (
            "423 stringified",
            |s| Reply::json(200, &json!({"jsonrpc": "2.0", "id": s.body["id"].to_string(), "result": {}})),
            "nothing",
        ),
        ("424 accepted", |_| Reply::empty(202), "upstream_protocol"),
        ("424 empty", |_| Reply::empty(200), "upstream_protocol"),
        ("424 empty JSON", |_| Reply::text(200, "application/json", ""), "upstream_protocol"),
        ("424 other type", |s| Reply::text(200, "text/html", s.result(json!({})).to_string()), "upstream_protocol"),
        (
            "424 parameters",
            |s| Reply::text(200, "Application/JSON; charset=utf-8", s.result(json!({})).to_string()),
            "nothing",
        ),
        (
            "426 odd stream",
            |s| {
                Reply::text(
                    200,
                    "text/event-stream; charset=utf-8",
                    format!(
                        "\u{feff}: hi\r\nevent: other\r\ndata: {{}}\r\n\r\ndata: {{\"jsonrpc\":\"2.0\",\r\ndata: \"id\":{},\"result\":{{}}}}",
                        s.body["id"]
                    ),
                )
            },
            "nothing",
        ),
        ("427 oversize", |s| Reply::json(200, &s.result(json!("x".repeat(70_000)))), "limit"),
        ("427 oversize event", |s| Reply::messages(&[s.result(json!("x".repeat(70_000)))]), "limit"),
        ("428 twice", |s| Reply::messages(&[s.result(json!({})), s.result(json!(1))]), "nothing"),
        (
            "429 foreign",
            |s| Reply::messages(&[json!({"jsonrpc": "2.0", "id": 999, "result": 1}), s.result(json!({}))]),
            "nothing",
        ),
        (
            "429 only foreign",
            |_| Reply::json(200, &json!({"jsonrpc": "2.0", "id": 999, "result": 1})),
            "upstream_protocol",
        ),
        ("malformed", |_| Reply::text(200, "text/event-stream", "data: {\"jsonrpc\":\n\n"), "upstream_protocol"),
        (
            "batch",
            |s| Reply::json(200, &json!([{"jsonrpc": "2.0", "method": "notifications/x"}, s.result(json!({}))])),
            "nothing",
        ),
        ("418 page", |_| Reply::text(500, "text/html", "<html>127.0.0.1</html>"), "upstream_http"),
        ("418 error", |s| Reply::json(500, &s.error(-32603, "boom")), "-32603"),
        (
            "420 challenge",
            |s| Reply::json(401, &s.error(-1, "secret")).with("www-authenticate", "Bearer"),
            "upstream_auth",
        ),
        ("403", |_| Reply::text(403, "text/plain", "no"), "upstream_auth"),
        ("431 handler", |s| Reply::json(400, &s.error(-32602, "unknown tool")), "-32602"),
        ("redirect", |_| Reply::empty(307).with("location", "http://127.0.0.1:1/"), "upstream_http"),
        ("172 stream lost", |_| Reply::text(200, "text/event-stream", ": nothing\n\n"), "stream_lost"),
        (
            "server asks",
            |s| {
                Reply::messages(&[
                    json!({"jsonrpc": "2.0", "id": s.body["id"], "method": "roots/list"}),
                    s.result(json!({})),
                ])
            },
            "nothing",
        ),
    ];
    for (name, reply, expected) in cases {
        let server = modern(move |seen| async move { reply(&seen) }).await;
        let connector = connector(&server.url(), HttpSettings { max_message: 65_536, ..settings() });
        let session = open(&connector).await.unwrap();
        assert_eq!(wrong(call(&session, tool("t")).await), *expected, "{name}");
        assert_eq!(server.count("tools/call"), 1, "{name}");
        assert!(session.is_open(), "{name}");
    }
}

#[tokio::test]
async fn era_419_an_overloaded_server_says_when_to_come_back() {
    let server = modern(|_| async { Reply::empty(429).with("retry-after", "7") }).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let Err(Fault::Gateway(fault)) = call(&session, tool("t")).await else { panic!("it was refused") };
    assert_eq!((fault.reason, fault.retry_after), (Reason::UpstreamHttp, Some(Duration::from_secs(7))));
    assert!(matches!(connector.health(), Health::Down(_)));
}

#[tokio::test]
async fn era_421_unreachable_servers_are_told_apart_and_come_back() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = connector(&format!("http://127.0.0.1:{port}/"), settings());
    assert_eq!(wrong(open(&refused).await), "connect_failed");
    assert!(matches!(refused.health(), Health::Down(_)));
    let nowhere = connector("http://nowhere.invalid/", settings());
    assert_eq!(wrong(open(&nowhere).await), "connect_failed");

    let server = modern(|seen| async move { Reply::json(200, &seen.result(json!({}))) }).await;
    let secure = connector(&server.url().replace("http:", "https:"), settings());
    assert_eq!(wrong(open(&secure).await), "tls_failed");
    let plain = connector(&server.url(), settings());
    let session = open(&plain).await.unwrap();
    call(&session, tool("t")).await.unwrap();
}

#[tokio::test]
async fn progress_and_logs_reach_the_peer_under_our_token() {
    let server = modern(|seen| async move {
        let token = &seen.body["params"]["_meta"]["progressToken"];
        assert!(token.as_str().is_some_and(|t| t.starts_with('p')));
        Reply::messages(&[
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}),
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}),
            json!({"jsonrpc": "2.0", "method": "notifications/acme", "params": {}}),
            seen.result(json!({})),
        ])
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let (peer, _hears) = Client::new(None);
    let params = json!({"name": "t", "_meta": {"progressToken": 7}});
    call(&session, Outgoing { peer: peer.clone(), ..outgoing(Method::ToolsCall, &params) }).await.unwrap();
    let heard = peer.heard.lock().unwrap().clone();
    assert_eq!(
        heard.iter().map(|h| h["method"].as_str().unwrap()).collect::<Vec<_>>(),
        ["notifications/progress", "notifications/message", "notifications/acme"]
    );
}

#[tokio::test]
async fn dropping_a_call_closes_its_stream() {
    let (gone, mut told) = mpsc::unbounded_channel();
    let server = modern(move |_| {
        let gone = gone.clone();
        async move {
            let (reply, pieces) = Reply::events();
            tokio::spawn(async move {
                pieces.closed().await;
                let _ = gone.send(());
            });
            reply
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let call = tokio::spawn(session.call(tool("t")));
    server.wait_for("tools/call").await;
    call.abort();
    within(told.recv()).await.unwrap();
    assert_eq!(server.trail(), ["server/discover", "tools/call"]);
}

/// Some servers send the head of an answer only when there is something to say, or after a long while.
#[tokio::test]
async fn a_server_may_take_its_time_to_begin() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let answer = move |seen: Seen| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            Reply::json(200, &seen.result(json!({"late": true})))
        }
    };
    for server in [modern(answer.clone()).await, legacy(answer).await] {
        go.send_replace(false);
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        let running = tokio::spawn(session.call(tool("t")));
        server.wait_for("tools/call").await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(590)).await;
        tokio::time::resume();
        go.send_replace(true);
        assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"late": true}));
        assert_eq!(server.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn era_450_only_what_is_safe_is_sent_again() {
    for (method, times, expected) in [(Method::ToolsCall, 1, "stream_lost"), (Method::ResourcesRead, 2, "nothing")] {
        let tries = Arc::new(Mutex::new(0));
        let server = modern(move |seen| {
            let tries = tries.clone();
            async move {
                *tries.lock().unwrap() += 1;
                if *tries.lock().unwrap() == 2 {
                    return Reply::json(200, &seen.result(json!({})));
                }
                let (reply, pieces) = Reply::events();
                pieces.try_send(Piece::Text(": begun\n\n".into())).ok().unwrap();
                pieces.try_send(Piece::Cut).ok().unwrap();
                reply
            }
        })
        .await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        let name = method.as_str().to_owned();
        assert_eq!(wrong(call(&session, outgoing(method, &json!({"name": "a", "uri": "a:b"}))).await), expected);
        assert_eq!(server.count(&name), times);
        let ids: Vec<_> = server.seen().iter().skip(1).map(|s| s.body["id"].clone()).collect();
        assert!(ids.len() < 2 || ids[0] != ids[1]);
    }
}

/// Answers the first request of each method so, and the others with a result.
fn failing_once(first: fn(&Seen) -> Reply) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let known = Mutex::new(std::collections::HashSet::new());
    move |seen| match known.lock().unwrap().insert(seen.method().to_owned()) {
        true => first(seen),
        false => Reply::json(200, &seen.result(json!({}))),
    }
}

#[tokio::test]
async fn era_418_a_list_is_asked_for_again_after_an_outage_and_nothing_else_is() {
    for (status, lists) in [(500, 2), (502, 2), (503, 1), (429, 1), (404, 1)] {
        for era in ["modern", "legacy"] {
            let answer = Arc::new(match status {
                500 => failing_once(|_| Reply::text(500, "text/html", "<html>")),
                502 => failing_once(|_| Reply::empty(502)),
                503 => failing_once(|_| Reply::empty(503)),
                429 => failing_once(|_| Reply::empty(429)),
                _ => failing_once(|s| Reply::json(500, &s.error(-32603, "it said why"))),
            });
            let handler = move |seen: Seen| {
                let answer = answer.clone();
                async move { answer(&seen) }
            };
            let server = if era == "modern" { modern(handler).await } else { legacy(handler).await };
            let connector = connector(&server.url(), settings());
            let session = open(&connector).await.unwrap();
            let listed = call(&session, outgoing(Method::ToolsList, &json!({}))).await;
            assert_eq!((listed.is_ok(), server.count("tools/list")), (lists == 2, lists), "{era} {status}");
            let called = call(&session, tool("t")).await;
            assert_eq!((called.is_ok(), server.count("tools/call")), (false, 1), "{era} {status}");
            if let Err(Fault::Gateway(fault)) = called {
                assert_eq!((fault.reason, fault.status), (Reason::UpstreamHttp, Some(status)));
            } else {
                assert_eq!(status, 404, "the body said why");
            }
        }
    }
}

#[tokio::test]
async fn a_version_that_is_refused_is_agreed_on_again_once() {
    // How often it is refused, what comes of the call, and how often the call is sent.
    for (refusals, outcome, calls) in [(1, "nothing", 2), (9, "-32022", 2)] {
        for status in [200, 400] {
            let left = Arc::new(Mutex::new(refusals));
            let server = modern(move |seen| {
                let left = left.clone();
                async move {
                    let mut left = left.lock().unwrap();
                    if *left == 0 {
                        return Reply::json(200, &seen.result(json!({})));
                    }
                    *left -= 1;
                    Reply::json(status, &seen.error(-32022, "Unsupported protocol version"))
                }
            })
            .await;
            let connector = connector(&server.url(), settings());
            let session = open(&connector).await.unwrap();
            assert_eq!(wrong(call(&session, tool("t")).await), outcome, "{status}");
            assert_eq!((server.count("tools/call"), server.count("initialize")), (calls, 0), "{status}");
        }
    }
}

#[tokio::test]
async fn era_429_a_stream_that_answers_somebody_else_alone_breaks_the_protocol() {
    for era in ["modern", "legacy"] {
        let handler =
            |_: Seen| async move { Reply::messages(&[json!({"jsonrpc": "2.0", "id": 999_999, "result": {}})]) };
        let server = if era == "modern" { modern(handler).await } else { legacy(handler).await };
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        for method in [Method::ToolsCall, Method::ToolsList] {
            let name = method.as_str().to_owned();
            let called = call(&session, outgoing(method, &json!({"name": "t"}))).await;
            assert_eq!((wrong(called), server.count(&name)), ("upstream_protocol".to_owned(), 1), "{era} {name}");
        }
    }
}

#[tokio::test]
async fn a_listen_delivers_what_changes_until_it_is_dropped() {
    let (streams, mut opened) = mpsc::unbounded_channel();
    let server = modern(move |seen| {
        let streams = streams.clone();
        async move {
            let (reply, pieces) = Reply::events();
            let _ = streams.send((seen, pieces));
            reply
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let listening = session.listen(object(&json!({"notifications": {"toolsListChanged": true}, "_meta": {}})));
    let (listening, pieces) = tokio::join!(listening, async {
        let (seen, pieces) = opened.recv().await.unwrap();
        assert_eq!(seen.header("mcp-method"), Some("subscriptions/listen"));
        let about = json!({"io.modelcontextprotocol/subscriptionId": seen.body["id"]});
        let said = |method: &str, mut params: Value| {
            params["_meta"] = about.clone();
            json!({"jsonrpc": "2.0", "method": method, "params": params})
        };
        let acknowledged =
            said("notifications/subscriptions/acknowledged", json!({"notifications": {"toolsListChanged": true}}));
        scripted::send(&pieces, &acknowledged).await;
        scripted::send(&pieces, &said("notifications/tools/list_changed", json!({}))).await;
        pieces
    });
    let mut listening = listening.unwrap();
    assert_eq!(value(&listening.honoured.0.to_raw()), json!({"toolsListChanged": true}));
    let event = within(listening.events.recv()).await.unwrap();
    assert_eq!(event.method, "notifications/tools/list_changed");
    assert!(event.params.is_none_or(|p| p.is_empty()));
    drop(listening);
    within(pieces.closed()).await;
}

/// A server may end a listen by cancelling it (2026-07-28, basic/utilities/cancellation); other ids on its stream are nobody's.
#[tokio::test]
async fn a_listen_that_its_server_cancels_is_over_and_no_foreign_id_passes() {
    let server = modern(|seen| async move {
        let note = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
        let about = json!({"io.modelcontextprotocol/subscriptionId": seen.body["id"]});
        let (reply, pieces) = Reply::events();
        for said in [
            note("notifications/subscriptions/acknowledged", json!({"_meta": about, "notifications": {"acme": true}})),
            note("notifications/cancelled", json!({"requestId": 4711})),
            note("notifications/cancelled", json!({"requestId": null, "_meta": about})),
            note("notifications/acme", json!({"_meta": about, "n": 1})),
            note("notifications/cancelled", json!({"requestId": seen.body["id"], "_meta": about})),
            note("notifications/acme", json!({"_meta": about, "n": 2})),
        ] {
            scripted::send(&pieces, &said).await;
        }
        tokio::spawn(async move { pieces.closed().await });
        reply
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let listening = session.listen(object(&json!({"notifications": {"acme": true}, "_meta": {}})));
    let mut listening = within(listening).await.unwrap();
    let event = within(listening.events.recv()).await.unwrap();
    assert_eq!(
        (event.method.as_str(), value(&event.params.unwrap().to_raw())),
        ("notifications/acme", json!({"n": 1}))
    );
    assert!(within(listening.events.recv()).await.is_none());
}

/// What is wrong with the request or the address will be so the next time.
#[tokio::test]
async fn only_what_may_pass_is_worth_another_try() {
    for (status, retryable) in [
        (307, false),
        (404, false),
        (405, false),
        (410, false),
        (413, false),
        (408, true),
        (425, true),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
    ] {
        let server = modern(move |_| async move { Reply::empty(status) }).await;
        let connector = connector(&server.url(), settings());
        let session = open(&connector).await.unwrap();
        let Err(Fault::Gateway(fault)) = call(&session, tool("t")).await else { panic!("{status} is no answer") };
        assert_eq!((fault.reason, fault.retryable), (Reason::UpstreamHttp, retryable), "{status}");
    }
}

#[tokio::test]
async fn many_calls_at_once_do_not_mix() {
    let server =
        modern(|seen| async move { Reply::messages(&[seen.result(seen.body["params"]["name"].clone())]) }).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let one = |n: usize| {
        let session = session.clone();
        async move { assert_eq!(call(&session, tool(&n.to_string())).await.unwrap(), json!(n.to_string())) }
    };
    for call in (0..200).map(|n| tokio::spawn(one(n))).collect::<Vec<_>>() {
        call.await.unwrap();
    }
    // All in one task, which soon has no budget left in the scheduler's eyes.
    futures_util::future::join_all((0..500).map(one)).await;
}

#[tokio::test]
async fn connections_are_used_again_after_streams_and_errors_too() {
    let server = modern(|seen| async move {
        match seen.body["params"]["name"].as_str() {
            Some("stream") => Reply::messages(&[seen.result(json!({}))]),
            Some("long") => Reply::json(200, &seen.result(json!("x".repeat(3_000_000)))),
            Some("error") => Reply::json(400, &seen.error(-32602, "no")),
            _ => Reply::text(500, "text/plain", "x".repeat(1000)),
        }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    for n in 0..40 {
        let _ = call(&session, tool(["stream", "long", "error", "other"][n % 4])).await;
    }
    let connections = server.seen().iter().map(|s| s.connection).max().unwrap_or_default() + 1;
    assert!(connections <= 4, "{connections} connections");
}

#[tokio::test]
async fn a_connection_that_died_while_idle_is_noticed_before_anything_is_sent() {
    let server = modern(|seen| async move {
        // The server says goodbye after each answer.
        Reply::json(200, &seen.result(json!({}))).with("connection", "close")
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    for _ in 0..20 {
        call(&session, tool("t")).await.unwrap();
    }
    assert_eq!(server.count("tools/call"), 20);
}
