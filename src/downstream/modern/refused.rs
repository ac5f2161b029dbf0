//! A request that is answered before any call was made.

use http::{Response, StatusCode};

use crate::{
    downstream::{Body, reply},
    hub::Fault,
    jsonrpc::{ErrorObject, RequestId, code},
    protocol::{Era, headers::Mismatch},
};

/// An error with the status it has while nothing was sent.
#[derive(Debug)]
pub(in crate::downstream) struct Refused {
    status: StatusCode,
    error: ErrorObject,
}

impl Refused {
    /// The request itself is at fault: its envelope or its headers.
    pub(super) fn envelope(error: ErrorObject) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error }
    }

    /// The parameters are at fault. That is an answer like any other: a 400 would look to a client of both eras like a
    /// server that does not know this one.
    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::from(ErrorObject::new(code::INVALID_PARAMS, message))
    }

    /// What is wrong.
    pub(in crate::downstream) fn error(&self) -> &ErrorObject {
        &self.error
    }

    pub(super) fn answer(&self, id: &RequestId) -> Response<Body> {
        reply::error(self.status, Some(id), &self.error)
    }
}

impl From<ErrorObject> for Refused {
    fn from(error: ErrorObject) -> Self {
        let error = presentable(error);
        Self { status: reply::status_of(Era::Modern, error.code), error }
    }
}

impl From<Mismatch> for Refused {
    fn from(mismatch: Mismatch) -> Self {
        Self::envelope(mismatch.to_error())
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::from(fault.to_error())
    }
}

/// The error as a modern client may see it: no code of the legacy era, and none of the range that the protocol reserves
/// for itself but does not define (2026-07-28, basic/index#error-codes).
pub(super) fn presentable(error: ErrorObject) -> ErrorObject {
    match error.code {
        code::LEGACY_RESOURCE_NOT_FOUND => ErrorObject { code: code::INVALID_PARAMS, ..error },
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION => error,
        -32099..=-32020 => {
            let data = crate::jsonrpc::RawObject::from([("cause", error.to_raw())]).to_raw();
            ErrorObject { code: code::INTERNAL, message: error.message, data: Some(data) }
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_other_era_never_leave() {
        for (from, to) in
            [(-32002, -32602), (-32042, -32603), (-32023, -32603), (-32021, -32021), (-32001, -32001), (7, 7)]
        {
            assert_eq!(presentable(ErrorObject::new(from, "x")).code, to);
        }
    }
}
