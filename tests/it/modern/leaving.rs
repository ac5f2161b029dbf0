//! Clients that go away, clients that do not come back, and a gateway that stops.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use rialto::{
    Limits,
    hub::{Call, Life},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use crate::support::{
    client::{Sent, tool},
    gateway::Gateway,
    mount::{Scripted, ask, elicit, progress, says, told},
    wait::within,
};

fn accept() -> Value {
    json!({"i1": {"action": "accept"}})
}

fn call() -> Sent {
    tool("asks", json!({})).answering().token(1)
}

/// A tool that reports progress, asks, reports progress, and never ends; with the lives of its calls.
fn endless() -> (Arc<Scripted>, Arc<Mutex<Vec<Life>>>) {
    let lives = Arc::new(Mutex::new(Vec::new()));
    let kept = lives.clone();
    let mount = Scripted::new(move |call: Call| {
        kept.lock().unwrap().push(call.life.clone());
        async move {
            progress(&call, 1);
            if call.params.get("name").unwrap().is_text("asks") {
                elicit(&call, "Who?").await.unwrap();
                progress(&call, 2);
            }
            std::future::pending().await
        }
    });
    (Arc::new(mount), lives)
}

#[tokio::test]
async fn era_220_sec_091_closing_the_stream_ends_the_call() {
    let (mount, lives) = endless();
    let gateway = Gateway::start(&[&mount]).await;
    let mut streaming = tool("works", json!({})).token(1).open(&gateway).await;
    assert_eq!(streaming.next().await.unwrap()["params"]["progress"], 1);
    drop(streaming);
    within(mount.until(|counts| counts.dropped == 1)).await;
    // The same before anything was sent.
    let waiting = tool("works", json!({}));
    tokio::select! {
        _ = waiting.send(&gateway) => panic!("it never ends"),
        () = within(mount.until(|counts| counts.begun == 2)) => {}
    }
    within(mount.until(|counts| counts.dropped == 2)).await;
    let reasons: Vec<_> = lives.lock().unwrap().iter().map(|life| life.abandoned()).collect();
    assert_eq!(reasons, vec![Some("the client closed the stream".to_owned()); 2]);
}

