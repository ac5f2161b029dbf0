//! How a connection ends: the client closes its end, is gone, or the gateway stops.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rialto::{config::EraChoice, downstream::Settings, hub::Principal};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, duplex, split},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    NEWEST, Pipe,
    kit::{done, initialize, text_of, tool},
    modern, request,
};
use crate::{
    legacy_support::Scripted as Played,
    support::{
        mount::{Scripted, elicit, says},
        wait::soon,
    },
};

#[tokio::test(start_paused = true)]
async fn what_ends_soon_after_the_client_has_closed_its_end_is_still_answered() {
    let mount = Played::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    let first = mount.next().await;
    client.send(&modern(2, "tools/call", tool("hold"))).await;
    let second = mount.next().await;
    client.close().await;
    tokio::time::sleep(Duration::from_millis(1400)).await;
    first.say("first");
    assert_eq!(text_of(&client.answer(&json!(1)).await), "first");
    second.complete(&json!({"content": [{"type": "text", "text": "second"}], "resultType": "complete"}));
    assert_eq!(text_of(&client.answer(&json!(2)).await), "second");
    assert_eq!(client.rest().await, [] as [Value; 0]);
    done(serving).await;
    soon("the end of the session", mount.closed(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_is_cancelled_before_the_client_ends_the_process() {
    let mount = Played::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake("2025-03-26").await;
    let mut held = Vec::new();
    for message in [
        request(1, "tools/call", tool("hold")),
        json!([request(2, "tools/call", tool("hold"))]),
        modern(3, "tools/call", tool("hold")),
    ] {
        client.text(&message.to_string()).await;
        held.push(mount.next().await);
    }
    let asking = held[0].ask("roots/list", &json!({}));
    client.said("roots/list").await;
    client.close().await;
    let closed = Instant::now();
    for held in &mut held {
        soon("the end of the call", held.dropped()).await;
        assert_eq!(held.call.life.abandoned().as_deref(), Some("the client closed the connection"));
    }
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
    assert!(asking.await.unwrap().is_err());
    // Nothing is said of what was cancelled, but that the question is taken back.
    let rest = client.rest().await;
    assert!(rest.iter().all(|m| m["method"] == "notifications/cancelled"), "{rest:?}");
    done(serving).await;
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
    drop(held);
    soon("the end of the session", mount.closed(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_answers_ends_with_the_connection() {
    let mount = Arc::new(Scripted::new(|call| async move { says(format!("{:?}", elicit(&call, "Who?").await)) }));
    let settings = Settings::default();
    let held = settings.held.clone();
    let (mut client, serving) = Pipe::with(&mount, settings);
    let asked = client.ask(&modern(1, "tools/call", tool("ask"))).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    assert_eq!(held.parked(), 1);
    let closed = Instant::now();
    client.close().await;
    soon("the end of the call", mount.until(|counts| counts.dropped == 1)).await;
    assert!(closed.elapsed() < Duration::from_millis(100), "{:?}", closed.elapsed());
    assert_eq!(client.rest().await, [] as [Value; 0]);
    done(serving).await;
    assert_eq!(held.parked(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_gateway_stops_without_waiting_for_the_client() {
    let mount = Played::new("docs");
    let draining = CancellationToken::new();
    let (mut client, serving) = Pipe::with(&mount, Settings { draining: draining.clone(), ..Settings::default() });
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    client.send(&request(2, "tools/call", tool("hold"))).await;
    let first = mount.next().await;
    let mut second = mount.next().await;
    let began = Instant::now();
    draining.cancel();
    first.say("first");
    client.answer(&json!(1)).await;
    soon("the end of the call", second.dropped()).await;
    assert_eq!(client.rest().await, [] as [Value; 0]);
    done(serving).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_being_opened_ends_too() {
    // The server is probed at first where nobody says what it speaks.
    let ways = [EraChoice::Auto, EraChoice::Legacy].map(|era| [(era, true), (era, false)]);
    for (era, gone_at_once) in ways.into_iter().flatten() {
        let (near, far) = duplex(64 * 1024);
        let (reader, writer) = split(far);
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let silent = rialto::Proxy::in_process(move |io| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                let _ = begun.send(());
                let mut io = io;
                // Hears everything, says nothing, until its input ends.
                let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
                let _ = ended.send(());
            }
        });
        let serving = tokio::spawn(silent.era(era).serve_lines(reader, writer));
        let mut client = Pipe::over(near);
        client.text(&initialize(0, NEWEST).to_string()).await;
        client.text(&request(1, "tools/call", tool("x")).to_string()).await;
        begins.recv().await.unwrap();
        let began = Instant::now();
        if gone_at_once {
            drop(client);
        } else {
            client.close().await;
            client.rest().await;
        }
        done(serving).await;
        soon("the end of the server", ends.recv()).await.unwrap();
        // It is not waited for as long as it may take to answer.
        assert!(began.elapsed() < Duration::from_secs(3), "{era:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_ends_everything_at_the_first_word_it_does_not_hear() {
    let mount = Played::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    client.send(&modern(2, "tools/call", tool("hold"))).await;
    let (mut first, mut second) = (mount.next().await, mount.next().await);
    drop(client);
    first.progress(&json!(1));
    soon("the end of the call", first.dropped()).await;
    soon("the end of the call", second.dropped()).await;
    assert_eq!(first.call.life.abandoned().as_deref(), Some("the client closed the connection"));
    done(serving).await;
    drop((first, second));
    soon("the end of the session", mount.closed(1)).await;
}

/// A connection that fails in the way of sockets.
struct Failing(io::ErrorKind);

impl AsyncRead for Failing {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn only_a_stream_that_is_broken_is_an_error() {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, PermissionDenied};
    for (kind, is_error) in [(BrokenPipe, false), (ConnectionReset, false), (PermissionDenied, true)] {
        let endpoint = rialto::downstream::Endpoint::new(Played::new("docs"), Settings::default());
        let local = Principal::local();
        let read = soon("the end", endpoint.serve_lines(Failing(kind), tokio::io::sink(), &local)).await;
        assert_eq!(read.map_err(|e| e.kind()), if is_error { Err(kind) } else { Ok(()) });
        let (mut near, far) = duplex(1024);
        tokio::io::AsyncWriteExt::write_all(&mut near, b"nonsense\n").await.unwrap();
        let written = soon("the end", endpoint.serve_lines(far, Failing(kind), &local)).await;
        assert_eq!(written.map_err(|e| e.kind()), if is_error { Err(kind) } else { Ok(()) });
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_connection_that_nobody_serves_any_more() {
    let mount = Played::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    let mut held = mount.next().await;
    serving.abort();
    soon("the end of the call", held.dropped()).await;
    assert_eq!(client.rest().await, [] as [Value; 0], "the writer ends as well");
    drop(held);
    soon("the end of the session", mount.closed(1)).await;
}
