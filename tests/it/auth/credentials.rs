//! What a caller shows, and the exact answers to it (RFC 6750, section 3).

use std::{convert::Infallible, future::ready};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use rialto::auth::{Access, Auth, Authenticate, Door, Doors, Key, fresh_key};
use tower::{Layer, ServiceExt, service_fn};

use super::kit::{App, basic, bearer, call, challenges, head, refused};

#[tokio::test]
async fn no_credentials_are_no_error_but_a_challenge() {
    let app = App::start().await;
    for headers in ["", "authorization: Digest username=\"a\"\r\n", &basic(&app.alice), "cookie: key=x\r\n"] {
        let answer = app.call("docs", headers).await;
        let challenge = refused(&answer, 401);
        // A1, A2: who shows nothing that counts did nothing wrong.
        assert_eq!(challenge.keys().collect::<Vec<_>>(), ["realm"], "{headers}");
        assert_eq!(challenges(&answer).len(), 1, "a password is no way to act: {answer:?}");
    }
    for method in ["GET", "DELETE", "HEAD"] {
        assert_eq!(app.ask(method, "/mcp/docs", "").await.status, 401, "{method}");
    }
    assert!(app.is_untouched());
}

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let app = App::start().await;
    let key = app.alice.clone();
    let hash = Key::new("x", &key).unwrap().to_hash();
    let last = if key.ends_with('A') { "B" } else { "A" };
    let wrong = [
        "CANARY".to_owned(),
        key.replacen('r', "s", 1),
        format!("{}{last}", &key[..key.len() - 1]),
        key[..key.len() - 1].to_owned(),
        format!("{key}{last}"),
        key.to_uppercase(),
        hash["sha256:".len()..].to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".to_owned(),
        "x".repeat(16 * 1024),
    ];
    let mut bodies = Vec::new();
    for wrong in &wrong {
        for headers in [bearer(wrong), format!("x-api-key: {wrong}\r\n")] {
            let answer = app.call("docs", &headers).await;
            let challenge = refused(&answer, 401);
            assert_eq!(challenge["error"], "invalid_token");
            assert!(challenge.contains_key("error_description"));
            assert!(!answer.text.contains(wrong.as_str()), "a token is repeated: {answer:?}");
            let without_date: Vec<_> = answer.text.lines().filter(|line| !line.starts_with("date:")).collect();
            bodies.push(without_date.join("\n"));
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "causes can be told apart: {bodies:?}");
    assert!(app.is_untouched());
}

#[tokio::test]
async fn sec_048_malformed_credentials_are_told_from_wrong_ones() {
    let app = App::start().await;
    let (good, other) = (bearer(&app.alice), bearer(&app.bob));
    let api_key = format!("x-api-key: {}\r\n", app.alice);
    let malformed = [
        format!("{good}{api_key}"),
        format!("{api_key}{api_key}"),
        format!("{api_key}x-api-key: {}\r\n", app.bob),
        format!("{good}x-api-key:\r\n"),
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer   \r\n".to_owned(),
        "x-api-key:\r\n".to_owned(),
        bearer("two words"),
        bearer("comma,joined"),
        bearer(&format!("{}, Bearer {}", app.alice, app.bob)),
        bearer("\"quoted\""),
        bearer("=start"),
        bearer("===="),
        bearer("mid=dle"),
        "x-api-key: two words\r\n".to_owned(),
        "x-api-key: \u{e9}t\u{e9}\r\n".to_owned(),
        bearer(&"x".repeat(16 * 1024 + 1)),
    ];
    for headers in malformed {
        let answer = app.call("docs", &headers).await;
        let challenge = refused(&answer, 400);
        assert_eq!(challenge["error"], "invalid_request", "{headers}");
    }
    // These are turned away by the guard, whatever the keys are.
    for headers in [
        format!("{good}{other}"),
        format!("{other}{good}"),
        format!("{good}{good}"),
        "authorization: Bearer \u{e9}\r\n".to_owned(),
    ] {
        let answer = app.call("docs", &headers).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(challenges(&answer)["bearer"]["error"], "invalid_request", "{answer:?}");
    }
    // The same for a token in the address beside one in its header.
    let both = app.send(call("/mcp/docs?access_token=abc", &good)).await;
    assert_eq!(refused(&both, 400)["error"], "invalid_request");
    // Headers of MCP that are there twice have an answer of MCP, after the key.
    for name in ["mcp-method: tools/call", "mcp-name: secret_tool", "mcp-protocol-version: 2026-07-28"] {
        let answer = app.call("docs", &format!("{good}{name}\r\n")).await;
        assert!(answer.status == 400 && answer.text.contains("-32020"), "{name}: {answer:?}");
        assert_eq!(app.call("docs", &format!("{name}\r\n")).await.status, 401, "{name}");
    }
    assert!(app.docs.count("tools/call") == 0);
}

