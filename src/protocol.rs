//! What MCP says: revisions, methods, capabilities, `_meta` keys, mirrored headers, and the ladder between revisions.

pub(crate) mod answer;
pub mod capabilities;
pub mod headers;
pub mod ladder;
pub mod level;
pub mod loss;
pub mod meta;
pub mod method;
pub mod revision;
pub mod tasks;
pub mod trace;

pub use capabilities::{ClientCapabilities, Family};
pub use loss::{Loss, Losses};
pub use method::Method;
pub use revision::{Era, Offer, Revision};
