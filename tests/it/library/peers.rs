//! Layers that wrap the client as the server sees it: questions and notifications pass through them.

use std::sync::{Arc, Mutex};

use axum::Router;
use rialto::{
    Proxy,
    hub::{Answer, BoxFuture, Forwarding, Peer, Question, Refusal, Verdict},
    jsonrpc::{Notification, Raw},
};
use serde_json::json;

use super::{ERAS, Lifecycle, answer, connect, in_process, serve, tool_by_hand};
use crate::{matrix::process::Fixture, rmcp_client::peer::Seen};

/// A client of which everything is written down that it is told and asked, and that is asked nothing where it is shy.
struct Watched {
    peer: Arc<dyn Peer>,
    seen: Arc<Mutex<Vec<String>>>,
    is_shy: bool,
}

impl Peer for Watched {
    fn notify(&self, mut notification: Notification) {
        self.seen.lock().unwrap().push(notification.method.clone());
        if let Some(params) = &mut notification.params {
            params.set("message", Raw::from("seen on the way"));
        }
        self.peer.notify(notification);
    }

    fn ask(&self, mut question: Question) -> BoxFuture<Answer> {
        self.seen.lock().unwrap().push(question.method.clone());
        if self.is_shy {
            return Box::pin(async { Err(Refusal::NoOne) });
        }
        if let Some(params) = &mut question.params {
            params.set("message", Raw::from("Asked on the way: which color?"));
        }
        self.peer.ask(question)
    }
}

fn watched(proxy: Proxy, seen: &Arc<Mutex<Vec<String>>>, is_shy: bool) -> Router {
    let seen = seen.clone();
    let proxy = proxy.local().before_forward(move |mut forwarding: Forwarding| {
        let peer = forwarding.call.peer.clone();
        forwarding.call.peer = Arc::new(Watched { peer, seen: seen.clone(), is_shy });
        async move { Ok(Verdict::Forward(forwarding.call)) }
    });
    Router::new().nest_service("/mcp/docs", proxy.into_service())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_and_notifications_pass_a_wrapped_peer() {
    let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
    let modern = Fixture::start(&["--revision", "2026-07-28"]).await;
    for (server, url) in [("legacy", &legacy.url), ("modern", &modern.url)] {
        let seen = Arc::default();
        let served = serve(watched(Proxy::to(url), &seen, false)).await;
        for era in ERAS {
            let at = format!("{era:?} client, {server} server");
            let mut client = connect(&served.at("/mcp/docs"), era).await;
            client.said("slow", &json!({ "steps": 2, "ms": 1 })).await;
            assert!(matches!(client.next_seen().await, Seen::Progress(_)), "{at}");
            let told = std::mem::take(&mut *seen.lock().unwrap());
            assert!(told.iter().any(|method| method == "notifications/progress"), "{at}: {told:?}");

            assert!(client.said("ask", &json!({})).await.contains("teal"), "{at}");
            let question = loop {
                if let Seen::Asked(message) = client.next_seen().await {
                    break message;
                }
            };
            let asked = std::mem::take(&mut *seen.lock().unwrap());
            // Where both are modern there is no peer to ask: the question is the outcome.
            if server == "modern" && era == Lifecycle::Discover {
                assert_eq!((question.as_str(), asked.len()), ("Which color?", 0), "{at}");
            } else {
                assert_eq!(question, "Asked on the way: which color?", "{at}");
                assert_eq!(asked, ["elicitation/create"], "{at}");
            }
            client.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_peer_keeps_questions_from_a_client() {
    let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
    let seen = Arc::default();
    let served = serve(watched(Proxy::to(&legacy.url), &seen, true)).await;
    for era in ERAS {
        let client = connect(&served.at("/mcp/docs"), era).await;
        let said = client.said("ask", &json!({})).await;
        assert!(!said.contains("teal") && said.contains("code"), "{era:?}: {said}");
        client.close().await;
    }
}

/// A client that is told something it cannot bear.
struct Panicking;

impl Peer for Panicking {
    fn notify(&self, _: Notification) {
        panic!("a wrapped peer panics when it is told something");
    }

    fn ask(&self, _: Question) -> BoxFuture<Answer> {
        panic!("a wrapped peer panics when it is asked something");
    }
}

/// The session with the server, which tells and asks, is shared by the calls of a principal. It must outlive this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_164_a_peer_that_panics_takes_down_nobody_else() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    for proxy in [Proxy::to(&fixture.url), in_process()] {
        let proxy = proxy.local().before_forward(async |mut forwarding: Forwarding| {
            if forwarding.call.arguments().has("panic") {
                forwarding.call.peer = Arc::new(Panicking);
            }
            Ok(Verdict::Forward(forwarding.call))
        });
        let served = serve(Router::new().nest_service("/mcp/docs", proxy.into_service())).await;
        let url = served.at("/mcp/docs");
        let mut other = connect(&url, Lifecycle::Discover).await;
        let slow = json!({ "steps": 20, "ms": 10 });
        let (other_said, told, asked) = tokio::join!(
            other.said("slow", &slow),
            answer(tool_by_hand(&url, "slow", json!({ "steps": 3, "ms": 10, "panic": true }))),
            answer(tool_by_hand(&url, "ask", json!({ "panic": true }))),
        );
        assert_eq!(other_said, "done after 20 steps");
        assert!(matches!(other.next_seen().await, Seen::Progress(_)));
        assert_eq!(told.1["result"]["content"][0]["text"], "done after 3 steps", "{}", told.1);
        assert!(asked.1["result"].is_object() || asked.1["error"].is_object(), "{}", asked.1);
        other.close().await;
    }
}
