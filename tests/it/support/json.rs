//! JSON of the tests, and JSON as the library carries it.

use bytes::Bytes;
use rialto::jsonrpc::{Raw, RawObject, scan::ScanLimits};
use serde_json::Value;

/// A value as the library carries it.
pub(crate) fn raw(value: &Value) -> Raw {
    Raw::scan(Bytes::from(value.to_string()), ScanLimits::ANSWER).unwrap()
}

/// An object as the library carries it.
#[track_caller]
pub(crate) fn object(value: &Value) -> RawObject {
    raw(value).to_object().unwrap()
}

/// What the library carries, for the test to look at.
pub(crate) fn value(raw: &Raw) -> Value {
    raw.parse().unwrap()
}
