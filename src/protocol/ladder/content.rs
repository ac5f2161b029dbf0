//! Content blocks: which of them a revision has, and how they are changed in their places.

use crate::{
    jsonrpc::{Kind, Raw, RawObject},
    protocol::{Loss, Losses, Revision},
};

use super::{Plan, rung::rungs, text_of};

/// A text block.
pub(super) fn text_block(text: &str) -> RawObject {
    RawObject::from([("type", Raw::from("text")), ("text", Raw::from(text))])
}

/// The `content` of a tool's result for a client whose revision has fewer kinds of blocks than the server's: some clients
/// refuse a whole result for one block that they do not know.
pub(super) fn narrow_result(plan: Plan, result: &mut RawObject, losses: &mut Losses) {
    if !narrows(plan) {
        return;
    }
    let Some(mut blocks) = result.get("content").and_then(Raw::to_array) else { return };
    let mut changed = false;
    for (at, block) in blocks.iter_mut().enumerate() {
        if let Some(other) = narrow(plan, at, block) {
            *block = other;
            changed = true;
        }
    }
    if changed {
        losses.add(Loss::Content);
        result.set("content", Raw::array(&blocks));
    }
}

/// The same for the messages of a prompt, which hold one block each.
pub(super) fn narrow_messages(plan: Plan, result: &mut RawObject, losses: &mut Losses) {
    if !narrows(plan) {
        return;
    }
    let Some(mut messages) = result.get("messages").and_then(Raw::to_array) else { return };
    let mut changed = false;
    for (at, message) in messages.iter_mut().enumerate() {
        let Some(mut object) = message.to_object() else { continue };
        let Some(other) = object.get("content").and_then(|block| narrow(plan, at, block)) else { continue };
        object.set("content", other);
        *message = object.to_raw();
        changed = true;
    }
    if changed {
        losses.add(Loss::Content);
        result.set("messages", Raw::array(&messages));
    }
}

/// Clients from 2025-11-25 on have to expect blocks that they do not know.
fn narrows(plan: Plan) -> bool {
    plan.client < plan.server && plan.client <= Revision::R2025_06_18
}

fn narrow(plan: Plan, at: usize, block: &Raw) -> Option<Raw> {
    let original = block.to_object()?;
    let mut changed: Option<RawObject> = None;
    for (rung, way) in rungs(plan.server, plan.client) {
        if let Some(other) = rung.block(way, at, changed.as_ref().unwrap_or(&original)) {
            changed = Some(other);
        }
    }
    let kind = text_of(changed.as_ref().unwrap_or(&original), "type")?.into_owned();
    if !is_known(plan.client, &kind) {
        changed = Some(text_block(&format!("[unsupported content {kind}]")));
    }
    changed.map(|block| block.to_raw())
}

fn is_known(revision: Revision, kind: &str) -> bool {
    match kind {
        // Audio is here only where the client knows it: the boundary that brought it has changed it for all others.
        "text" | "image" | "resource" | "audio" => true,
        "resource_link" => revision >= Revision::R2025_06_18,
        _ => false,
    }
}

/// Makes sure that a tool's result has `content`, which every revision requires.
pub(super) fn ensure_content(result: &mut RawObject) {
    if !result.get("content").is_some_and(|content| content.kind() == Kind::Array) {
        result.set("content", Raw::array(&[]));
    }
}

/// Makes sure that a client which does not read `structuredContent` finds the value as text; whether it would not have.
pub(super) fn ensure_text(result: &mut RawObject, structured: &Raw) -> bool {
    let mut blocks = result.get("content").and_then(Raw::to_array).unwrap_or_default();
    let has_text = |block: &Raw| block.to_object().is_some_and(|b| b.get("type").is_some_and(|t| t.is_text("text")));
    let is_missing = !blocks.iter().any(has_text);
    if is_missing {
        blocks.push(text_block(&String::from_utf8_lossy(structured.as_bytes())).to_raw());
        result.set("content", Raw::array(&blocks));
    }
    is_missing
}
