//! The ladder: how a message of one revision looks in another.
//!
//! A [`Plan`] leads from the client's revision to the server's and back. It is made of the rules of the boundaries between
//! the two, each rung seeing both ends; between equal revisions it is empty and nothing is touched. Beside the rungs there
//! are a few rules that hold on a hop of one era whoever is at the other end (`legacy`, `modern`).
//!
//! What a rule cannot carry over as it is, it notes among the [`Losses`] of the message.
//!
//! What a message *means* is none of the ladder's business: questions are gathered, tasks driven, and requests sent again
//! elsewhere, before or after the shapes are changed here.

use std::borrow::Cow;

use crate::jsonrpc::{ErrorObject, Raw, RawObject};

use super::{ClientCapabilities, Losses, Method, Revision};

mod content;
mod legacy;
mod modern;
mod r2025_03_26;
mod r2025_06_18;
mod r2025_11_25;
mod r2026_07_28;
mod rung;
mod schema;
mod strict;
mod tools;

use rung::rungs;

/// The way between a client's revision and a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the client speaks.
    pub client: Revision,
    /// What the server speaks.
    pub server: Revision,
    /// Whether a client of an older revision is sent nothing that a later one brought, though it may ignore it.
    pub strict: bool,
}

/// Who is asking, for the envelope that a modern server needs with each request.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The client's `clientInfo`, as it sent it.
    pub client_info: Option<&'a Raw>,
    /// What the client can do.
    pub capabilities: &'a ClientCapabilities,
    /// The level the client wants log messages from, as a JSON string.
    pub log_level: Option<&'a Raw>,
    /// Whether the server may answer with a task (2026-07-28, the tasks extension): it is declared then, and only then.
    pub tasks: bool,
    /// Members of the params that the gateway itself put there and that are stripped where a client sets them on a hop that
    /// does not know them: `inputResponses`, `requestState`, `task`.
    pub ours: &'a [&'a str],
}

/// What a rule may need to know beside the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Who the server says it is.
    pub server_info: Option<&'a Raw>,
    /// Whether the server is reached over HTTP, where `x-mcp-header` annotations have to be valid.
    pub http: bool,
    /// How long a list of a legacy server may be kept, in milliseconds.
    pub ttl_ms: u64,
    /// Whether what a legacy server answers may be kept for everybody rather than for this principal.
    pub public: bool,
    /// The URI that was asked for, for `resources/read`.
    pub uri: Option<&'a str>,
    /// Whether the output schema of the tool was wrapped for this client ([`Plan::wraps_output`]).
    pub wrapped_output: bool,
    /// Whether tasks are bridged between the two ends.
    pub tasks: bool,
    /// What the client declared that it can do; without it every missing capability that a server reports is believed.
    pub capabilities: Option<&'a ClientCapabilities>,
    /// The server's name here, for the errors that the gateway makes out of a server's.
    pub upstream: Option<&'a str>,
    /// Whether a legacy client is told in its own era's code that a resource was not found.
    pub legacy_resource_code: bool,
}

impl Plan {
    /// The way between two revisions.
    #[must_use]
    pub const fn between(client: Revision, server: Revision) -> Self {
        Self { client, server, strict: false }
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.client == self.server
    }

    /// Whether what a later revision brought is taken out of what the client is sent.
    fn trims(self) -> bool {
        self.strict && self.client < self.server
    }

    /// Whether the two ends are of different eras.
    #[must_use]
    pub fn crosses_eras(self) -> bool {
        self.client.era() != self.server.era()
    }

    /// A client's request, or the retry of one, on its way up.
    pub fn request(self, method: &Method, params: &mut RawObject, envelope: &Envelope<'_>) {
        if !self.crosses_eras() && !self.client.is_modern() {
            legacy::strip_request(method, params);
        }
        for (rung, way) in rungs(self.client, self.server) {
            rung.request(self, way, method, params, envelope);
        }
    }

    /// A server's result on its way down. Results that ask something (`input_required`) or name a task are not for legacy
    /// clients: whoever gathers answers and drives tasks keeps them.
    #[must_use]
    pub fn result(self, method: &Method, mut result: RawObject, facts: &Facts<'_>, losses: &mut Losses) -> RawObject {
        if !self.client.is_modern() {
            if legacy::answers_nothing(method) {
                return if result.is_empty() { result } else { RawObject::new() };
            }
            if self.is_empty() {
                return result;
            }
        }
        for (rung, way) in rungs(self.server, self.client) {
            rung.result(self, way, method, &mut result, facts, losses);
        }
        match method {
            Method::ToolsList => tools::list(self, &mut result, facts, losses),
            Method::ToolsCall => content::narrow_result(self, &mut result, losses),
            Method::PromptsGet => content::narrow_messages(self, &mut result, losses),
            _ => {}
        }
        if let Some(shape) = strict::of_result(method).filter(|_| self.trims()) {
            shape.trim(self.client, &mut result);
        }
        if self.client.is_modern() {
            modern::result(method, &mut result);
        } else {
            legacy::strip_result(&mut result);
        }
        result
    }

