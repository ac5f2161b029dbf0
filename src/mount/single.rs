//! A mount in front of one server.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tokio_util::sync::DropGuard;

use crate::{
    hub::{
        Attempt, BoxFuture, Call, Caller, Description, Fault, Filter, Health, Life, Link, Listening, Mount, Outcome,
        Reason,
    },
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{
        Family, Method,
        headers::{self, ToolHeaders},
        ladder::{Envelope, Plan},
        method::notification,
        tasks::offered_by_legacy,
    },
    seal::Sealer,
    upstream::{Connector, Session},
};

mod lists;
mod sending;
mod tasks;
mod travelling;

use lists::Wanted;
use sending::Hop;
use travelling::{Header, own_headers};

use super::{
    catalog::{Catalog, Tool, View},
    listens::Listens,
    outside::Outside,
    pages::Snapshots,
    pool::{Pool, Share},
    tasks::{Tasking, Tasks},
    translate::own_words,
};

/// How long a description is kept where the server does not say.
const DESCRIBED: Duration = Duration::from_secs(300);

/// A mount in front of one server. Cloning shares it.
#[derive(Clone)]
pub struct Single {
    inner: Arc<Inner>,
    forwards: Arc<[HeaderName]>,
    /// Ends the work on tasks when the last handle is gone.
    closing: Arc<DropGuard>,
}

struct Inner {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    pool: Pool,
    share: Share,
    catalog: Arc<Catalog>,
    listens: Arc<Listens>,
    snapshots: Snapshots,
    tasks: Arc<Tasks>,
    sealer: Arc<Sealer>,
    /// The level from which on a legacy client is told about log messages that it did not ask for.
    unasked_level: Raw,
}

impl Single {
    /// Mounts the server behind `connector` as `name`.
    #[must_use]
    pub fn new(name: &str, connector: Arc<dyn Connector>, share: Share, sealer: Arc<Sealer>) -> Self {
        let inner = Inner {
            name: name.into(),
            pool: Pool::new(connector.clone(), share),
            share,
            connector,
            catalog: Arc::default(),
            listens: Arc::default(),
            snapshots: Snapshots::default(),
            tasks: Tasks::new(name.into(), sealer.clone(), Tasking::default()),
            sealer,
            unasked_level: Raw::from("info"),
        };
        let closing = Arc::new(inner.tasks.closing().drop_guard());
        Self { inner: Arc::new(inner), forwards: Arc::default(), closing }
    }

    /// Treats tasks so. For a mount that nobody uses yet.
    #[must_use]
    pub fn tasking(mut self, tasking: Tasking) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.tasks = Tasks::new(inner.name.clone(), inner.sealer.clone(), tasking);
            self.closing = Arc::new(inner.tasks.closing().drop_guard());
        }
        self
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
        let inner = self.inner.clone();
        Box::pin(async move {
            match call.method.list_member() {
                Some(member) => inner.list(&call, member).await,
                None if call.method.is_about_tasks() => inner.about_task(&call).await,
                None => inner.forward(&call).await,
            }
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
        if !caller.scope.is_session() {
            return;
        }
        if let Some(session) = self.inner.pool.ready(caller).filter(|s| !s.revision().is_modern()) {
            let plan = Plan::between(caller.revision, session.revision());
            let params = plan.notification(&notification.method, notification.params);
            session.notify(Notification { method: notification.method, params });
        }
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        let (inner, caller) = (self.inner.clone(), caller.clone());
        Box::pin(async move {
            let session = inner.session(&caller).await?;
            let named = inner.tasks.named(&caller, &filter);
            if session.revision().is_modern() {
                let filter = named.for_server(&filter);
                let mut params = RawObject::from([("notifications", filter.0.to_raw())]);
                let server = session.description();
                let envelope = inner.envelope(&caller, &server);
                own_words(session.revision()).request(&Method::Listen, &mut params, &envelope);
                let listening = named.renamed(session.listen(params).await?);
                return Ok(inner.catalog.clone().overhear(listening));
            }
            let server = session.description();
            let listening = inner.listens.add(&filter, &server, session);
            let full = || Fault::upstream(Reason::Limit, &inner.name, "too many subscriptions, close some first");
            Ok(named.beside(caller, listening.ok_or_else(full)?))
        })
    }

    fn health(&self) -> Health {
        self.inner.connector.health()
    }

    fn link(&self) -> Link {
        Link { transport: self.inner.connector.transport(), revision: self.inner.catalog.spoken() }
    }
}

impl Inner {
    async fn session(&self, caller: &Arc<Caller>) -> Result<Arc<dyn Session>, Fault> {
        let tasks = || (Arc::downgrade(&self.tasks), self.pool.key(caller));
        let outside = || Outside::of(caller, &self.catalog, &self.listens, tasks());
        let session = self.pool.session(caller, outside).await?;
        self.catalog.speaks(session.revision());
        Ok(session)
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
        let mut capabilities = plan.capabilities(server.capabilities.clone());
        if plan.crosses_eras() {
            only_what_is_bridged(plan, &mut capabilities);
        }
        self.advertise_tasks(caller, &server, plan, &mut capabilities);
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
        let session = self.session(&call.caller).await?;
        match self.forward_to(&session, call).await {
            // The server speaks the other era by now and has run nothing: in that era the call is sent once more.
            Err(fault) if has_changed(&session, &fault) && matches!(call.attempt, Attempt::First) => {
                let session = self.session(&call.caller).await?;
                self.forward_to(&session, call).await
            }
            ended => ended,
        }
    }

    async fn forward_to(self: &Arc<Self>, session: &Arc<dyn Session>, call: &Call) -> Result<Outcome, Fault> {
        let plan = Plan::between(call.caller.revision, session.revision());
        if !call.method.exists_in(session.revision().era()) {
            return match &call.method {
                // The level is the session's downstream; a modern server hears of it with each request.
                Method::SetLevel | Method::Ping => Ok(Outcome::Complete(Raw::constant("{}"))),
                method => Err(Fault::method_not_found(method.as_str())),
            };
        }
        let named = match call.method {
            Method::ToolsCall => call.params.get("name").and_then(Raw::as_text),
            _ => None,
        };
        let own = own_headers(call);
        let tool = match &named {
            Some(name) if session.mirrors_headers() || plan.crosses_eras() || runs_tasks(session) => {
                self.tool(&call.caller, name, &own).await?
            }
            _ => None,
        };
        self.call_or_task(Hop { call, session, plan, name: named.as_deref(), tool: tool.as_ref() }).await
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

/// Takes back what a server offers and nobody carries across the eras: updates of single resources, and towards legacy
/// clients the announcements of list changes.
fn only_what_is_bridged(plan: Plan, capabilities: &mut RawObject) {
    for family in [Family::Tools, Family::Prompts, Family::Resources] {
        let Some(mut own) = capabilities.get_object(family.as_str()) else { continue };
        own.remove("subscribe");
        if !plan.client.is_modern() {
            own.remove("listChanged");
        }
        capabilities.set(family.as_str(), own.to_raw());
    }
}

/// Whether a session failed because its server speaks another revision by now.
fn has_changed(session: &Arc<dyn Session>, fault: &Fault) -> bool {
    fault.reason() == Some(Reason::UpstreamVersion) && !session.is_open()
}

/// Whether a legacy server runs tools as tasks, so that has to be known which.
fn runs_tasks(session: &Arc<dyn Session>) -> bool {
    !session.revision().is_modern() && offered_by_legacy(&session.description().capabilities)
}
