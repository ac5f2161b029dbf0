//! Sending a call to a server, and what its answer means.

use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;

use crate::{
    hub::{Attempt, Call, Caller, Description, Fault, Oddity, Outcome, Peer, Reason},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{
        ClientCapabilities, Loss, Losses, Method,
        ladder::{Facts, Plan},
        meta,
        tasks::{EXTENSION, TASK},
    },
    upstream::{Outgoing, Session},
};

use super::{
    super::{
        beside::Beside,
        catalog::Tool,
        pool::Share,
        tasks::{Related, TaskAt, created, task_of},
        translate::{Translated, fresh_elicitation_id},
    },
    Inner,
    travelling::{own_headers, travelling},
    visits::asks_for_visits,
};

/// A call on its way to one session.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) call: &'a Call,
    pub(super) session: &'a Arc<dyn Session>,
    pub(super) beside: &'a Arc<Beside>,
    pub(super) plan: Plan,
    /// The tool that is called, by its name.
    pub(super) name: Option<&'a str>,
    /// What is known of it, where that matters.
    pub(super) tool: Option<&'a Tool>,
}

/// Whether the answer may be a task.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// As the client says.
    Plain,
    /// A legacy server shall make a task of it: with these words of ours, or with the client's own.
    Task(Option<Raw>),
    /// A modern server may make a task of it, though the client does not say that it knows tasks.
    Declared,
}

impl Inner {
    /// Sends a call. Where the server disputes the headers it has not run the call, which is sent once more with what the
    /// server lists by now.
    pub(super) async fn attempt(&self, hop: Hop<'_>, wish: &Wish) -> Result<Outcome, Fault> {
        let mut sent = self.send_visiting(hop, wish).await;
        if self.may_reissue(hop, wish, &sent) {
            tracing::debug!(mount = &*self.name, tool = hop.name, "the answer was lost, the call is sent once more");
            sent = self.send_visiting(hop, wish).await;
        }
        let disputed = |sent: &Result<_, Fault>| matches!(sent, Err(Fault::Answered(e)) if is_disputed(hop.session, e));
        if !disputed(&sent) {
            return sent;
        }
        let retried = match hop.name {
            Some(name) => {
                self.view(&hop.call.caller).forget_tools();
                let tool = self.tool(&hop.call.caller, name, &own_headers(hop.call)).await?;
                self.send(Hop { tool: tool.as_ref(), ..hop }, wish).await
            }
            None => sent,
        };
        if disputed(&retried) {
            let message = "the server says that the headers do not match the body; something between may change them";
            return Err(Fault::upstream(Reason::UpstreamHeaderMismatch, &self.name, message));
        }
        retried
    }

    /// Whether the answer of a call was lost that does no harm when it is sent again, as the operator believes.
    fn may_reissue(&self, hop: Hop<'_>, wish: &Wish, sent: &Result<Outcome, Fault>) -> bool {
        let is_lost = || sent.as_ref().is_err_and(|fault| fault.reason() == Some(Reason::StreamLost));
        self.terms.reissue_idempotent_tools
            && is_lost()
            && matches!(wish, Wish::Plain)
            && matches!(hop.call.attempt, Attempt::First)
            && hop.tool.is_some_and(|tool| tool.repeatable)
    }

