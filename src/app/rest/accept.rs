//! What a client takes as an answer (RFC 9110, section 12.5.1).

use http::{HeaderMap, header};

use crate::app::problem::{Kind, Problem};

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON value.
    Json,
    /// A stream of events, the result being the last.
    Events,
}

/// Thousandths, by how closely a range names the type: `*/*`, `type/*`, `type/subtype`.
#[derive(Clone, Copy, Default)]
struct Weight([Option<u16>; 3]);

impl Weight {
    fn put(&mut self, closeness: usize, quality: u16) {
        self.0[closeness] = Some(self.0[closeness].map_or(quality, |known| known.max(quality)));
    }

    /// What the closest range says.
    fn quality(self) -> u16 {
        self.0.into_iter().rev().flatten().next().unwrap_or(0)
    }
}

/// Chooses between the forms. JSON unless events are liked better, and both where nothing is said.
///
/// # Errors
/// Neither is accepted.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let (json, events) = weights(headers);
    match (json.quality(), events.quality()) {
        (0, 0) => Err(refused("application/json or text/event-stream")),
        (json, events) if events > json => Ok(Form::Events),
        _ => Ok(Form::Json),
    }
}

/// Makes sure that JSON is accepted.
///
/// # Errors
/// It is not.
pub(super) fn json(headers: &HeaderMap) -> Result<(), Problem> {
    match weights(headers).0.quality() {
        0 => Err(refused("application/json")),
        _ => Ok(()),
    }
}

fn refused(types: &str) -> Problem {
    Problem::new(Kind::NotAcceptable, format!("this route answers with {types}, and `Accept` allows neither"))
}

fn weights(headers: &HeaderMap) -> (Weight, Weight) {
    let (mut json, mut events) = (Weight::default(), Weight::default());
    let mut said = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            if name.is_empty() {
                continue;
            }
            said = true;
            let quality =
                parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).map_or(1000, thousandths);
            match &*name {
                "*/*" => {
                    json.put(0, quality);
                    events.put(0, quality);
                }
                "application/*" => json.put(1, quality),
                "text/*" => events.put(1, quality),
                "application/json" => json.put(2, quality),
                "text/event-stream" => events.put(2, quality),
                _ => {}
            }
        }
    }
    if !said {
        json.put(0, 1000);
    }
    (json, events)
}

/// A quality of `0` to `1` with up to three decimals; what is malformed counts as 1.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000 by then")]
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_to_those_who_like_them_better() {
        for (accept, expected) in [
            ("", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("application/json", Some(Form::Json)),
            ("Application/JSON; charset=utf-8", Some(Form::Json)),
            ("application/json, text/event-stream", Some(Form::Json)),
            ("text/event-stream", Some(Form::Events)),
            ("text/event-stream, */*;q=0.1", Some(Form::Events)),
            ("application/json;q=0.5, text/event-stream", Some(Form::Events)),
            ("text/*", Some(Form::Events)),
            ("*/*, application/json;q=0", Some(Form::Events)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("text/html, */*;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(form(&headers).ok(), expected, "{accept}");
            let takes_json = !matches!(accept, "text/event-stream" | "text/*" | "*/*, application/json;q=0");
            assert_eq!(json(&headers).is_ok(), expected.is_some() && takes_json, "{accept}");
        }
    }
}
