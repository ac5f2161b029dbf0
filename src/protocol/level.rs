//! The eight log levels (RFC 5424, section 6.2.1), as `logging/setLevel` and log messages name them.

use crate::jsonrpc::Raw;

/// All of them, least severe first.
pub const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// How severe a level is, as its place in [`LEVELS`]; `None` for what is no level.
#[must_use]
pub fn severity(level: &Raw) -> Option<usize> {
    let level = level.as_text()?;
    LEVELS.iter().position(|known| *known == level)
}
