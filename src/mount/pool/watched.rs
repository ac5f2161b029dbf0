//! A session of a legacy server of which is known what goes on in it: one that is lent, or that is looked after while nothing
//! goes on in it.

use std::{
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{BoxFuture, Description, Fault, Listening},
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{Method, Revision},
    upstream::{Outgoing, Session},
};

use super::{
    super::beside::{Lent, Running},
    lock,
};

/// How long nothing has gone on in a session before its server is pinged.
const QUIET: Duration = Duration::from_secs(60);
/// How long a server has to answer that.
const ANSWERED: Duration = Duration::from_secs(10);
/// How often in a row it may not.
const MISSES: u32 = 2;

/// The session.
pub(super) struct Watched {
    session: Arc<dyn Session>,
    lent: Option<Arc<Lent>>,
    pulse: Arc<Pulse>,
}

/// Whether its server still answers.
pub(super) struct Pulse {
    /// The session itself: who holds it does not count as somebody who uses it.
    session: Weak<dyn Session>,
    /// Fires when it is not used any more.
    over: CancellationToken,
    state: Mutex<State>,
}

struct State {
    running: usize,
    /// Since when nothing goes on, or when the server answered a ping.
    since: Instant,
    is_pinged: bool,
    missed: u32,
}

impl Watched {
    /// Watches a session, which may be lent.
    pub(super) fn watch(session: Arc<dyn Session>, lent: Option<Arc<Lent>>) -> (Arc<dyn Session>, Arc<Pulse>) {
        let over = lent.as_ref().map(|lent| lent.over().clone()).unwrap_or_default();
        let state = Mutex::new(State { running: 0, since: Instant::now(), is_pinged: false, missed: 0 });
        let pulse = Arc::new(Pulse { session: Arc::downgrade(&session), over, state });
        (Arc::new(Self { session, lent, pulse: pulse.clone() }), pulse)
    }
}

impl Session for Watched {
    fn revision(&self) -> Revision {
        self.session.revision()
    }

    fn description(&self) -> Arc<Description> {
        self.session.description()
    }

    fn describe(&self) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.session.describe()
    }

    fn mirrors_headers(&self) -> bool {
        self.session.mirrors_headers()
    }

    fn call(&self, mut outgoing: Outgoing) -> BoxFuture<Result<Raw, Fault>> {
        let method = outgoing.method.clone();
        let lent = self.lent.as_ref().filter(|_| method.carries_questions());
        if let Some(lent) = lent {
            outgoing.peer = lent.around(&method, outgoing.peer);
        }
        let running = lent.filter(|_| method.may_ask()).map(Lent::begin);
        let busy = Busy::new(&self.pulse);
        let calling = self.session.call(outgoing);
        Box::pin(async move {
            let ended = calling.await;
            if is_answered(&ended) {
                running.into_iter().for_each(Running::answered);
                busy.answered();
            }
            ended
        })
    }

    fn notify(&self, notification: Notification) {
        self.session.notify(notification);
    }

    fn listen(&self, params: RawObject) -> BoxFuture<Result<Listening, Fault>> {
        self.session.listen(params)
    }

    fn is_open(&self) -> bool {
        !self.pulse.over.is_cancelled() && self.session.is_open()
    }

    fn over(&self) -> BoxFuture<()> {
        let (over, lost) = (self.pulse.over.clone(), self.session.over());
        Box::pin(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = lost => {}
            }
        })
    }
}

/// Whether a call ended with an answer of its server.
fn is_answered(ended: &Result<Raw, Fault>) -> bool {
    matches!(ended, Ok(_) | Err(Fault::Answered(_) | Fault::Undeclared { .. }))
}

/// Something that goes on in a session.
struct Busy(Arc<Pulse>);

impl Busy {
    fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.lock().running += 1;
        Self(pulse.clone())
    }

    fn answered(&self) {
        self.0.lock().missed = 0;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        state.since = Instant::now();
    }
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The session, where its server is to be pinged now.
    pub(super) fn due(&self) -> Option<Arc<dyn Session>> {
        let mut state = self.lock();
        if state.is_pinged || state.running > 0 || state.since.elapsed() <= QUIET {
            return None;
        }
        let session = self.session.upgrade().filter(|session| session.is_open())?;
        state.is_pinged = true;
        Some(session)
    }

    /// Pings the server, and closes the session where it does not answer again and again; whether it did.
    pub(super) async fn ping(&self, session: Arc<dyn Session>) -> bool {
        let begun = self.lock().since;
        let answer = timeout(ANSWERED, session.call(Outgoing::own(Method::Ping, RawObject::new()))).await;
        let mut state = self.lock();
        state.is_pinged = false;
        if answer.is_ok_and(|answer| is_answered(&answer)) {
            (state.missed, state.since) = (0, Instant::now());
        } else if state.running == 0 && state.since == begun && session.is_open() {
            state.missed += 1;
        }
        let is_useless = state.missed >= MISSES;
        if is_useless {
            self.over.cancel();
        }
        is_useless
    }
}
