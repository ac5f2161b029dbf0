//! One answer or a stream of events, and what is said on it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    client::{modern, tool},
    gateway::Gateway,
    mount::{Scripted, log, notify, progress, says},
};

/// A tool that reports progress `1`, waits for nothing, logs at every level, and is done.
fn chatty() -> Scripted {
    Scripted::new(|call| async move {
        progress(&call, 1);
        tokio::task::yield_now().await;
        for level in ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] {
            log(&call, level, level);
        }
        progress(&call, 2);
        says("done")
    })
}

#[tokio::test]
async fn era_318_what_nobody_asked_for_is_not_sent() {
    let mount = Arc::new(chatty());
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).send(&gateway).await;
    assert_eq!(answer.messages.len(), 1);
    assert_eq!(answer.headers["content-type"], "application/json");
    let answer = tool("x", json!({})).token("t").send(&gateway).await;
    assert_eq!(answer.notifications().len(), 2);
    for (level, count) in [("debug", 8), ("warning", 5), ("emergency", 1)] {
        let answer = tool("x", json!({})).level(level).send(&gateway).await;
        assert!(answer.notifications().iter().all(|n| n["method"] == "notifications/message"));
        assert_eq!(answer.notifications().len(), count, "{level}");
    }
}

#[tokio::test]
async fn era_323_324_progress_comes_under_the_clients_own_token() {
    let mount = Arc::new(chatty());
    let gateway = Gateway::start(&[&mount]).await;
    for token in [json!(1), json!("1"), json!("")] {
        let answer = tool("x", json!({})).token(token.clone()).send(&gateway).await;
        for (n, notification) in answer.notifications().iter().enumerate() {
            assert_eq!(notification["params"], json!({"progressToken": token, "progress": n + 1}));
        }
    }
}

#[tokio::test]
async fn era_325_progress_only_grows_and_ends_with_the_result() {
    let mount = Arc::new(Scripted::new(|call| async move {
        for value in [json!(1), json!(1), json!(0.5), json!(2.5), json!("x"), json!(2), json!(3)] {
            progress(&call, value);
        }
        let late = call.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            progress(&late, 4);
        });
        says("done")
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).token(1).send(&gateway).await;
    let values: Vec<_> = answer.notifications().iter().map(|n| n["params"]["progress"].clone()).collect();
    assert_eq!(values, [json!(1), json!(2.5), json!(3)]);
    assert_eq!(answer.response()["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn era_438_only_what_belongs_to_the_request_is_on_its_stream() {
    let mount = Arc::new(Scripted::new(|call| async move {
        for method in [
            "notifications/tools/list_changed",
            "notifications/resources/updated",
            "notifications/cancelled",
            "notifications/elicitation/complete",
            "notifications/tasks/status",
            "notifications/subscriptions/acknowledged",
        ] {
            notify(&call, method, json!({"uri": "x:y"}));
        }
        notify(&call, "notifications/x-custom", json!({"a": 1}));
        says("done")
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).token(1).level("debug").send(&gateway).await;
    let methods: Vec<_> = answer.notifications().iter().map(|n| n["method"].clone()).collect();
    assert_eq!(methods, ["notifications/x-custom"]);
}

#[tokio::test]
async fn era_191_clients_without_events_get_json_alone() {
    let (mount, _opens) = chatty().listening(|filter| filter);
    let mount = Arc::new(mount);
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).token(1).level("debug").header("accept", "application/json").send(&gateway).await;
    assert_eq!((answer.status, answer.messages.len()), (200, 1));
    assert_eq!(answer.headers["content-type"], "application/json");
    let listen = modern("subscriptions/listen", json!({"notifications": {}})).header("accept", "application/json");
    assert_eq!(listen.send(&gateway).await.status, 406);
}

#[tokio::test]
async fn era_459_sec_095_streams_are_held_back_by_nobody() {
    let (mount, _opens) = chatty().listening(|filter| filter);
    let mount = Arc::new(mount);
    let gateway = Gateway::start(&[&mount]).await;
    let listen = modern("subscriptions/listen", json!({"notifications": {}}));
    for answer in [tool("x", json!({})).token(1).open(&gateway).await, listen.open(&gateway).await] {
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        assert_eq!(answer.headers["x-accel-buffering"], "no");
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("no-cache"));
        assert!(answer.headers.get("content-encoding").is_none());
        assert!(answer.headers.get("mcp-session-id").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_silence_becomes_a_stream_that_is_kept_alive() {
    let mount = Arc::new(Scripted::new(|call| async move {
        tokio::time::sleep(Duration::from_secs(50)).await;
        progress(&call, 1);
        tokio::time::sleep(Duration::from_secs(20)).await;
        says("done")
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let before = Instant::now();
    let mut answer = tool("x", json!({})).token(1).open(&gateway).await;
    assert!(answer.is_stream());
    assert_eq!(before.elapsed().as_secs(), 15);
    answer.comment().await;
    assert_eq!(before.elapsed().as_secs(), 15);
    answer.comment().await;
    assert_eq!(before.elapsed().as_secs(), 30);
    assert_eq!(answer.next().await.unwrap()["params"]["progress"], 1);
    assert_eq!(answer.next().await.unwrap()["result"]["content"][0]["text"], "done");
    assert_eq!((before.elapsed().as_secs(), answer.comments), (70, 4));
    assert!(answer.next().await.is_none());
    // A client that takes no events waits in silence.
    let answer = tool("x", json!({})).header("accept", "application/json").open(&gateway).await;
    assert!(!answer.is_stream());
}

#[tokio::test(start_paused = true)]
async fn errors_have_their_status_while_nothing_was_said_and_ride_the_stream_later() {
    let mount = Arc::new(Scripted::new(|call| async move {
        if call.params.get("name").unwrap().is_text("slow") {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        Err(rialto::hub::Fault::method_not_found("tools/call"))
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    tool("fast", json!({})).error(&gateway, 404, -32601).await;
    tool("slow", json!({})).error(&gateway, 200, -32601).await;
}

#[tokio::test]
async fn sec_086_a_flood_of_progress_gives_way_and_the_result_does_not() {
    let mount = Arc::new(Scripted::new(|call| async move {
        for n in 1..=1000 {
            progress(&call, n);
        }
        let large = "x".repeat(100_000);
        for _ in 0..5 {
            log(&call, "error", &large);
        }
        says("done")
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).token(1).send(&gateway).await;
    let values: Vec<i64> = answer.notifications().iter().map(|n| n["params"]["progress"].as_i64().unwrap()).collect();
    assert_eq!(values, (937..=1000).collect::<Vec<_>>(), "the newest stay");
    let answer = tool("x", json!({})).token(1).level("debug").send(&gateway).await;
    let bytes: usize = answer.notifications().iter().map(|n| n.to_string().len()).sum();
    assert!(bytes <= 256 * 1024, "{bytes}");
    assert_eq!(answer.response()["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn results_are_passed_on_byte_for_byte() {
    const RESULT: &str = r#"{"resultType":"complete", "content":[],"structuredContent":{"n":1.0,"big":12345678901234567890,"e":1e2},"x":null}"#;
    let mount = Arc::new(Scripted::new(|_| async move {
        Ok(rialto::hub::Outcome::Complete(rialto::jsonrpc::Raw::constant(RESULT)))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let answer = tool("x", json!({})).send(&gateway).await;
    assert_eq!(answer.text, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{RESULT}}}"#));
    let _: Value = answer.response();
}
