//! Tower layers around the calls of a mount, and the two hooks that are layers in short.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

use crate::{jsonrpc::RawObject, protocol::Method};

use super::{Around, BoxFuture, Call, Fault, Mount, Outcome, Principal};

/// The calls of a mount as a tower service: what a layer of a user stands on.
///
/// It is always ready; what is too much at once is bounded above it, see [`Limit`](super::Limit).
///
/// A layer is a [`tower::Layer`] over a service of [`Call`]s. It may change what goes down and what comes back, answer by
/// itself, or refuse:
///
/// ```
/// use std::task::{Context, Poll};
/// use rialto::{Proxy, hub::{BoxFuture, Call, Fault, Outcome}};
/// use tower::{Layer, Service};
///
/// /// Notes how long each tool takes.
/// #[derive(Clone)]
/// struct Timing;
///
/// #[derive(Clone)]
/// struct Timed<S>(S);
///
/// impl<S> Layer<S> for Timing {
///     type Service = Timed<S>;
///
///     fn layer(&self, below: S) -> Timed<S> {
///         Timed(below)
///     }
/// }
///
/// impl<S> Service<Call> for Timed<S>
/// where
///     S: Service<Call, Response = Outcome, Error = Fault>,
///     S::Future: Send + 'static,
/// {
///     type Response = Outcome;
///     type Error = Fault;
///     type Future = BoxFuture<Result<Outcome, Fault>>;
///
///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
///         self.0.poll_ready(cx)
///     }
///
///     fn call(&mut self, call: Call) -> Self::Future {
///         let tool = call.tool().map(|name| name.into_owned());
///         let running = self.0.call(call);
///         Box::pin(async move {
///             let begun = std::time::Instant::now();
///             let outcome = running.await;
///             if let Some(tool) = tool {
///                 eprintln!("{tool} took {:?}", begun.elapsed());
///             }
///             outcome
///         })
///     }
/// }
///
/// let proxy = Proxy::to("https://files.example/mcp").layer(Timing);
/// # let _ = proxy;
/// ```
///
/// # What is said and asked while a call runs
///
/// Progress, log messages and the questions of a server go to the call's [`peer`](Call::peer). Whoever wraps the peer sees
/// all of them:
///
/// ```
/// use std::sync::Arc;
/// use rialto::{
///     Proxy,
///     hub::{Answer, BoxFuture, Forwarding, Peer, Question, Refusal, Verdict},
///     jsonrpc::Notification,
/// };
///
/// /// A client whose model is not for servers to use.
/// struct NoSampling(Arc<dyn Peer>);
///
/// impl Peer for NoSampling {
///     fn notify(&self, notification: Notification) {
///         self.0.notify(notification);
///     }
///
///     fn ask(&self, question: Question) -> BoxFuture<Answer> {
///         if question.method == "sampling/createMessage" {
///             return Box::pin(async { Err(Refusal::NoOne) });
///         }
///         self.0.ask(question)
///     }
/// }
///
/// let proxy = Proxy::to("https://files.example/mcp").before_forward(|mut forwarding: Forwarding| async move {
///     forwarding.call.peer = Arc::new(NoSampling(forwarding.call.peer));
///     Ok(Verdict::Forward(forwarding.call))
/// });
/// # let _ = proxy;
/// ```
///
/// There is one exception. Where client and server are both modern, questions are part of the outcome
/// ([`Outcome::NeedsInput`]), answers come with the call sent again ([`Attempt::Answers`](super::Attempt::Answers)), and the
/// layers see each of these legs as a call of its own.
///
/// # When a layer or a hook panics
///
/// The call that it panicked in ends as failed, and is logged. Nothing else ends; see [`Caught`](super::Caught).
#[derive(Clone)]
pub struct CallService {
    mount: Arc<dyn Mount>,
}

/// A mount whose calls pass a tower layer. Everything else goes straight to the mount below.
pub struct Layered {
    below: Arc<dyn Mount>,
    calls: BoxCloneSyncService<Call, Outcome, Fault>,
}

/// A call that is about to be forwarded, as a hook sees it.
#[derive(Debug)]
pub struct Forwarding {
    /// The name of the mount.
    pub mount: Arc<str>,
    /// The call: who calls, the method, the raw parameters, and the peer that can be notified and asked.
    pub call: Call,
}

/// What a hook makes of a call.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on, changed or not.
    Forward(Call),
    /// It is answered here, and the server never hears of it.
    Answer(Outcome),
}

