//! The headers that mirror a modern request's body (2026-07-28, basic/transports#standard-mcp-request-headers).
