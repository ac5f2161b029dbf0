//! The listener and its guard, driven with raw bytes over real sockets.

mod drain;
mod framing;
mod front;
mod limits;
pub(crate) mod raw;
