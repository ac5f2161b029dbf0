//! The answer to `server/discover` (2026-07-28, server/discover).

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    hub::Description,
    jsonrpc::{Raw, RawObject},
    protocol::meta,
};

use super::envelope;

/// For how long a client may keep the description, at most; less where it holds for less by the word of the server.
const TTL: Duration = Duration::from_secs(300);

/// What a mount says about itself. It may depend on who asks, so nobody else may keep it unless the operator knows better.
pub(super) fn result(description: &Description) -> Raw {
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
    let ttl = description.until.map_or(TTL, |until| until.saturating_duration_since(Instant::now()).min(TTL));
    result.set("ttlMs", Raw::of(&u64::try_from(ttl.as_millis()).unwrap_or_default()));
    result.set("cacheScope", Raw::from(if description.public { "public" } else { "private" }));
    for (name, value) in description.more.iter() {
        result.set(&name, value.clone());
    }
    if let Some(server_info) = &description.server_info {
        meta::edit(&mut result, |keys| keys.set(meta::SERVER_INFO, server_info.clone()));
    }
    result.to_raw()
}
