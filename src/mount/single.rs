//! A mount in front of one server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use http::HeaderName;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    hub::{
        Answering, Attempt, BoxFuture, Call, Caller, Description, Fault, Filter, Health, Life, Link, Listening, Mount,
        Outcome, Principal, Reason, RequestState,
    },
    jsonrpc::{ErrorObject, Notification, Raw, RawObject, code},
    protocol::{
        ClientCapabilities, Family, Method, Revision,
        headers::{self, ToolHeaders},
        ladder::{Envelope, Facts, Plan},
        method::notification,
    },
    seal::Sealer,
    upstream::{Connector, Outgoing, Session},
};

mod legs;
mod lists;
mod shared;
mod subscriptions;
mod travelling;
mod visits;

use legs::{Legs, asked_the_old_way};
use lists::Wanted;
use travelling::{Header, own_headers, travelling};
use visits::asks_for_visits;

use super::{
    beside::Beside,
    catalog::{Catalog, Tool, View},
    changes::{Changes, topics::Topics, watch_lists},
    outside::Outside,
    pages::Snapshots,
    pool::{Key, Opened, Pool, Share},
    translate::{Translated, fresh_elicitation_id},
};

/// How long a description is kept where the server does not say.
const DESCRIBED: Duration = Duration::from_secs(300);

/// A mount in front of one server. Cloning shares it.
#[derive(Clone)]
pub struct Single {
    inner: Arc<Inner>,
    forwards: Arc<[HeaderName]>,
    legs: Arc<Legs>,
}

pub(super) struct Inner {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    pool: Pool,
    share: Share,
    catalog: Arc<Catalog>,
    pub(super) changes: Arc<Changes>,
    /// What is subscribed to in each session of a legacy server.
    topics: Mutex<HashMap<Key, Weak<Topics>>>,
    /// Who listens for those who share no session.
    observer: Mutex<Weak<Caller>>,
    /// The gateway itself, where it speaks to the server for everybody.
    pub(super) gateway: Arc<Caller>,
    /// Ends whatever goes on at this mount without a call.
    pub(super) closing: CancellationToken,
    _closed: DropGuard,
    snapshots: Snapshots,
    sealer: Arc<Sealer>,
    /// The level from which on a legacy client is told about log messages that it did not ask for.
    unasked_level: Raw,
}

impl Single {
    /// Mounts the server behind `connector` as `name`.
    #[must_use]
    pub fn new(name: &str, connector: Arc<dyn Connector>, share: Share, sealer: Arc<Sealer>) -> Self {
        let (catalog, closing) = (Arc::<Catalog>::default(), CancellationToken::new());
        let inner = Inner {
            name: name.into(),
            pool: Pool::new(connector.clone(), share),
            share,
            connector,
            changes: Changes::new(catalog.clone()),
            catalog,
            topics: Mutex::default(),
            observer: Mutex::new(Weak::new()),
            gateway: Caller::gateway(Principal::new("gateway")),
            _closed: closing.clone().drop_guard(),
            closing,
            snapshots: Snapshots::default(),
            sealer,
            unasked_level: Raw::from("info"),
        };
        Self { inner: Arc::new(inner), forwards: Arc::default(), legs: Arc::default() }
    }

    /// The same server in the legacy era.
    fn legacy(&self) -> Option<Self> {
        let inner = &self.inner;
        let connector = inner.connector.legacy()?;
        let other = Self::new(&inner.name, connector, inner.share, inner.sealer.clone());
        Some(Self { forwards: self.forwards.clone(), ..other })
    }

    /// Lets these headers of clients pass to the server, where it is there over HTTP. Those that never may
    /// ([`headers::may_forward`]) are left out.
    #[must_use]
    pub fn forwarding(self, names: Vec<HeaderName>) -> Self {
        Self { forwards: names.into_iter().filter(headers::may_forward).collect(), ..self }
    }
}

