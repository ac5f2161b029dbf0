//! The layers that keep a panic where it happened: in one call.
//!
//! Layers and hooks are the code of others. What panics in them, or in a defect of ours, ends the call it happened in with a
//! [`Reason::Internal`] and is logged; the session, the other calls and the process go on. The words of the panic are for
//! the log, never for a client.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::FutureExt;
use http::HeaderName;

use crate::{jsonrpc::Notification, protocol::headers::ToolHeaders};

use super::{
    Answer, BoxFuture, Call, Caller, Counts, Description, Fault, Filter, Health, Holding, Link, Listening, Mount,
    Outcome, Peer, Question, Reason, Refusal,
};

/// Ends a call that panics with a fault. Stands around everything that may panic.
#[derive(Clone)]
pub struct Caught<M>(M);

/// Keeps the panics of a peer away from the server's session, which carries the calls of others too. Stands below the
/// layers that may have wrapped the peer.
#[derive(Clone)]
pub struct Sheltered<M>(M);

/// A peer whose panics go no further.
struct ShelteredPeer {
    mount: Arc<str>,
    peer: Arc<dyn Peer>,
}

/// Notes a panic, and makes a fault of it.
fn failed(mount: &str, what: &str, panic: &(dyn Any + Send)) -> Fault {
    tracing::error!(mount, "a panic in {what}: {}", words(panic));
    Fault::gateway(Reason::Internal, "the gateway failed while it handled this; its log says more")
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl<M: Mount + Clone> Caught<M> {
    /// Puts the layer around `below`.
    pub fn new(below: M) -> Self {
        Self(below)
    }

    /// Runs what `begin` begins. It begins inside, because beginning may panic as well.
    fn catch<T: 'static>(
        &self,
        what: &'static str,
        begin: impl FnOnce(M) -> BoxFuture<Result<T, Fault>> + Send + 'static,
    ) -> BoxFuture<Result<T, Fault>> {
        let below = self.0.clone();
        Box::pin(async move {
            let name = below.clone();
            match AssertUnwindSafe(async move { begin(below).await }).catch_unwind().await {
                Ok(ended) => ended,
                Err(panic) => Err(failed(name.name(), what, &*panic)),
            }
        })
    }
}

impl<M: Mount + Clone> Mount for Caught<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.0.forwards()
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        self.0.passes_state(caller)
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        self.catch("a call", move |below| below.call(call))
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        let caller = caller.clone();
        self.catch("asking a server who it is", move |below| below.describe(&caller))
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        let (caller, tool) = (caller.clone(), tool.to_owned());
        self.catch("looking a tool up", move |below| below.tool_headers(&caller, &tool))
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.0.notify(caller, notification))) {
            failed(self.0.name(), "passing a notification on", &*panic);
        }
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        let caller = caller.clone();
        self.catch("a subscription", move |below| below.listen(&caller, filter))
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        let (below, caller) = (self.0.clone(), caller.clone());
        Box::pin(async move {
            let name = below.clone();
            if let Err(panic) = AssertUnwindSafe(async move { below.attend(&caller).await }).catch_unwind().await {
                failed(name.name(), "attending to a client", &*panic);
            }
        })
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn link(&self) -> Link {
        self.0.link()
    }

    fn counts(&self) -> Option<&Arc<Counts>> {
        self.0.counts()
    }

    fn holding(&self) -> Holding {
        self.0.holding()
    }
}

impl<M> Sheltered<M> {
    /// Puts the layer around `below`.
    pub fn new(below: M) -> Self {
        Self(below)
    }
}

impl<M: Mount> Mount for Sheltered<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.0.forwards()
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        self.0.passes_state(caller)
    }

    fn call(&self, mut call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        call.peer = Arc::new(ShelteredPeer { mount: self.0.name().into(), peer: call.peer });
        self.0.call(call)
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.0.describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        self.0.tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        self.0.notify(caller, notification);
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        self.0.listen(caller, filter)
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        self.0.attend(caller)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn link(&self) -> Link {
        self.0.link()
    }

    fn counts(&self) -> Option<&Arc<Counts>> {
        self.0.counts()
    }

    fn holding(&self) -> Holding {
        self.0.holding()
    }
}

impl Peer for ShelteredPeer {
    fn notify(&self, notification: Notification) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.peer.notify(notification))) {
            failed(&self.mount, "telling a client something", &*panic);
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let (mount, peer) = (self.mount.clone(), self.peer.clone());
        // Begun here and now, since questions keep the order in which they were asked.
        match catch_unwind(AssertUnwindSafe(|| peer.ask(question))) {
            Ok(asking) => Box::pin(async move {
                AssertUnwindSafe(asking).catch_unwind().await.unwrap_or_else(|panic| {
                    failed(&mount, "asking a client", &*panic);
                    Err(Refusal::NoOne)
                })
            }),
            Err(panic) => {
                failed(&mount, "asking a client", &*panic);
                Box::pin(std::future::ready(Err(Refusal::NoOne)))
            }
        }
    }

    fn answers_later(&self) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.peer.answers_later())).unwrap_or_default()
    }

    fn hears_logs(&self) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.peer.hears_logs())).unwrap_or_default()
    }
}
