//! How much of everything there may be, and how long it may take.

use std::time::Duration;

use crate::hub::LifeLimits;

const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The bounds of a gateway towards its clients, and those towards servers that have none of their own. In a config file they
/// are `rialto.limits`.
///
/// Every wait and every bound is some number: there is no way to say "never", and no wait may be longer than a century.
///
/// ```
/// use std::time::Duration;
/// use rialto::{Limits, Rialto, ServerLimits};
///
/// let limits = Limits {
///     question: Duration::from_secs(30 * 60),
///     servers: ServerLimits { silence: Duration::from_secs(20 * 60), ..ServerLimits::default() },
///     ..Limits::default()
/// };
/// let app = Rialto::builder().settings(limits.into()).build();
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of a request, in bytes. One that is larger is refused with 413.
    pub body: usize,
    /// How long such a body may take to arrive, from the end of its head. After that it is refused with 408.
    pub body_time: Duration,
    /// After this time without an answer a request is answered with a stream of events, where its client reads them, and after
    /// this much silence a stream says that it is alive.
    pub keep_alive: Duration,
    /// How long a person may take to answer a question. A legacy client that reports progress has as much again each time; a
    /// modern one has it until it sends the call again. After that the server is told that the person gave no answer, and the
    /// call of a modern client ends.
    pub question: Duration,
    /// How long to wait after a question to a modern client for others that it can be shown together with.
    pub gather: Duration,
    /// How long the first of these questions waits at most.
    pub gather_total: Duration,
    /// How long a call that asked a modern client may last from its first question on, however often it asks. It is also how
    /// long a client may come back with what a modern server wants kept.
    pub parked_total: Duration,
    /// Calls of one principal that may wait for answers of modern clients at once. One more goes on without an answer.
    pub parked_each: usize,
    /// Calls that may wait for such answers altogether.
    pub parked: usize,
    /// Log messages that are kept while a call waits so. The oldest goes first.
    pub parked_logs: usize,
    /// How long a retry whose stream was closed before its answer may come again, with the same answers, to find its call still
    /// running. Zero ends the call at once, as the protocol says (2026-07-28, basic/transports: a server must treat a closed
    /// stream as a cancellation); more is for networks that lose connections.
    pub reattach: Duration,
    /// How long the answer to a retry is kept for one that comes twice.
    pub repeat: Duration,
    /// The bytes of such answers that are kept for one call. What is larger is not kept.
    pub repeat_size: usize,
    /// A session of a legacy client on which nothing happens and no stream is open ends after this time.
    pub session_idle: Duration,
    /// One on which nothing was ever said after `initialize` ends after this time.
    pub session_silent: Duration,
    /// Every such session ends after this time.
    pub session_total: Duration,
    /// Sessions of one principal. One more is refused with 503.
    pub sessions_each: usize,
    /// Sessions altogether.
    pub sessions: usize,
    /// Messages that a stream of a legacy client keeps, so that a reader that lost its connection can have them again.
    pub replay: usize,
    /// The bytes of those messages, beside the newest one while nobody has read it.
    pub replay_size: usize,
    /// How long a message that was read, or a stream that is over, is kept for such a reader.
    pub replay_time: Duration,
    /// Subscriptions (`subscriptions/listen`) that one principal may have open. One more is refused as busy.
    pub listens_each: usize,
    /// Subscriptions that may be open altogether.
    pub listens: usize,
    /// The bounds towards servers, where a server has none of its own.
    pub servers: ServerLimits,
}

/// The bounds of a gateway towards one server. In a config file they are `rialto.servers.<name>.limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// How long a call may be silent: without progress or any other sign. Time in which a person is asked does not count.
    /// After that it is cancelled, and fails with reason `timeout`.
    pub silence: Duration,
    /// How long a call may last altogether, without that time; the same happens.
    pub call: Duration,
    /// The largest message of the server, in bytes: a body, an event, a line. A call with a larger answer fails with reason
    /// `limit`.
    pub message: usize,
    /// How long the server may take to answer the probe for its era. Ten seconds over HTTP where nothing is said, after which
    /// it counts as down; five seconds for others, which then count as legacy.
    pub probe: Option<Duration>,
    /// How long a server counts as legacy before it is probed again; over HTTP a tenth more or less.
    pub legacy_for: Duration,
    /// How long a session with the server that nobody uses stays open, unless it is a client's own.
    pub server_idle: Duration,
    /// How often a call of a legacy client may be answered with questions by a modern server, and how often any call may be put
    /// off. One that is once more fails.
    pub rounds: usize,
    /// How long the server waits, outside calls, for the roots of a modern client before it is told that there are none.
    pub roots_wait: Duration,
    /// How long the roots that a modern client answered with are good for such questions.
    pub roots_kept: Duration,
    /// How often one call may want pages visited (`-32042`) before it fails.
    pub visits: usize,
    /// How long to wait until the server says that such a page was visited, before the call is sent again without that.
    pub visit: Duration,
    /// How long the server goes on to be subscribed to a resource that nobody wants any more: clients come back.
    pub linger: Duration,
    /// How long a list of a legacy server that announces its changes is kept, here and by modern clients. At most an hour.
    pub list_kept: Duration,
    /// How long what a server says about itself is kept, where it does not say for how long, and by modern clients. At most an
    /// hour here.
    pub description_kept: Duration,
    /// Items on a page of a list.
    pub page: usize,
    /// The bytes of those items, unless a single one is larger.
    pub page_size: usize,
    /// The shortest pause between two questions to the server of how far a task is.
    pub task_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 * MIB,
            body_time: 30 * SECOND,
            keep_alive: 15 * SECOND,
            question: 10 * MINUTE,
            gather: Duration::from_millis(25),
            gather_total: Duration::from_millis(100),
            parked_total: HOUR,
            parked_each: 16,
            parked: 1000,
            parked_logs: 100,
            reattach: Duration::ZERO,
            repeat: MINUTE,
            repeat_size: MIB,
            session_idle: 30 * MINUTE,
            session_silent: 5 * MINUTE,
            session_total: 24 * HOUR,
            sessions_each: 1000,
            sessions: 20_000,
            replay: 256,
            replay_size: MIB,
            replay_time: 5 * MINUTE,
            listens_each: 64,
            listens: 10_000,
            servers: ServerLimits::default(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            silence: 10 * MINUTE,
            call: HOUR,
            message: 16 * MIB,
            probe: None,
            legacy_for: HOUR,
            server_idle: 10 * MINUTE,
            rounds: 10,
            roots_wait: 55 * SECOND,
            roots_kept: 5 * MINUTE,
            visits: 5,
            visit: 30 * SECOND,
            linger: 30 * SECOND,
            list_kept: MINUTE,
            description_kept: 5 * MINUTE,
            page: 1000,
            page_size: 4 * MIB,
            task_poll: Duration::from_millis(500),
        }
    }
}

impl From<ServerLimits> for Limits {
    /// The usual ones towards clients, and these towards servers.
    fn from(servers: ServerLimits) -> Self {
        Self { servers, ..Self::default() }
    }
}

impl ServerLimits {
    /// How long a call may last.
    pub(crate) fn life(&self) -> LifeLimits {
        LifeLimits { silent: self.silence, total: self.call }
    }
}
