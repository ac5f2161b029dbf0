//! The axum application and the listener it is served on. Axum types stay in this room.

pub mod assemble;
pub mod gateway;
pub mod guard;
pub mod listener;
