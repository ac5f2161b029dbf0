//! A call and its outcome.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::{
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{Method, Revision},
};

use super::{Caller, Life, Peer};

const RESULT_TYPE: &str = "resultType";

/// One client request on its way through a mount.
#[derive(Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What is called.
    pub method: Method,
    /// The parameters in the shape of the caller's revision, without `inputResponses` and `requestState`.
    pub params: RawObject,
    /// The first leg, or the answers to questions of an earlier one.
    pub attempt: Attempt,
    /// Who is told about progress and asked questions while the call runs.
    pub peer: Arc<dyn Peer>,
    /// Headers of the client's request for a server over HTTP: those that [`Mount::forwards`](super::Mount::forwards) names,
    /// and `Mcp-Param-*` that mirror nothing known here. Never credentials.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the call may last, and why it ended early.
    pub life: Life,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Which leg of a call this is (2026-07-28, basic/patterns/mrtr).
#[derive(Clone, Debug)]
pub enum Attempt {
    /// The call is new.
    First,
    /// The call is sent again with answers.
    Answers {
        /// Key to answer, as the server named the keys.
        responses: RawObject,
        /// What the server asked to be echoed, byte for byte.
        state: Option<RequestState>,
    },
}

/// What a modern server wants echoed with the answers. Nobody but that server can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// The client is given a sealed form, which opens for the same caller, mount and call only: what comes back is what was
    /// given out.
    Sealed(Raw),
    /// The client is given the state as it is: what comes back may be anything, and only the server can tell
    /// ([`Mount::passes_state`](super::Mount::passes_state)).
    Bare(Raw),
}

/// How a call ended. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A final result, in the shape of the caller's revision.
    Complete(Raw),
    /// A modern server asks before it goes on.
    NeedsInput {
        /// Key to question (`{method, params}`).
        requests: RawObject,
        /// What has to be echoed with the answers.
        state: Option<RequestState>,
    },
    /// A task was created instead of an answer.
    Task(Raw),
}

// === impl Call ===

impl Call {
    /// The `name` among the parameters: of the tool that is called, or of the prompt that is wanted.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.params.get("name").and_then(Raw::as_text)
    }

    /// The name of the tool, where the call is one of a tool.
    #[must_use]
    pub fn tool(&self) -> Option<Cow<'_, str>> {
        if self.method == Method::ToolsCall { self.name() } else { None }
    }

    /// The arguments of the tool or the prompt; empty where there are none.
    #[must_use]
    pub fn arguments(&self) -> RawObject {
        self.params.get_object("arguments").unwrap_or_default()
    }

    /// Replaces the arguments. What a client mirrored of the old ones in headers is written anew.
    pub fn set_arguments(&mut self, arguments: &RawObject) {
        self.params.set("arguments", arguments.to_raw());
    }
}

// === impl RequestState ===

impl RequestState {
    /// The state itself, as the server wrote it or as the client gave it back.
    #[must_use]
    pub fn value(&self) -> &Raw {
        match self {
            Self::Sealed(state) | Self::Bare(state) => state,
        }
    }

    /// The one answer to every state that does not open, belongs elsewhere or is too old: who made it up learns nothing.
    pub(crate) fn invalid() -> ErrorObject {
        ErrorObject::new(code::INVALID_PARAMS, "Invalid or expired requestState")
            .with_data(Raw::constant(r#"{"reason":"invalid_request_state"}"#))
    }
}

// === impl Outcome ===

impl Outcome {
    /// The result of a tool that says `text`.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::of_tool(text, [])
    }

    /// The result of a tool that failed, for the model to read: unlike a [`Fault`](super::Fault), which is an error of the
    /// protocol and often never reaches the model.
    #[must_use]
    pub fn tool_error(text: &str) -> Self {
        Self::of_tool(text, [("isError", Raw::of(&true))])
    }

    /// The result of a tool with structured content, which is said as text as well, as the protocol advises. Up to
    /// 2025-11-25 it has to be an object; anything is allowed since.
    #[must_use]
    pub fn structured<T: Serialize + ?Sized>(content: &T) -> Self {
        let content = Raw::of(content);
        Self::of_tool(&String::from_utf8_lossy(content.as_bytes()), [("structuredContent", content.clone())])
    }

    fn of_tool<const N: usize>(text: &str, more: [(&str, Raw); N]) -> Self {
        let block = RawObject::from([("type", Raw::from("text")), ("text", Raw::from(text))]);
        let mut result = RawObject::from([("content", Raw::array(&[block.to_raw()]))]);
        for (name, value) in more {
            result.set(name, value);
        }
        Self::Complete(result.to_raw())
    }

    /// The result, where the call is complete.
    #[must_use]
    pub fn result(&self) -> Option<RawObject> {
        match self {
            Self::Complete(result) => result.to_object(),
            Self::NeedsInput { .. } | Self::Task(_) => None,
        }
    }

    /// Lets `edit` change the result, where the call is complete. What it does not touch stays byte for byte.
    pub fn edit(&mut self, edit: impl FnOnce(&mut RawObject)) {
        if let Self::Complete(result) = self
            && let Some(mut members) = result.to_object()
        {
            edit(&mut members);
            *result = members.to_raw();
        }
    }

    /// The same outcome as `revision` writes it: a complete result names its `resultType` in the modern era and only there.
    ///
    /// Hooks have this done for them. A layer that answers by itself does it with the revision of the caller.
    #[must_use]
    pub fn written_for(mut self, revision: Revision) -> Self {
        let fits = |result: &RawObject| result.has(RESULT_TYPE) == revision.is_modern();
        if self.result().is_some_and(|result| !fits(&result)) {
            self.edit(|result| match revision.is_modern() {
                true => result.set(RESULT_TYPE, Raw::from("complete")),
                false => {
                    result.remove(RESULT_TYPE);
                }
            });
        }
        self
    }

    /// Whether it is the very same value, not only an equal one.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Complete(one), Self::Complete(other)) => std::ptr::eq(one.as_bytes(), other.as_bytes()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_written_as_the_revision_wants_them() {
        let written = |outcome: Outcome, revision| match outcome.written_for(revision) {
            Outcome::Complete(result) => String::from_utf8_lossy(result.as_bytes()).into_owned(),
            other => panic!("{other:?}"),
        };
        let legacy = r#"{"content":[{"type":"text","text":"no \"way\""}],"isError":true}"#;
        assert_eq!(written(Outcome::tool_error("no \"way\""), Revision::R2025_11_25), legacy);
        let modern = written(Outcome::structured(&[1, 2]), Revision::R2026_07_28);
        let expected =
            r#"{"content":[{"type":"text","text":"[1,2]"}],"structuredContent":[1,2],"resultType":"complete"}"#;
        assert_eq!(modern, expected);
        let back = Outcome::Complete(Raw::constant(r#"{"resultType":"complete", "x":1e400}"#));
        assert_eq!(written(back, Revision::R2025_06_18), r#"{"x":1e400}"#);
    }
}
