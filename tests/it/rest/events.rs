//! Calls as streams of events, and callers who leave.

use std::sync::Arc;

use futures_util::{StreamExt, future::join_all};
use rialto::{
    app::problem::Kind,
    hub::{Fault, Reason},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    EVERY_MOUNT, Everything,
    app::{App, named, post, scripted, tool},
    assert_problem,
};
use crate::{
    matrix::{client::http_client, process::until},
    support::{mount, wait::soon},
};

/// One event: its name and its data.
type Event = (String, Value);

/// The events of a stream, as they come.
struct Events {
    response: reqwest::Response,
    buffer: String,
}

impl Events {
    async fn of(url: &str, body: &str) -> Self {
        let request =
            http_client().post(url).header("content-type", "application/json").header("accept", "text/event-stream");
        let response = soon("the head", request.body(body.to_owned()).send()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store, no-transform");
        Self { response, buffer: String::new() }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let (mut name, mut data) = (String::new(), Vec::new());
                for line in event.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
                    match line.split_once(": ").unwrap() {
                        ("event", value) => name = value.to_owned(),
                        ("data", value) => data.push(value),
                        other => panic!("{other:?}"),
                    }
                }
                if !name.is_empty() {
                    return Some((name, serde_json::from_str(&data.join("\n")).unwrap()));
                }
                continue;
            }
            let chunk = soon("more of the stream", self.response.chunk()).await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn all(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_and_messages_come_before_the_result() {
    let everything = Everything::start().await;
    join_all(EVERY_MOUNT.map(|(mount, ..)| {
        let everything = &everything;
        async move {
            let url = everything.url(mount, "/tools/slow");
            let events = Events::of(&url, r#"{"steps": 3, "ms": 20}"#).await.all().await;
            let progress: Vec<_> =
                events.iter().filter(|(name, _)| name == "progress").map(|(_, data)| &data["progress"]).collect();
            assert_eq!(json!(progress), json!([1, 2, 3]), "{mount}: {events:?}");
            assert!(events.iter().all(|(_, data)| data.get("progressToken").is_none()), "{mount}: {events:?}");
            // Servers are told that somebody listens: modern ones with the call, legacy ones before it.
            let message = events.iter().any(|(name, data)| name == "message" && data["data"] == "begun");
            assert!(message, "{mount}: {events:?}");
            let (last, result) = events.last().unwrap();
            assert_eq!((&**last, &result["content"][0]["text"]), ("result", &json!("done after 3 steps")), "{mount}");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_cancels_the_call_at_the_server() {
    let everything = Everything::start().await;
    join_all(EVERY_MOUNT.map(|(mount, ..)| {
        let everything = &everything;
        async move {
            let url = everything.url(mount, "/tools/slow");
            let body = r#"{"steps": 1000, "ms": 100}"#;
            let mut events = Events::of(&url, body).await;
            while events.next().await.unwrap().0 != "progress" {}
            drop(events);
            cancelled(everything, mount, 1).await;
            // The same for a caller who waits for the one answer.
            let request = http_client().post(&url).header("content-type", "application/json").body(body);
            let waiting = tokio::spawn(request.send());
            until("the second call to run", || async { executions(everything, mount).await["slow"] == 2 }).await;
            waiting.abort();
            cancelled(everything, mount, 2).await;
        }
    }))
    .await;
}

async fn executions(everything: &Everything, mount: &str) -> Value {
    let said = post(&everything.url(mount, "/tools/executions"), "{}").await.ok();
    serde_json::from_str(said["content"][0]["text"].as_str().unwrap()).unwrap()
}

async fn cancelled(everything: &Everything, mount: &str, times: usize) {
    let what = format!("the call at {mount} to be cancelled");
    until(&what, || async { executions(everything, mount).await["slow.cancelled"] == times }).await;
}

#[tokio::test]
async fn what_fails_ends_the_stream_with_a_problem_and_what_cannot_begin_is_one() {
    let app = App::of(scripted(
        json!([tool("fails"), tool("lost"), {"name": "strict", "inputSchema": {"required": ["a"]}}]),
        |call| async move {
            mount::progress(&call, 1);
            match &*named(&call) {
                "fails" => {
                    let content = json!([{"type": "text", "text": "no\nluck"}]);
                    Ok(rialto::hub::Outcome::Complete(crate::support::json::raw(
                        &json!({"content": content, "isError": true}),
                    )))
                }
                _ => Err(Fault::upstream(Reason::StreamLost, &"docs".into(), "the stream ended")),
            }
        },
    ))
    .await;
    for (name, kind) in [("fails", Kind::ToolError), ("lost", Kind::UpstreamFailed)] {
        let events = Events::of(&app.url(&format!("/api/mounts/docs/tools/{name}")), "{}").await.all().await;
        let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["progress", "problem"]);
        assert_eq!(
            (&events[1].1["type"], &events[1].1["status"]),
            (&json!(kind.urn()), &json!(kind.status().as_u16()))
        );
    }
    for (name, body, kind) in [
        ("strict", "{}", Kind::InvalidArguments),
        ("other", "{}", Kind::UnknownTool),
        ("fails", "{", Kind::MalformedJson),
    ] {
        let request = http_client().post(app.url(&format!("/api/mounts/docs/tools/{name}")));
        let request =
            request.header("content-type", "application/json").header("accept", "text/event-stream").body(body);
        assert_problem(&super::app::Answer::of(request).await, kind);
    }
}

/// Somebody who does not read is told less, and the call goes on.
#[tokio::test]
async fn a_reader_who_is_slow_loses_events_and_not_the_result() {
    let done = Arc::new(Notify::new());
    let told = done.clone();
    let app = App::of(scripted(json!([tool("talks")]), move |call| {
        let told = told.clone();
        async move {
            // As a server does it: on its own, whoever reads.
            let talks = tokio::spawn(async move {
                for n in 0..20_000 {
                    mount::log(&call, "info", &format!("{n} {}", "x".repeat(1_000)));
                    if n % 100 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                told.notify_one();
            });
            talks.await.unwrap();
            mount::says("done")
        }
    }))
    .await;
    let request = http_client().post(app.url("/api/mounts/docs/tools/talks")).header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    soon("the call to end", done.notified()).await;
    let (mut text, mut chunks) = (String::new(), response.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(text.ends_with("event: result\ndata: {\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}\n\n"));
    assert!(text.matches("event: message").count() < 20_000);
    assert!(text.contains("\"data\":\"19999 x"), "the newest are kept");
}
