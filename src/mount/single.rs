//! A mount in front of one server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use http::HeaderName;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    hub::{
        BoxFuture, Call, Caller, Counts, Credentials, Description, Fault, Filter, Health, Holding, Link, Listening,
        Mount, Outcome, Peer, Principal,
    },
    jsonrpc::{Notification, Raw},
    limits::ServerLimits,
    protocol::{
        Family, Loss, Method, Revision,
        headers::{self, ToolHeaders},
        ladder::Plan,
        method::notification,
        tasks::TASK_ID,
    },
    seal::Sealer,
    upstream::{Connector, Session},
};

mod forwarding;
mod holding;
mod legs;
mod lists;
mod marks;
mod sending;
mod shared;
mod states;
mod subscriptions;
mod tasks;
mod travelling;
mod unheard;
mod visits;

use forwarding::has_changed;
use legs::{Legs, asked_the_old_way};
use lists::Wanted;
use travelling::{Header, is_special, own_headers};

use super::{
    catalog::{Catalog, Tool, View},
    changes::{Parties, topics::Topics},
    outside::Outside,
    pages::Snapshots,
    pool::{Key, Opened, Pool},
    tasks::{Handle, Kind, Tasks},
    terms::Terms,
};

/// A mount in front of one server. Cloning shares it.
#[derive(Clone)]
pub struct Single {
    inner: Arc<Inner>,
    legs: Arc<Legs>,
    /// Ends whatever goes on at this mount without a call, when the last handle is gone.
    _closed: Arc<DropGuard>,
}

pub(super) struct Inner {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    counts: Arc<Counts>,
    pool: Pool,
    terms: Terms,
    limits: ServerLimits,
    catalog: Arc<Catalog>,
    pub(super) parties: Arc<Parties>,
    /// What is subscribed to in each session of a legacy server.
    topics: Mutex<HashMap<Key, Weak<Topics>>>,
    /// Who listens for those who share no session, by what they send along.
    observers: Mutex<HashMap<Credentials, Weak<Caller>>>,
    /// Fires when nobody can reach the mount any more: what goes on at it without a call holds the mount itself.
    pub(super) closing: CancellationToken,
    snapshots: Snapshots,
    tasks: Arc<Tasks>,
    sealer: Arc<Sealer>,
    /// The level from which on a legacy client is told about log messages that it did not ask for.
    unasked_level: Raw,
}

impl Single {
    /// Mounts the server behind `connector` as `name`.
    #[must_use]
    pub fn new(name: &str, connector: Arc<dyn Connector>, terms: impl Into<Terms>, sealer: Arc<Sealer>) -> Self {
        let (terms, closing): (Terms, _) = (terms.into(), CancellationToken::new());
        let tasks = Tasks::new(name.into(), sealer.clone(), terms.tasking, closing.clone());
        Self::with_tasks(name, connector, terms, sealer, (tasks, closing, Counts::new(name.into())))
    }

    fn with_tasks(
        name: &str,
        connector: Arc<dyn Connector>,
        mut terms: Terms,
        sealer: Arc<Sealer>,
        (tasks, closing, counts): (Arc<Tasks>, CancellationToken, Arc<Counts>),
    ) -> Self {
        terms.forward_headers.retain(headers::may_forward);
        let (catalog, limits) = (Arc::<Catalog>::default(), terms.limits.unwrap_or_default());
        let inner = Inner {
            name: name.into(),
            pool: Pool::new(connector.clone(), &terms, limits, closing.clone()),
            terms,
            limits,
            connector,
            counts,
            parties: Parties::new(catalog.clone(), Caller::gateway(Principal::new("gateway"))),
            catalog,
            topics: Mutex::default(),
            observers: Mutex::default(),
            tasks,
            closing: closing.clone(),
            snapshots: Snapshots::new(limits.page, limits.page_size),
            sealer,
            unasked_level: Raw::from("info"),
        };
        Self { inner: Arc::new(inner), legs: Arc::default(), _closed: Arc::new(closing.drop_guard()) }
    }

