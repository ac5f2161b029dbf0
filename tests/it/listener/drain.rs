//! Shutdown with connections open (SEC-161).

use std::time::Duration;

use rialto::app::listener::{Drained, Limits};
use tokio::net::TcpStream;

use super::raw::{Gateway, Setup};
use crate::support::wait::within;

#[tokio::test]
async fn sec_161_streams_end_properly_and_calls_finish() {
    let gateway = Gateway::start().await;
    let mut streaming = gateway.connect().await;
    streaming.send("GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    streaming.until("data: open\n\n").await;
    let mut calling = gateway.connect().await;
    calling.send("GET /gated HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    gateway.begun(2).await;
    let mut idle = gateway.connect().await;
    idle.send("GET /mcp/docs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    idle.until("\r\n\r\nok").await;
    let mut silent = gateway.connect().await;

    gateway.shutdown.drain();
    // The stream says its last words, ends as HTTP has it, and its connection closes.
    let last = streaming.rest().await;
    assert!(last.text().contains("data: bye\n\n"), "{last:?}");
    assert!(last.text().ends_with("0\r\n\r\n"), "{last:?}");
    assert!(idle.rest().await.is_empty());
    assert!(silent.rest().await.is_empty());
    assert!(TcpStream::connect(gateway.address).await.is_err(), "still accepting");

    gateway.open_gate();
    let answer = calling.rest().await.only();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(within(gateway.serving).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn sec_161_a_drain_has_an_end() {
    let gateway = Gateway::with(Setup {
        limits: Limits { drain: Duration::from_millis(200), ..Limits::default() },
        ..Setup::default()
    })
    .await;
    let mut stuck = gateway.connect().await;
    stuck.send("GET /stuck HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    gateway.begun(1).await;
    gateway.shutdown.drain();
    assert_eq!(within(gateway.serving).await.unwrap(), Drained { cut: 1 });
    assert!(!stuck.rest().await.text().ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn sec_161_a_second_signal_forces() {
    let gateway = Gateway::start().await;
    let mut stuck = gateway.connect().await;
    stuck.send("GET /stuck HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut half = gateway.connect().await;
    half.send("GET /mcp").await;
    gateway.begun(1).await;
    gateway.shutdown.drain();
    gateway.shutdown.force();
    let drained = within(gateway.serving).await.unwrap();
    assert!(drained.cut >= 1, "{drained:?}");
    stuck.rest().await;
    half.rest().await;
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let gateway = Gateway::start().await;
    let again = rialto::app::listener::Listener::bind(gateway.address, Limits::default()).await;
    let message = again.unwrap_err().to_string();
    assert!(message.contains(&gateway.address.to_string()), "{message}");
}
