//! What a client says about content types.

use http::{HeaderMap, header};

/// What a client takes as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accept {
    /// `application/json`
    pub(super) json: bool,
    /// `text/event-stream`
    pub(super) events: bool,
    /// There was no `Accept` at all, or nothing but `*/*`.
    pub(super) anything: bool,
}

impl Accept {
    /// Where there is no choice of answers.
    pub(super) const EVERYTHING: Self = Self { json: true, events: true, anything: true };

    /// Reads `Accept`. A missing header takes anything (RFC 9110, section 12.5.1); `q=0` refuses.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut own = Self { json: false, events: false, anything: true };
        for value in headers.get_all(header::ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                if parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
                    continue;
                }
                let any = name == "*/*";
                own.anything &= any || name.is_empty();
                own.json |= any || name.eq_ignore_ascii_case("application/json") || name == "application/*";
                own.events |= any || name.eq_ignore_ascii_case("text/event-stream") || name == "text/*";
            }
        }
        if own.anything {
            own.json = true;
            own.events = true;
        }
        own
    }
}

/// Whether the body is declared to be JSON.
pub(super) fn sends_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
