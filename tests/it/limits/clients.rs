//! The bounds towards clients.

use std::{sync::Arc, time::Duration};

use rialto::{
    Proxy,
    hub::{Call, Fault, Outcome, Refusal},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep},
};

use super::limits;
use crate::{
    legacy_support::{self, NEWEST},
    support::{
        client::{Sent, modern, tool},
        gateway::Gateway,
        mount::{Scripted, elicit, log, notification, says, told},
        wait::within,
    },
};

/// A gateway with these limits in front of a tool.
fn gateway<F>(given: Value, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> (Gateway, Arc<Scripted>)
where
    F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
{
    let mount = Arc::new(Scripted::new(handler));
    (Gateway::with(&[&mount], limits(&given).into()), mount)
}

/// The same for legacy clients, behind a socket.
pub(super) async fn legacy(given: Value) -> (legacy_support::Gateway, Arc<legacy_support::Scripted>) {
    legacy_support::Gateway::start_with(limits(&given).into()).await
}

fn call() -> Sent {
    tool("t", json!({})).answering()
}

fn accept() -> Value {
    json!({"i1": {"action": "accept"}})
}

/// A tool that asks once, and says what it was told.
async fn asks(call: Call) -> Result<Outcome, Fault> {
    says(told(&elicit(&call, "Who?").await))
}

#[track_caller]
pub(super) fn said(response: &Value) -> &str {
    response["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{response}"))
}

