//! Rialto, an MCP gateway.

pub mod app;
pub mod config;
