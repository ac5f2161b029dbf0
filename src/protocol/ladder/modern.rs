//! What has to hold on a modern hop, whoever is at the other end (2026-07-28): the result type, the cache hints, the error
//! codes that may and may not be sent.

use std::sync::LazyLock;

use crate::{
    jsonrpc::{ErrorObject, Kind, Raw, RawObject, code},
    protocol::{ClientCapabilities, Method},
};

use super::{Facts, Plan, text_of};

/// The codes that the specification keeps for itself.
const RESERVED: std::ops::RangeInclusive<i64> = -32099..=-32020;

pub(super) static COMPLETE: LazyLock<Raw> = LazyLock::new(|| Raw::from("complete"));
pub(super) static PRIVATE: LazyLock<Raw> = LazyLock::new(|| Raw::from("private"));
pub(super) static PUBLIC: LazyLock<Raw> = LazyLock::new(|| Raw::from("public"));

/// Completes what a modern client must find in every result: the type, and on cacheable ones (basic/caching) hints that
/// are valid. Servers that leave them out are put up with; a hint that means nothing is read as "do not keep, do not share".
pub(super) fn result(method: &Method, result: &mut RawObject) {
    match result.get("resultType").map(Raw::kind) {
        Some(Kind::String) => {}
        _ => result.set("resultType", COMPLETE.clone()),
    }
    if !method.is_cacheable() || text_of(result, "resultType").is_none_or(|kind| kind != "complete") {
        return;
    }
    if !result.get("ttlMs").is_some_and(is_duration) {
        result.set("ttlMs", Raw::of(&0));
    }
    if !result.get("cacheScope").is_some_and(|scope| scope.is_text("private") || scope.is_text("public")) {
        result.set("cacheScope", PRIVATE.clone());
    }
}

fn is_duration(value: &Raw) -> bool {
    value.kind() == Kind::Number
        && !value.as_bytes().starts_with(b"-")
        && value.parse::<f64>().is_ok_and(|ms| ms.fract() == 0.0)
}

/// The error of a modern server. What concerns the hop to that server alone is never relayed.
pub(super) fn error_of_server(plan: Plan, error: ErrorObject, facts: &Facts<'_>) -> ErrorObject {
    match error.code {
        code::HEADER_MISMATCH => {
            hop_error("the server refused the headers of the request", "upstream_header_mismatch", facts)
        }
        code::UNSUPPORTED_VERSION => {
            hop_error("the server refused the protocol version of the request", "upstream_version", facts)
        }
        code::MISSING_CAPABILITY if plan.client.is_modern() && !is_missing(&error, facts.capabilities) => {
            hop_error("the server misses a capability that the client declared", "upstream_protocol", facts)
        }
        _ => error,
    }
}

/// An error as a modern client may see it: no -32002, and no reserved code that the revision does not define or that a
/// legacy server means in a way of its own.
pub(super) fn error_for_client(plan: Plan, error: ErrorObject, facts: &Facts<'_>) -> ErrorObject {
    match error.code {
        code::LEGACY_RESOURCE_NOT_FOUND => {
            let data = with_uri(error.data, facts.uri);
            ErrorObject { code: code::INVALID_PARAMS, message: error.message, data }
        }
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION if plan.server.is_modern() => {
            error
        }
        reserved if RESERVED.contains(&reserved) => {
            let mut data = RawObject::from([("source", Raw::from("upstream")), ("code", Raw::of(&reserved))]);
            if let Some(original) = error.data {
                data.set("data", original);
            }
            ErrorObject::new(code::INTERNAL, error.message).with_data(data.to_raw())
        }
        _ => error,
    }
}

/// `data` of a resource that was not found: with its URI (2026-07-28, server/resources#error-handling).
fn with_uri(data: Option<Raw>, uri: Option<&str>) -> Option<Raw> {
    let Some(uri) = uri else { return data };
    let mut object = match &data {
        Some(data) => data.to_object().unwrap_or_else(|| RawObject::from([("original", data.clone())])),
        None => RawObject::new(),
    };
    if !object.has("uri") {
        object.set("uri", Raw::from(uri));
    }
    Some(object.to_raw())
}

fn hop_error(message: &str, reason: &str, facts: &Facts<'_>) -> ErrorObject {
    let mut data = RawObject::from([("source", Raw::from("gateway"))]);
    if let Some(upstream) = facts.upstream {
        data.set("upstream", Raw::from(upstream));
    }
    data.set("reason", Raw::from(reason));
    data.set("retryable", Raw::of(&false));
    ErrorObject::new(code::INTERNAL, message).with_data(data.to_raw())
}

/// Whether the client indeed did not declare what the error says it lacks.
fn is_missing(error: &ErrorObject, declared: Option<&ClientCapabilities>) -> bool {
    let required =
        error.data.as_ref().and_then(Raw::to_object).and_then(|data| data.get_object("requiredCapabilities"));
    let Some(required) = required else { return false };
    declared.is_none_or(|declared| declared.lacks(&required))
}

/// Capability families are objects. Where a server sends a scalar instead, one that says no leaves the family out, and any
/// other means the family without details.
pub(super) fn mend_capabilities(capabilities: &mut RawObject) {
    const FAMILIES: [&str; 8] =
        ["logging", "completions", "prompts", "resources", "tools", "experimental", "extensions", "tasks"];
    for family in FAMILIES {
        let Some(value) = capabilities.get(family) else { continue };
        match value.kind() {
            Kind::Object => mend_family(capabilities, family),
            Kind::Null => drop(capabilities.remove(family)),
            Kind::Bool if value.as_bool() == Some(false) => drop(capabilities.remove(family)),
            _ => capabilities.set(family, RawObject::new().to_raw()),
        }
    }
}

fn mend_family(capabilities: &mut RawObject, family: &str) {
    let Some(mut object) = capabilities.get_object(family) else { return };
    let named = matches!(family, "experimental" | "extensions");
    let wrong: Vec<String> = object
        .iter()
        .filter(|(name, value)| match &**name {
            _ if named => value.kind() != Kind::Object,
            "listChanged" | "subscribe" => value.kind() != Kind::Bool,
            _ => false,
        })
        .map(|(name, _)| name.into_owned())
        .collect();
    if wrong.is_empty() {
        return;
    }
    for name in wrong {
        let refused = object.get(&name).is_some_and(|v| v.is_null() || v.as_bool() == Some(false));
        if named && !refused {
            object.set(&name, RawObject::new().to_raw());
        } else {
            object.remove(&name);
        }
    }
    capabilities.set(family, object.to_raw());
}
