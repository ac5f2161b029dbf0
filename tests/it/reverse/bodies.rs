//! Bodies pass as they come, and within bounds.

use std::convert::Infallible;

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use rialto::Reverse;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{echoing, exchange, gateway, http, seen};
use crate::{library::serve, support::wait::within};

/// A stream of what is sent on a channel.
fn receiver_stream(receiver: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|chunk| (Ok(chunk), receiver)) })
}

#[tokio::test]
async fn a_request_passes_while_it_is_still_being_sent() {
    let (arrived, mut arrivals) = mpsc::channel::<Bytes>(8);
    let server = Router::new().fallback(move |request: Request| async move {
        let mut body = request.into_body().into_data_stream();
        while let Some(Ok(chunk)) = body.next().await {
            arrived.send(chunk).await.unwrap();
        }
        "done"
    });
    let server = serve(server).await;
    let gateway = gateway(server.base.as_str()).await;
    let (sender, receiver) = mpsc::channel(1);
    let body = reqwest::Body::wrap_stream(receiver_stream(receiver));
    let sent = tokio::spawn(http().post(gateway.at("/reports")).body(body).send());
    for part in ["one", "two", "three"] {
        sender.send(Bytes::from(part)).await.unwrap();
        assert_eq!(within(arrivals.recv()).await.unwrap(), part);
    }
    drop(sender);
    assert_eq!(within(sent).await.unwrap().unwrap().text().await.unwrap(), "done");
}

#[tokio::test]
async fn an_answer_passes_while_it_is_still_being_made() {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let server = Router::new().fallback(move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        async move { ([("content-type", "text/event-stream")], Body::from_stream(receiver_stream(receiver))) }
    });
    let server = serve(server).await;
    let gateway = gateway(server.base.as_str()).await;
    let response = within(http().get(gateway.at("/reports")).send()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    for part in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Bytes::from(part)).await.unwrap();
        assert_eq!(within(body.next()).await.unwrap().unwrap(), part);
    }
    // Whoever does not want it any more ends it at the server too.
    drop(body);
    within(sender.closed()).await;
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    const BYTES: &[u8] = b"\x1f\x8b\x08 this is not gzip, and nobody may look";
    let compressed = async || ([("content-encoding", "gzip"), ("etag", "\"1\"")], BYTES);
    let server = serve(Router::new().fallback(compressed)).await;
    let gateway = gateway(server.base.as_str()).await;
    let response = http().get(gateway.at("/reports")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["content-length"], BYTES.len().to_string().as_str());
    assert_eq!(response.bytes().await.unwrap(), BYTES);
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let server = Router::new()
        .route("/gone", any(async || StatusCode::NO_CONTENT))
        .route("/same", any(async || (StatusCode::NOT_MODIFIED, [("etag", "\"1\"")])))
        .route("/head", any(async || ([("x-here", "1")], "12345")));
    let server = serve(server).await;
    let gateway = gateway(server.base.as_str()).await;
    for (method, path, head, lines) in [
        ("GET", "/gone", "HTTP/1.1 204 ", vec![]),
        ("GET", "/same", "HTTP/1.1 304 ", vec!["etag: \"1\""]),
        ("HEAD", "/head", "HTTP/1.1 200 ", vec!["content-length: 5", "x-here: 1"]),
    ] {
        let request = format!("{method} /reports{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = exchange(&gateway.base, &request).await;
        assert!(answer.starts_with(head) && answer.ends_with("\r\n\r\n"), "{path}: {answer:?}");
        assert!(!answer.contains("transfer-encoding"), "{answer:?}");
        for line in lines {
            assert!(answer.contains(line), "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn sec_052_a_body_has_a_limit() {
    let server = echoing().await;
    let gateway = gateway(Reverse::to(&server.base).body_limit(1000)).await;
    let (status, _) = seen(http().post(gateway.at("/reports")).body(vec![b'x'; 1000])).await;
    assert_eq!(status, 200);
    // One that says how long it is, and one that does not.
    let said = http().post(gateway.at("/reports")).body(vec![b'x'; 1001]);
    let chunks = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(Bytes::from(vec![b'x'; 400])), 3));
    let unsaid = http().post(gateway.at("/reports")).body(reqwest::Body::wrap_stream(chunks));
    for request in [said, unsaid] {
        let response = within(request.send()).await.unwrap();
        assert_eq!(response.status().as_u16(), 413);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["type"], "urn:rialto:problem:too-large");
    }
}

#[tokio::test]
async fn a_large_body_passes_whole_in_both_directions() {
    let server = serve(Router::new().fallback(async |request: Request| request.into_body().into_response())).await;
    let gateway = gateway(server.base.as_str()).await;
    let whole: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
    let response = within(http().put(gateway.at("/reports")).body(whole.clone()).send()).await.unwrap();
    assert!(within(response.bytes()).await.unwrap() == whole);
}
