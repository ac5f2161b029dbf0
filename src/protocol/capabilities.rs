//! Capabilities of clients and servers, kept raw and asked about by name.

use std::collections::BTreeMap;

use crate::jsonrpc::{Raw, RawObject};

use super::{Revision, method::question, tasks};

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
    /// came with 2025-06-18, and had forms alone until 2025-11-25 (changelogs). Such a client could never be asked, whatever it
    /// says.
    #[must_use]
    pub fn of(revision: Revision, mut declared: RawObject) -> Self {
        if revision < Revision::R2025_06_18 {
            declared.remove("elicitation");
        } else if revision < Revision::R2025_11_25
            && declared.get_object("elicitation").is_some_and(|modes| modes.has("form") || modes.has("url"))
        {
            declared.set("elicitation", Raw::constant("{}"));
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

    /// Whether there is anything that it can be asked.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        self.elicits_by_form() || self.elicits_by_url() || self.samples() || self.has_roots()
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

    /// What is declared to a legacy server for a session that others may share: exactly what [`fingerprint`](Self::fingerprint)
    /// tells apart, so that nobody's session declares what somebody else can do. Modes of elicitation are spelled out, as
    /// there are servers that look for `form` and take an empty object for nothing. Tasks are bridged, and not declared.
    #[must_use]
    pub fn shared(&self) -> RawObject {
        let nothing = || Raw::constant("{}");
        let mut shared = RawObject::new();
        if self.has_roots() {
            shared.set("roots", nothing());
        }
        for (key, modes) in self.modes() {
            let modes: RawObject = modes.into_iter().map(|mode| (mode.to_owned(), nothing())).collect();
            shared.set(key, modes.to_raw());
        }
        for (key, value) in self.others() {
            shared.set(&key, value.to_raw());
        }
        if let Some(mut extensions) = shared.get_object("extensions")
            && extensions.remove(tasks::EXTENSION).is_some()
        {
            match extensions.is_empty() {
                true => drop(shared.remove("extensions")),
                false => shared.set("extensions", extensions.to_raw()),
            }
        }
        shared
    }

    /// What is declared to a legacy server for the session of this client alone: its own words in its own revision, without
    /// tasks, which are bridged.
    #[must_use]
    pub fn own(&self, revision: Revision) -> RawObject {
        let mut own = self.0.clone();
        own.remove("tasks");
        // Older revisions have no names for the modes.
        if revision >= Revision::R2025_11_25 && self.object("elicitation").is_some_and(|e| e.is_empty()) {
            own.set("elicitation", Raw::constant(r#"{"form":{}}"#));
        }
        own
    }

    /// The capabilities in one canonical form, so that declarations that mean the same compare as equal. Two clients share
    /// an upstream session, and what a server listed, only where this is equal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut parts = Vec::new();
        if self.has_roots() {
            parts.push("roots".to_owned());
        }
        for (key, modes) in self.modes() {
            parts.push(modes.iter().fold(key.to_owned(), |part, mode| part + "+" + mode));
        }
        for (key, value) in self.others() {
            parts.push(format!("{key:?}{}", canonical(&value.to_raw())));
        }
        parts.join(";")
    }

    /// The capabilities whose modes are known, with those that were declared.
    fn modes(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut known = Vec::new();
        if let Some(sampling) = self.object("sampling") {
            known.push(("sampling", ["tools", "context"].into_iter().filter(|mode| sampling.has(mode)).collect()));
        }
        let elicitation: Vec<_> = [("form", self.elicits_by_form()), ("url", self.elicits_by_url())]
            .into_iter()
            .filter_map(|(mode, is_there)| is_there.then_some(mode))
            .collect();
        if !elicitation.is_empty() {
            known.push(("elicitation", elicitation));
        }
        known
    }

    /// The capabilities of which only their owner knows what they mean, by their names. An object of extensions or experiments
    /// that is empty means as much as none. `tasks` is the word of 2025-11-25 for what is bridged.
    fn others(&self) -> BTreeMap<String, RawObject> {
        let known = ["roots", "sampling", "elicitation", "tasks"];
        let others = self.0.iter().filter(|(key, _)| !known.contains(&&**key));
        let objects = others.filter_map(|(key, value)| Some((key.into_owned(), value.to_object()?)));
        objects.filter(|(key, object)| !object.is_empty() || !matches!(&**key, "extensions" | "experimental")).collect()
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

/// A value in the one order of its members; as it is, where it is beyond what can be ordered.
fn canonical(value: &Raw) -> String {
    match value.parse::<serde_json::Value>() {
        Ok(mut parsed) => {
            parsed.sort_all_objects();
            parsed.to_string()
        }
        Err(_) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::jsonrpc::scan::ScanLimits;

    use super::*;

    fn of(text: &'static str) -> ClientCapabilities {
        ClientCapabilities::new(Raw::scan(text.into(), ScanLimits::REQUEST).unwrap().to_object().unwrap())
    }

    /// Whatever is declared for others to share is told apart, so that nobody declares what somebody else can do.
    #[test]
    fn what_is_declared_in_common_is_what_is_told_apart() {
        let same = [
            r"{}",
            r#"{"roots":{}}"#,
            r#"{"roots":{"listChanged":true}}"#,
            r#"{"sampling":{}}"#,
            r#"{"sampling":{"magic":{}}}"#,
            r#"{"sampling":{"tools":{"x":1},"context":{}}}"#,
            r#"{"sampling":{"context":{},"tools":{}}}"#,
            r#"{"elicitation":{}}"#,
            r#"{"elicitation":{"form":{"x":1}}}"#,
            r#"{"elicitation":{"url":{}}}"#,
            r#"{"elicitation":{"url":{},"form":{}}}"#,
            r#"{"experimental":{}}"#,
            r#"{"experimental":5}"#,
            r#"{"experimental":{"a":{"n":1e999}}}"#,
            r#"{"experimental":{"a":{"n":1e998}}}"#,
            r#"{"extensions":{"a/b":{"x":1}}}"#,
            r#"{"extensions":{"a/b":{"x":2}}}"#,
            r#"{"acme":{"x":1}}"#,
            r#"{"acme":{}}"#,
            r#"{"acme;roots":{}}"#,
            r#"{"tasks":{"list":{}}}"#,
        ];
        for one in same {
            for other in same {
                let equal = of(one).fingerprint() == of(other).fingerprint();
                assert_eq!(equal, of(one).shared() == of(other).shared(), "{one} {other}");
            }
        }
        let shared = |text| String::from_utf8(of(text).shared().to_raw().as_bytes().to_vec()).unwrap();
        assert_eq!(shared(r#"{"elicitation":{},"tasks":{},"roots":{}}"#), r#"{"roots":{},"elicitation":{"form":{}}}"#);
        // Tasks are not declared, and yet told apart: who knows them is shown other things.
        let knows = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        assert_eq!(shared(knows), "{}");
        assert_ne!(of(knows).fingerprint(), of("{}").fingerprint());
    }
}