    /// The same server in the legacy era. The tasks of both are the same, and they count together.
    fn legacy(&self) -> Option<Self> {
        let inner = &self.inner;
        let connector = inner.connector.legacy()?;
        let (terms, sealer) = (inner.terms.clone(), inner.sealer.clone());
        let tasks = (inner.tasks.clone(), CancellationToken::new(), inner.counts.clone());
        Some(Self::with_tasks(&inner.name, connector, terms, sealer, tasks))
    }

    /// The same, counting together with `other`. For a mount that nobody uses yet.
    pub(super) fn counting_with(mut self, other: &Self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.counts = other.inner.counts.clone();
        }
        self
    }

    /// The way on which the task was made that a request is about, if not on this one.
    fn other_of_task(&self, call: &Call) -> Option<&Self> {
        let other = self.legs.made()?;
        let (handle, _) = self.inner.tasks.open(&call.caller.principal, call.params.get(TASK_ID)).ok()?;
        matches!(handle, Handle { kind: Kind::Passed, .. }).then_some(other)
    }

    /// A caller as the server knows it: one that is not there over HTTP is sent no headers, and need not tell callers apart
    /// by them.
    fn known_as(&self, caller: &Arc<Caller>) -> Arc<Caller> {
        match self.inner.connector.transport() {
            HTTP => caller.clone(),
            _ => caller.clone().sending(&Credentials::default()),
        }
    }
}

impl std::fmt::Debug for Single {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Single").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

/// [`Connector::transport`] of a server over HTTP.
const HTTP: &str = "http";

impl Mount for Single {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn forwards(&self) -> &[HeaderName] {
        &self.inner.terms.forward_headers
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        self.inner.passes_state(&self.known_as(caller))
    }

    fn call(&self, mut call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        call.caller = self.known_as(&call.caller);
        let call = self.refined(call);
        let other = match call.method.is_about_tasks() {
            true => self.other_of_task(&call),
            false => self.legs.other(&call, || self.legacy()),
        };
        if let Some(other) = other {
            return other.call(call);
        }
        self.inner.meet(&call.caller);
        call.life.count_in(&self.inner.counts);
        let (inner, legs) = (self.inner.clone(), self.legs.clone());
        Box::pin(async move {
            let ended = match call.method.list_member() {
                Some(member) => inner.list(&call, member).await,
                None if call.method.is_about_tasks() => inner.about_task(&call).await,
                None => inner.forward(&call).await,
            };
            if let Err(Fault::Answered(error)) = &ended
                && asked_the_old_way(error)
            {
                inner.counts.lost(Loss::LegacyQuestion);
                legs.learn(&inner.name, &call);
            }
            ended
        })
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        let (inner, caller) = (self.inner.clone(), self.known_as(caller));
        Box::pin(async move { inner.describe(&caller).await })
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        let (inner, caller) = (self.inner.clone(), self.known_as(caller));
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
        // Only a client's own session may be told what that client says about itself. What no revision defines may mean
        // something to those who have a pipe between them: over HTTP no modern server expects a notification.
        let may_mean_something = caller.revision.is_modern()
            && !notification::is_defined(&notification.method)
            && self.inner.connector.transport() != HTTP;
        if !caller.scope.is_session() && !may_mean_something {
            return;
        }
        if notification.method == notification::ROOTS_CHANGED && !caller.capabilities.announces_roots() {
            return;
        }
        let ready = self.inner.pool.ready(&self.known_as(caller));
        let Some(session) = ready.map(|opened| opened.session) else { return };
        let is_heard = match session.revision().is_modern() {
            true => may_mean_something,
            false => !self.inner.terms.share.is_everybodys(),
        };
        if is_heard {
            let plan = Plan::between(caller.revision, session.revision());
            let params = plan.notification(&notification.method, notification.params);
            session.notify(Notification { method: notification.method, params });
        }
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        if !caller.scope.is_session() {
            return Box::pin(std::future::ready(()));
        }
        let (inner, caller) = (self.inner.clone(), self.known_as(caller));
        inner.parties.client(&caller);
        Box::pin(async move { inner.attend(&caller).await })
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        let (inner, caller) = (self.inner.clone(), self.known_as(caller));
        Box::pin(async move { inner.listen(&caller, filter).await })
    }

