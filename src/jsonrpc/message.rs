//! The JSON-RPC envelope: reading and writing messages.

use bytes::Bytes;

use super::{
    Encoded, ErrorObject, Kind, Raw, RawObject, RequestId, code,
    scan::{ScanError, ScanLimits},
};

/// A request: it wants an answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id, on this hop.
    pub id: RequestId,
    /// The method.
    pub method: String,
    /// The parameters, when there are any.
    pub params: Option<RawObject>,
}

/// A notification: it wants none.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The method.
    pub method: String,
    /// The parameters, when there are any.
    pub params: Option<RawObject>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The id of the request; absent where the other side could not read it.
    pub id: Option<RequestId>,
    /// The result, raw, or the error.
    pub outcome: Result<Raw, ErrorObject>,
}

/// One message.
#[derive(Clone, Debug)]
pub enum Message {
    /// It wants an answer.
    Request(Request),
    /// It wants none.
    Notification(Notification),
    /// It is one.
    Response(Response),
}

/// What one body, line or event holds: a message, or a batch (2025-03-26).
#[derive(Debug)]
pub enum Payload {
    /// One message.
    One(Message),
    /// A batch: each element on its own, those that are no message with the reason.
    Batch(Vec<Result<Message, ParseError>>),
}

/// What is accepted when a payload is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How the text is scanned.
    pub scan: ScanLimits,
    /// How many messages a batch may hold.
    pub batch: usize,
}

impl Limits {
    /// For what clients send.
    pub const DOWNSTREAM: Self = Self { scan: ScanLimits::REQUEST, batch: 50 };
    /// For what servers send.
    pub const UPSTREAM: Self = Self { scan: ScanLimits::ANSWER, batch: 1000 };
}

/// Why something is no message, with the id where one could be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// What is wrong.
    pub fault: ParseFault,
    /// The id of the request that is wrong.
    pub id: Option<RequestId>,
}

/// What is wrong with something that should be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFault {
    /// The text is refused by the scan.
    #[error("{0}")]
    Text(#[from] ScanError),
    /// Neither an object nor an array.
    #[error("a message is a JSON object")]
    NotAnObject,
    /// `jsonrpc` is missing or something else.
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    /// The id is null, fractional, too long or no scalar.
    #[error("`id` must be a string or an integer")]
    Id,
    /// The method is no string, or empty.
    #[error("`method` must be a non-empty string")]
    Method,
    /// The parameters are not an object.
    #[error("`params` must be an object")]
    Params,
    /// Neither `method`, `result` nor `error`, or more than one of them.
    #[error("a message has either `method`, `result` or `error`")]
    Shape,
    /// A batch without elements.
    #[error("a batch must not be empty")]
    EmptyBatch,
    /// A batch with more elements than allowed.
    #[error("a batch may hold at most {0} messages")]
    LongBatch(usize),
}

impl ParseError {
    fn anonymous(fault: impl Into<ParseFault>) -> Self {
        Self { fault: fault.into(), id: None }
    }

    /// The JSON-RPC code that answers it: -32700 for what is no JSON, -32600 for the rest.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self.fault {
            ParseFault::Text(e) if e.is_syntax() => code::PARSE,
            _ => code::INVALID_REQUEST,
        }
    }

    /// The error object that answers it.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        let code = self.code();
        let what = if code == code::PARSE { "Parse error" } else { "Invalid Request" };
        ErrorObject::new(code, format!("{what}: {}", self.fault))
    }
}

impl Payload {
    /// Scans and reads a body, line or event.
    ///
    /// # Errors
    /// When the text as a whole is refused. Faulty elements of a batch are reported in their place.
    pub fn parse(text: Bytes, limits: Limits) -> Result<Self, ParseError> {
        let (raw, members) = Raw::outlined(&text, limits.scan).map_err(ParseError::anonymous)?;
        match raw.kind() {
            Kind::Object => Message::of(&RawObject::at(&raw.bytes(), members)).map(Self::One),
            Kind::Array => {
                let elements = raw.to_array().unwrap_or_default();
                if elements.is_empty() {
                    Err(ParseError::anonymous(ParseFault::EmptyBatch))
                } else if elements.len() > limits.batch {
                    Err(ParseError::anonymous(ParseFault::LongBatch(limits.batch)))
                } else {
                    Ok(Self::Batch(elements.iter().map(Message::read).collect()))
                }
            }
            _ => Err(ParseError::anonymous(ParseFault::NotAnObject)),
        }
    }

