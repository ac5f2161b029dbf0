//! Rialto, an MCP gateway.

pub mod jsonrpc;
pub mod protocol;
