//! What clients hear of servers that answer oddly, badly or not at all.

use super::*;

/// What a call comes to: the text that a tool said, or the reason, or the code.
fn ending(reply: &Answer) -> String {
    let message: Value = serde_json::from_str(&reply.text).unwrap();
    match (&message["error"]["data"]["reason"], &message["error"]["code"]) {
        (Value::String(reason), code) => {
            assert_eq!(*code, -32603, "{message}");
            assert!(!message.to_string().contains("127.0.0.1"), "an address in {message}");
            reason.clone()
        }
        (_, Value::Number(code)) => code.to_string(),
        _ => reply.said(),
    }
}

#[tokio::test]
async fn era_276_288_418_420_423_424_428_429_odd_answers_and_what_becomes_of_them() {
    type Case = (&'static str, fn(&Seen) -> Reply, &'static str, &'static str);
    // The number, the answer, what it is worth from a modern server, and what from a legacy one.
    let cases: &[Case] = &[
        ("276", |s| Reply::json(200, &s.result(json!({"content": [{"type": "text", "text": "ok"}]}))), "ok", "ok"),
        (
            "277",
            |s| Reply::json(200, &s.result(json!({"resultType": "acme", "content": [{"type": "text", "text": "ok"}]}))),
            "upstream_protocol",
            "ok",
        ),
        (
            "288",
            |s| {
                Reply::json(
                    200,
                    &s.result(json!({"resultType": "input_required", "content": [{"type": "text", "text": "ok"}]})),
                )
            },
            "upstream_protocol",
            "ok",
        ),
        ("418", |_| Reply::text(500, "text/html", "<html>127.0.0.1</html>"), "upstream_http", "upstream_http"),
        ("418", |s| Reply::json(500, &s.error(-32603, "boom")), "-32603", "-32603"),
        (
            "420",
            |s| Reply::json(401, &s.error(-1, "secret")).with("www-authenticate", "Bearer realm=inner"),
            "upstream_auth",
            "upstream_auth",
        ),
        ("423", |_| id_less(json!({"jsonrpc": "2.0", "id": null})), "-7", "-7"),
        ("423", |_| id_less(json!({"jsonrpc": "2.0"})), "-7", "-7"),
        ("423", |s| id_less(json!({"jsonrpc": "2.0", "id": s.body["id"].to_string()})), "-7", "-7"),
        ("423", |_| id_less(json!({"jsonrpc": "2.0", "id": "server-error"})), "-7", "-7"),
        ("424", |_| Reply::empty(202), "upstream_protocol", "upstream_protocol"),
        ("424", |_| Reply::empty(200), "upstream_protocol", "upstream_protocol"),
        ("424", |_| Reply::text(200, "application/json", ""), "upstream_protocol", "upstream_protocol"),
        ("428", |s| Reply::messages(&[s.result(said("first")), s.result(said("second"))]), "first", "first"),
        (
            "429",
            |s| {
                let foreign = json!({"jsonrpc": "2.0", "id": 999_999, "result": said("foreign")});
                Reply::messages(&[foreign, s.result(said("own"))])
            },
            "own",
            "own",
        ),
        (
            "429",
            |_| Reply::json(200, &json!({"jsonrpc": "2.0", "id": 999_999, "result": said("foreign")})),
            "upstream_protocol",
            "upstream_protocol",
        ),
        ("431", |s| Reply::json(400, &s.error(-32602, "unknown tool")), "-32602", "-32602"),
    ];
    for speaks in SERVERS {
        // The number of the case is the name of the tool.
        let server = server(speaks, json!([]), move |seen| async move {
            let case: usize = seen.body["params"]["name"].as_str().unwrap().parse().unwrap();
            cases[case].1(&seen)
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            for (at, (number, _, modern, legacy)) in cases.iter().enumerate() {
                let before = calls(&server).len();
                let reply = client.call(&at.to_string(), json!({})).await;
                let expected = if speaks == Speaks::Modern { modern } else { legacy };
                assert_eq!(ending(&reply), **expected, "{number} ({at}) {speaks:?} {revision}: {}", reply.text);
                if **expected == *"upstream_http" {
                    assert_eq!(reply.error()["data"]["status"], 500, "{number}: {}", reply.text);
                }
                assert_eq!(reply.status, 200, "{number} {speaks:?} {revision}");
                assert!(!reply.text.contains("realm") && !reply.text.contains("secret"), "{}", reply.text);
                // No answer makes anybody send a call again.
                assert_eq!(calls(&server).len(), before + 1, "{number} {speaks:?} {revision}");
                let result = serde_json::from_str::<Value>(&reply.text).unwrap()["result"].clone();
                if result.is_object() {
                    let expected = if revision == MODERN { json!("complete") } else { Value::Null };
                    assert_eq!(result["resultType"], expected, "{number}");
                }
            }
        }
    }
}

/// An error that says that the client lacks what it never was asked for.
fn missing(seen: &Seen) -> Reply {
    let mut error = seen.error(-32021, "Missing required client capability");
    error["error"]["data"] = json!({"requiredCapabilities": {"sampling": {}}});
    Reply::json(400, &error)
}

fn id_less(mut frame: Value) -> Reply {
    frame["error"] = json!({"code": -7, "message": "m"});
    Reply::json(400, &frame)
}

#[tokio::test]
async fn era_417_a_capability_that_the_client_has_is_not_said_to_be_missing() {
    let server = server(Speaks::Modern, json!([]), |seen| async move { missing(&seen) }).await;
    let rialto = gateway(&server).await;
    let able = json!({"sampling": {}});
    let declared = async |revision| {
        let answerer: crate::matrix::client::Answerer = Arc::new(|_, _| json!({}));
        Client::connect_with(&rialto.mount("docs"), revision, able.clone(), answerer).await
    };
    let reply = declared(MODERN).await.call("t", json!({})).await;
    assert_eq!((reply.status.as_u16(), ending(&reply)), (200, "upstream_protocol".to_owned()), "{}", reply.text);
    // To a legacy client the code means nothing of its own: it is the server's, and is relayed.
    let reply = declared(LEGACY).await.call("t", json!({})).await;
    assert_eq!((reply.status.as_u16(), ending(&reply)), (200, "-32021".to_owned()), "{}", reply.text);
    // A modern client that lacks it hears which it is.
    let client = client(&rialto, MODERN).await;
    let reply = client.call("t", json!({})).await;
    assert_eq!((reply.status.as_u16(), ending(&reply)), (400, "-32021".to_owned()), "{}", reply.text);
    assert_eq!(reply.error()["data"]["requiredCapabilities"], json!({"sampling": {}}));
}

#[tokio::test]
async fn era_277_kinds_of_results_pass_between_those_who_share_the_extension() {
    let result = json!({"resultType": "acme", "acme": {"n": 1.0}});
    let answer = result.clone();
    let server = Scripted::start(move |seen| {
        let answer = answer.clone();
        async move {
            match seen.method() {
                "server/discover" => Reply::json(
                    200,
                    &seen.result(json!({
                        "resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 60_000, "cacheScope": "public",
                        "capabilities": {"tools": {}, "extensions": {"example.com/acme": {}}}})),
                ),
                "tools/list" => Reply::json(200, &seen.result(Speaks::Modern.tools(&json!([])))),
                _ => Reply::json(200, &seen.result(answer)),
            }
        }
    })
    .await;
    let rialto = gateway(&server).await;
    // The client of these tests knows the results of the protocol alone.
    for (extensions, passes) in [(json!({"example.com/acme": {}}), true), (json!({}), false)] {
        let mut meta = envelope();
        meta["io.modelcontextprotocol/clientCapabilities"]["extensions"] = extensions;
        let params = json!({"_meta": meta, "name": "t", "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let (_, reply) = answered(modern_call(&rialto.mount("docs"), "t"), body).await;
        if passes {
            assert_eq!(
                (&reply["result"]["resultType"], &reply["result"]["acme"]),
                (&result["resultType"], &result["acme"])
            );
        } else {
            assert_eq!(reply["error"]["data"]["reason"], "upstream_protocol", "{reply}");
        }
    }
}

#[tokio::test]
async fn era_419_421_servers_that_are_busy_or_not_there_are_told_apart() {
    for speaks in SERVERS {
        let server = server(speaks, json!([]), |_| async { Reply::empty(429).with("retry-after", "7") }).await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let error = client(&rialto, revision).await.call("t", json!({})).await.error();
            assert_eq!(error["data"]["retryAfterMs"], 7000, "{speaks:?} {revision}: {error}");
            assert_eq!(error["data"]["retryable"], true, "{error}");
        }
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    for (url, reason) in [
        (format!("http://127.0.0.1:{port}/mcp"), "connect_failed"),
        ("http://no-such-host.invalid/mcp".to_owned(), "connect_failed"),
    ] {
        let rialto = Rialto::start(&json!({"docs": {"url": url}})).await;
        let (status, answer) = eras::first_call(&rialto.mount("docs")).await;
        assert_eq!(status, 200);
        let data = &answer["error"]["data"];
        assert_eq!((&data["reason"], &data["retryable"]), (&json!(reason), &json!(true)), "{answer}");
    }
    // A server that speaks no TLS where TLS is expected.
    let server = server(Speaks::Modern, json!([]), |seen| async move { says(&seen, "ran") }).await;
    let url = server.url().replace("http://", "https://");
    let rialto = Rialto::start(&json!({"docs": {"url": url}})).await;
    let (_, answer) = eras::first_call(&rialto.mount("docs")).await;
    assert_eq!(answer["error"]["data"]["reason"], "tls_failed", "{answer}");
}

#[tokio::test]
async fn era_427_an_answer_beyond_every_bound_costs_its_own_call() {
    for speaks in SERVERS {
        let server = server(speaks, json!([]), |seen| async move {
            match seen.body["params"]["name"].as_str() {
                Some("large") => says(&seen, &"x".repeat(17 << 20)),
                _ => says(&seen, "small"),
            }
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            let (large, small) = tokio::join!(client.call("large", json!({})), client.call("small", json!({})));
            assert_eq!((ending(&large), ending(&small)), ("limit".to_owned(), "small".to_owned()), "{speaks:?}");
            assert_eq!(client.call("small", json!({})).await.said(), "small");
        }
    }
}
