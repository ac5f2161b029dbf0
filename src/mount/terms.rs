//! On what terms a server is used.

use std::sync::Arc;

use http::HeaderName;

use super::{Share, Tasking};

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
    /// The headers of clients that pass to the server, where it is there over HTTP. Those that never may
    /// ([`headers::may_forward`](crate::protocol::headers::may_forward)) are left out.
    pub forward_headers: Vec<HeaderName>,
    /// Whether a legacy server is pinged in a session in which nothing has gone on for a minute. Where it does not answer twice
    /// in a row, the session is closed, and the next call opens another one.
    pub ping_idle: bool,
    /// What becomes of calls that are, or could be, tasks.
    pub tasking: Tasking,
}

impl From<Share> for Terms {
    /// These sessions, and otherwise what is usual.
    fn from(share: Share) -> Self {
        Self { share, ..Self::default() }
    }
}
