//! Whether a message may be sent in a revision: the official schema, and no words of the other era.

use serde_json::Value;

use super::client::MODERN;
use crate::support::schema::assert_valid;

/// What only modern results have.
const MODERN_MEMBERS: [&str; 5] = ["resultType", "ttlMs", "cacheScope", "inputRequests", "requestState"];
const MODERN_META: [&str; 6] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
    "io.modelcontextprotocol/serverInfo",
    "io.modelcontextprotocol/subscriptionId",
];
/// Their results may be kept, so they say for how long.
const CACHEABLE: [&str; 6] =
    ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];

/// The definition of a method's result in the schemas.
fn result_definition(method: &str) -> &'static str {
    match method {
        "initialize" => "InitializeResult",
        "server/discover" => "DiscoverResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "completion/complete" => "CompleteResult",
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => "EmptyResult",
        other => panic!("no definition for the result of {other}"),
    }
}

/// The definition of an answer with an error.
fn error_definition(revision: &str) -> &'static str {
    if revision >= "2025-11-25" { "JSONRPCErrorResponse" } else { "JSONRPCError" }
}

/// Fails unless `text` may answer a request with this method and id (its JSON text).
#[track_caller]
pub(crate) fn check_answer(revision: &str, method: &str, id: &str, text: &str) {
    // Some numbers that the protocol allows are too big for this parser; the tests that send them look at the text.
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        assert!(text.contains("1e400"), "{method} was answered with what is not JSON: {text}");
        return;
    };
    let expected: Value = serde_json::from_str(id).unwrap();
    assert_eq!(message["id"], expected, "{method} was answered with another id: {text}");
    assert_valid(revision, "JSONRPCMessage", &message);
    let modern = revision == MODERN;
    if message.get("error").is_some() {
        assert_valid(revision, error_definition(revision), &message);
        let code = message["error"]["code"].as_i64().unwrap();
        let foreign: &[i64] = if modern { &[-32002, -32042] } else { &[-32020, -32022] };
        assert!(!foreign.contains(&code), "{method}: an error code of the other era: {text}");
        return;
    }
    let result = &message["result"];
    let definition = match result["resultType"].as_str() {
        Some("input_required") if modern => "InputRequiredResult",
        _ => result_definition(method),
    };
    assert_valid(revision, definition, result);
    let is_cacheable = CACHEABLE.contains(&method);
    if modern {
        assert!(result["resultType"].is_string(), "{method}: no resultType in {text}");
        assert_eq!(result.get("ttlMs").is_some(), is_cacheable, "{method}: {text}");
        assert_eq!(result.get("cacheScope").is_some(), is_cacheable, "{method}: {text}");
        if let Some(tools) = result["tools"].as_array() {
            assert!(tools.iter().all(|tool| tool.get("execution").is_none()), "{text}");
        }
        assert!(result["capabilities"].get("tasks").is_none(), "{text}");
    } else {
        for member in MODERN_MEMBERS {
            assert!(result.get(member).is_none(), "{method}: {member} in a legacy result: {text}");
        }
        check_meta(&result["_meta"], text);
    }
}

#[track_caller]
fn check_meta(meta: &Value, text: &str) {
    for key in MODERN_META {
        assert!(meta.get(key).is_none(), "{key} in a legacy message: {text}");
    }
}

/// Fails unless `text` is a notification or request that a server may send in this revision.
#[track_caller]
pub(crate) fn check_event(revision: &str, text: &str) {
    let message: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_valid(revision, "JSONRPCMessage", &message);
    if message.get("id").is_some() {
        assert_ne!(revision, MODERN, "servers send no requests in the modern era: {text}");
        assert_valid(revision, "ServerRequest", &message);
    } else {
        assert_valid(revision, "ServerNotification", &message);
    }
    if revision != MODERN {
        check_meta(&message["params"]["_meta"], text);
    }
}

/// Fails unless `message` is one that a client may send to a server of this revision.
#[track_caller]
pub(crate) fn check_sent(revision: &str, message: &Value) {
    assert_valid(revision, "JSONRPCMessage", message);
    let definition = match (message.get("method").is_some(), message.get("id").is_some()) {
        (true, true) => "ClientRequest",
        (true, false) => "ClientNotification",
        (false, _) => return,
    };
    assert_valid(revision, definition, message);
}
