//! JSON-RPC 2.0 over raw JSON: the envelope is read, what it carries is kept as the bytes it arrived in.
//!
//! Nothing in this room knows MCP. A message is checked once by the strict [`scan`], split one level deep into
//! [`RawObject`]s, edited by key where somebody must, and written again with unknown members, their order and the
//! spelling of every number kept.

mod encoded;
mod error;
mod id;
pub(crate) mod id_guess;
pub(crate) mod lines;
mod message;
mod object;
mod raw;
pub mod scan;

pub use encoded::Encoded;
pub use error::{ErrorObject, code};
pub use id::{IdError, RequestId};
pub use message::{
    Limits, Message, Notification, ParseError, ParseFault, Payload, Request, Response, encode_error,
    encode_notification, encode_request, encode_result,
};
pub use object::RawObject;
pub use raw::{Kind, Raw};

#[cfg(test)]
mod tests;
