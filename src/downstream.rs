//! The clients' side: one MCP endpoint per mount that serves every revision, over streamable HTTP at one URL and over pairs of
//! byte streams (stdio).
//!
//! A request is classified once, by its own words, and from there on belongs to one era: *modern* requests are
//! stateless, *legacy* ones live in a session. Both turn into calls on the same [`Mount`](crate::hub::Mount).

mod accept;
mod body;
mod connection;
mod endpoint;
mod forwarded;
mod legacy;
mod modern;
mod outbox;
mod reply;
mod scopes;
mod sse;
mod way;

pub(crate) use forwarded::named as forwarded_headers;
pub(crate) use sse::KeptAlive;

pub use body::{BodyError, read_body};
pub use endpoint::{Endpoint, Settings};
pub use legacy::Sessions;
pub use modern::Held;
pub use reply::Body;
pub use scopes::Scopes;
