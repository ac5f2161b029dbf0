//! Rialto, an MCP gateway.

pub mod app;
pub mod config;
pub mod downstream;
pub mod hub;
pub mod jsonrpc;
pub mod mount;
pub mod protocol;
pub mod seal;
pub mod upstream;