    fn health(&self) -> Health {
        self.inner.connector.health()
    }

    fn link(&self) -> Link {
        Link { transport: self.inner.connector.transport(), revision: self.inner.catalog.spoken() }
    }

    fn counts(&self) -> Option<&Arc<Counts>> {
        Some(&self.inner.counts)
    }

    fn holding(&self) -> Holding {
        self.held()
    }
}

impl Inner {
    /// The caller's session, opened where it is not.
    pub(super) async fn session(&self, caller: &Arc<Caller>) -> Result<Arc<dyn Session>, Fault> {
        self.opened(caller).await.map(|opened| opened.session)
    }

    /// The same with what is kept beside it.
    async fn opened(&self, caller: &Arc<Caller>) -> Result<Opened, Fault> {
        let opened = self.pool.session(caller, &self.counts, |key| self.outside(key, caller)).await?;
        self.catalog.speaks(opened.session.revision());
        Ok(opened)
    }

    /// Who hears what belongs to no call in a session that is opened for `caller`.
    fn outside(&self, key: Option<&Key>, caller: &Caller) -> Arc<dyn Peer> {
        let topics = self.topics(key, caller);
        let tasks = (Arc::downgrade(&self.tasks), key.cloned());
        // The server's revision is not known yet. Those of the legacy era differ in no message of this kind.
        let own = key.is_some_and(Key::is_own).then(|| self.plan(caller, Revision::NEWEST_LEGACY));
        Outside::of(caller, own, &self.parties, (topics, self.counts.clone()), tasks)
    }

    fn view(&self, caller: &Arc<Caller>) -> Arc<View> {
        let own = caller.scope.is_session() && self.pool.ready(caller).is_some();
        self.catalog.view(caller, own, self.is_public())
    }

    async fn describe(&self, caller: &Arc<Caller>) -> Result<Arc<Description>, Fault> {
        if let Some(description) = self.view(caller).description() {
            return Ok(description);
        }
        let (session, server) = self.described(caller).await?;
        let plan = self.plan(caller, session.revision());
        let mut capabilities = plan.capabilities(server.capabilities.clone());
        self.advertise_tasks(caller, &server, plan, &mut capabilities);
        for kind in self.polled(&server).each() {
            let family = kind.family().as_str();
            let mut offered = capabilities.get_object(family).unwrap_or_default();
            offered.set("listChanged", Raw::constant("true"));
            capabilities.set(family, offered.to_raw());
        }
        let server_info = server.server_info.clone().map(|info| plan.server_info(info));
        let own = Description { capabilities, server_info, public: self.is_public(), ..(*server).clone() };
        let description = Arc::new(own);
        let ttl =
            server.until.map_or(self.limits.description_kept, |until| until.saturating_duration_since(Instant::now()));
        // Kept for everybody who would see the same, and for the session that is open now.
        self.catalog.view(caller, false, self.is_public()).keep_description(&description, ttl);
        self.view(caller).keep_description(&description, ttl);
        Ok(description)
    }

    /// The caller's session, and what its server says about itself by now.
    async fn described(&self, caller: &Arc<Caller>) -> Result<(Arc<dyn Session>, Arc<Description>), Fault> {
        let session = self.session(caller).await?;
        match session.describe().await {
            Err(fault) if has_changed(&session, &fault) => {
                let session = self.session(caller).await?;
                let server = session.describe().await?;
                Ok((session, server))
            }
            described => described.map(|server| (session, server)),
        }
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
                // What is listed under other headers than those that the caller is known by is not for others.
                let is_special = !headers.is_empty() && is_special(caller, headers);
                let own = if is_special { Arc::default() } else { view.clone() };
                let (method, life) = (&Method::ToolsList, &self.counts.life());
                self.fetch(&Wanted { caller, method, member: "tools", life, headers, cause: None, words: None }, &own)
                    .await?;
                let epoch = self.catalog.epoch(&Method::ToolsList);
                let Some(tools) = own.tools(epoch) else { return Ok(None) };
                view.keep_tools(epoch, tools.clone());
                tools
            }
        };
        Ok(tools.find(name)?.cloned())
    }
}
