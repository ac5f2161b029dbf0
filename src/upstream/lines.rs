//! Sessions over a pair of byte streams, one JSON-RPC message a line: the stdio transport, the same in every revision.
//!
//! One task per session owns what was read, the questions the server has open and the only writer. A call is a future
//! that waits in `Pending`; dropping it posts an abandon on a slot that was reserved when the
//! call began, and the task writes the cancellation before anything newer.
//!
//! Invariant: nothing is ever written to a server in answer to something that is no message.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::hub::{BoxFuture, Fault};

use super::EraChoice;

mod actor;
mod connect;
mod declare;
pub(crate) mod escape;
mod handshake;
mod inbound;
mod outbound;
mod session;
mod spare;

pub(crate) use connect::{Door, Launch};

/// The bounds of sessions over byte streams.
#[derive(Clone, Debug)]
pub struct LineSettings {
    /// Which era to speak.
    pub era: EraChoice,
    /// How long a server may take from its start until a session with it is open.
    pub start_timeout: Duration,
    /// How long a server may take to answer the probe before it counts as legacy.
    pub probe_timeout: Duration,
    /// How long a server counts as legacy before it is probed again.
    pub legacy_verdict: Duration,
    /// How long a server may read nothing while something waits to be written, before it counts as hung.
    pub write_timeout: Duration,
    /// The longest line that is accepted, in bytes.
    pub line_cap: usize,
    /// How many lines a minute may be no message before the server is given up.
    pub bad_lines: u32,
}

impl Default for LineSettings {
    fn default() -> Self {
        Self {
            era: EraChoice::Auto,
            start_timeout: Duration::from_secs(60),
            probe_timeout: Duration::from_secs(5),
            legacy_verdict: Duration::from_secs(3600),
            write_timeout: Duration::from_secs(30),
            line_cap: 16 * 1024 * 1024,
            bad_lines: 100,
        }
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A server that was started, with the two ends of the pipe to it.
pub(crate) struct Pipe {
    /// What it writes.
    pub(crate) reader: Reader,
    /// What it reads; unbuffered.
    pub(crate) writer: Writer,
    /// Resolves when the server is gone, with what its pending calls are told.
    pub(crate) gone: BoxFuture<Fault>,
    /// Dropped when nobody talks to the server any more, so that it can be ended.
    pub(crate) hold: Box<dyn Send>,
}
