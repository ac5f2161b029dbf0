//! A legacy client, an endpoint behind a real socket, and a mount that the test plays.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod mount;

pub(crate) use crate::support::json::{object, raw};
pub(crate) use client::{Client, Events, Reply};
pub(crate) use gateway::Gateway;
pub(crate) use mount::{Arrived, Scripted};

/// The revisions of the legacy era.
pub(crate) const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The newest of them.
pub(crate) const NEWEST: &str = "2025-11-25";
