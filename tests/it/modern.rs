//! The modern era at an endpoint, in front of a mount that does as the test says.

mod envelope;
mod headers;
mod leaving;
mod listen;
mod questions;
mod relay;
mod states;
mod stream;
