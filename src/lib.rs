//! Rialto, an MCP gateway.

pub mod jsonrpc;
