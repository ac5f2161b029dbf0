//! How the era of a server is found, as its clients see it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;

use super::*;

/// A modern request that nothing was asked before.
pub(super) async fn first_call(url: &str) -> (u16, Value) {
    let params = json!({"_meta": envelope(), "name": "t", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    answered(modern_call(url, "t"), body).await
}

/// What `initialize` is answered with.
async fn first_hello(rialto: &Rialto) -> Value {
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    answered(legacy_call(&rialto.mount("docs")), body).await.1
}

/// A server whose probe is answered so; everything else as in the legacy era.
async fn probed(answer: fn(&Seen) -> Reply) -> Scripted {
    Scripted::start(move |seen| async move {
        match (seen.method(), Speaks::Legacy.greets(&seen)) {
            ("server/discover", _) => answer(&seen),
            (_, Some(reply)) => reply,
            ("tools/list", _) => Reply::json(200, &seen.result(Speaks::Legacy.tools(&json!([plain_tool("t")])))),
            _ => says(&seen, "ran"),
        }
    })
    .await
}

#[tokio::test]
async fn era_104_107_a_handshake_is_one_whatever_came_before_and_whatever_its_header_says() {
    let server = server(Speaks::Legacy, json!([plain_tool("t")]), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway(&server).await;
    let address = rialto.base.trim_start_matches("http://");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // One connection for all of it, which the gateway must not close.
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut post = async |version: Option<&str>, message: Value| {
        let mut request = http::Request::post("/mcp/docs")
            .header("host", address)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version);
        }
        sender.ready().await.unwrap();
        let body = http_body_util::Full::new(bytes::Bytes::from(message.to_string()));
        let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let text = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        (
            head.status.as_u16(),
            head.headers.contains_key("mcp-session-id"),
            serde_json::from_slice::<Value>(&text).unwrap(),
        )
    };
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"});
    let (status, has_session, answer) = post(None, discover).await;
    assert_eq!((status, has_session, &answer["error"]["code"]), (400, false, &json!(-32602)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("protocolVersion"), "{answer}");
    let info = json!({"name": "c", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info});
    let initialize = json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": params});
    for version in [None, Some(MODERN)] {
        let before = rialto.log().contains("under the header of a modern version");
        assert!(!before);
        let (status, has_session, answer) = post(version, initialize.clone()).await;
        assert_eq!((status, has_session, &answer["result"]["protocolVersion"]), (200, true, &json!("2025-06-18")));
    }
    let warned = async || rialto.log().contains("under the header of a modern version");
    crate::matrix::process::until("the warning", warned).await;
}

#[tokio::test]
async fn era_148_a_server_that_discovers_legacy_versions_alone_is_spoken_to_as_legacy() {
    let server = probed(|seen| {
        let versions = json!(["2025-11-25", "2025-06-18"]);
        Reply::json(200, &seen.result(json!({"supportedVersions": versions, "capabilities": {}})))
    })
    .await;
    let rialto = gateway(&server).await;
    for revision in CLIENTS {
        assert_eq!(client(&rialto, revision).await.call("t", json!({})).await.said(), "ran");
    }
    assert!(server.count("initialize") > 0);
}

#[tokio::test]
async fn era_150_151_152_a_server_that_cannot_be_used_says_why() {
    type Case = (&'static str, fn(&Seen) -> Reply, &'static str, &'static str);
    let cases: &[Case] = &[
        (
            "150",
            |seen| {
                let mut error = seen.error(-32022, "Unsupported protocol version");
                error["error"]["data"] = json!({"supported": ["2027-01-01"], "requested": MODERN});
                Reply::json(400, &error)
            },
            "upstream_version",
            "no protocol revision that is known here",
        ),
        (
            "151",
            |seen| Reply::json(400, &seen.error(-32020, "Mcp-Method header is missing")),
            "upstream_header_mismatch",
            "removes or changes the `Mcp-*` headers",
        ),
        ("152", |_| Reply::empty(401).with("www-authenticate", "Bearer realm=inner"), "upstream_auth", "credentials"),
    ];
    for (name, answer, reason, message) in cases {
        let server = probed(*answer).await;
        let rialto = gateway(&server).await;
        let (status, answer) = first_call(&rialto.mount("docs")).await;
        assert_eq!(status, 200, "{name}");
        for answer in [answer, first_hello(&rialto).await] {
            let error = &answer["error"];
            assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!(reason)), "{name}");
            assert!(error["message"].as_str().unwrap().contains(message), "{name}: {error}");
            assert!(!error.to_string().contains("realm"), "{error}");
        }
        assert_eq!((server.count("initialize"), server.count("tools/call")), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn era_153_an_outage_during_the_probe_settles_nothing() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let server = Scripted::start(move |seen| {
        let well = is_well.load(Ordering::SeqCst);
        async move {
            match seen.method() {
                _ if !well => Reply::empty(503).with("retry-after", "3"),
                "server/discover" => discovered(&seen),
                "tools/list" => Reply::json(200, &seen.result(Speaks::Modern.tools(&json!([])))),
                _ => says(&seen, "ran"),
            }
        }
    })
    .await;
    let rialto = gateway(&server).await;
    let (status, answer) = first_call(&rialto.mount("docs")).await;
    assert_eq!(status, 200);
    let data = &answer["error"]["data"];
    assert_eq!((&data["reason"], &data["retryable"]), (&json!("upstream_http"), &json!(true)), "{answer}");
    assert_eq!(data["retryAfterMs"], 3000, "{answer}");
    well.store(true, Ordering::SeqCst);
    let (_, answer) = first_call(&rialto.mount("docs")).await;
    assert_eq!(answer["result"]["content"][0]["text"], "ran");
    assert_eq!((server.count("initialize"), server.count("tools/call")), (0, 1));
}

#[tokio::test]
async fn era_165_173_the_first_requests_wait_for_one_probe() {
    for speaks in SERVERS {
        let (open, gate) = tokio::sync::watch::channel(false);
        let server = Scripted::start(move |seen| {
            let mut gate = gate.clone();
            async move {
                if seen.method() == "server/discover" {
                    let _ = gate.wait_for(|open| *open).await;
                }
                match (speaks.greets(&seen), seen.method()) {
                    (Some(reply), _) => reply,
                    (None, "tools/list") => Reply::json(200, &seen.result(speaks.tools(&json!([plain_tool("t")])))),
                    (None, _) => says(&seen, "ran"),
                }
            }
        })
        .await;
        let rialto = gateway(&server).await;
        let url = rialto.mount("docs");
        let calling = join_all((0..8).map(|_| first_call(&url)));
        let opening = async {
            server.wait_for("server/discover").await;
            // What would come without waiting has come by then.
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(server.trail(), ["server/discover"], "{speaks:?}");
            open.send_replace(true);
        };
        let (answers, ()) = tokio::join!(calling, opening);
        for (_, answer) in answers {
            assert_eq!(answer["result"]["content"][0]["text"], "ran", "{answer}");
        }
        assert_eq!(server.count("server/discover"), 1);
        assert_eq!(server.count("tools/call"), 8);
        // The gateway looks at each server when it starts, in a session of its own.
        assert!(server.count("initialize") <= if speaks == Speaks::Legacy { 2 } else { 0 });
    }
}

#[tokio::test]
async fn era_166_an_unknown_revision_of_the_server_is_read_as_an_older_one() {
    let server = Scripted::start(|seen| async move {
        match (seen.verb.as_str(), seen.method()) {
            ("GET", _) => Reply::empty(405),
            (_, "tools/list") => Reply::json(200, &seen.result(json!({"tools": [plain_tool("t")]}))),
            (_, "tools/call") => says(&seen, "ran"),
            _ => housekeeping(&seen, "2024-12-01", Some("s-1")).unwrap(),
        }
    })
    .await;
    let rialto = gateway(&server).await;
    for revision in CLIENTS {
        assert_eq!(client(&rialto, revision).await.call("t", json!({})).await.said(), "ran");
    }
    for call in calls(&server) {
        assert_eq!(call.header("mcp-protocol-version"), None, "that revision knows no such header");
    }
    assert!(rialto.log().contains("unknown protocol revision"), "{}", rialto.log());
}

#[tokio::test]
async fn era_169_170_a_session_that_the_server_forgot_is_opened_again_unseen() {
    let rejections: [fn(&Seen) -> Reply; 2] = [
        |_| {
            Reply::json(
                404,
                &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}}),
            )
        },
        |_| {
            let error = json!({"code": -32000, "message": "Bad Request: Server not initialized"});
            Reply::json(400, &json!({"jsonrpc": "2.0", "id": null, "error": error}))
        },
    ];
    for rejection in rejections {
        for revision in CLIENTS {
            let (life, ran) = (Arc::new(AtomicUsize::new(1)), Arc::new(Mutex::new(0)));
            let (lives, runs) = (life.clone(), ran.clone());
            let server = Scripted::start(move |seen| {
                let current = format!("s-{}", lives.load(Ordering::SeqCst));
                let ran = runs.clone();
                async move {
                    if seen.method() != "initialize" && seen.header("mcp-session-id").is_some_and(|id| id != current) {
                        return rejection(&seen);
                    }
                    match seen.method() {
                        _ if seen.verb == http::Method::GET => Reply::empty(405),
                        "tools/list" => Reply::json(200, &seen.result(json!({"tools": [plain_tool("t")]}))),
                        "tools/call" => {
                            *ran.lock().unwrap() += 1;
                            says(&seen, "ran")
                        }
                        _ => housekeeping(&seen, LEGACY, Some(&current)).unwrap(),
                    }
                }
            })
            .await;
            let rialto = gateway(&server).await;
            let client = client(&rialto, revision).await;
            assert_eq!(client.call("t", json!({})).await.said(), "ran");
            let before = server.count("initialize");
            life.store(2, Ordering::SeqCst);
            assert_eq!(client.call("t", json!({})).await.said(), "ran");
            assert_eq!(client.call("t", json!({})).await.said(), "ran");
            assert_eq!((server.count("initialize") - before, *ran.lock().unwrap()), (1, 3), "{revision}");
        }
    }
}

#[tokio::test]
async fn era_119_120_a_config_says_whether_legacy_clients_may_ignore_their_sessions() {
    let server = server(Speaks::Legacy, json!([]), |seen| async move { says(&seen, "ran") }).await;
    for (legacy, status) in [(json!({}), 200), (json!({"tolerate_sessionless": false}), 400)] {
        let config = json!({"mcpServers": {"docs": {"url": server.url()}}, "rialto": {"legacy": legacy}});
        let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        assert_eq!(answered(legacy_call(&rialto.mount("docs")), list).await.0, status);
        // Those who keep to their session are served either way.
        let client = client(&rialto, LEGACY).await;
        assert_eq!(client.call("t", json!({})).await.said(), "ran");
        client.close().await;
    }
}
