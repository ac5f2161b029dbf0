//! JSON of the test, and as the library carries it.

use rialto::jsonrpc::{Raw, RawObject, scan::ScanLimits};
use serde_json::Value;

/// JSON of the test as the library carries it.
pub(crate) fn raw(value: &Value) -> Raw {
    Raw::scan(value.to_string().into(), ScanLimits::ANSWER).expect("valid JSON")
}

/// The same for an object.
pub(crate) fn object(value: &Value) -> RawObject {
    raw(value).to_object().expect("an object")
}

/// What the library carries as JSON of the test.
pub(crate) fn value(raw: &Raw) -> Value {
    raw.parse().expect("valid JSON")
}
