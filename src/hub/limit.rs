//! The layer that bounds a mount: calls at once, and how long each may last.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{Around, BoxFuture, Call, Fault, Mount, Outcome, Reason};

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

impl<M: Mount + Clone> Around for Limit<M> {
    type Below = M;

    fn below(&self) -> &M {
        &self.below
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
}