#[tokio::test]
async fn a_token_in_the_address_is_none() {
    let app = App::start().await;
    for name in ["access_token", "access%5Ftoken", "token", "api_key", "key"] {
        let answer = app.send(call(&format!("/mcp/docs?{name}={}", app.alice), "")).await;
        let challenge = refused(&answer, 401);
        assert!(!challenge.contains_key("error"), "{name}");
        assert!(!answer.text.contains(&app.alice), "{name}");
    }
    assert!(app.is_untouched());
}

#[tokio::test]
async fn a_good_key_opens_in_every_way_there_is() {
    let app = App::start().await;
    let key = &app.alice;
    for headers in [
        format!("authorization: Bearer {key}\r\n"),
        format!("authorization: bearer {key}\r\n"),
        format!("AUTHORIZATION: BEARER   {key}  \r\n"),
        format!("x-api-key: {key}\r\n"),
        format!("X-API-Key:\t{key}\r\n"),
        // A scheme of somebody in front is not ours, and does not get in the way.
        format!("{}x-api-key: {key}\r\n", basic("of the proxy in front")),
        // To nominate the header as one for this hop takes nothing away, here or inside.
        format!("connection: authorization, mcp-name\r\nauthorization: Bearer {key}\r\n"),
    ] {
        let answer = app.call("docs", &headers).await;
        assert_eq!(answer.status, 200, "{headers}: {answer:?}");
        assert!(answer.text.contains("this is docs"), "{answer:?}");
    }
    for seen in app.docs.seen() {
        assert!(!format!("{:?}", seen.headers).contains(key.as_str()), "{:?}", seen.headers);
        assert!(seen.header("authorization").is_none() && seen.header("x-api-key").is_none());
    }
}

