//! The axum application and the listener it is served on. Axum types stay in this room.

pub mod assemble;
mod builder;
pub mod gateway;
pub mod guard;
pub mod listener;
mod metrics;
mod observe;
mod pages;
mod proxy;
pub mod table;

pub use builder::{Assembled, Builder, Rialto};
pub use proxy::Proxy;
