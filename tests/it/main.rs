//! The integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "where a test's own setup fails, the test fails")]

mod config;
mod listener;
mod modern;
mod support;
