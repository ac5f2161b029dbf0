//! A task in both designs: that of 2025-11-25 (basic/utilities/tasks), and that of the modern extension.

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::tasks::Status,
};

/// The members that have another name on the other side, older and newer.
const NAMES: [(&str, &str); 2] = [("ttl", "ttlMs"), ("pollInterval", "pollIntervalMs")];
/// What the extension puts into a task beside it.
const DETAILS: [&str; 4] = ["resultType", "inputRequests", "result", "error"];

/// A task of 2025-11-25 as the extension has it. What says no lifetime lives for ever.
pub(super) fn newer(task: &mut RawObject) {
    for (older, newer) in NAMES {
        if let Some(value) = task.remove(older) {
            task.set(newer, value);
        }
    }
    if !task.has("ttlMs") {
        task.set("ttlMs", Raw::null());
    }
}

/// A task of the extension as 2025-11-25 has it: there a tool that failed is a task that failed.
pub(super) fn older(task: &mut RawObject) {
    let has_failed = task.get_object("result").is_some_and(|r| r.get("isError").and_then(Raw::as_bool) == Some(true));
    if has_failed && Status::of(task) == Some(Status::Completed) {
        task.set("status", Raw::from(Status::Failed.as_str()));
    }
    for name in DETAILS {
        task.remove(name);
    }
    for (older, newer) in NAMES {
        if let Some(value) = task.remove(newer) {
            task.set(older, value);
        }
    }
    if !task.has("ttl") {
        task.set("ttl", Raw::null());
    }
}