impl std::fmt::Debug for Single {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Single").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Mount for Single {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn forwards(&self) -> &[HeaderName] {
        &self.forwards
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        if let Some(other) = self.legs.other(&call, || self.legacy()) {
            return other.call(call);
        }
        let (inner, legs) = (self.inner.clone(), self.legs.clone());
        Box::pin(async move {
            let ended = match call.method.list_member() {
                Some(member) => inner.list(&call, member).await,
                None => inner.forward(&call).await,
            };
            if let Err(Fault::Answered(error)) = &ended
                && asked_the_old_way(error)
            {
                legs.learn(&inner.name, &call);
            }
            ended
        })
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        let (inner, caller) = (self.inner.clone(), caller.clone());
        Box::pin(async move { inner.describe(&caller).await })
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        let (inner, caller) = (self.inner.clone(), caller.clone());
        if let Some(tools) = inner.view(&caller).tools(inner.catalog.epoch(&Method::ToolsList)) {
            let headers = tools.find(tool).map(|tool| tool.map(|t| t.headers.clone()));
            return Box::pin(std::future::ready(headers));
        }
        let tool = tool.to_owned();
        Box::pin(async move { Ok(inner.tool(&caller, &tool, &[]).await?.map(|t| t.headers)) })
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        // These belong to the hop: the upstream session has its own.
        if matches!(&*notification.method, notification::INITIALIZED | notification::CANCELLED) {
            return;
        }
        // Only a client's own session may be told what that client says about itself.
        if !caller.scope.is_session() || self.inner.share == Share::Everybody {
            return;
        }
        if notification.method == notification::ROOTS_CHANGED && !caller.capabilities.announces_roots() {
            return;
        }
        let ready = self.inner.pool.ready(caller).map(|opened| opened.session);
        if let Some(session) = ready.filter(|s| !s.revision().is_modern()) {
            let plan = Plan::between(caller.revision, session.revision());
            let params = plan.notification(&notification.method, notification.params);
            session.notify(Notification { method: notification.method, params });
        }
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        if !caller.scope.is_session() {
            return Box::pin(std::future::ready(()));
        }
        self.inner.changes.client(caller);
        let inner = self.inner.clone();
        Box::pin(async move { inner.attend().await })
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        let (inner, caller) = (self.inner.clone(), caller.clone());
        Box::pin(async move { inner.listen(&caller, filter).await })
    }

    fn health(&self) -> Health {
        self.inner.connector.health()
    }

    fn link(&self) -> Link {
        Link { transport: self.inner.connector.transport(), revision: self.inner.catalog.spoken() }
    }
}

impl Inner {
    /// The caller's session, opened where it is not.
    pub(super) async fn session(&self, caller: &Arc<Caller>) -> Result<Arc<dyn Session>, Fault> {
        self.opened(caller).await.map(|opened| opened.session)
    }

    /// The same with what is kept beside it.
    async fn opened(&self, caller: &Arc<Caller>) -> Result<Opened, Fault> {
        let outside = |key: Option<&Key>| {
            let topics = self.topics(key, caller);
            Outside::of(caller, key.is_some_and(Key::is_own), &self.changes, topics)
        };
        let opened = self.pool.session(caller, outside).await?;
        self.catalog.speaks(opened.session.revision());
        Ok(opened)
    }

    fn view(&self, caller: &Arc<Caller>) -> Arc<View> {
        let own = caller.scope.is_session() && self.pool.ready(caller).is_some();
        self.catalog.view(caller, own)
    }

    async fn describe(&self, caller: &Arc<Caller>) -> Result<Arc<Description>, Fault> {
        if let Some(description) = self.view(caller).description() {
            return Ok(description);
        }
        let session = self.session(caller).await?;
        let plan = Plan::between(caller.revision, session.revision());
        let server = session.description();
        let capabilities = plan.capabilities(server.capabilities.clone());
        let description = Arc::new(Description { capabilities, ..(*server).clone() });
        let ttl = session.description_ttl_ms().map_or(DESCRIBED, Duration::from_millis);
        // Kept for everybody who would see the same, and for the session that is open now.
        self.catalog.view(caller, false).keep_description(&description, ttl);
        self.view(caller).keep_description(&description, ttl);
        Ok(description)
    }

    /// What is known about a tool, its list fetched where nothing is known.
    async fn tool(&self, caller: &Arc<Caller>, name: &str, headers: &[Header]) -> Result<Option<Tool>, Fault> {
        let view = self.view(caller);
        let tools = match view.tools(self.catalog.epoch(&Method::ToolsList)) {
            Some(tools) => tools,
            None => {
                if !self.describe(caller).await?.offers(Family::Tools) {
                    return Ok(None);
                }
                // What is listed under a client's own headers is not for others.
                let own = if headers.is_empty() { view.clone() } else { Arc::default() };
                let (method, life) = (&Method::ToolsList, &Life::default());
                self.fetch(&Wanted { caller, method, member: "tools", life, headers }, &own).await?;
                let epoch = self.catalog.epoch(&Method::ToolsList);
                let Some(tools) = own.tools(epoch) else { return Ok(None) };
                view.keep_tools(epoch, tools.clone());
                tools
            }
        };
        Ok(tools.find(name)?.cloned())
    }

    async fn forward(self: &Arc<Self>, call: &Call) -> Result<Outcome, Fault> {
        let opened = self.opened(&call.caller).await?;
        watch_lists::start(self, &opened.session);
        let ended = match self.forward_to(&opened, call).await {
            // The server speaks the other era by now and has run nothing: in that era the call is sent once more.
            Err(fault) if has_changed(&opened.session, &fault) && matches!(call.attempt, Attempt::First) => {
                let opened = self.opened(&call.caller).await?;
                self.forward_to(&opened, call).await
            }
            ended => ended,
        };
        self.lingers(&call.caller, opened.session);
        ended
    }

