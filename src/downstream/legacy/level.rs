//! Which log messages a session wants.

use crate::{
    hub::Caller,
    jsonrpc::{Raw, RawObject},
    protocol::level::{LEVELS, severity},
};

/// The level that `params` of `logging/setLevel` name, if it is one.
pub(super) fn of(params: Option<&RawObject>) -> Option<Raw> {
    let level = params?.get("level")?;
    severity(level).map(|at| Raw::from(LEVELS[at]))
}

/// Whether a log message is severe enough for the client. One of an unknown level is.
pub(super) fn passes(caller: &Caller, message: Option<&RawObject>) -> bool {
    let wanted = caller.log_level.as_ref().and_then(severity);
    let level = message.and_then(|m| severity(m.get("level")?));
    match (wanted, level) {
        (Some(wanted), Some(level)) => level >= wanted,
        _ => true,
    }
}
