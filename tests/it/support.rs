//! What several suites use: a mount that does as the test says, clients that send what the test says, and the official schemas.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod mount;
pub(crate) mod schema;
