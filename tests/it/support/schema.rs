//! What the official JSON schemas say about messages.

use serde_json::Value;

#[path = "../../support/schema.rs"]
mod official;

pub(crate) use official::{assert_valid, defined};

/// Fails unless a message may be sent to a modern client that called `method`.
#[track_caller]
pub(crate) fn assert_modern(method: &str, message: &Value) {
    let valid = |name: &str| assert_valid("2026-07-28", name, &message["result"]);
    if message.get("method").is_some() {
        assert!(message.get("id").is_none(), "a server sends no requests: {message}");
        assert_valid("2026-07-28", "JSONRPCNotification", message);
        let method = message["method"].as_str().unwrap();
        // What an extension defines is not in the schema of the revision.
        if !method.starts_with("notifications/x-") && method != "notifications/tasks" {
            assert_valid("2026-07-28", "ServerNotification", message);
        }
    } else if message.get("error").is_some() {
        assert_valid("2026-07-28", "JSONRPCErrorResponse", message);
        let code = message["error"]["code"].as_i64().unwrap();
        assert!(![-32002, -32042].contains(&code), "{message}");
        match code {
            -32020 => assert_valid("2026-07-28", "HeaderMismatchError", message),
            -32021 => assert_valid("2026-07-28", "MissingRequiredClientCapabilityError", message),
            -32022 => assert_valid("2026-07-28", "UnsupportedProtocolVersionError", message),
            _ => assert!(!(-32099..=-32020).contains(&code), "{message}"),
        }
    } else {
        assert_valid("2026-07-28", "JSONRPCResultResponse", message);
        match (message["result"]["resultType"].as_str(), method) {
            (Some("input_required"), _) => valid("InputRequiredResult"),
            (Some("complete"), "server/discover") => valid("DiscoverResult"),
            (Some("complete"), "subscriptions/listen") => valid("SubscriptionsListenResult"),
            (Some("complete"), "tools/call") => valid("CallToolResult"),
            (Some("complete"), "tools/list") => valid("ListToolsResult"),
            (Some("complete"), "prompts/get") => valid("GetPromptResult"),
            (Some("complete"), "resources/read") => valid("ReadResourceResult"),
            _ => valid("Result"),
        }
    }
}