    /// The messages that could be read, one or many; what could not is left out.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message> {
        match self {
            Self::One(message) => vec![message],
            Self::Batch(elements) => elements.into_iter().filter_map(Result::ok).collect(),
        }
    }
}

impl Message {
    /// Reads one scanned value.
    ///
    /// # Errors
    /// What is wrong with it, with the id where that much could be read.
    pub fn read(value: &Raw) -> Result<Self, ParseError> {
        match value.to_object() {
            Some(object) => Self::of(&object),
            None => Err(ParseError::anonymous(ParseFault::NotAnObject)),
        }
    }

    fn of(object: &RawObject) -> Result<Self, ParseError> {
        let raw_id = object.get("id");
        let id = raw_id.map(RequestId::new).transpose();
        let fail = |fault| ParseError { fault, id: id.as_ref().ok().cloned().flatten() };
        if !object.get("jsonrpc").is_some_and(|v| v.is_text("2.0")) {
            return Err(fail(ParseFault::Version));
        }
        match (object.get("method"), object.get("result"), object.get("error")) {
            (Some(method), None, None) => {
                let method = method.as_text().filter(|m| !m.is_empty()).ok_or_else(|| fail(ParseFault::Method))?;
                let params = match object.get("params") {
                    None => None,
                    Some(params) if params.is_null() => None,
                    Some(params) => Some(params.to_object().ok_or_else(|| fail(ParseFault::Params))?),
                };
                let method = method.into_owned();
                match id {
                    Err(_) => Err(ParseError::anonymous(ParseFault::Id)),
                    Ok(Some(id)) => Ok(Self::Request(Request { id, method, params })),
                    Ok(None) => Ok(Self::Notification(Notification { method, params })),
                }
            }
            (None, result, error) => {
                let outcome = match (result, error) {
                    (Some(result), None) => Ok(result.clone()),
                    (None, Some(error)) => Err(ErrorObject::read(error)),
                    _ => return Err(fail(ParseFault::Shape)),
                };
                // A server that could not read the id answers with null or nothing.
                let id = match id {
                    Ok(id) => id,
                    Err(_) if raw_id.is_some_and(Raw::is_null) => None,
                    Err(_) => return Err(ParseError::anonymous(ParseFault::Id)),
                };
                Ok(Self::Response(Response { id, outcome }))
            }
            _ => Err(fail(ParseFault::Shape)),
        }
    }
}

/// Writes a request. The frame is always ours; only `params` are somebody else's bytes.
#[must_use]
pub fn encode_request(id: &RequestId, method: &str, params: Option<&RawObject>) -> Bytes {
    let mut text = frame(method.len() + 64 + params.map_or(0, RawObject::written_length));
    text.extend_from_slice(b",\"id\":");
    text.extend_from_slice(id.raw().as_bytes());
    method_and_params(&mut text, method, params);
    Bytes::from(text)
}

/// Writes a notification.
#[must_use]
pub fn encode_notification(method: &str, params: Option<&RawObject>) -> Bytes {
    let mut text = frame(method.len() + 48 + params.map_or(0, RawObject::written_length));
    method_and_params(&mut text, method, params);
    Bytes::from(text)
}

/// Writes the answer to request `id`.
#[must_use]
pub fn encode_result(id: &RequestId, result: &Raw) -> Encoded {
    let mut head = frame(48 + id.raw().as_bytes().len());
    head.extend_from_slice(b",\"id\":");
    head.extend_from_slice(id.raw().as_bytes());
    head.extend_from_slice(b",\"result\":");
    Encoded::around(head, result, b"}")
}

/// Writes an error, without an id where none could be read.
#[must_use]
pub fn encode_error(id: Option<&RequestId>, error: &ErrorObject) -> Bytes {
    let mut text = frame(128);
    if let Some(id) = id {
        text.extend_from_slice(b",\"id\":");
        text.extend_from_slice(id.raw().as_bytes());
    }
    text.extend_from_slice(b",\"error\":");
    text.extend_from_slice(error.to_raw().as_bytes());
    text.push(b'}');
    Bytes::from(text)
}

fn frame(length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length);
    text.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    text
}

fn method_and_params(text: &mut Vec<u8>, method: &str, params: Option<&RawObject>) {
    text.extend_from_slice(b",\"method\":");
    text.extend_from_slice(Raw::from(method).as_bytes());
    if let Some(params) = params {
        text.extend_from_slice(b",\"params\":");
        params.write(text);
    }
    text.push(b'}');
}