#[track_caller]
fn questions(response: &Value) -> usize {
    response["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{response}")).len()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn limit_body() {
    let (gateway, mount) = gateway(json!({"body": "1KiB"}), |_| async { says("ran") });
    let fill = |length: usize| "x".repeat(length);
    let room = 1024 - tool("t", json!({"a": ""})).body().to_string().len();
    tool("t", json!({"a": fill(room)})).response(&gateway, 200).await;
    assert_eq!(tool("t", json!({"a": fill(room + 1)})).response(&gateway, 413).await["error"]["code"], -32600);
    assert_eq!(mount.counts().begun, 1);

    // A client on standard input and output is told, and goes on.
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let proxy = Proxy::to("http://127.0.0.1:1/").settings(limits(&json!({"body": "1KiB"})).into());
    let served = tokio::spawn(proxy.serve_lines(reader, writer));
    let (reader, mut writer) = tokio::io::split(ours);
    let mut answers = BufReader::new(reader).lines();
    let ping = |padding: usize| json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "x": fill(padding)}).to_string();
    for (padding, expected) in [(2000, "-32600"), (10, r#""id":1"#)] {
        writer.write_all(format!("{}\n", ping(padding)).as_bytes()).await.unwrap();
        let answer = within(answers.next_line()).await.unwrap().unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
    drop((writer, answers));
    within(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn limit_body_time() {
    let (gateway, _) = gateway(json!({"body_time": "1s"}), |_| async { says("ran") });
    let gateway = gateway.listen().await;
    let mut stream = TcpStream::connect(gateway.address().unwrap()).await.unwrap();
    let head = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(begun.elapsed() >= SECOND.mul_f64(0.9) && begun.elapsed() < 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn limit_keep_alive() {
    let (gateway, _) = gateway(json!({"keep_alive": "2s"}), |_| std::future::pending());
    let begun = Instant::now();
    let mut stream = call().open(&gateway).await;
    assert!(stream.is_stream());
    for n in 0..3_u64 {
        stream.comment().await;
        assert_eq!(begun.elapsed().as_secs(), 2 + 2 * n);
    }
    // A stream of changes.
    let (mount, mut opens) = Scripted::plain().listening(|filter| filter);
    let gateway = Gateway::with(&[&Arc::new(mount)], limits(&json!({"keep_alive": "2s"})).into());
    let listen = modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let mut stream = listen.open(&gateway).await;
    let _events = opens.recv().await.unwrap();
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    let begun = Instant::now();
    for n in 1..4_u64 {
        stream.comment().await;
        assert_eq!(begun.elapsed().as_secs(), 2 * n);
    }
    // The stream of a legacy client.
    tokio::time::resume();
    let (gateway, mount) = legacy(json!({"keep_alive": "2s"})).await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    tokio::time::pause();
    tokio::time::advance(2 * SECOND).await;
    let mut stream = reply.await.unwrap().events();
    for _ in 0..3 {
        tokio::time::advance(3 * SECOND).await;
    }
    tokio::time::resume();
    arrived.say("done");
    assert_eq!(said(&stream.expect().await), "done");
    assert!(stream.comments >= 2);
}

#[tokio::test(start_paused = true)]
async fn limit_question() {
    let given = json!({"question": "3s"});
    let (gateway, mount) = gateway(given.clone(), asks);
    let asked = call().response(&gateway, 200).await;
    sleep(2 * SECOND).await;
    let done = call().retry(&asked, accept()).response(&gateway, 200).await;
    assert_eq!(said(&done), accept()["i1"].to_string());
    let asked = call().response(&gateway, 200).await;
    let begun = Instant::now();
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    call().retry(&asked, accept()).error(&gateway, 200, -32602).await;

    // A legacy client.
    tokio::time::resume();
    let (gateway, mount) = legacy(given).await;
    let client = gateway.session(NEWEST).await;
    let _reply = client.call(1, "hold");
    let arrived = mount.next().await;
    tokio::time::pause();
    let begun = Instant::now();
    assert!(matches!(arrived.elicit("Who?").await.unwrap(), Err(Refusal::Lapsed)));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// A tool that asks so many questions, one every 40 ms.
async fn asks_often(call: Call, times: u32) -> Result<Outcome, Fault> {
    let ask = |n: u32| {
        let call = call.clone();
        async move {
            sleep(Duration::from_millis(40) * n).await;
            elicit(&call, "?").await
        }
    };
    futures_util::future::join_all((0..times).map(ask)).await;
    says("done")
}

#[tokio::test(start_paused = true)]
async fn limit_gather() {
    for (given, expected) in [(json!({"gather": "50ms"}), 2), (json!({"gather": "30ms"}), 1)] {
        let (gateway, _) = gateway(given, |call| asks_often(call, 2));
        assert_eq!(questions(&call().response(&gateway, 200).await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn limit_gather_total() {
    for (total, expected) in [("60ms", 2), ("90ms", 3), ("200ms", 4)] {
        let given = json!({"gather": "50ms", "gather_total": total});
        let (gateway, _) = gateway(given, |call| asks_often(call, 4));
        assert_eq!(questions(&call().response(&gateway, 200).await), expected, "{total}");
    }
}

#[tokio::test(start_paused = true)]
async fn limit_parked_total() {
    let (gateway, mount) = gateway(json!({"question": "4s", "parked_total": "5s"}), |call| async move {
        loop {
            let _ = elicit(&call, "Again?").await;
        }
    });
    let begun = Instant::now();
    let mut asked = call().response(&gateway, 200).await;
    for n in 1..=2 {
        sleep(2 * SECOND).await;
        let answers = json!({format!("i{n}"): {"action": "accept"}});
        asked = call().retry(&asked, answers).response(&gateway, 200).await;
        assert_eq!(questions(&asked), 1);
    }
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    call().retry(&asked, json!({"i3": {"action": "accept"}})).error(&gateway, 200, -32602).await;
}

#[tokio::test(start_paused = true)]
async fn limit_parked_each() {
    let (gateway, _) = gateway(json!({"parked_each": 1}), asks);
    assert_eq!(questions(&call().response(&gateway, 200).await), 1);
    assert_eq!(said(&call().response(&gateway, 200).await), "Lapsed");
    assert_eq!(questions(&call().principal("bob").response(&gateway, 200).await), 1);
}

#[tokio::test(start_paused = true)]
async fn limit_parked() {
    let (gateway, _) = gateway(json!({"parked_each": 1, "parked": 1}), asks);
    assert_eq!(questions(&call().response(&gateway, 200).await), 1);
    assert_eq!(said(&call().principal("bob").response(&gateway, 200).await), "Lapsed");
    assert_eq!(gateway.settings.held.parked(), 1);
}

#[tokio::test(start_paused = true)]
async fn limit_parked_logs() {
    let (gateway, _) = gateway(json!({"parked_logs": 2}), |call| async move {
        let logs = async {
            sleep(SECOND).await;
            (0..5).for_each(|n| log(&call, "info", &n.to_string()));
        };
        let (answer, ()) = tokio::join!(elicit(&call, "Who?"), logs);
        says(told(&answer))
    });
    let call = call().level("info");
    let asked = call.response(&gateway, 200).await;
    sleep(2 * SECOND).await;
    let whole = call.retry(&asked, accept()).send(&gateway).await;
    let heard: Vec<_> = whole.notifications().iter().map(|message| message["params"]["data"].clone()).collect();
    assert_eq!(heard, ["3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn limit_reattach() {
    let (gateway, mount) = gateway(json!({"reattach": "3s"}), |call| async move {
        let _ = elicit(&call, "Who?").await;
        log(&call, "info", "working");
        std::future::pending().await
    });
    let call = call().level("info");
    let asked = call.response(&gateway, 200).await;
    let retry = call.retry(&asked, accept());
    drop(retry.open(&gateway).await);
    let begun = Instant::now();
    sleep(2 * SECOND).await;
    assert_eq!(mount.counts().dropped, 0);
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn limit_repeat() {
    let (gateway, _) = gateway(json!({"repeat": "5s"}), asks);
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let done = retry.response(&gateway, 200).await;
    sleep(4 * SECOND).await;
    assert_eq!(retry.response(&gateway, 200).await, done);
    sleep(2 * SECOND).await;
    retry.error(&gateway, 200, -32602).await;
}

#[tokio::test(start_paused = true)]
async fn limit_repeat_size() {
    let (gateway, _) = gateway(json!({"repeat_size": "1KiB"}), |call| async move {
        let length = if call.tool().as_deref() == Some("long") { 1100 } else { 500 };
        let _ = elicit(&call, "Who?").await;
        says("x".repeat(length))
    });
    for (name, is_kept) in [("short", true), ("long", false)] {
        let call = tool(name, json!({})).answering();
        let asked = call.response(&gateway, 200).await;
        let retry = call.retry(&asked, accept());
        retry.response(&gateway, 200).await;
        match is_kept {
            true => drop(retry.response(&gateway, 200).await),
            false => drop(retry.error(&gateway, 200, -32602).await),
        }
    }
}

/// Whether a subscription of each of these is taken, with all before it open.
async fn subscribed(given: Value, principals: &[&str]) -> Vec<bool> {
    let (mount, mut opens) = Scripted::plain().listening(|filter| filter);
    let gateway = Gateway::with(&[&Arc::new(mount)], limits(&given).into());
    let (mut open, mut taken) = (Vec::new(), Vec::new());
    for who in principals {
        let sent = modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).principal(who);
        let stream = sent.open(&gateway).await;
        taken.push(stream.is_stream());
        if stream.is_stream() {
            let events = opens.recv().await.unwrap();
            events.send(notification("notifications/tools/list_changed", Value::Null)).await.unwrap();
            open.push((stream, events));
        } else {
            assert_eq!(stream.whole().await.response()["error"]["data"]["reason"], "busy");
        }
    }
    taken
}

#[tokio::test]
async fn limit_listens_each() {
    assert_eq!(subscribed(json!({"listens_each": 1}), &["alice", "alice", "bob"]).await, [true, false, true]);
}

#[tokio::test]
async fn limit_listens() {
    assert_eq!(subscribed(json!({"listens_each": 1, "listens": 1}), &["alice", "bob"]).await, [true, false]);
}
