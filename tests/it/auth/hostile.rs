//! Bodies that are too large, too slow or packed, and protocols that are not spoken (SEC-052 to SEC-056), at the front of the
//! whole application.

use std::time::Duration;

use rialto::Limits;
use tokio::time::Instant;

use super::kit::{App, bearer, call, head};

const SHORT: Duration = Duration::from_millis(300);

fn framed(key: &str, framing: &str) -> String {
    let accept = "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n";
    head("POST", "/mcp/docs", &format!("{key}{accept}{framing}"))
}

#[tokio::test]
async fn sec_052_bodies_are_bounded_behind_the_key_and_unread_before_it() {
    let app = App::with(Limits { body: 4096, ..Limits::default() }.into(), |builder| builder).await;
    let key = bearer(&app.alice);
    // By its length, before any of it is sent.
    assert_eq!(app.send(framed(&key, "content-length: 4097\r\n")).await.status, 413);
    assert_eq!(app.send(framed("", "content-length: 4097\r\n")).await.status, 401);
    // In chunks, once it is known, and with the rest unsent.
    let mut client = app.connect().await;
    client.send(framed(&key, "transfer-encoding: chunked\r\n")).await;
    for _ in 0..5 {
        client.send(format!("400\r\n{}\r\n", "x".repeat(0x400))).await;
    }
    assert_eq!(client.rest().await.only().status, 413);
    // A chunk whose length is a lie about gigabytes costs what was sent of it.
    let mut client = app.connect().await;
    client.send(framed(&key, "transfer-encoding: chunked\r\n")).await;
    client.send(format!("ffffffff\r\n{}", "x".repeat(5000))).await;
    assert_eq!(client.rest().await.only().status, 413);
    let mut client = app.connect().await;
    client.send(framed("", "transfer-encoding: chunked\r\n")).await;
    assert_eq!(client.rest().await.only().status, 401);
    assert!(app.is_untouched());
}

#[tokio::test]
async fn sec_053_slow_bodies_have_an_end_behind_the_key_and_none_is_waited_for_before_it() {
    let app = App::with(Limits { body_time: SHORT, ..Limits::default() }.into(), |builder| builder).await;
    let key = bearer(&app.alice);
    for framing in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
        let mut client = app.connect().await;
        let started = Instant::now();
        client.send(framed(&key, framing)).await;
        client.send("1").await;
        let answer = client.rest().await.only();
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(started.elapsed() >= SHORT, "{:?}", started.elapsed());
    }
    // Dripping buys no time.
    let mut client = app.connect().await;
    client.send(framed(&key, "content-length: 100000\r\n")).await;
    for _ in 0..15 {
        client.send("x").await;
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(client.rest().await.only().status, 408);
    // Without a key nobody waits: all of these are answered although their bodies never come, and others are served.
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut client = app.connect().await;
        client.send(framed("", "content-length: 100\r\n")).await;
        waiting.push(client);
    }
    assert_eq!(app.call("docs", &key).await.status, 200);
    for mut client in waiting {
        assert_eq!(client.rest().await.only().status, 401);
    }
}

/// HTTP/2 is not spoken: neither is its preface taken for a request, nor is anybody upgraded to it.
#[tokio::test]
async fn sec_055_http2_is_refused_before_it_begins() {
    let app = App::start().await;
    // A client with prior knowledge: the preface, its settings, and a flood of frames that would be resets.
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frames.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for stream in (1..20_000u32).step_by(2) {
        frames.extend([0, 0, 4, 3, 0]);
        frames.extend(stream.to_be_bytes());
        frames.extend([0, 0, 0, 8]);
    }
    for _ in 0..20 {
        let mut client = app.connect().await;
        client.send(&frames).await;
        let answers = client.rest().await;
        assert!(answers.count() <= 1, "{answers:?}");
        let text = answers.text();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"), "{answers:?}");
    }
    // An upgrade is not taken up: the request is served as what it is, or refused as what it is.
    let upgrade = "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let nominate = |request: String| request.replace("connection: close", "connection: close, upgrade, http2-settings");
    let refused = app.send(nominate(call("/mcp/docs", upgrade))).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let served = app.send(nominate(call("/mcp/docs", &(bearer(&app.alice) + upgrade)))).await;
    assert!(served.status == 200 && served.header("upgrade").is_none(), "{served:?}");
    for protocol in ["websocket", "h2c", "TLS/1.2"] {
        let upgrade = format!("{}upgrade: {protocol}\r\n", bearer(&app.alice));
        let answer = app.send(nominate(head("GET", "/mcp/docs", &upgrade))).await;
        assert_ne!(answer.status, 101, "{answer:?}");
    }
    assert_eq!(app.docs.count("tools/call"), 1);
}

#[tokio::test]
async fn sec_056_packed_bodies_are_not_unpacked() {
    let app = App::start().await;
    let key = bearer(&app.alice);
    // Ten bytes that would become a gigabyte are refused as they are; so is everything that says that it is packed.
    for encoding in
        ["gzip", "br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br", "GZIP", "x-gzip", "unknown", "identity"]
    {
        let request = call("/mcp/docs", &format!("{key}content-encoding: {encoding}\r\n"));
        assert_eq!(app.send(&request).await.status, 415, "{encoding}");
        assert_eq!(app.send(request.replace("authorization", "x-other")).await.status, 401, "{encoding}");
    }
    assert!(app.is_untouched());
}
