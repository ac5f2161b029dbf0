//! The axum application and the listener it is served on. Axum types stay in this room.

pub mod guard;
pub mod listener;
