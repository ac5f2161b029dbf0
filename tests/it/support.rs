//! What several suites use: mounts behind a socket, clients that send what the test says, the official schemas, and waits
//! that end.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod mount;
pub(crate) mod schema;
pub(crate) mod wait;
