//! The modern requests of a client that run, and what everything that runs needs.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::{
    downstream::{
        accept::Accept,
        endpoint::{Context, Settings},
        legacy::{Session, connected},
        modern::{Modern, Reply, Step, response},
        outbox::Outbox,
        way::{Way, Weight},
    },
    hub::{Fault, Mount, Principal, Reason, words},
    jsonrpc::{
        Encoded, ErrorObject, Message, Payload, RawObject, Request, RequestId, code, encode_error, encode_notification,
        encode_result,
    },
    protocol::method::notification,
};

use super::{NO_HEADERS, id_of};

/// How many modern requests may run at once.
const REQUESTS: usize = 1000;
/// What an id is refused with that is in use.
pub(super) const DUPLICATE: &str = "a request with this id is still running";

/// What those need that outlive a message.
pub(super) struct Shared {
    pub(super) mount: Arc<dyn Mount>,
    pub(super) settings: Settings,
    pub(super) principal: Principal,
    pub(super) modern: Modern,
    pub(super) line: Arc<Outbox>,
    /// The modern requests that run.
    pub(super) running: Mutex<HashMap<RequestId, Arc<Cancel>>>,
}

/// A modern request that runs.
struct Entered<'a> {
    shared: &'a Shared,
    id: &'a RequestId,
    cancel: &'a Arc<Cancel>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.id, self.cancel);
    }
}

/// Ends a modern request.
#[derive(Default)]
pub(super) struct Cancel {
    token: CancellationToken,
    reason: Mutex<Option<String>>,
}

impl Cancel {
    pub(super) fn cancel(&self, reason: &str) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        self.token.cancel();
    }

    /// Resolves with the reason.
    async fn cancelled(&self) -> String {
        self.token.cancelled().await;
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}

impl Shared {
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            mount: &self.mount,
            settings: &self.settings,
            headers: &NO_HEADERS,
            is_mirrored: false,
            accept: Accept::EVERYTHING,
            principal: &self.principal,
        }
    }

    /// Answers `initialize`.
    pub(super) async fn open(&self, request: Request) -> Option<Arc<Session>> {
        let opening = async {
            let (answer, session) = connected::open(&self.context(), &request).await;
            self.line.answer(Some(&request.id), answer);
            session
        };
        self.sheltered(Some(&request.id), opening).await.flatten()
    }

    /// Calls catch what panics in them. What else does is a defect of ours, and this request's alone.
    pub(super) async fn sheltered<T>(&self, id: Option<&RequestId>, work: impl Future<Output = T>) -> Option<T> {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(done) => Some(done),
            Err(panic) => {
                tracing::error!(mount = self.mount.name(), "a panic in an endpoint: {}", words(&*panic));
                let message = "the gateway failed while it handled this; its log says more";
                let error = encode_error(id, &ErrorObject::new(code::INTERNAL, message));
                self.line.answer(id, error.into());
                None
            }
        }
    }

    /// Whether a legacy message brings an id along that a modern request has which still runs: then, what it is refused
    /// with. Which of the two a cancellation meant, nobody could tell.
    pub(super) fn duplicate<'a>(&self, payload: &'a Payload) -> Option<Option<&'a RequestId>> {
        let running = self.running();
        match payload {
            Payload::Batch(elements) => {
                let is_running = |m: &Message| matches!(m, Message::Request(r) if running.contains_key(&r.id));
                elements.iter().flatten().any(is_running).then_some(None)
            }
            payload => id_of(payload).filter(|id| running.contains_key(id)).map(Some),
        }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<Cancel>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a modern request.
    pub(super) fn enter(&self, id: &RequestId, is_running: bool) -> Result<Arc<Cancel>, ErrorObject> {
        let mut running = self.running();
        if is_running || running.contains_key(id) {
            return Err(ErrorObject::new(code::INVALID_REQUEST, DUPLICATE));
        }
        if running.len() >= REQUESTS {
            return Err(Fault::gateway(Reason::Busy, "too many requests of this client run at once").to_error());
        }
        let cancel = Arc::<Cancel>::default();
        running.insert(id.clone(), cancel.clone());
        Ok(cancel)
    }

    /// Answers a modern request, unless it is cancelled.
    pub(super) async fn answer(&self, request: Request, cancel: &Arc<Cancel>) {
        let id = request.id.clone();
        let _entered = Entered { shared: self, id: &id, cancel };
        let context = self.context();
        let reply = tokio::select! {
            biased;
            _ = cancel.cancelled() => return,
            reply = self.modern.request(&context, request) => reply,
        };
        let answer = match reply {
            Ok(Reply::Result(result)) => encode_result(&id, &result),
            Ok(Reply::Call(mut leg)) => {
                let reason = tokio::select! {
                    biased;
                    reason = cancel.cancelled() => reason,
                    () = self.pass_on(&id, &mut *leg, Weight::Light) => return,
                };
                return leg.abandon(&reason);
            }
            Ok(Reply::Listening(mut subscription)) => {
                tokio::select! {
                    biased;
                    _ = cancel.cancelled() => {}
                    () = self.pass_on(&id, &mut subscription, Weight::Heavy) => {}
                }
                return;
            }
            Ok(Reply::Unreadable) => return,
            Err(refused) => encode_error(Some(&id), refused.error()).into(),
        };
        self.finish(&id, answer);
    }

    /// Says what a request hears, until it ends.
    async fn pass_on(&self, id: &RequestId, steps: &mut (impl Stream<Item = Step> + Unpin), weight: Weight) {
        while let Some(step) = steps.next().await {
            match step {
                Step::Said(said) => {
                    if weight == Weight::Heavy {
                        self.line.room().await;
                    }
                    self.line.push(weight, said);
                }
                Step::End(ending) => {
                    if weight == Weight::Heavy {
                        // A subscription that ends by itself is over for both sides (2026-07-28, basic/utilities/cancellation).
                        let params = RawObject::from([("requestId", id.raw().clone())]);
                        self.line.push(weight, encode_notification(notification::CANCELLED, Some(&params)));
                    }
                    return self.finish(id, response(id, &ending));
                }
            }
        }
        let error = ErrorObject::new(code::INTERNAL, "the call ended without an answer");
        self.finish(id, encode_error(Some(id), &error).into());
    }

    /// Lets go of the id of a request, unless another one has it by now.
    fn leave(&self, id: &RequestId, cancel: &Arc<Cancel>) {
        let mut running = self.running();
        if running.get(id).is_some_and(|entered| Arc::ptr_eq(entered, cancel)) {
            running.remove(id);
        }
    }

    /// Answers a modern request. Its id is free again before the client can know that it is.
    fn finish(&self, id: &RequestId, answer: Encoded) {
        self.running().remove(id);
        self.line.answer(Some(id), answer);
    }
}
