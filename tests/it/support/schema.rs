//! The official JSON schemas, where they are at hand.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    std::env::var_os("MCP_SPEC_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/spec")), PathBuf::from)
}

fn schema(revision: &str) -> Option<&'static Value> {
    static READ: OnceLock<Mutex<HashMap<String, Option<&'static Value>>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
    *read.entry(revision.to_owned()).or_insert_with(|| {
        let path = folder().join(format!("{revision}.schema.json"));
        match std::fs::read(&path) {
            Ok(text) => Some(Box::leak(Box::new(serde_json::from_slice(&text).unwrap()))),
            Err(_) => {
                eprintln!("skipped: no schema of {revision} to check messages against");
                None
            }
        }
    })
}

fn validator(revision: &str, name: &str) -> Option<Arc<Validator>> {
    static BUILT: OnceLock<Mutex<HashMap<String, Arc<Validator>>>> = OnceLock::new();
    let whole = schema(revision)?;
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
    let built = built.entry(format!("{revision} {name}")).or_insert_with(|| {
        let definitions = if whole.get("$defs").is_some() { "$defs" } else { "definitions" };
        let part = json!({
            "$schema": whole["$schema"], definitions: whole[definitions], "$ref": format!("#/{definitions}/{name}"),
        });
        Arc::new(jsonschema::validator_for(&part).unwrap())
    });
    Some(built.clone())
}

/// Fails unless `value` is a valid `name` of the revision. Does nothing where the schemas are not at hand.
#[track_caller]
pub(crate) fn assert_valid(revision: &str, name: &str, value: &Value) {
    if let Some(validator) = validator(revision, name)
        && let Err(error) = validator.validate(value)
    {
        panic!("no valid {name} of {revision}: {error} at {}\n{value:#}", error.instance_path());
    }
}

/// Fails unless a message may be sent to a modern client that called `method`.
#[track_caller]
pub(crate) fn assert_modern(method: &str, message: &Value) {
    let valid = |name: &str| assert_valid("2026-07-28", name, &message["result"]);
    if message.get("method").is_some() {
        assert!(message.get("id").is_none(), "a server sends no requests: {message}");
        assert_valid("2026-07-28", "JSONRPCNotification", message);
        if message["method"].as_str().is_some_and(|m| !m.starts_with("notifications/x-")) {
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
