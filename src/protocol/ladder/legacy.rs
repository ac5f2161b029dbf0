//! What has no place on a legacy hop, whoever is at the other end: the members and `_meta` keys that 2026-07-28 brought.

use crate::{
    jsonrpc::RawObject,
    protocol::{
        Method,
        meta::{self, HOP_LOCAL},
        tasks::EXTENSION,
    },
};

/// The members of a modern retry.
const RETRY: [&str; 2] = ["inputResponses", "requestState"];
/// The members of modern results.
const RESULT: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// Whether the result of the method is empty by definition. Some clients refuse it when it is not exactly `{}`.
pub(super) fn answers_nothing(method: &Method) -> bool {
    matches!(method, Method::Ping | Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe)
}

/// Takes out of a request what a legacy client cannot mean and a legacy server must not be told.
pub(super) fn strip_request(method: &Method, params: &mut RawObject) {
    strip_meta(params);
    strip_retry(method, params, &[]);
}

/// Takes the members of a retry out of a request, other than those named in `ours`.
pub(super) fn strip_retry(method: &Method, params: &mut RawObject, ours: &[&str]) {
    if method.may_ask() {
        for name in RETRY.into_iter().filter(|name| !ours.contains(name)) {
            params.remove(name);
        }
    }
}

/// Takes out of a result what a legacy client does not know.
pub(super) fn strip_result(result: &mut RawObject) {
    for name in RESULT {
        result.remove(name);
    }
    strip_meta(result);
}

/// Takes the keys of the modern era out of `_meta`, and `_meta` out where nothing is left.
pub(super) fn strip_meta(object: &mut RawObject) {
    strip_keys(object, |key| HOP_LOCAL.contains(&key));
}

/// Takes the keys that are `foreign` out of `_meta`, and `_meta` out where nothing is left. A `_meta` without such keys, or
/// one that is no object, stays as it is.
pub(super) fn strip_keys(object: &mut RawObject, foreign: impl Fn(&str) -> bool) {
    let Some(mut keys) = meta::of(object) else { return };
    let before = keys.len();
    keys.retain(|key| !foreign(key));
    if keys.len() == before {
        return;
    }
    if keys.is_empty() {
        object.remove(meta::META);
    } else {
        object.set(meta::META, keys.to_raw());
    }
}

/// Takes the tasks extension out of capabilities.
pub(super) fn strip_task_extension(capabilities: &mut RawObject) {
    let Some(mut extensions) = capabilities.get_object("extensions") else { return };
    if extensions.remove(EXTENSION).is_none() {
        return;
    }
    if extensions.is_empty() {
        capabilities.remove("extensions");
    } else {
        capabilities.set("extensions", extensions.to_raw());
    }
}
