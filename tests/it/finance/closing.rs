//! Closing a month: progress on the way, and what a cancellation leaves.

use rmcp::{
    model::{CallToolRequest, CancelledNotificationParam, ClientRequest},
    service::PeerRequestOptions,
};
use serde_json::json;

use super::{
    Demo,
    client::{BOTH_ERAS, Client, Seen, User, call},
};
use crate::{matrix::process::until, server_kit::soon};

#[tokio::test]
async fn a_month_is_closed_step_by_step_and_rest_sees_it_closed() {
    let demo = Demo::start().await;
    for (era, month) in BOTH_ERAS.into_iter().zip(["2026-08", "2026-09"]) {
        let mut client = Client::connect(&demo.mcp(), era, User::Away).await;
        // The client adds a progress token to every call by itself. It handles each notification in a task of its own, so
        // that the order in which they are seen says nothing.
        let closed = client.structured("close_month", json!({ "month": month, "pause_ms": 1 })).await;
        let mut steps = Vec::new();
        while steps.len() < 5 {
            match client.next_seen().await {
                Seen::Progress(step) => steps.push(step),
                other => panic!("{era:?}: {other:?}"),
            }
        }
        steps.sort_by(f64::total_cmp);
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0], "{era:?}");
        assert!(closed["figures"]["closed"].is_string(), "{closed}");
        assert_eq!(demo.get(&format!("/months/{month}")).await.body, closed["figures"], "{era:?}");
        let again = client.refused("close_month", json!({ "month": month })).await;
        assert!(again.contains("was closed on"), "{again}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_month_whose_closing_is_cancelled_stays_open_and_can_be_closed_later() {
    for era in BOTH_ERAS {
        let demo = Demo::start().await;
        let mut client = Client::connect(&demo.mcp(), era, User::Away).await;
        let slowly = json!({ "month": "2026-08", "pause_ms": 2_000 });
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(call("close_month", &slowly)));
        let sent = client.service.send_cancellable_request(request, PeerRequestOptions::no_options());
        let running = soon("the call is sent", sent).await.unwrap();
        let seen = client.next_seen().await;
        assert!(matches!(seen, Seen::Progress(_)), "{era:?}: {seen:?}");
        let busy = client.refused("close_month", json!({ "month": "2026-08" })).await;
        assert!(busy.contains("at this moment"), "{era:?}: {busy}");

        let enough = CancelledNotificationParam::new(Some(running.id.clone()), Some("enough".to_owned()));
        soon("the cancellation is sent", client.service.notify_cancelled(enough)).await.unwrap();
        // Once the server has heard of it, the month is free again. If it had not been cancelled, it would be closed.
        let again = json!({ "month": "2026-08", "pause_ms": 0 });
        until("the month to be free again", || async {
            let result = client.call("close_month", again.clone()).await;
            let text = format!("{result:?}");
            assert!(!text.contains("was closed on"), "{era:?}: the cancelled call has closed it: {text}");
            result.is_error != Some(true)
        })
        .await;
        assert!(demo.get("/months/2026-08").await.body["closed"].is_string(), "{era:?}");
        client.close().await;
    }
}
