//! What a client gets for a request.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// What came back for a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// The response, as it was sent.
    pub(crate) text: String,
    /// What came before it on the same stream.
    pub(crate) notifications: Vec<Value>,
    /// How often the client was asked something meanwhile.
    pub(crate) asked: usize,
}

impl Reply {
    /// The result, as it was sent.
    #[track_caller]
    pub(crate) fn raw_result(&self) -> &str {
        #[derive(Deserialize)]
        struct Answer<'m> {
            #[serde(borrow)]
            result: Option<&'m RawValue>,
        }
        let answer: Answer<'_> = serde_json::from_str(&self.text).unwrap();
        answer.result.unwrap_or_else(|| panic!("expected a result: {}", self.text)).get()
    }

    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        serde_json::from_str(self.raw_result()).unwrap()
    }

    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let answer: Value = serde_json::from_str(&self.text).unwrap();
        assert!(answer["error"].is_object(), "expected an error: {}", self.text);
        answer["error"].clone()
    }

    /// The text of the first content block.
    #[track_caller]
    pub(crate) fn said(&self) -> String {
        let result = self.result();
        result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("expected a text: {}", self.text)).to_owned()
    }

    /// The progress that was reported for a token.
    pub(crate) fn progress(&self, token: &Value) -> Vec<f64> {
        let reports = self.notifications.iter().filter(|n| n["method"] == "notifications/progress");
        let mine = reports.filter(|n| n["params"]["progressToken"] == *token);
        mine.filter_map(|n| n["params"]["progress"].as_f64()).collect()
    }
}
