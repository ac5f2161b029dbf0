//! Capabilities of clients and servers, kept raw and asked about by name.

use crate::jsonrpc::{Raw, RawObject};

use super::{Revision, method::question};

/// A family of server features, as the server's capabilities name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `tools`
    Tools,
    /// `prompts`
    Prompts,
    /// `resources`
    Resources,
    /// `completions`
    Completions,
    /// `logging`
    Logging,
}

impl Family {
    /// The key in the server's capabilities.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Completions => "completions",
            Self::Logging => "logging",
        }
    }
}

/// What a client declared that it can do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientCapabilities(RawObject);

impl ClientCapabilities {
    /// Takes the object a client sent, in `initialize` or in the envelope.
    #[must_use]
    pub fn new(declared: RawObject) -> Self {
        Self(declared)
    }

    /// Takes what a client of `revision` declared, without the questions that its revision has no words for: elicitation
    /// came with 2025-06-18 (changelog). Such a client could never be asked, whatever it says.
    #[must_use]
    pub fn of(revision: Revision, mut declared: RawObject) -> Self {
        if revision < Revision::R2025_06_18 {
            declared.remove("elicitation");
        }
        Self(declared)
    }

    /// The object as the client sent it.
    #[must_use]
    pub fn declared(&self) -> &RawObject {
        &self.0
    }

    fn object(&self, key: &str) -> Option<RawObject> {
        self.0.get_object(key)
    }

    /// Whether the client takes form elicitations; an empty `elicitation` means that it does (2025-11-25, client/elicitation).
    #[must_use]
    pub fn elicits_by_form(&self) -> bool {
        self.object("elicitation").is_some_and(|e| e.has("form") || !e.has("url"))
    }

    /// Whether the client takes URL elicitations.
    #[must_use]
    pub fn elicits_by_url(&self) -> bool {
        self.object("elicitation").is_some_and(|e| e.has("url"))
    }

    /// Whether the client samples.
    #[must_use]
    pub fn samples(&self) -> bool {
        self.object("sampling").is_some()
    }

    /// Whether the client samples with tools.
    #[must_use]
    pub fn samples_with_tools(&self) -> bool {
        self.object("sampling").is_some_and(|s| s.has("tools"))
    }

    /// Whether the client has roots.
    #[must_use]
    pub fn has_roots(&self) -> bool {
        self.object("roots").is_some()
    }

    /// Whether the client announces changes of its roots (2025-11-25, client/roots).
    #[must_use]
    pub fn announces_roots(&self) -> bool {
        self.object("roots").is_some_and(|r| r.get("listChanged").and_then(Raw::as_bool) == Some(true))
    }

    /// The same client where nothing can be asked of it.
    #[must_use]
    pub fn unasked(&self) -> Self {
        let mut declared = self.0.clone();
        declared.retain(|key| !matches!(key, "roots" | "sampling" | "elicitation"));
        Self(declared)
    }

    /// Whether an extension is declared.
    #[must_use]
    pub fn extends(&self, name: &str) -> bool {
        self.object("extensions").is_some_and(|e| e.has(name))
    }

    /// Whether the client declared that it answers this question; if not, what it would have to declare, in the form
    /// that `requiredCapabilities` has (2026-07-28, basic/index#error-codes).
    ///
    /// # Errors
    /// The capability that is missing, as an object.
    pub fn answers(&self, method: &str, params: Option<&RawObject>) -> Result<(), Raw> {
        let has = |key: &str| params.is_some_and(|p| p.has(key));
        match method {
            question::ELICIT => {
                let by_url = params.and_then(|p| p.get("mode")).is_some_and(|m| m.is_text("url"));
                match by_url {
                    true if !self.elicits_by_url() => Err(Raw::constant(r#"{"elicitation":{"url":{}}}"#)),
                    false if !self.elicits_by_form() => Err(Raw::constant(r#"{"elicitation":{"form":{}}}"#)),
                    _ => Ok(()),
                }
            }
            question::SAMPLE if !self.samples() => Err(Raw::constant(r#"{"sampling":{}}"#)),
            question::SAMPLE if (has("tools") || has("toolChoice")) && !self.samples_with_tools() => {
                Err(Raw::constant(r#"{"sampling":{"tools":{}}}"#))
            }
            question::ROOTS if !self.has_roots() => Err(Raw::constant(r#"{"roots":{}}"#)),
            _ => Ok(()),
        }
    }

    /// Whether something of `required`, an object of capabilities as `requiredCapabilities` has it, was not declared.
    #[must_use]
    pub fn lacks(&self, required: &RawObject) -> bool {
        lacks(&self.0, required, 0) && !(wants_forms_alone(required) && self.elicits_by_form())
    }

    /// The capabilities in one canonical form, so that declarations that mean the same compare as equal. Two clients share
    /// an upstream session only where this is equal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut parts = Vec::new();
        if self.has_roots() {
            parts.push("roots".to_owned());
        }
        if let Some(sampling) = self.object("sampling") {
            parts.push(format!("sampling{}{}", mark(&sampling, "tools"), mark(&sampling, "context")));
        }
        if self.elicits_by_form() {
            parts.push("elicitation+form".to_owned());
        }
        if self.elicits_by_url() {
            parts.push("elicitation+url".to_owned());
        }
        for key in ["extensions", "experimental"] {
            if let Some(value) = self.0.get(key).and_then(|v| v.parse::<serde_json::Value>().ok()) {
                let mut value = value;
                value.sort_all_objects();
                if value.as_object().is_none_or(|o| !o.is_empty()) {
                    parts.push(format!("{key}{value}"));
                }
            }
        }
        parts.join(";")
    }
}

/// The deepest member of a capability that is looked at.
const DEEPEST: usize = 8;

fn lacks(declared: &RawObject, required: &RawObject, depth: usize) -> bool {
    required.iter().any(|(name, wanted)| match (declared.get(&name), wanted.to_object()) {
        (None, _) => true,
        (Some(has), Some(wanted)) if depth < DEEPEST => lacks(&has.to_object().unwrap_or_default(), &wanted, depth + 1),
        _ => false,
    })
}

/// An empty `elicitation` declares forms, so the two spellings have to be taken as one.
fn wants_forms_alone(required: &RawObject) -> bool {
    let elicitation = required.get_object("elicitation");
    required.len() == 1 && elicitation.is_some_and(|e| e.iter().all(|(mode, _)| mode == "form"))
}

fn mark(object: &RawObject, key: &str) -> String {
    if object.has(key) { format!("+{key}") } else { String::new() }
}
