//! Servers that ask: in the same era, and across the two.

use serde_json::{Value, json};

use super::{Cell, client::Client};

/// The server asks for a color, once and three times, and says what it was told.
pub(super) async fn run(cell: &Cell, client: &Client) {
    if !cell.can_ask() {
        let reply = client.call("ask", json!({})).await;
        assert_eq!(reply.asked, 0, "{}", reply.text);
        assert_eq!(reply.said(), "the client declared no form elicitation");
        return;
    }
    let told = json!({ "action": "accept", "content": { "color": "teal" } });
    for rounds in [1, 3] {
        let reply = client.call("ask", json!({ "rounds": rounds })).await;
        assert_eq!(reply.asked, rounds, "{}", reply.text);
        let answers: Vec<Value> = serde_json::from_str(&reply.said()).unwrap();
        assert_eq!(answers, vec![told.clone(); rounds]);
    }
    let executions = client.call("executions", json!({})).await.said();
    let executions: Value = serde_json::from_str(&executions).unwrap();
    assert_eq!(executions["ask"], 2);

    // Another client, which cannot be asked, is not.
    let silent = cell.connect(None).await;
    let reply = silent.call("ask", json!({})).await;
    assert_eq!(reply.said(), "the client declared no form elicitation");
    silent.close().await;
}