    pub(super) async fn send(&self, hop: Hop<'_>, wish: &Wish) -> Result<Outcome, Fault> {
        let Hop { call, session, beside, plan, tool, .. } = hop;
        let modern = session.revision().is_modern();
        let server = session.description();
        let mut params = call.params.clone();
        let mut envelope = self.envelope(&call.caller, &server);
        match wish {
            Wish::Plain => {}
            Wish::Declared => envelope.tasks = true,
            Wish::Task(ours) => {
                if let Some(ours) = ours {
                    params.set(TASK, ours.clone());
                }
                envelope.ours = &[TASK];
            }
        }
        plan.request(&call.method, &mut params, &envelope);
        if matches!(wish, Wish::Declared) && call.caller.revision.is_modern() {
            declare(&mut params);
        }
        if let (true, Attempt::Answers { responses, state }) = (modern, &call.attempt) {
            if !responses.is_empty() {
                params.set("inputResponses", responses.to_raw());
            }
            if let Some(state) = state {
                params.set("requestState", state.value().clone());
            }
        }
        let client = match wish {
            Wish::Task(_) => Related::early(self.translated(plan, call.peer.clone())),
            Wish::Plain | Wish::Declared => self.translated(plan, self.client_of(call, &mut params)),
        };
        let outgoing = Outgoing {
            method: call.method.clone(),
            headers: travelling(call, session, tool, &params),
            params,
            peer: match modern || self.is_own(&call.caller) {
                true => client,
                false => beside.around_call(client),
            },
            capabilities: self.asked_of(&call.caller, session),
            life: call.life.clone(),
        };
        let sending = session.call(outgoing);
        let sent = match wish {
            Wish::Task(_) => {
                let whole = self.at(hop, String::new());
                created(sending, move |task| TaskAt { task, ..whole }, &self.name).await
            }
            Wish::Plain | Wish::Declared => sending.await,
        };
        match sent {
            Ok(result) if matches!(wish, Wish::Task(_)) && task_of(&result).is_some() => Ok(Outcome::Task(result)),
            Ok(result) => self.answered(hop, &server, result),
            Err(Fault::Answered(error)) if is_disputed(session, &error) || asks_for_visits(call, session, &error) => {
                Err(Fault::Answered(error))
            }
            Err(Fault::Answered(error)) => self.failed(hop, &server, error),
            Err(Fault::Undeclared { required, cause }) if !self.names_missing(&call.caller, &required) => {
                self.failed(hop, &server, cause)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether a caller has to hear that it did not declare what a server asked for. In the legacy era there is no error for
    /// that; and what it did declare, and what was withheld in a session of everybody, it cannot declare again.
    fn names_missing(&self, caller: &Caller, required: &Raw) -> bool {
        let declared = || required.to_object().is_some_and(|required| !caller.capabilities.lacks(&required));
        caller.revision.is_modern() && !(self.terms.share == Share::Everybody && declared())
    }

    /// What the caller can be asked in a session.
    fn asked_of(&self, caller: &Caller, session: &Arc<dyn Session>) -> ClientCapabilities {
        match self.terms.share {
            Share::Everybody if !session.revision().is_modern() => ClientCapabilities::default(),
            _ => caller.capabilities.clone(),
        }
    }

    /// A task at the server, reached as this call reaches it.
    pub(super) fn at(&self, hop: Hop<'_>, task: String) -> TaskAt {
        TaskAt {
            session: hop.session.clone(),
            place: self.place(&hop.call.caller, hop.beside),
            caller: hop.call.caller.clone(),
            capabilities: self.asked_of(&hop.call.caller, hop.session),
            headers: own_headers(hop.call),
            task,
            upstream: self.name.clone(),
            floor: self.limits.task_poll,
        }
    }

    fn facts<'a>(&'a self, hop: Hop<'a>, server: &'a Description, uri: Option<&'a str>) -> Facts<'a> {
        Facts {
            server_info: server.server_info.as_ref(),
            http: hop.session.mirrors_headers(),
            uri,
            wrapped_output: hop.tool.is_some_and(|t| t.wrapped),
            capabilities: Some(&hop.call.caller.capabilities),
            upstream: Some(&self.name),
            public: self.is_public(),
            legacy_resource_code: self.terms.legacy_resource_code,
            ..Facts::default()
        }
    }

    /// What the server's result of a call means to its client.
    pub(super) fn answered(&self, hop: Hop<'_>, server: &Description, result: Raw) -> Result<Outcome, Fault> {
        let facts = self.facts(hop, server, None);
        if hop.session.revision().is_modern() {
            self.modern_outcome(hop, server, &facts, result)
        } else {
            let mut losses = Losses::default();
            let result = legacy_result(&hop.call.method, hop.plan, &facts, result, &mut losses);
            self.counts.lost(losses);
            Ok(Outcome::Complete(result))
        }
    }

    /// What the server's error means to the client of a call.
    pub(super) fn failed(&self, hop: Hop<'_>, server: &Description, error: ErrorObject) -> Result<Outcome, Fault> {
        let uri = match hop.call.method {
            Method::ResourcesRead => hop.call.params.get("uri").and_then(Raw::as_text),
            _ => None,
        };
        let facts = self.facts(hop, server, uri.as_deref());
        // The other way to say so is a question, and it was not taken.
        if error.code == code::URL_ELICITATION_REQUIRED && !hop.plan.is_empty() {
            self.counts.lost(Loss::Page);
        }
        match hop.plan.error_as_result(&hop.call.method, &error) {
            Some(result) => Ok(Outcome::Complete(result.to_raw())),
            None => Err(Fault::Answered(hop.plan.error(&hop.call.method, error, &facts))),
        }
    }

    fn modern_outcome(
        &self,
        hop: Hop<'_>,
        server: &Description,
        facts: &Facts<'_>,
        result: Raw,
    ) -> Result<Outcome, Fault> {
        let Hop { call, plan, .. } = hop;
        let broken = |what: &str| Err(Fault::upstream(Reason::UpstreamProtocol, &self.name, what));
        let shaped = |object| {
            let mut losses = Losses::default();
            let result = plan.result(&call.method, object, facts, &mut losses);
            self.counts.lost(losses);
            result.to_raw()
        };
        let Some(mut object) = result.to_object() else { return broken("the result is not an object") };
        let kind = object.get("resultType").and_then(Raw::as_text).map(std::borrow::Cow::into_owned);
        match kind.as_deref() {
            // How long it may be kept is checked even where nothing else is touched.
            Some("complete") if plan.is_empty() && !call.method.is_cacheable() => Ok(Outcome::Complete(result)),
            Some("complete") => Ok(Outcome::Complete(shaped(object))),
            // Required, but a server that forgets it means that it is done.
            None => {
                call.life.odd(Oddity::NoResultType);
                tracing::debug!(mount = &*self.name, method = %call.method, "a modern result without resultType");
                object.set("resultType", Raw::from("complete"));
                Ok(Outcome::Complete(shaped(object)))
            }
            Some("input_required") => {
                let requests = object.get_object("inputRequests").unwrap_or_default();
                let state = object.get("requestState").filter(|s| !s.is_null()).cloned();
                let state = state.map(|state| self.state(call, state));
                if !call.method.may_ask() {
                    return broken("it asks for input where the protocol does not let it");
                }
                if requests.is_empty() && state.is_none() {
                    return broken("it asks for input without saying which");
                }
                Ok(Outcome::NeedsInput { requests: self.questions(plan, requests), state })
            }
            // No other request may become a task (tasks extension, Supported Methods).
            Some("task") if call.method == Method::ToolsCall => Ok(Outcome::Task(result)),
            Some(_) if plan.is_empty() && shares_extension(&call.caller, server) => Ok(Outcome::Complete(result)),
            Some(_) => broken("it answered with a kind of result that the client does not know"),
        }
    }
}

impl Inner {
    /// The client of a call as the server sees it.
    pub(super) fn translated(&self, plan: Plan, client: Arc<dyn Peer>) -> Arc<dyn Peer> {
        Translated::peer(plan, client, &self.counts)
    }

    /// The questions of a modern server in the shape of the client's revision.
    fn questions(&self, plan: Plan, requests: RawObject) -> RawObject {
        if plan.is_empty() {
            return requests;
        }
        let (mut translated, mut losses) = (RawObject::new(), Losses::default());
        for (key, request) in requests.iter() {
            let mut request = request.to_object().unwrap_or_default();
            let method = request.get("method").and_then(Raw::as_text).unwrap_or_default().into_owned();
            match plan.question(&method, request.get_object("params"), fresh_elicitation_id, &mut losses) {
                Some(params) => request.set("params", params.to_raw()),
                None => drop(request.remove("params")),
            }
            translated.set(&key, request.to_raw());
        }
        self.counts.lost(losses);
        translated
    }
}

/// Says in the envelope of a modern request that the client knows tasks: whoever answers it does.
fn declare(params: &mut RawObject) {
    meta::edit(params, |keys| {
        let mut capabilities = keys.get_object(meta::CLIENT_CAPABILITIES).unwrap_or_default();
        let mut extensions = capabilities.get_object("extensions").unwrap_or_default();
        extensions.set(EXTENSION, RawObject::new().to_raw());
        capabilities.set("extensions", extensions.to_raw());
        keys.set(meta::CLIENT_CAPABILITIES, capabilities.to_raw());
    });
}

/// Whether a modern server disputes the headers of a request. It has not run it then.
fn is_disputed(session: &Arc<dyn Session>, error: &ErrorObject) -> bool {
    session.revision().is_modern() && error.code == code::HEADER_MISMATCH
}

/// A result of a legacy server. What names no `resultType` and crosses nothing is passed on as it is.
fn legacy_result(method: &Method, plan: Plan, facts: &Facts<'_>, result: Raw, losses: &mut Losses) -> Raw {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"resultType\""));
    let foreign = FINDER.find(result.as_bytes()).is_some();
    if plan.is_empty() && !foreign {
        return result;
    }
    let Some(mut object) = result.to_object() else { return result };
    if foreign {
        object.remove("resultType");
    }
    plan.result(method, object, facts, losses).to_raw()
}

fn shares_extension(caller: &Caller, server: &Description) -> bool {
    let offered = server.capabilities.get_object("extensions").unwrap_or_default();
    offered.iter().any(|(name, _)| caller.capabilities.extends(&name))
}
