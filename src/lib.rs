//! Rialto, an MCP gateway.
