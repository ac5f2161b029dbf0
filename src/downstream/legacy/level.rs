//! The eight log levels (RFC 5424, section 6.2.1).

use crate::{
    hub::Caller,
    jsonrpc::{Raw, RawObject},
};

/// From the least severe to the most.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

fn rank(level: &Raw) -> Option<usize> {
    let level = level.as_text()?;
    LEVELS.iter().position(|l| *l == level)
}

/// The level that `params` of `logging/setLevel` name, if it is one.
pub(super) fn of(params: Option<&RawObject>) -> Option<Raw> {
    let level = params?.get("level")?;
    rank(level).map(|at| Raw::from(LEVELS[at]))
}

/// Whether a log message is severe enough for the client. One of an unknown level is.
pub(super) fn passes(caller: &Caller, message: Option<&RawObject>) -> bool {
    let wanted = caller.log_level.as_ref().and_then(rank);
    let level = message.and_then(|m| rank(m.get("level")?));
    match (wanted, level) {
        (Some(wanted), Some(level)) => level >= wanted,
        _ => true,
    }
}