#[tokio::test]
async fn a_key_opens_its_mounts_and_no_other() {
    let app = App::start().await;
    assert_eq!(app.call("docs", &bearer(&app.bob)).await.status, 200);
    let answer = app.call("finance", &bearer(&app.bob)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.body(), r#"{"error":"access_denied"}"#);
    assert_eq!(answer.header("www-authenticate"), None, "no other key of his would help");
    assert!(app.finance.seen().is_empty(), "{:?}", app.finance.trail());
    assert_eq!(app.call("finance", &bearer(&app.alice)).await.status, 200);
}

#[tokio::test]
async fn nothing_inside_sees_a_credential() {
    let app = App::start().await;
    for headers in [bearer(&app.bob), format!("x-api-key: {}\r\n", app.bob)] {
        for path in ["/custom", "/custom/1", "/nested/a", "/nested/b", "/anything", "/mcp/custom"] {
            let answer = app.ask("GET", path, &headers).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.text.contains(r#"custom principal=Some("bob")"#), "{path}: {answer:?}");
            assert!(!answer.text.contains(&app.bob) && !answer.body().contains("x-api-key"), "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn sec_047_r11_a_trailer_is_no_credential() {
    let app = App::start().await;
    for trailer in [bearer(&app.alice), format!("x-api-key: {}\r\n", app.alice)] {
        let framing = "transfer-encoding: chunked\r\ntrailer: authorization, x-api-key\r\n";
        let request = head("POST", "/mcp/docs", framing) + &format!("2\r\n{{}}\r\n0\r\n{trailer}\r\n");
        assert_eq!(app.send(request).await.status, 401, "{trailer}");
    }
    // Nor does one change who a request is from that has one.
    let framing = format!("transfer-encoding: chunked\r\n{}", bearer(&app.bob));
    let request = head("POST", "/custom", &framing) + &format!("2\r\n{{}}\r\n0\r\n{}\r\n", bearer(&app.alice));
    assert!(app.send(request).await.text.contains(r#"Some("bob")"#));
}

#[tokio::test]
async fn sec_060_a_key_counts_for_one_request() {
    let app = App::start().await;
    let get = |headers: &str| format!("GET /custom HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let pipelined =
        get(&bearer(&app.alice)) + &get("") + &get(&bearer(&app.bob)) + &head("GET", "/custom", &bearer("wrong"));
    let mut client = app.connect().await;
    client.send(pipelined).await;
    let answers = client.rest().await;
    let found: Vec<_> = ["HTTP/1.1 200", "alice", "HTTP/1.1 401", "HTTP/1.1 200", "bob", "HTTP/1.1 401"]
        .iter()
        .scan(0, |from, what| {
            *from += answers.text()[*from..].find(what)? + what.len();
            Some(*from)
        })
        .collect();
    assert_eq!((found.len(), answers.count()), (6, 4), "{answers:?}");
}

#[tokio::test]
async fn sec_060_a_refusal_reads_no_body() {
    let app = App::start().await;
    let huge = format!("content-length: {}\r\n", 1u64 << 30);
    for (headers, status) in [("", 401), ("authorization: Bearer x\r\n", 401), ("authorization: Bearer\r\n", 400)] {
        for framing in [huge.as_str(), "transfer-encoding: chunked\r\n"] {
            for expect in ["", "expect: 100-continue\r\n", "Expect: 100-Continue\r\n"] {
                // Nothing of the body is ever sent: only an answer to the head alone can come.
                let answer = app.ask("POST", "/mcp/docs", &format!("{framing}{expect}{headers}")).await;
                assert_eq!(answer.status, status, "{answer:?}");
                assert!(!answer.text.contains("100 Continue"), "{answer:?}");
            }
        }
    }
    // With a key the body is asked for, and refused by its length.
    let answer = app
        .ask(
            "POST",
            "/mcp/docs",
            &format!(
                "{huge}expect: 100-continue\r\n{}content-type: application/json\r\naccept: */*\r\n",
                bearer(&app.alice)
            ),
        )
        .await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let unknown = app.ask("POST", "/mcp/docs", &format!("{huge}expect: a-miracle\r\n")).await;
    assert_eq!(unknown.status, 417, "{unknown:?}");
    assert!(app.is_untouched());
}

/// One request through the layer alone, in front of something that says who it sees.
async fn through(auth: &Auth, method: &str, path: &str, authorization: Option<&str>) -> (u16, Vec<String>, String) {
    let doors = Doors::new([("/docs", Door::Browser), ("/api/{x}", Door::Key), ("/healthz", Door::Public)]);
    let inner = service_fn(|request: Request<Body>| {
        let access = request.extensions().get::<Access>().cloned().expect("an access");
        assert!(!request.headers().contains_key("authorization"));
        ready(Ok::<_, Infallible>(Response::new(Body::from(access.principal().as_str().to_owned()))))
    });
    let mut request = Request::builder().method(method).uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let service = Authenticate::new(auth.clone(), doors).layer(inner);
    let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let challenges = response.headers().get_all("www-authenticate").iter();
    let challenges = challenges.map(|value| value.to_str().unwrap().split(' ').next().unwrap().to_owned()).collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, challenges, String::from_utf8_lossy(&body).into_owned())
}

/// Pages take the key as a password, for looking. Nothing else does: a browser adds a password by itself to what a foreign
/// page makes it send.
#[tokio::test]
async fn sec_008_a_password_opens_pages_and_nothing_that_acts() {
    let key = fresh_key();
    let auth = Auth::keys([Key::new("ann", &key).unwrap()]).unwrap();
    let line = basic(&key);
    let password = line.trim().strip_prefix("authorization: ");
    let line = basic("wrong");
    let wrong = line.trim().strip_prefix("authorization: ");
    let bearer = format!("Bearer {key}");
    let both = ["Bearer", "Basic"];

    for method in ["GET", "HEAD"] {
        let (status, _, who) = through(&auth, method, "/docs", password).await;
        assert_eq!((status, &*who), (200, "ann"), "{method}");
        for nothing in [None, wrong, Some("Basic"), Some("Basic ***"), Some("Basic bm9jb2xvbg==")] {
            let (status, challenges, _) = through(&auth, method, "/docs", nothing).await;
            assert_eq!((status, challenges), (401, both.map(str::to_owned).to_vec()), "{method} {nothing:?}");
        }
    }
    let acts = [("POST", "/docs"), ("DELETE", "/docs"), ("OPTIONS", "/docs"), ("GET", "/api/x"), ("POST", "/api/x")];
    for (method, path) in acts {
        let (status, challenges, _) = through(&auth, method, path, password).await;
        assert_eq!((status, challenges), (401, vec!["Bearer".to_owned()]), "{method} {path}");
        let (status, _, who) = through(&auth, method, path, Some(&bearer)).await;
        assert_eq!((status, &*who), (200, "ann"), "{method} {path}");
    }
    // A public path stays open whatever is shown, and knows only who brings a key.
    for (shown, expected) in [(None, ""), (wrong, ""), (password, ""), (Some("Bearer x"), ""), (Some(&*bearer), "ann")]
    {
        let (status, _, who) = through(&auth, "GET", "/healthz", shown).await;
        assert_eq!((status, &*who), (200, expected), "{shown:?}");
    }
    assert_eq!(through(&auth, "POST", "/healthz", None).await.0, 401);
}

/// What a client of either era is told must not depend on its era: it has to find out how to come in before it speaks.
#[tokio::test]
async fn era_138_both_eras_are_challenged_alike() {
    let app = App::start().await;
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},
        "clientInfo":{"name":"c","version":"1"}}}"#;
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let mut told = Vec::new();
    for (body, version) in [(legacy, None), (modern, Some("2026-07-28"))] {
        let mut request = Request::post("/mcp/docs")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version).header("mcp-method", "server/discover");
        }
        let answer = app.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        told.push((answer.status().as_u16(), answer.headers()["www-authenticate"].clone()));
    }
    assert_eq!(told[0].0, 401);
    assert_eq!(told[0], told[1]);
    assert!(app.is_untouched());
}
