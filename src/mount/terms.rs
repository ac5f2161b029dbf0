//! On what terms a server is used.

use std::sync::Arc;

use http::HeaderName;

use super::{Share, Tasking};
use crate::limits::ServerLimits;

/// What an operator says about a server that is not to be seen from the outside, and what is left to the operator's choice.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Who shares the sessions that the server needs and a client lacks.
    pub share: Share,
    /// The key of `_meta` by which the conversations of one principal's modern clients are told apart: each has upstream
    /// sessions of its own. Without it, or where a request says nothing, they share.
    pub affinity: Option<Arc<str>>,
    /// Whether what a legacy server lists and says about itself is the same for everybody, so that it may be kept for
    /// everybody: here, and by caches on the way to the clients. A modern server says so itself.
    pub public_lists: bool,
    /// Whether the lists of the server are looked at now and then while somebody wants to hear of changes, where the server
    /// itself does not announce them. Clients are told that it does.
    pub poll_lists: bool,
    /// Whether the call of a tool is sent once more whose answer was lost on its way, where the server annotates the tool as
    /// one that changes nothing, or nothing more when it is called again. These are the server's words, which have to be
    /// trusted.
    pub reissue_idempotent_tools: bool,
    /// Whether clients of older revisions are sent nothing that a later revision brought, where the server speaks a later one:
    /// no titles, no icons and the like, which older clients may ignore. For those that do not.
    pub strict_downlevel: bool,
    /// Whether legacy clients hear of a resource that a modern server does not have by -32002, the code of their era, instead
    /// of by the -32602 that the server says.
    pub legacy_resource_code: bool,
    /// Whether what a modern server wants echoed with answers (`requestState`) goes to modern clients and back as it is,
    /// neither sealed nor bound to the call: only for those who send one of `forward_headers` along, and only where that is a
    /// credential, which the server binds its state to. A state that looks like one of the gateway's own is sealed all the same.
    pub pass_request_state: bool,
    /// Whether calls, reads and prompts whose client does not want to hear of progress ask the server for it all the same. It
    /// counts as a sign of life of the call, and is shown to nobody.
    pub synthetic_progress: bool,
    /// The headers of clients that pass to the server, where it is there over HTTP. Those that never may
    /// ([`headers::may_forward`](crate::protocol::headers::may_forward)) are left out.
    pub forward_headers: Vec<HeaderName>,
    /// Whether a legacy server is pinged in a session in which nothing has gone on for a minute. Where it does not answer twice
    /// in a row, the session is closed, and the next call opens another one.
    pub ping_idle: bool,
    /// What becomes of calls that are, or could be, tasks.
    pub tasking: Tasking,
    /// The bounds towards this server; those of the gateway for all servers where there are none.
    pub limits: Option<ServerLimits>,
}

impl From<Share> for Terms {
    /// These sessions, and otherwise what is usual.
    fn from(share: Share) -> Self {
        Self { share, ..Self::default() }
    }
}
