//! What a mount does, whatever is behind it.

use std::{ops::Add, pin::Pin, sync::Arc, time::Duration};

use http::HeaderName;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    jsonrpc::{Kind, Notification, Raw, RawObject},
    protocol::{Family, Revision, headers::ToolHeaders, meta},
};

use super::{Call, Caller, Counts, Fault, Outcome};

/// A future on the heap, sent between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Who a mount is and what it offers, in the shape of the caller's revision.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// `Implementation` of the server, where it gave one.
    pub server_info: Option<Raw>,
    /// The server's capabilities.
    pub capabilities: RawObject,
    /// What the server wants a model to know about it.
    pub instructions: Option<Raw>,
    /// Whether it is the same for everybody, by the word of the operator.
    pub public: bool,
    /// Until when it holds, where the server says so.
    pub until: Option<Instant>,
    /// What the server said beside that, and what nobody here knows the meaning of; `_meta` is part of it, without what belongs
    /// to one hop.
    pub more: RawObject,
}

/// What has a meaning here of an answer to `initialize` or `server/discover`.
const KNOWN: [&str; 8] = [
    "protocolVersion",
    "supportedVersions",
    "capabilities",
    "serverInfo",
    "instructions",
    "resultType",
    "ttlMs",
    "cacheScope",
];

/// The longest that a description is taken to hold, whatever the server says.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Description {
    /// What a server says about itself in its answer to `initialize`.
    pub(crate) fn of_handshake(result: &RawObject) -> Self {
        Self::read(result, result.get("serverInfo"))
    }

    /// What a server says about itself in its answer to `server/discover`.
    pub(crate) fn of_discovery(result: &RawObject) -> Self {
        let info = meta::get(result, meta::SERVER_INFO).or_else(|| result.get("serverInfo").cloned());
        let ttl = result.get("ttlMs").and_then(|ttl| ttl.parse().ok()).map(Duration::from_millis);
        let until = ttl.map(|ttl| Instant::now() + ttl.min(LONGEST));
        Self { until, ..Self::read(result, info.as_ref()) }
    }

    /// What is not as the schemas have it is left out: there are clients that would refuse the whole answer for it.
    fn read(result: &RawObject, server_info: Option<&Raw>) -> Self {
        Self {
            server_info: server_info.and_then(implementation),
            capabilities: result.get_object("capabilities").unwrap_or_default(),
            instructions: result.get("instructions").filter(|text| text.kind() == Kind::String).cloned(),
            public: false,
            until: None,
            more: unknown(result),
        }
    }

    /// Whether a family of features is advertised.
    #[must_use]
    pub fn offers(&self, family: Family) -> bool {
        self.capabilities.has(family.as_str())
    }
}

/// The members of an answer that have no meaning here.
fn unknown(result: &RawObject) -> RawObject {
    let mut more = result.clone();
    more.retain(|name| !KNOWN.contains(&name));
    match meta::of(&more) {
        Some(_) => meta::edit(&mut more, |keys| keys.retain(|key| !meta::HOP_LOCAL.contains(&key))),
        None => drop(more.remove(meta::META)),
    }
    more
}

/// Who a server is, where it says so by name. The version, which the schemas want as well, is made up for.
fn implementation(info: &Raw) -> Option<Raw> {
    let mut object = info.to_object()?;
    let is_text = |object: &RawObject, name: &str| object.get(name).is_some_and(|value| value.kind() == Kind::String);
    if !is_text(&object, "name") {
        return None;
    }
    if is_text(&object, "version") {
        return Some(info.clone());
    }
    object.set("version", Raw::from("0"));
    Some(object.to_raw())
}

/// Which change notifications a listener wants (2026-07-28, basic/utilities/subscriptions): the `notifications` object of
/// `subscriptions/listen`, or what of it is honoured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(pub RawObject);

/// A subscription that runs until it is dropped.
#[derive(Debug)]
pub struct Listening {
    /// What will be delivered.
    pub honoured: Filter,
    /// What happens, without the subscription id. The end of the channel is the end of the subscription.
    pub events: mpsc::Receiver<Notification>,
}

/// Whether a mount can be used right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was tried yet.
    Unknown,
    /// The last contact was fine.
    Up,
    /// It was not; says why, for people.
    Down(String),
}

