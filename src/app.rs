//! The axum application and the listener it is served on. Axum types stay in this room.

pub mod assemble;
mod builder;
pub mod gateway;
pub mod guard;
pub mod listener;
pub mod problem;
mod proxy;
mod reverse;
pub mod table;

pub use builder::{Assembled, Builder, Rialto};
pub use proxy::Proxy;
pub use reverse::Reverse;