    async fn forward_to(self: &Arc<Self>, opened: &Opened, call: &Call) -> Result<Outcome, Fault> {
        let Opened { session, beside } = opened;
        if matches!(call.method, Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) {
            return self.subscribing(opened, call).await;
        }
        let plan = Plan::between(call.caller.revision, session.revision());
        if !call.method.exists_in(session.revision().era()) {
            return match &call.method {
                // The level is the session's downstream; a modern server hears of it with each request.
                Method::SetLevel | Method::Ping => Ok(Outcome::Complete(Raw::constant("{}"))),
                method => Err(Fault::method_not_found(method.as_str())),
            };
        }
        let is_shared = !session.revision().is_modern() && !self.is_own(&call.caller);
        if is_shared && call.method == Method::SetLevel {
            // What one of several wants goes with each of its requests.
            return Ok(Outcome::Complete(Raw::constant("{}")));
        }
        let named = match call.method {
            Method::ToolsCall => call.params.get("name").and_then(Raw::as_text),
            _ => None,
        };
        let own = own_headers(call);
        let tool = match &named {
            Some(name) if session.mirrors_headers() || plan.crosses_eras() => {
                self.tool(&call.caller, name, &own).await?
            }
            _ => None,
        };
        if is_shared && call.caller.answers == Answering::Retry && call.method.may_ask() {
            self.adopt_roots(call, opened, plan).await;
        }
        let _wish = match is_shared {
            true => self.wish(call, opened).await,
            false => None,
        };
        let sent = self.send_visiting(call, session, beside, plan, tool.as_ref()).await;
        let disputed = |sent: &Result<_, Fault>| matches!(sent, Err(Fault::Answered(e)) if is_disputed(session, e));
        if !disputed(&sent) {
            return sent;
        }
        // The server did not run it: it knows other annotations than we do. Once more with what it lists now.
        let retried = match &named {
            Some(name) => {
                self.view(&call.caller).forget_tools();
                let tool = self.tool(&call.caller, name, &own).await?;
                self.send(call, session, beside, plan, tool.as_ref()).await
            }
            None => sent,
        };
        if disputed(&retried) {
            let message = "the server says that the headers do not match the body; something between may change them";
            return Err(Fault::upstream(Reason::UpstreamHeaderMismatch, &self.name, message));
        }
        retried
    }

    async fn send(
        &self,
        call: &Call,
        session: &Arc<dyn Session>,
        beside: &Arc<Beside>,
        plan: Plan,
        tool: Option<&Tool>,
    ) -> Result<Outcome, Fault> {
        let modern = session.revision().is_modern();
        let uri = match call.method {
            Method::ResourcesRead => call.params.get("uri").and_then(Raw::as_text).map(std::borrow::Cow::into_owned),
            _ => None,
        };
        let server = session.description();
        let mut params = call.params.clone();
        plan.request(&call.method, &mut params, &self.envelope(&call.caller, &server));
        if let (true, Attempt::Answers { responses, state }) = (modern, &call.attempt) {
            if !responses.is_empty() {
                params.set("inputResponses", responses.to_raw());
            }
            if let Some(RequestState(state)) = state {
                params.set("requestState", state.clone());
            }
        }
        let outgoing = Outgoing {
            method: call.method.clone(),
            headers: travelling(call, session, tool, &params),
            params,
            peer: match modern || self.is_own(&call.caller) {
                true => Translated::peer(plan, call.peer.clone()),
                false => beside.around_call(Translated::peer(plan, call.peer.clone())),
            },
            capabilities: match self.share {
                Share::Everybody if !modern => ClientCapabilities::default(),
                _ => call.caller.capabilities.clone(),
            },
            life: call.life.clone(),
        };
        let facts = Facts {
            server_info: server.server_info.as_ref(),
            http: session.mirrors_headers(),
            uri: uri.as_deref(),
            wrapped_output: tool.is_some_and(|t| t.wrapped),
            capabilities: Some(&call.caller.capabilities),
            upstream: Some(&self.name),
            ..Facts::default()
        };
        let ended = match session.call(outgoing).await {
            // In its era there is no error for that: it gets what the server said.
            Err(Fault::Undeclared { cause, .. }) if !call.caller.revision.is_modern() => Err(Fault::Answered(cause)),
            ended => ended,
        };
        match ended {
            Ok(result) if modern => self.modern_outcome(call, &server, plan, &facts, result),
            Ok(result) => Ok(Outcome::Complete(legacy_result(&call.method, plan, &facts, result))),
            Err(Fault::Answered(error)) if is_disputed(session, &error) || asks_for_visits(call, session, &error) => {
                Err(Fault::Answered(error))
            }
            Err(Fault::Answered(error)) => match plan.error_as_result(&call.method, &error) {
                Some(result) => Ok(Outcome::Complete(result.to_raw())),
                None => Err(Fault::Answered(plan.error(&call.method, error, &facts))),
            },
            Err(fault) => Err(fault),
        }
    }

