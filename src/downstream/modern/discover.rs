//! The answer to `server/discover` (2026-07-28, server/discover).

use std::time::Duration;

use crate::{
    hub::Description,
    jsonrpc::{Raw, RawObject},
    protocol::meta,
};

use super::envelope;

/// What a mount says about itself, which a client may `keep` so long. It may depend on who asks, so nobody else may keep it unless the operator knows better.
pub(super) fn result(description: &Description, keep: Duration) -> Raw {
    let mut capabilities = description.capabilities.clone();
    // The word of 2025-11-25 for what is an extension now.
    capabilities.remove("tasks");
    let mut result = RawObject::from([
        ("resultType", Raw::from("complete")),
        ("supportedVersions", envelope::supported()),
        ("capabilities", capabilities.to_raw()),
    ]);
    if let Some(instructions) = &description.instructions {
        result.set("instructions", instructions.clone());
    }
    result.set("ttlMs", Raw::of(&u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)));
    result.set("cacheScope", Raw::from(if description.public { "public" } else { "private" }));
    if let Some(server_info) = &description.server_info {
        result.set(meta::META, RawObject::from([(meta::SERVER_INFO, server_info.clone())]).to_raw());
    }
    result.to_raw()
}
