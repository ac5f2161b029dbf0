//! The least that an answer to a server's question has to be.

use crate::jsonrpc::{Kind, Raw, RawObject};

use super::method::question;

/// Reads the answer to a question; `None` for what answers nothing.
pub(crate) fn read(method: &str, given: &Raw) -> Option<RawObject> {
    let mut answer = given.to_object()?;
    let text = |key: &str| answer.get(key).is_some_and(|v| v.kind() == Kind::String);
    let good = match method {
        question::ELICIT => {
            let action = answer.get("action").and_then(Raw::as_text);
            matches!(action.as_deref(), Some("accept" | "decline" | "cancel"))
                && answer.get("content").is_none_or(|c| matches!(c.kind(), Kind::Object | Kind::Null))
        }
        question::SAMPLE => {
            let content = answer.get("content").map(Raw::kind);
            text("role") && text("model") && matches!(content, Some(Kind::Object | Kind::Array))
        }
        question::ROOTS => answer.get("roots").is_some_and(|r| r.kind() == Kind::Array),
        _ => true,
    };
    if answer.get("content").is_some_and(Raw::is_null) {
        answer.remove("content");
    }
    good.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_answers_from_nonsense() {
        let good = [
            (question::ELICIT, r#"{"action":"accept","content":{"a":1}}"#),
            (question::ELICIT, r#"{"action":"decline"}"#),
            (question::ELICIT, r#"{"action":"cancel","content":null}"#),
            (question::SAMPLE, r#"{"role":"assistant","model":"m","content":{"type":"text","text":"x"}}"#),
            (question::SAMPLE, r#"{"role":"assistant","model":"m","content":[]}"#),
            (question::ROOTS, r#"{"roots":[]}"#),
        ];
        for (method, text) in good {
            assert!(read(method, &Raw::constant(text)).is_some(), "{text}");
        }
        let bad = [
            (question::ELICIT, r#"{"action":"maybe"}"#),
            (question::ELICIT, r#"{"action":"accept","content":[]}"#),
            (question::ELICIT, "12345"),
            (question::ELICIT, "{}"),
            (question::SAMPLE, r#"{"role":"assistant","content":{}}"#),
            (question::SAMPLE, r#"{"role":"assistant","model":"m","content":"x"}"#),
            (question::ROOTS, r#"{"roots":{}}"#),
            (question::ROOTS, "[]"),
        ];
        for (method, text) in bad {
            assert!(read(method, &Raw::constant(text)).is_none(), "{text}");
        }
    }
}
