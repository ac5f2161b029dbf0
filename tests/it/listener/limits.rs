//! Limits on heads, bodies, time and connections (SEC-051 to SEC-054).

use std::time::Duration;

use rialto::app::listener::Limits;
use tokio::time::Instant;

use super::raw::{BODY_LIMIT, Gateway, Setup};
use crate::support::wait::within;

const SHORT: Duration = Duration::from_millis(200);

fn limits(limits: Limits) -> Setup {
    Setup { limits, ..Setup::default() }
}

#[tokio::test]
async fn sec_051_too_many_headers() {
    let gateway = Gateway::start().await;
    let with = |count: usize| {
        let lines: String = (0..count).map(|index| format!("mcp-param-{index}: x\r\n")).collect();
        format!("host: localhost\r\n{lines}")
    };
    // Besides these there are Host, Connection and Content-Length.
    assert_eq!(gateway.post(&with(61)).await, 200);
    assert_eq!(gateway.post(&with(62)).await, 431);
    assert_eq!(gateway.post(&with(101)).await, 431);
    assert_eq!(gateway.post(&with(10_000)).await, 431);
    let cookies = "cookie: a=b\r\n".repeat(100);
    assert_eq!(gateway.post(&format!("host: localhost\r\n{cookies}")).await, 431);
    assert_eq!(gateway.calls(), 1);
}

#[tokio::test]
async fn sec_051_too_long_a_head() {
    let gateway = Gateway::start().await;
    let with = |bytes: usize| format!("host: localhost\r\nx-long: {}\r\n", "x".repeat(bytes));
    assert_eq!(gateway.post(&with(31 * 1024)).await, 200);
    assert_eq!(gateway.post(&with(33 * 1024)).await, 431);
    assert_eq!(gateway.post(&with(64 * 1024)).await, 431);
    assert_eq!(gateway.calls(), 1);

    // A head that never ends is cut off at the limit, not when it is complete.
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: ").await;
    client.send("x".repeat(40 * 1024)).await;
    assert_eq!(client.rest().await.only().status, 431);
}