#[tokio::test]
async fn era_221_222_sec_091_closing_the_stream_of_a_retry_ends_the_call_at_once() {
    let (mount, lives) = endless();
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().send(&gateway).await.response();
    assert_eq!(mount.counts().dropped, 0, "the first request is over, the call is not");
    let mut retry = call().retry(&asked, accept()).open(&gateway).await;
    assert_eq!(retry.next().await.unwrap()["params"]["progress"], 2);
    drop(retry);
    within(mount.until(|counts| counts.dropped == 1)).await;
    assert_eq!(lives.lock().unwrap()[0].abandoned().as_deref(), Some("the client closed the stream"));
    let error = call().retry(&asked, accept()).error(&gateway, 200, -32602).await;
    assert_eq!(error["data"]["reason"], "invalid_request_state");
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test]
async fn era_221_222_where_the_operator_wants_it_a_retry_may_come_again() {
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let mount = Arc::new(Scripted::new(move |call: Call| {
        let opened = opened.clone();
        async move {
            let answer = elicit(&call, "Who?").await;
            progress(&call, 1);
            opened.notified().await;
            says(told(&answer))
        }
    }));
    let limits = Limits { reattach: Duration::from_secs(5), ..Limits::default() };
    tokio::time::pause();
    let gateway = Gateway::with(&[&mount], limits.into());
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let leave = async || {
        let mut open = retry.open(&gateway).await;
        open.next().await.unwrap();
        drop(open);
    };
    leave().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    // Nothing but the same retry is taken, and the server gets no second answer.
    call().retry(&asked, json!({"i1": {"action": "decline"}})).error(&gateway, 200, -32602).await;
    gate.notify_one();
    let done = retry.response(&gateway, 200).await;
    assert_eq!(done["result"]["content"][0]["text"], accept()["i1"].to_string());
    assert_eq!((mount.counts().begun, mount.counts().finished), (1, 1));

    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let mut open = retry.open(&gateway).await;
    open.next().await.unwrap();
    drop(open);
    let before = Instant::now();
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(before.elapsed().as_secs(), 5);
    retry.error(&gateway, 200, -32602).await;
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test]
async fn of_two_equal_retries_one_may_leave() {
    let (gate, reached) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (opened, signal) = (gate.clone(), reached.clone());
    let mount = Arc::new(Scripted::new(move |call: Call| {
        let (opened, signal) = (opened.clone(), signal.clone());
        async move {
            let answer = elicit(&call, "Who?").await;
            progress(&call, 1);
            signal.notify_one();
            opened.notified().await;
            progress(&call, 2);
            says(told(&answer))
        }
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let mut first = retry.open(&gateway).await;
    first.next().await.unwrap();
    reached.notified().await;
    let second = retry.clone().token("two");
    let (mut waiting, leave) = (Box::pin(second.open(&gateway)), async {
        drop(first);
        gate.notify_one();
    });
    // It waits with the first before that one leaves.
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let (second, ()) = tokio::join!(waiting, leave);
    let whole = second.whole().await;
    assert_eq!(whole.notifications()[0]["params"], json!({"progressToken": "two", "progress": 2}));
    assert_eq!(mount.counts().finished, 1);
}

#[tokio::test(start_paused = true)]
async fn era_214_sec_030_a_client_that_does_not_come_back() {
    let (mount, lives) = endless();
    let gateway = Gateway::in_memory(&[&mount]);
    let before = Instant::now();
    let asked = call().send(&gateway).await.response();
    assert_eq!(gateway.settings.held.parked(), 1);
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(before.elapsed().as_secs(), 600);
    assert_eq!(lives.lock().unwrap()[0].abandoned().as_deref(), Some("the client did not return"));
    assert_eq!(gateway.settings.held.parked(), 0);
    let error = call().retry(&asked, accept()).error(&gateway, 200, -32602).await;
    assert_eq!(error["data"]["reason"], "invalid_request_state");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_asks_and_asks_ends_after_an_hour() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        loop {
            let _ = elicit(&call, "Again?").await;
        }
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let before = Instant::now();
    let mut asked = call().response(&gateway, 200).await;
    for n in 1..=7 {
        tokio::time::sleep(Duration::from_secs(500)).await;
        asked = call().retry(&asked, json!({format!("i{n}"): {"action": "accept"}})).response(&gateway, 200).await;
    }
    mount.until(|counts| counts.dropped == 1).await;
    assert_eq!(before.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_too_long_is_told_so() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let _ = elicit(&call, "Who?").await;
        std::future::pending().await
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let error = call().retry(&asked, accept()).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "timeout");
    assert_eq!((mount.counts().dropped, gateway.settings.held.parked()), (1, 0));
}

#[tokio::test]
async fn era_234_a_gateway_that_stops_lets_go_of_calls_that_wait() {
    let (gate, reached) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (opened, signal) = (gate.clone(), reached.clone());
    let mount = Arc::new(Scripted::new(move |call: Call| {
        let (opened, signal) = (opened.clone(), signal.clone());
        async move {
            let first = told(&elicit(&call, "a").await);
            signal.notify_one();
            opened.notified().await;
            let roots = told(&ask(&call, "roots/list", Value::Null).await);
            says(format!("{first} {roots}"))
        }
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let parked = call().response(&gateway, 200).await;
    let running = call().response(&gateway, 200).await;
    let retry = call().retry(&running, accept());
    let stop = async {
        reached.notified().await;
        gateway.settings.draining.cancel();
        mount.until(|counts| counts.dropped == 1).await;
        let error = call().retry(&parked, accept()).error(&gateway, 200, -32602).await;
        assert_eq!(error["data"]["reason"], "invalid_request_state");
        gate.notify_one();
    };
    // Who waits gets the result, and the server no more answers.
    let (done, ()) = tokio::join!(retry.response(&gateway, 200), stop);
    assert_eq!(done["result"]["content"][0]["text"], format!("{} Lapsed", accept()["i1"]));
    // Calls that begin now are answered, without questions.
    gate.notify_one();
    let late = call().response(&gateway, 200).await;
    assert_eq!(late["result"]["content"][0]["text"], "Lapsed Lapsed");
}

#[tokio::test]
async fn era_234_until_a_gateway_stops_what_was_asked_may_be_answered() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let first = told(&elicit(&call, "a").await);
        says(format!("{first} {}", told(&elicit(&call, "b").await)))
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    gateway.settings.stopping.cancel();
    // Nobody may find the gateway again to answer more.
    let done = call().response(&gateway, 200).await;
    assert_eq!(done["result"]["content"][0]["text"], "Lapsed Lapsed");
    let done = call().retry(&asked, accept()).response(&gateway, 200).await;
    assert_eq!(done["result"]["content"][0]["text"], format!("{} Lapsed", accept()["i1"]));
    assert_eq!((mount.counts().finished, gateway.settings.held.parked()), (2, 0));
}

#[tokio::test]
async fn era_245_calls_of_many_do_not_cross() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let who = call.caller.principal.as_str().to_owned();
        says(format!("{who} {}", told(&elicit(&call, &who).await)))
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    join_all((0..50).map(|n| {
        let gateway = &gateway;
        async move {
            let who = format!("client-{n}");
            for round in 0..4 {
                let call = || call().principal(&who);
                let asked = call().response(gateway, 200).await;
                assert_eq!(asked["result"]["inputRequests"]["i1"]["params"]["message"], who);
                let answer = json!({"action": "accept", "content": {"n": n, "round": round}});
                let done = call().retry(&asked, json!({"i1": answer})).response(gateway, 200).await;
                assert_eq!(done["result"]["content"][0]["text"], format!("{who} {answer}"));
            }
        }
    }))
    .await;
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test]
async fn a_call_that_panics_while_it_waits_is_lost_and_says_so() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let _ = elicit(&call, "Who?").await;
        panic!("a defect of the test's mount");
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let error = call().retry(&asked, accept()).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "suspension_lost");
    assert_eq!(gateway.settings.held.parked(), 0);
}
