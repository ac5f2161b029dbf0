//! The envelope of a modern request (2026-07-28, basic/index#meta), made for a client that has none.

use crate::{
    jsonrpc::{Kind, Raw, RawObject},
    protocol::{
        ClientCapabilities,
        meta::{self, HOP_LOCAL, RELATED_TASK},
        tasks::EXTENSION,
    },
};

use super::super::{Envelope, Plan};

/// Puts the envelope into `_meta`, in place of whatever the client had there under its keys.
pub(super) fn build(plan: Plan, params: &mut RawObject, envelope: &Envelope<'_>) {
    let mut keys = meta::of(params).unwrap_or_default();
    keys.retain(|key| !HOP_LOCAL.contains(&key) && key != RELATED_TASK);
    keys.set(meta::PROTOCOL_VERSION, Raw::from(plan.server.as_str()));
    if let Some(info) = envelope.client_info.filter(|info| is_implementation(info)) {
        keys.set(meta::CLIENT_INFO, info.clone());
    }
    keys.set(meta::CLIENT_CAPABILITIES, capabilities(envelope.capabilities, envelope.tasks));
    if let Some(level) = envelope.log_level.filter(|level| level.kind() == Kind::String) {
        keys.set(meta::LOG_LEVEL, level.clone());
    }
    params.set(meta::META, keys.to_raw());
}

/// Whether this says who somebody is, as the schema has it. A server may refuse every request of whoever says it otherwise, and
/// none of those who say nothing.
fn is_implementation(info: &Raw) -> bool {
    let info = info.to_object().unwrap_or_default();
    ["name", "version"].iter().all(|name| info.get(name).is_some_and(|value| value.kind() == Kind::String))
}

/// What a legacy client declared, as it is declared to a modern server: no tasks of its own, nothing about changing roots,
/// and the tasks extension only where the gateway handles a task.
fn capabilities(declared: &ClientCapabilities, tasks: bool) -> Raw {
    let mut own = RawObject::new();
    for (name, value) in declared.declared().iter() {
        match &*name {
            "tasks" | "extensions" => {}
            "roots" if value.kind() == Kind::Object => own.set("roots", RawObject::new().to_raw()),
            "roots" | "sampling" | "elicitation" | "experimental" if value.kind() != Kind::Object => {}
            name => own.set(name, value.clone()),
        }
    }
    let mut extensions = declared.declared().get_object("extensions").unwrap_or_default();
    extensions.remove(EXTENSION);
    if tasks {
        extensions.set(EXTENSION, RawObject::new().to_raw());
    }
    if !extensions.is_empty() {
        own.set("extensions", extensions.to_raw());
    }
    own.to_raw()
}
