//! The words of tasks, which are two designs: a part of 2025-11-25 (basic/utilities/tasks), and the extension
//! `io.modelcontextprotocol/tasks` of the modern era.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::jsonrpc::{ErrorObject, Raw, RawObject, code};

/// The extension of the modern era. No legacy revision may be enabled by it: 2025-11-25 has tasks of its own.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// The member of a `tools/call` by which a 2025-11-25 client asks for a task, and of the result that names it.
pub const TASK: &str = "task";
/// The member that names a task.
pub const TASK_ID: &str = "taskId";

/// How far a task is. Both designs have the same words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is being worked on.
    Working,
    /// It waits for the client.
    InputRequired,
    /// There is a result.
    Completed,
    /// There is an error, or in 2025-11-25 the result of a tool that failed.
    Failed,
    /// It was ended before it was done.
    Cancelled,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that a task of either design says it has.
    #[must_use]
    pub fn of(task: &RawObject) -> Option<Self> {
        let all = [Self::Working, Self::InputRequired, Self::Completed, Self::Failed, Self::Cancelled];
        let status = task.get("status")?;
        all.into_iter().find(|known| status.is_text(known.as_str()))
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What a tool of a 2025-11-25 server says about being called as a task (`execution.taskSupport`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// It is never a task; what says nothing means this.
    #[default]
    Forbidden,
    /// As the client likes.
    Optional,
    /// It is always a task.
    Required,
}

impl Support {
    /// What a tool of a list says.
    #[must_use]
    pub fn of(tool: &RawObject) -> Self {
        match tool.get_object("execution").as_ref().and_then(|e| e.get("taskSupport")) {
            Some(word) if word.is_text("required") => Self::Required,
            Some(word) if word.is_text("optional") => Self::Optional,
            _ => Self::Forbidden,
        }
    }
}

/// Whether a legacy server offers to run tools as tasks.
#[must_use]
pub fn offered_by_legacy(capabilities: &RawObject) -> bool {
    let requests = capabilities.get_object("tasks").and_then(|tasks| tasks.get_object("requests"));
    requests.and_then(|requests| requests.get_object("tools")).is_some_and(|tools| tools.has("call"))
}

/// Whether a legacy server offers an operation on tasks: `cancel` or `list`.
#[must_use]
pub fn offers(capabilities: &RawObject, operation: &str) -> bool {
    capabilities.get_object("tasks").is_some_and(|tasks| tasks.has(operation))
}

/// Whether a modern server or client declares the extension.
#[must_use]
pub fn extended(capabilities: &RawObject) -> bool {
    capabilities.get_object("extensions").is_some_and(|extensions| extensions.has(EXTENSION))
}

/// Whether an error says that the client lacks the extension; nothing has run then (tasks extension, Capability Negotiation).
#[must_use]
pub fn are_missing(error: &ErrorObject) -> bool {
    let required =
        error.data.as_ref().and_then(Raw::to_object).and_then(|data| data.get_object("requiredCapabilities"));
    error.code == code::MISSING_CAPABILITY && required.is_some_and(|required| extended(&required))
}

/// The task that a message says it belongs to, in `_meta`.
#[must_use]
pub fn related(params: Option<&RawObject>) -> Option<String> {
    let related = super::meta::get(params?, super::meta::RELATED_TASK)?;
    Some(related.to_object()?.get(TASK_ID)?.as_text()?.into_owned())
}

/// A number of milliseconds in a task, rounded up.
#[must_use]
pub fn millis(value: &Raw) -> Option<Duration> {
    let millis = value.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0)?;
    Some(Duration::try_from_secs_f64((millis / 1000.0).min(1e9)).unwrap_or_default())
}

/// The time as tasks tell it: ISO 8601 in UTC, to the millisecond.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The date of a day since 1970, in the proleptic Gregorian calendar. Years begin in March here, so that the day that comes
/// every four years is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_told_in_utc() {
        let at = |seconds, millis: u32| timestamp(UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399, 7), "2000-02-28T23:59:59.007Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800, 0), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(1_767_225_599, 999), "2025-12-31T23:59:59.999Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_servers_offer_is_read_from_their_capabilities() {
        let object = |text| Raw::constant(text).to_object().unwrap();
        assert!(offered_by_legacy(&object(r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#)));
        for without in [r#"{"tasks":{}}"#, r#"{"tasks":{"requests":{"tools":{}}}}"#, r#"{"tasks":true}"#, "{}"] {
            assert!(!offered_by_legacy(&object(without)), "{without}");
        }
        assert!(extended(&object(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#)));
        assert!(!extended(&object(r#"{"tasks":{}}"#)));
        assert_eq!(Support::of(&object(r#"{"execution":{"taskSupport":"required"}}"#)), Support::Required);
        assert_eq!(Support::of(&object(r#"{"execution":{"taskSupport":"later"}}"#)), Support::Forbidden);
    }
}