    /// A server's error on its way down. Two codes are looked at before this is called, where somebody acts on them:
    /// -32042 of a method that may ask, and the -32020 and -32022 that call for another attempt; whatever of them arrives
    /// here is final and becomes an error that the client may see. Also see [`Plan::error_as_result`].
    #[must_use]
    pub fn error(self, method: &Method, mut error: ErrorObject, facts: &Facts<'_>) -> ErrorObject {
        if self.server.is_modern() {
            error = modern::error_of_server(self, error, facts);
        }
        for (rung, way) in rungs(self.server, self.client) {
            error = rung.error(self, way, method, error, facts);
        }
        if self.client.is_modern() {
            error = modern::error_for_client(self, error, facts);
        }
        error
    }

    /// The result that stands for an error which the client's revision cannot express but a person should still read: a URL
    /// elicitation required by a tool of a 2025-11-25 server, towards an older client.
    #[must_use]
    pub fn error_as_result(self, method: &Method, error: &ErrorObject) -> Option<RawObject> {
        (*method == Method::ToolsCall)
            .then(|| rungs(self.server, self.client))?
            .find_map(|(r, w)| r.told_error(w, error))
    }

    /// A task of the server as the client's design has it. Given with what the extension puts beside it (questions, result,
    /// error), and returned without: a legacy client asks for those by other requests.
    #[must_use]
    pub fn task(self, mut task: RawObject) -> RawObject {
        for (rung, way) in rungs(self.server, self.client) {
            rung.task(way, &mut task);
        }
        task
    }

    /// The params of a notification, in either direction.
    #[must_use]
    pub fn notification(self, method: &str, params: Option<RawObject>) -> Option<RawObject> {
        let mut params = params?;
        if self.is_empty() || params.is_empty() {
            return Some(params);
        }
        legacy::strip_meta(&mut params);
        for (rung, way) in rungs(self.server, self.client) {
            rung.notification(way, method, &mut params);
        }
        if let Some(shape) = strict::of_notification(method).filter(|_| self.trims()) {
            shape.trim(self.client, &mut params);
        }
        (!params.is_empty()).then_some(params)
    }

    /// Whether the client's revision has words for this notification of a server. What no revision defines passes.
    #[must_use]
    pub fn can_tell(self, method: &str) -> bool {
        rungs(self.server, self.client).all(|(rung, way)| rung.can_tell(way, method))
    }

    /// Whether the client's revision has words for this question of a server. What it has none for is refused before it is
    /// shaped; whether the client declared the capability is another matter ([`ClientCapabilities::answers`]).
    #[must_use]
    pub fn can_ask(self, method: &str, params: Option<&RawObject>) -> bool {
        rungs(self.server, self.client).all(|(rung, way)| rung.can_ask(way, method, params))
    }

    /// The params of a server's question on its way to the client. `fresh_id` makes the `elicitationId` that a 2025-11-25
    /// client wants for a URL elicitation.
    #[must_use]
    pub fn question(
        self,
        method: &str,
        params: Option<RawObject>,
        fresh_id: impl Fn() -> String,
        losses: &mut Losses,
    ) -> Option<RawObject> {
        let mut params = params;
        if self.is_empty() {
            return params;
        }
        if let Some(params) = &mut params {
            legacy::strip_meta(params);
        }
        for (rung, way) in rungs(self.server, self.client) {
            params = rung.question(self, way, method, params, &fresh_id, losses);
        }
        if let (Some(params), Some(shape)) = (&mut params, strict::of_question(method).filter(|_| self.trims())) {
            shape.trim(self.client, params);
        }
        params
    }

    /// A client's answer to a question on its way up.
    #[must_use]
    pub fn answer(self, method: &str, mut answer: RawObject, losses: &mut Losses) -> RawObject {
        if self.is_empty() {
            return answer;
        }
        legacy::strip_meta(&mut answer);
        for (rung, way) in rungs(self.client, self.server) {
            rung.answer(way, method, &mut answer, losses);
        }
        answer
    }

    /// The server's capabilities as the client sees them, without what the gateway itself adds.
    #[must_use]
    pub fn capabilities(self, mut server: RawObject) -> RawObject {
        modern::mend_capabilities(&mut server);
        if !(self.client.is_modern() && self.server.is_modern()) {
            legacy::strip_task_extension(&mut server);
        }
        for (rung, way) in rungs(self.server, self.client) {
            rung.capabilities(way, &mut server);
        }
        if self.trims() {
            strict::CAPABILITIES.trim(self.client, &mut server);
        }
        server
    }

    /// Who the server says it is, as the client hears it.
    #[must_use]
    pub fn server_info(self, info: Raw) -> Raw {
        match self.trims() {
            true => strict::SOMEBODY.trimmed(self.client, &info).unwrap_or(info),
            false => info,
        }
    }

    /// Whether the output schema of this tool, as the server lists it, is wrapped for the client, so that every structured
    /// result of the tool has to be wrapped as well ([`Facts::wrapped_output`]).
    #[must_use]
    pub fn wraps_output(self, tool: &RawObject) -> bool {
        r2026_07_28::wraps_output(self)
            && tool.get("outputSchema").is_some_and(|s| !schema::has_object_root(s) && schema::wrap(s).is_some())
    }
}

/// The text of a string value, owned only where it had escapes.
fn text_of<'a>(object: &'a RawObject, name: &str) -> Option<Cow<'a, str>> {
    object.get(name).and_then(Raw::as_text)
}

#[cfg(test)]
mod tests;