/// A call that ended, as a hook sees it.
#[derive(Debug)]
pub struct Forwarded {
    /// The name of the mount.
    pub mount: Arc<str>,
    /// Who called.
    pub principal: Principal,
    /// What was called.
    pub method: Method,
    /// With which parameters, as they were forwarded.
    pub params: RawObject,
    /// How it ended, in the shape of the caller's revision.
    pub outcome: Result<Outcome, Fault>,
}

/// The layer of [`before_forward`].
#[derive(Clone)]
pub struct BeforeForward<H> {
    mount: Arc<str>,
    hook: H,
}

/// The layer of [`after_forward`].
#[derive(Clone)]
pub struct AfterForward<H> {
    mount: Arc<str>,
    hook: H,
}

/// A service behind a hook.
#[derive(Clone)]
pub struct Hooked<H, S> {
    mount: Arc<str>,
    hook: H,
    inner: S,
}

/// Marks a service whose hook runs before the call.
#[derive(Clone)]
pub struct Before<H>(H);

/// Marks a service whose hook runs after the call.
#[derive(Clone)]
pub struct After<H>(H);

/// A layer that shows each call to `hook` before it is forwarded: the hook may change it, answer it, or refuse it with a
/// [`Fault`].
pub fn before_forward<H>(mount: &str, hook: H) -> BeforeForward<H> {
    BeforeForward { mount: mount.into(), hook }
}

/// A layer that shows the end of each call to `hook`, which says how the call ends for the client.
pub fn after_forward<H>(mount: &str, hook: H) -> AfterForward<H> {
    AfterForward { mount: mount.into(), hook }
}

// === impl Forwarding ===

impl Forwarding {
    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.call.caller.principal
    }
}

// === impl CallService ===

impl CallService {
    /// The calls of `mount`.
    #[must_use]
    pub fn new(mount: Arc<dyn Mount>) -> Self {
        Self { mount }
    }
}

impl std::fmt::Debug for CallService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallService").field("mount", &self.mount.name()).finish()
    }
}

impl Service<Call> for CallService {
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.mount.call(call)
    }
}

// === impl Layered ===

impl Layered {
    /// Puts `layer` around the calls of `below`.
    pub fn new<L>(below: Arc<dyn Mount>, layer: &L) -> Self
    where
        L: Layer<CallService>,
        L::Service: Service<Call, Response = Outcome, Error = Fault> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        let calls = BoxCloneSyncService::new(layer.layer(CallService::new(below.clone())));
        Self { below, calls }
    }
}

impl Around for Layered {
    type Below = Arc<dyn Mount>;

    fn below(&self) -> &Self::Below {
        &self.below
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        Box::pin(self.calls.clone().oneshot(call))
    }
}

// === impl BeforeForward ===

impl<H: Clone, S> Layer<S> for BeforeForward<H> {
    type Service = Hooked<Before<H>, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Hooked { mount: self.mount.clone(), hook: Before(self.hook.clone()), inner }
    }
}

impl<H, F, S> Service<Call> for Hooked<Before<H>, S>
where
    H: Fn(Forwarding) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Verdict, Fault>> + Send,
    S: Service<Call, Response = Outcome, Error = Fault> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // The service that was made ready is the one that is called; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (mount, hook) = (self.mount.clone(), self.hook.0.clone());
        Box::pin(async move {
            let revision = call.caller.revision;
            match hook(Forwarding { mount, call }).await? {
                Verdict::Forward(call) => inner.call(call).await,
                Verdict::Answer(outcome) => Ok(outcome.written_for(revision)),
            }
        })
    }
}

// === impl AfterForward ===

impl<H: Clone, S> Layer<S> for AfterForward<H> {
    type Service = Hooked<After<H>, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Hooked { mount: self.mount.clone(), hook: After(self.hook.clone()), inner }
    }
}

impl<H, F, S> Service<Call> for Hooked<After<H>, S>
where
    H: Fn(Forwarded) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Outcome, Fault>> + Send,
    S: Service<Call, Response = Outcome, Error = Fault>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (mount, hook) = (self.mount.clone(), self.hook.0.clone());
        let (principal, method, params) = (call.caller.principal.clone(), call.method.clone(), call.params.clone());
        let revision = call.caller.revision;
        let running = self.inner.call(call);
        Box::pin(async move {
            let outcome = running.await;
            let before = outcome.clone();
            let after = hook(Forwarded { mount, principal, method, params, outcome }).await?;
            // What the hook left alone is as the server wrote it, and as large as it likes: it is not read again.
            let is_same = before.is_ok_and(|before| before.is(&after));
            Ok(if is_same { after } else { after.written_for(revision) })
        })
    }
}
