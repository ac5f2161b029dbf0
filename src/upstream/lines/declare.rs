//! What a server is told about the client in a handshake.

use crate::{
    hub::Caller,
    jsonrpc::{Raw, RawObject},
    protocol::{Era, Revision, meta},
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
            let capabilities = caller.capabilities.own(caller.revision);
            let client_info = caller.client_info.clone().unwrap_or_else(gateway);
            return Self { revision: caller.revision, client_info, capabilities };
        }
        Self { revision: Revision::NEWEST_LEGACY, client_info: gateway(), capabilities: caller.capabilities.shared() }
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