/// How a mount reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The transport, in one word: `http`, `stdio`, `in-process`, or `none` where it cannot be reached at all.
    pub transport: &'static str,
    /// What the server was last known to speak.
    pub revision: Option<Revision>,
}

/// What a mount holds at the moment beside the calls that run. All of it is let go of in time when nobody comes any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Sessions with the server that others may use, and clients' own: in use, idle, or being opened.
    pub sessions: usize,
    /// Clients that are told of changes: sessions of legacy ones, and subscriptions of modern ones.
    pub listeners: usize,
    /// Resources that are subscribed to at a legacy server, those included that nobody has wanted since a moment ago.
    pub resources: usize,
    /// Tasks that have not lived as long as they may.
    pub tasks: usize,
}

impl Add for Holding {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            listeners: self.listeners + other.listeners,
            resources: self.resources + other.resources,
            tasks: self.tasks + other.tasks,
        }
    }
}

/// One MCP endpoint in front of one or several servers.
pub trait Mount: Send + Sync + 'static {
    /// Its name, as in `/mcp/{name}`.
    fn name(&self) -> &str;

    /// The headers of a client's request that travel with its calls; none, unless the operator names some.
    fn forwards(&self) -> &[HeaderName] {
        &[]
    }

    /// Whether what its server wants echoed may go to this caller and back as it is
    /// ([`RequestState::Bare`](super::RequestState::Bare)): where the server is shown who the caller is, and tells by itself
    /// whose state it is. Otherwise every state is sealed, and nothing else is taken for one.
    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        let _ = caller;
        false
    }

    /// Passes a call on. Dropping the future abandons the call.
    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>>;

    /// Who the mount is, for this caller.
    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>>;

    /// The arguments of a tool that its callers have to mirror in headers; `None` for a tool that nobody knows.
    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>>;

    /// Passes on what a client says without wanting an answer.
    fn notify(&self, caller: &Arc<Caller>, notification: Notification);

    /// A client's own session begins: until its scope ends, its peer hears of changes of the lists. Done when nothing that
    /// changes from now on is missed, or when that takes too long to wait for. Callers without a session of their own are
    /// told nothing here; they use [`Mount::listen`].
    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()>;

    /// Subscribes to changes.
    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>>;

    /// Whether it can be used.
    fn health(&self) -> Health;

    /// How its server is reached.
    fn link(&self) -> Link;

    /// What is counted at it below its calls, where anything is.
    fn counts(&self) -> Option<&Arc<Counts>> {
        None
    }

    /// What it holds beside the calls that run.
    fn holding(&self) -> Holding {
        Holding::default()
    }
}

/// A layer around a mount that sees its calls; everything else passes by it.
pub trait Around: Send + Sync + 'static {
    /// What is below.
    type Below: Mount;

    /// The mount below.
    fn below(&self) -> &Self::Below;

    /// Passes a call on, as [`Mount::call`] does.
    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>>;
}

impl<A: Around> Mount for A {
    fn name(&self) -> &str {
        self.below().name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.below().forwards()
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        self.below().passes_state(caller)
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        Around::call(self, call)
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.below().describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        self.below().tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        self.below().notify(caller, notification);
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        self.below().attend(caller)
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        self.below().listen(caller, filter)
    }

    fn health(&self) -> Health {
        self.below().health()
    }

    fn link(&self) -> Link {
        self.below().link()
    }

    fn counts(&self) -> Option<&Arc<Counts>> {
        self.below().counts()
    }

    fn holding(&self) -> Holding {
        self.below().holding()
    }
}

impl<M: Mount + ?Sized> Mount for Arc<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn forwards(&self) -> &[HeaderName] {
        (**self).forwards()
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        (**self).passes_state(caller)
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        (**self).call(call)
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        (**self).describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        (**self).tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        (**self).notify(caller, notification);
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        (**self).attend(caller)
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        (**self).listen(caller, filter)
    }

    fn health(&self) -> Health {
        (**self).health()
    }

    fn link(&self) -> Link {
        (**self).link()
    }

    fn counts(&self) -> Option<&Arc<Counts>> {
        (**self).counts()
    }

    fn holding(&self) -> Holding {
        (**self).holding()
    }
}
