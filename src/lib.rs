//! Rialto, an MCP gateway.

pub mod downstream;
pub mod hub;
pub mod jsonrpc;
pub mod protocol;
pub mod seal;
pub mod upstream;
