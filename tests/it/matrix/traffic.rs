//! What passes beside requests and their answers: cancelling, changes, and connections that break.

use serde_json::{Value, json};

use super::{
    Cell,
    client::{Client, MODERN},
    process::until,
    suite::executions,
};
use crate::server_kit::soon;

/// A call that the client gives up is given up by the server.
pub(super) async fn cancelling(cell: &Cell, client: &Client) {
    // A server that remembers nothing cannot know which call is meant.
    if cell.column.stateless {
        return;
    }
    let before = executions(client, "slow").await;
    let (id, connection) = client.start("slow", json!({ "steps": 1000, "ms": 50 }));
    until("the call to reach the server", || async { executions(client, "slow").await > before }).await;
    if client.cancels_by_closing() {
        // Letting go of the connection is how a modern client cancels over HTTP.
        connection.abort();
    } else {
        let id: Value = serde_json::from_str(&id).unwrap();
        client.notify("notifications/cancelled", Some(json!({ "requestId": id, "reason": "tired" }))).await;
    }
    until("the call to be cancelled", || async { executions(client, "slow.cancelled").await == 1 }).await;
    connection.abort();
}

/// A client hears that lists have changed.
pub(super) async fn changes(cell: &Cell, client: &Client) {
    if cell.column.stateless {
        return;
    }
    if client.is_modern() {
        let mut events = client.listen().await;
        client.call("touch", json!({})).await;
        let mut wanted = vec!["notifications/resources/list_changed", "notifications/tools/list_changed"];
        while !wanted.is_empty() {
            let event = soon("a change of a list", events.next()).await.expect("an event");
            let event: Value = serde_json::from_str(&event).unwrap();
            super::wire::check_event(MODERN, &event.to_string());
            assert!(event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].is_number(), "{event}");
            wanted.retain(|method| event["method"] != *method);
        }
        return;
    }
    client.call("touch", json!({})).await;
    for kind in ["tools", "prompts", "resources"] {
        let method = format!("notifications/{kind}/list_changed");
        until(&method, || async { heard(client, &method) > 0 }).await;
    }
}

fn heard(client: &Client, method: &str) -> usize {
    client.outside.lock().unwrap().iter().filter(|n| n["method"] == method).count()
}

/// A client hears that a resource has changed which it subscribed to.
pub(super) async fn updates(cell: &Cell, client: &Client) {
    if cell.column.stateless {
        return;
    }
    let method = "notifications/resources/updated";
    if client.is_modern() {
        let mut events = client.listen().await;
        client.call("touch", json!({})).await;
        loop {
            let event = soon("the update of a resource", events.next()).await.expect("an event");
            let event: Value = serde_json::from_str(&event).unwrap();
            if event["method"] == method {
                assert_eq!(event["params"]["uri"], "test://text");
                return;
            }
        }
    }
    assert_eq!(heard(client, method), 0, "an update that nobody subscribed to");
    client.request("resources/subscribe", json!({ "uri": "test://text" })).await.result();
    client.call("touch", json!({})).await;
    until("the update of a resource", || async { heard(client, method) > 0 }).await;
    client.request("resources/unsubscribe", json!({ "uri": "test://text" })).await.result();
}

/// A connection to the server that breaks in the middle of a call is resumed, and the call is not run again.
pub(super) async fn resuming(cell: &Cell, client: &Client) {
    if cell.direct || !cell.column.arguments.contains(&"--resumable") {
        return;
    }
    let before = executions(client, "slow").await;
    let token = json!("resumed");
    let reply = client.call_collecting("slow", json!({ "steps": 6, "ms": 60, "cut": true }), &token).await;
    assert_eq!(reply.said(), "done after 6 steps");
    assert_eq!(reply.progress(&token).last(), Some(&6.0), "{:?}", reply.notifications);
    assert_eq!(executions(client, "slow").await, before + 1);
}
