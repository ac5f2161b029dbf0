//! Errors as RFC 9457 problems. Clients tell them apart by `type`, which never changes; the words may.

use axum::{
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = finance::Problem)]
pub(super) struct Problem {
    /// Which kind of problem this is. Clients compare it as a whole.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:finance:problem:already-paid")]
    kind: ProblemType,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time, and what to do about it.
    detail: String,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemType {
    NotFound,
    MethodNotAllowed,
    AccountNotFound,
    InvoiceNotFound,
    MonthNotFound,
    InvalidQuery,
    MalformedBody,
    BodyTooLarge,
    NotJson,
    InvalidInvoice,
    InvalidBody,
    AlreadyPaid,
    ConfirmationRequired,
    InsufficientFunds,
    BooksFull,
    MonthState,
}

impl ProblemType {
    /// The type, the status and the title.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Nothing is here"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "This path does not have that method")
            }
            Self::AccountNotFound => ("account-not-found", StatusCode::NOT_FOUND, "There is no such account"),
            Self::InvoiceNotFound => ("invoice-not-found", StatusCode::NOT_FOUND, "There is no such invoice"),
            Self::MonthNotFound => ("month-not-found", StatusCode::NOT_FOUND, "Nothing happened in that month"),
            Self::InvalidQuery => ("invalid-query", StatusCode::BAD_REQUEST, "A query parameter is wrong"),
            Self::MalformedBody => ("malformed-body", StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::NotJson => {
                ("not-json", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has to come as `application/json`")
            }
            Self::InvalidInvoice => ("invalid-invoice", StatusCode::UNPROCESSABLE_ENTITY, "A value is out of bounds"),
            Self::InvalidBody => ("invalid-body", StatusCode::UNPROCESSABLE_ENTITY, "The body does not fit"),
            Self::AlreadyPaid => ("already-paid", StatusCode::CONFLICT, "The invoice is paid already"),
            Self::ConfirmationRequired => {
                ("confirmation-required", StatusCode::CONFLICT, "The payment has to be confirmed")
            }
            Self::InsufficientFunds => {
                ("insufficient-funds", StatusCode::CONFLICT, "There is not enough on the account")
            }
            Self::BooksFull => ("books-full", StatusCode::CONFLICT, "The books are full"),
            Self::MonthState => ("month-state", StatusCode::CONFLICT, "The month is not in the right state"),
        }
    }
}

impl Serialize for ProblemType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:finance:problem:{}", self.parts().0))
    }
}

impl Problem {
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let (_, status, title) = kind.parts();
        Self { kind, title, status: status.as_u16(), detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, status, _) = self.kind.parts();
        // It is made of texts and one number, which always are JSON.
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

// What axum's own extractors refuse, which it would say in plain text.

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonDataError(_) => Self::new(ProblemType::InvalidBody, rejection.body_text()),
            JsonRejection::MissingJsonContentType(_) => {
                Self::new(ProblemType::NotJson, "send it with `Content-Type: application/json`")
            }
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            other => Self::new(ProblemType::MalformedBody, other.body_text()),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ProblemType::BodyTooLarge,
            _ => ProblemType::MalformedBody,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ProblemType::InvalidQuery, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ProblemType::NotFound, rejection.body_text())
    }
}
