//! The layer that bounds a mount: calls at once, and how long each may last.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tokio::sync::Semaphore;

use crate::{jsonrpc::Notification, protocol::headers::ToolHeaders};

use super::{BoxFuture, Call, Caller, Description, Fault, Filter, Health, Link, Listening, Mount, Outcome, Reason};

/// How many calls a mount runs at once.
const CONCURRENT: usize = 1024;
/// How long a call waits for its turn before it is refused as busy.
const QUEUED: Duration = Duration::from_secs(1);

/// Bounds the calls of the mount below it. A call that waits for a person holds no place.
pub struct Limit<M> {
    below: M,
    places: Arc<Semaphore>,
}

impl<M> Limit<M> {
    /// Puts the bounds around `below`.
    pub fn new(below: M) -> Self {
        Self { below, places: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    /// How many calls hold a place.
    #[must_use]
    pub fn taken(&self) -> usize {
        CONCURRENT - self.places.available_permits()
    }
}

impl<M: Mount + Clone> Mount for Limit<M> {
    fn name(&self) -> &str {
        self.below.name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.below.forwards()
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        let below = self.below.clone();
        let places = self.places.clone();
        Box::pin(async move {
            let permit = match places.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => match tokio::time::timeout(QUEUED, places.acquire_owned()).await {
                    Ok(Ok(permit)) => permit,
                    _ => return Err(Fault::gateway(Reason::Busy, "too many calls at once, try again later")),
                },
            };
            let life = call.life.clone();
            life.hold(permit);
            match life.watch(below.call(call)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    Err(Fault::upstream(Reason::Timeout, &below.name().into(), "the server did not answer in time"))
                }
            }
        })
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.below.describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        self.below.tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        self.below.notify(caller, notification);
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        self.below.attend(caller)
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        self.below.listen(caller, filter)
    }

    fn health(&self) -> Health {
        self.below.health()
    }

    fn link(&self) -> Link {
        self.below.link()
    }
}