#[tokio::test]
async fn sec_051_too_long_a_url() {
    let gateway = Gateway::start().await;
    let get = |bytes: usize| {
        let path = "x".repeat(bytes - "/?".len());
        format!("GET /?{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    };
    assert_eq!(gateway.exchange(get(8 * 1024)).await.only().status, 404);
    assert_eq!(gateway.exchange(get(8 * 1024 + 1)).await.only().status, 414);
}

#[tokio::test]
async fn sec_052_too_large_a_body() {
    let gateway = Gateway::start().await;
    let head = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\n";

    let fits = format!("{head}connection: close\r\ncontent-length: {BODY_LIMIT}\r\n\r\n{}", "x".repeat(BODY_LIMIT));
    assert_eq!(gateway.exchange(fits).await.only().status, 200);

    // By its length: refused before any of it is sent, and closed, since nobody will read it.
    let claims = format!("{head}content-length: {}\r\n\r\n", BODY_LIMIT + 1);
    assert_eq!(gateway.exchange(claims).await.only().status, 413);

    // In chunks: refused once it is known.
    let mut client = gateway.connect().await;
    client.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    for _ in 0..5 {
        client.send(&chunk).await;
    }
    assert_eq!(client.rest().await.only().status, 413);

    // A body shorter than its length never becomes a call.
    let mut client = gateway.connect().await;
    client.send(format!("{head}content-length: 100\r\n\r\n{{}}")).await;
    drop(client);
}

#[tokio::test]
async fn sec_053_too_slow_a_body() {
    let gateway = Gateway::with(Setup { body_time: SHORT, ..Setup::default() }).await;
    for framing in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut client = gateway.connect().await;
        client.send(format!("POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n1")).await;
        let started = Instant::now();
        assert_eq!(client.rest().await.only().status, 408, "{framing}");
        assert!(started.elapsed() < SHORT * 10);
    }
}

#[tokio::test]
async fn sec_054_no_head_in_time() {
    let gateway = Gateway::with(limits(Limits { head_time: SHORT, ..Limits::default() })).await;
    for start in ["", "P", "POST /mcp/docs HT", "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\nx: "] {
        let mut client = gateway.connect().await;
        let connected = Instant::now();
        client.send(start).await;
        assert!(client.rest().await.is_empty(), "{start:?}");
        let took = connected.elapsed();
        assert!(took >= SHORT - Duration::from_millis(20) && took < SHORT * 10, "{start:?} {took:?}");
    }
    // Dripping does not buy time: the clock runs from the first byte.
    let mut client = gateway.connect().await;
    let connected = Instant::now();
    let drip = async {
        loop {
            client.send("x").await;
            tokio::time::sleep(SHORT / 10).await;
            if client.is_closed().await {
                return;
            }
        }
    };
    within(drip).await;
    assert!(connected.elapsed() < SHORT * 10);
    assert_eq!(gateway.calls(), 0);
}

/// TLS is spoken by somebody in front. Half of its greeting is no half of a head, and buys no time either.
#[tokio::test]
async fn sec_054_half_a_tls_hello() {
    let gateway = Gateway::with(limits(Limits { head_time: SHORT, ..Limits::default() })).await;
    let mut client = gateway.connect().await;
    let connected = Instant::now();
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    let answers = client.rest().await;
    assert!(answers.is_empty() || answers.text().starts_with("HTTP/1.1 400"), "{answers:?}");
    assert!(connected.elapsed() < SHORT * 10);
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test]
async fn sec_054_a_later_head_has_its_own_clock() {
    let gateway = Gateway::with(limits(Limits { head_time: SHORT, ..Limits::default() })).await;
    let mut client = gateway.connect().await;
    client.send("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    client.until("\r\n\r\nok").await;
    // Idling longer than a head may take is fine; then a head is begun and not finished.
    tokio::time::sleep(SHORT * 2).await;
    client.send("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    client.until("\r\n\r\nok").await;
    client.send("GET /mcp").await;
    let begun = Instant::now();
    assert!(client.rest().await.is_empty());
    let took = begun.elapsed();
    assert!(took >= SHORT - Duration::from_millis(20) && took < SHORT * 10, "{took:?}");
}

#[tokio::test]
async fn sec_054_idle_connections_are_closed() {
    let gateway = Gateway::with(limits(Limits { idle: SHORT, ..Limits::default() })).await;
    let mut client = gateway.connect().await;
    client.send("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    client.until("\r\n\r\nok").await;
    let idle = Instant::now();
    assert!(client.rest().await.is_empty());
    let took = idle.elapsed();
    assert!(took >= SHORT - Duration::from_millis(20) && took < SHORT * 10, "{took:?}");
}

#[tokio::test]
async fn sec_054_a_call_may_take_longer_than_any_of_them() {
    let gateway =
        Gateway::with(limits(Limits { head_time: SHORT, idle: SHORT, write_stall: SHORT, ..Limits::default() })).await;
    let mut client = gateway.connect().await;
    client.send("GET /gated HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    gateway.begun(1).await;
    tokio::time::sleep(SHORT * 3).await;
    gateway.open_gate();
    client.until("\r\n\r\nthrough").await;
}

#[tokio::test]
async fn sec_086_a_client_that_does_not_read_is_cut() {
    let gateway = Gateway::with(limits(Limits { write_stall: SHORT, ..Limits::default() })).await;
    let mut client = gateway.connect().await;
    client.send("GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    gateway.begun(1).await;
    // Nothing is read. The flood never ends by itself, so only the stall can end the drain before
    // it must cut anything.
    gateway.shutdown.drain();
    let drained = within(gateway.serving).await.unwrap();
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn connections_above_the_cap_are_told_so() {
    let gateway = Gateway::with(limits(Limits { connections: 2, ..Limits::default() })).await;
    let mut first = gateway.connect().await;
    first.send("GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    first.until("data: open\n\n").await;
    let mut second = gateway.connect().await;
    second.send("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    second.until("\r\n\r\nok").await;

    let third = gateway.exchange("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await.only();
    assert_eq!(third.status, 503);
    assert_eq!(third.header("retry-after"), Some("1"));

    // A place that becomes free is given away.
    drop(second);
    within(async {
        loop {
            let again =
                gateway.exchange("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.only();
            if again.status == 200 {
                return;
            }
        }
    })
    .await;
}