    fn modern_outcome(
        &self,
        call: &Call,
        server: &Description,
        plan: Plan,
        facts: &Facts<'_>,
        result: Raw,
    ) -> Result<Outcome, Fault> {
        let broken = |what: &str| Err(Fault::upstream(Reason::UpstreamProtocol, &self.name, what));
        let Some(mut object) = result.to_object() else { return broken("the result is not an object") };
        let kind = object.get("resultType").and_then(Raw::as_text).map(std::borrow::Cow::into_owned);
        match kind.as_deref() {
            // How long it may be kept is checked even where nothing else is touched.
            Some("complete") if plan.is_empty() && !call.method.is_cacheable() => Ok(Outcome::Complete(result)),
            Some("complete") => Ok(Outcome::Complete(plan.result(&call.method, object, facts).to_raw())),
            // Required, but a server that forgets it means that it is done.
            None => {
                tracing::debug!(mount = &*self.name, method = %call.method, "a modern result without resultType");
                object.set("resultType", Raw::from("complete"));
                Ok(Outcome::Complete(plan.result(&call.method, object, facts).to_raw()))
            }
            Some("input_required") => {
                let requests = object.get_object("inputRequests").unwrap_or_default();
                let state = object.get("requestState").filter(|s| !s.is_null()).cloned().map(RequestState);
                if !call.method.may_ask() {
                    return broken("it asks for input where the protocol does not let it");
                }
                if requests.is_empty() && state.is_none() {
                    return broken("it asks for input without saying which");
                }
                Ok(Outcome::NeedsInput { requests: questions(plan, requests), state })
            }
            Some("task") if plan.is_empty() => Ok(Outcome::Task(result)),
            Some(_) if plan.is_empty() && shares_extension(&call.caller, server) => Ok(Outcome::Complete(result)),
            Some(_) => broken("it answered with a kind of result that the client does not know"),
        }
    }

    /// The envelope of a request to `server`. A legacy client that never chose a level gets log messages from `info` on
    /// where the server logs: in its era servers may log unasked.
    fn envelope<'a>(&'a self, caller: &'a Caller, server: &Description) -> Envelope<'a> {
        let logs = !caller.revision.is_modern() && server.offers(Family::Logging);
        Envelope {
            client_info: caller.client_info.as_ref(),
            capabilities: &caller.capabilities,
            log_level: caller.log_level.as_ref().or(logs.then_some(&self.unasked_level)),
            tasks: false,
            ours: &[],
        }
    }
}

/// Whether a modern server disputes the headers of a request. It has not run it then.
fn is_disputed(session: &Arc<dyn Session>, error: &ErrorObject) -> bool {
    session.revision().is_modern() && error.code == code::HEADER_MISMATCH
}

/// A result of a legacy server. What names no `resultType` and crosses nothing is passed on as it is.
fn legacy_result(method: &Method, plan: Plan, facts: &Facts<'_>, result: Raw) -> Raw {
    let foreign = memchr::memmem::find(result.as_bytes(), b"\"resultType\"").is_some();
    if plan.is_empty() && !foreign {
        return result;
    }
    let Some(mut object) = result.to_object() else { return result };
    if foreign {
        object.remove("resultType");
    }
    plan.result(method, object, facts).to_raw()
}

/// The questions of a modern server in the shape of the client's revision.
fn questions(plan: Plan, requests: RawObject) -> RawObject {
    if plan.is_empty() {
        return requests;
    }
    let mut translated = RawObject::new();
    for (key, request) in requests.iter() {
        let mut request = request.to_object().unwrap_or_default();
        let method = request.get("method").and_then(Raw::as_text).unwrap_or_default().into_owned();
        match plan.question(&method, request.get_object("params"), fresh_elicitation_id) {
            Some(params) => request.set("params", params.to_raw()),
            None => drop(request.remove("params")),
        }
        translated.set(&key, request.to_raw());
    }
    translated
}

/// Whether a session failed because its server speaks another revision by now.
fn has_changed(session: &Arc<dyn Session>, fault: &Fault) -> bool {
    fault.reason() == Some(Reason::UpstreamVersion) && !session.is_open()
}

fn shares_extension(caller: &Caller, server: &Description) -> bool {
    let offered = server.capabilities.get_object("extensions").unwrap_or_default();
    offered.iter().any(|(name, _)| caller.capabilities.extends(&name))
}

/// The plan for requests that the gateway itself words: they have no envelope yet.
fn own_words(server: Revision) -> Plan {
    Plan::between(Revision::NEWEST_LEGACY, server)
}
