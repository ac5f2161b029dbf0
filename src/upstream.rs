//! The servers' side: finding a server's era, opening sessions, and playing the client there.
//!
//! A [`Connector`] stands for one configured server. It opens [`Session`]s, in which messages already have the shape of
//! the server's revision: translating is the mount's work. A session owns its pending calls and the questions the server
//! asks in them, and it alone writes to the server.

use std::sync::Arc;

use ::http::{HeaderName, HeaderValue};

use crate::{
    hub::{
        BoxFuture, Caller, Counts, Credentials, Description, Fault, Filter, Health, Life, Listening, Peer, SilentPeer,
    },
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{ClientCapabilities, Method, Revision},
};

pub mod child;
pub(crate) mod conversation;
pub mod http;
pub mod in_process;
pub mod lines;
pub(crate) mod pending;
mod unavailable;

pub use unavailable::Unavailable;

/// Which era is spoken with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraChoice {
    /// The modern one where the server speaks it, found out by probing (2026-07-28, basic/transports#backward-compatibility).
    #[default]
    Auto,
    /// The modern one, or none.
    Modern,
    /// The legacy one, without asking.
    Legacy,
}

/// Who may use a session that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Everybody: the server keeps nothing between requests.
    Everybody,
    /// Everybody but the sessions of legacy clients, which are opened as their client would: the server is a legacy one that
    /// gives out no sessions, so that there is nothing that could be shared, and nothing that it could ask.
    Sessionless,
    /// The calls of one scope.
    Scope,
    /// The calls of one scope whose clients declare the same capabilities.
    ScopeAndCapabilities,
}

/// One configured server.
pub trait Connector: Send + Sync + 'static {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// Who may share a session, found out by probing the server where that is not known yet. Detection runs once, however
    /// many callers wait for it.
    fn sharing(&self) -> BoxFuture<Result<Sharing, Fault>>;

    /// The answer of [`Connector::sharing`] where it is known without asking anybody.
    fn known_sharing(&self) -> Option<Sharing>;

    /// The same server for those who send these headers along with everything: what is found out about it, and said in its
    /// sessions, is theirs alone. `None` where nothing can be sent along to it, or there is nothing.
    fn sending(&self, credentials: &Credentials) -> Option<Arc<dyn Connector>> {
        let _ = credentials;
        None
    }

    /// Opens a session.
    fn open(&self, opening: Opening) -> BoxFuture<Result<Arc<dyn Session>, Fault>>;

    /// Whether the server can be used, by what happened last.
    fn health(&self) -> Health;

    /// How many sessions it can have at once that are not for everybody, as far as that is bounded at its end of the wire.
    fn most_sessions(&self) -> usize {
        usize::MAX
    }

    /// The same server, spoken to in the legacy era, where its era is found by probing and the other one can be had too.
    fn legacy(&self) -> Option<Arc<dyn Connector>> {
        None
    }

    /// How it is reached, in one word for people and metrics: `http`, `stdio`, `in-process`, or `none`.
    fn transport(&self) -> &'static str;
}

/// For whom a session is opened.
#[derive(Clone)]
pub struct Opening {
    /// Whose calls it will carry. A legacy session declares this caller's capabilities and, for a client's own session, its
    /// revision and its identity.
    pub caller: Arc<Caller>,
    /// Who hears what belongs to no call, in the shape of the server's revision.
    pub outside: Arc<dyn Peer>,
    /// Where it is counted what goes on in it outside every call.
    pub counts: Arc<Counts>,
    /// Whether it is for one request alone, so that the next request will want another one of the same kind.
    pub alone: bool,
    /// Whether it is lent to several principals, one at a time or all together: what a server asks beside every call's own
    /// stream is then put down to a call only where that is the only one which may be asked, and what it logs there to none: it
    /// may be of a call of somebody else that is over.
    pub lent: bool,
}

/// A conversation with a server. When the last holder drops it, it is closed.
pub trait Session: Send + Sync {
    /// What the server speaks in it.
    fn revision(&self) -> Revision;

    /// Who the server is and what it offers, as the server said it last.
    fn description(&self) -> Arc<Description>;

    /// The same as of now: a server whose word has grown old is asked again, though not more than once a minute. Where it does
    /// not answer, what it said last goes on to hold.
    ///
    /// # Errors
    /// When it turns out that the server speaks the other era by now; the session is over then.
    fn describe(&self) -> BoxFuture<Result<Arc<Description>, Fault>> {
        Box::pin(std::future::ready(Ok(self.description())))
    }

    /// Whether `x-mcp-header` annotations bind us: a modern server over HTTP.
    fn mirrors_headers(&self) -> bool;

    /// Sends a request and returns its result, raw. Dropping the future abandons the call: the server is told as its
    /// transport and revision want it, before anything newer of this session is sent.
    fn call(&self, outgoing: Outgoing) -> BoxFuture<Result<Raw, Fault>>;

    /// Sends a notification, in order with the calls.
    fn notify(&self, notification: Notification);

    /// Subscribes to changes at a modern server; `params` are those of `subscriptions/listen` with their envelope. Fails
    /// with "method not found" at a legacy server.
    fn listen(&self, params: RawObject) -> BoxFuture<Result<Listening, Fault>>;

    /// Whether calls can still be sent.
    fn is_open(&self) -> bool;

    /// Resolves when no call can be sent any more: never for a session that keeps nothing, where every call finds out by
    /// itself.
    fn over(&self) -> BoxFuture<()>;
}

/// A request on its way to a server, in the shape of the server's revision.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The parameters, with the envelope where the server is modern. A progress token in them is the client's; the session
    /// puts its own in its place.
    pub params: RawObject,
    /// `Mcp-Param-*` for a modern server over HTTP, and what of the client's headers goes on to a server over HTTP.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who is notified and asked.
    pub peer: Arc<dyn Peer>,
    /// What that client can be asked.
    pub capabilities: ClientCapabilities,
    /// How long it may take.
    pub life: Life,
}

impl Outgoing {
    /// A request that the gateway makes for itself, in words of the server's revision.
    pub(crate) fn own(method: Method, params: RawObject) -> Self {
        Self {
            method,
            params,
            headers: Vec::new(),
            peer: Arc::new(SilentPeer),
            capabilities: ClientCapabilities::default(),
            life: Life::default(),
        }
    }
}

/// What a modern server honours of a filter, by its acknowledgement.
pub(crate) fn honoured(acknowledgement: &Notification) -> Filter {
    Filter(acknowledgement.params.as_ref().and_then(|p| p.get_object("notifications")).unwrap_or_default())
}
