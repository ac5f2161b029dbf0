//! The error object of a response.

use super::{Raw, RawObject};

/// The error codes of JSON-RPC 2.0 and of the MCP revisions.
pub mod code {
    /// Not JSON.
    pub const PARSE: i64 = -32700;
    /// JSON, but no valid request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method here.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters are not what the method takes.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Everything that is not the client's fault.
    pub const INTERNAL: i64 = -32603;
    /// Resource not found, up to 2025-11-25.
    pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
    /// A URL elicitation is required first, 2025-11-25 only.
    pub const URL_ELICITATION_REQUIRED: i64 = -32042;
    /// The headers do not say what the body says, 2026-07-28.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client lacks a capability, 2026-07-28.
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// The protocol version is not served, 2026-07-28.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
}

/// A JSON-RPC error, what it carries kept raw.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorObject {
    /// The code.
    pub code: i64,
    /// The message, for people.
    pub message: String,
    /// Whatever the sender added.
    pub data: Option<Raw>,
}

impl ErrorObject {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(mut self, data: Raw) -> Self {
        self.data = Some(data);
        self
    }

    /// Reads an error object as leniently as real servers need it: a code that is no integer counts as
    /// [`code::INTERNAL`], a missing message is empty.
    #[must_use]
    pub fn read(value: &Raw) -> Self {
        let object = value.to_object().unwrap_or_default();
        Self {
            code: object.get("code").and_then(|c| c.parse().ok()).unwrap_or(code::INTERNAL),
            message: object.get("message").and_then(Raw::as_text).map(std::borrow::Cow::into_owned).unwrap_or_default(),
            data: object.get("data").filter(|d| !d.is_null()).cloned(),
        }
    }

    /// The error as a JSON object.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let mut object = RawObject::from([("code", Raw::of(&self.code)), ("message", Raw::from(&*self.message))]);
        if let Some(data) = &self.data {
            object.set("data", data.clone());
        }
        object.to_raw()
    }
}

impl std::fmt::Display for ErrorObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ErrorObject {}
