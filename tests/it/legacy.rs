//! The legacy era downstream: sessions, calls, questions, streams and batches over streamable HTTP.

mod batches;
mod calls;
mod handshake;
mod isolation;
mod questions;
mod sessions;
mod streams;
