//! The keys of `_meta` that the protocol reserves.

use crate::jsonrpc::{Raw, RawObject};

/// The member of params and results that carries metadata.
pub const META: &str = "_meta";
/// What progress of a request is reported under, all revisions.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// The revision of a request (2026-07-28).
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do (2026-07-28).
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the client is (2026-07-28).
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// From which level on the client wants log messages of this request (2026-07-28).
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Who the server is, on results (2026-07-28).
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Which listen a notification belongs to (2026-07-28).
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Which task a message belongs to (2025-11-25).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// A hint of a legacy server under which key its question shall reach a modern client.
pub const INPUT_KEY: &str = "rialto/input-key";

/// The keys that belong to one hop of the modern era and never cross to another hop as they are.
pub const HOP_LOCAL: [&str; 6] =
    [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, SERVER_INFO, SUBSCRIPTION_ID];

/// Whether a key is the protocol's own: one without a prefix that it uses itself, or one of a prefix that it keeps for
/// itself (2025-11-25, basic/index#meta: the second label of the prefix is `modelcontextprotocol` or `mcp`).
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, _)) => {
            let second = prefix.split('.').nth(1).unwrap_or(prefix);
            matches!(second, "modelcontextprotocol" | "mcp") || key == INPUT_KEY
        }
        None => matches!(key, PROGRESS_TOKEN | "traceparent" | "tracestate" | "baggage"),
    }
}

/// `_meta` of params or a result, split.
#[must_use]
pub fn of(object: &RawObject) -> Option<RawObject> {
    object.get_object(META)
}

/// One key of `_meta`.
#[must_use]
pub fn get(object: &RawObject, key: &str) -> Option<Raw> {
    of(object)?.get(key).cloned()
}

/// Edits `_meta` and puts it back; an empty one is left out.
pub fn edit(object: &mut RawObject, change: impl FnOnce(&mut RawObject)) {
    let mut meta = of(object).unwrap_or_default();
    change(&mut meta);
    if meta.is_empty() {
        object.remove(META);
    } else {
        object.set(META, meta.to_raw());
    }
}
