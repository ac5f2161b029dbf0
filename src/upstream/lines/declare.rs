//! What a server is told about the client in a handshake.

use crate::{
    hub::Caller,
    jsonrpc::{Raw, RawObject},
    protocol::{ClientCapabilities, Era, Revision, meta, tasks},
};

/// Who we are, where we do not speak for one client alone.
fn gateway() -> Raw {
    RawObject::from([("name", Raw::from("rialto")), ("version", Raw::from(env!("CARGO_PKG_VERSION")))]).to_raw()
}

/// The parameters of our own `server/discover`.
pub(super) fn discover(revision: Revision) -> RawObject {
    let envelope = RawObject::from([
        (meta::PROTOCOL_VERSION, Raw::from(revision.as_str())),
        (meta::CLIENT_INFO, gateway()),
        (meta::CLIENT_CAPABILITIES, Raw::constant("{}")),
    ]);
    RawObject::from([(meta::META, envelope.to_raw())])
}

/// What a legacy session declares for a caller.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declaration {
    revision: Revision,
    client_info: Raw,
    /// What the server may ask for.
    pub(super) capabilities: RawObject,
}

impl Declaration {
    /// A client's own session is opened as the client would open it; a shared one in our name, with the capabilities spelled
    /// out so that servers that look for `elicitation.form` find it.
    pub(super) fn of(caller: &Caller) -> Self {
        if caller.scope.is_session() && caller.revision.era() == Era::Legacy {
            let mut capabilities = caller.capabilities.declared().clone();
            capabilities.remove("tasks");
            let client_info = caller.client_info.clone().unwrap_or_else(gateway);
            return Self { revision: caller.revision, client_info, capabilities };
        }
        Self { revision: Revision::NEWEST_LEGACY, client_info: gateway(), capabilities: explicit(&caller.capabilities) }
    }

    /// The parameters of `initialize`.
    pub(super) fn initialize(&self) -> RawObject {
        RawObject::from([
            ("protocolVersion", Raw::from(self.revision.as_str())),
            ("capabilities", self.capabilities.to_raw()),
            ("clientInfo", self.client_info.clone()),
        ])
    }
}

/// Capabilities in the form of 2025-11-25, every mode by its name.
fn explicit(declared: &ClientCapabilities) -> RawObject {
    let mut capabilities = RawObject::new();
    let nothing = || Raw::constant("{}");
    if declared.has_roots() {
        capabilities.set("roots", nothing());
    }
    if let Some(sampling) = declared.declared().get("sampling").filter(|_| declared.samples()) {
        capabilities.set("sampling", sampling.clone());
    }
    let mut elicitation = RawObject::new();
    if declared.elicits_by_form() {
        elicitation.set("form", nothing());
    }
    if declared.elicits_by_url() {
        elicitation.set("url", nothing());
    }
    if !elicitation.is_empty() {
        capabilities.set("elicitation", elicitation.to_raw());
    }
    if let Some(experimental) = declared.declared().get("experimental") {
        capabilities.set("experimental", experimental.clone());
    }
    if let Some(mut extensions) = declared.declared().get_object("extensions") {
        extensions.remove(tasks::EXTENSION);
        if !extensions.is_empty() {
            capabilities.set("extensions", extensions.to_raw());
        }
    }
    capabilities
}
