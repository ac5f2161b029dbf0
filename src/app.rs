//! The axum application and the listener it is served on. Axum types stay in this room.

pub mod assemble;
mod builder;
mod docs;
pub mod gateway;
pub mod guard;
mod headers;
pub mod listener;
mod metrics;
mod observe;
mod openapi;
mod pages;
mod place;
pub mod problem;
mod proxy;
mod rest;
mod reverse;
mod schema;
pub mod table;

pub use builder::{Assembled, Builder, Rialto};
pub use proxy::Proxy;
pub use reverse::Reverse;
