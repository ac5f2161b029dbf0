//! A call of a session: its way to the mount and back, and the client as its peer.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;

use crate::{
    hub::{Answer, Attempt, BoxFuture, Call, Credentials, Fault, Life, Outcome, Peer, Question, Reason, Refusal},
    jsonrpc::{
        Encoded, ErrorObject, Notification, Raw, RawObject, Request, RequestId, code, encode_error,
        encode_notification, encode_result,
    },
    protocol::{ClientCapabilities, Era, Loss, Method, meta, method::notification, tasks, trace},
};

use super::{
    super::{endpoint::Context, forwarded, reply, way::Weight},
    is_stray, level,
    post::Post,
    pulse::Open,
    session::{Refused, Session},
};

/// Members of `params` that belong to the modern era, where a client sends a call again with answers.
const MODERN_PARAMS: [&str; 2] = ["inputResponses", "requestState"];

/// A call that runs, as its session knows it. It is the call's peer as well.
pub(super) struct Calling {
    own: Weak<Self>,
    id: RequestId,
    session: Weak<Session>,
    post: Arc<Post>,
    life: Life,
    /// The token under which the client wants to hear of progress.
    token: Option<Raw>,
    /// The last progress that was reported.
    progress: Mutex<Option<f64>>,
    /// Whether it has its answer. Held while the client is told something of it: nothing comes after the answer.
    is_over: Mutex<bool>,
    is_cancelled: AtomicBool,
    cancelled: AtomicWaker,
}

/// What comes of a request.
pub(super) enum Begun {
    /// The answer is known.
    Answered(Encoded),
    /// It has to be waited for; says whether there was an answer.
    Runs(BoxFuture<bool>),
}

/// Begins a request other than `initialize`.
pub(super) fn begin(context: &Context<'_>, session: &Arc<Session>, request: Request, post: &Arc<Post>) -> Begun {
    let Request { id, method, params } = request;
    let fail = |error: &ErrorObject| Begun::Answered(encode_error(Some(&id), error).into());
    let method = match Method::parse(&method) {
        Method::Ping => return Begun::Answered(encode_result(&id, &Raw::constant("{}"))),
        Method::Other(name) if name.starts_with("notifications/") => return unknown(&id, &name),
        method if !method.exists_in(Era::Legacy) => return unknown(&id, method.as_str()),
        method => method,
    };
    let offered = session.offers(&method);
    if offered == Some(false) {
        return unknown(&id, method.as_str());
    }
    if method == Method::SetLevel {
        let Some(level) = level::of(params.as_ref()) else {
            return fail(&ErrorObject::new(code::INVALID_PARAMS, "`level` must be one of the eight log levels"));
        };
        session.set_level(level);
    }
    let mut params = cleaned(params.unwrap_or_default());
    trace::adopt(&mut params, context.headers);
    let life = Life::new(context.settings.limits.servers.life());
    let calling = Calling::new(id.clone(), session, post, life.clone(), meta::get(&params, meta::PROGRESS_TOKEN));
    match session.enter(&calling) {
        Ok(()) => {}
        Err(Refused::Duplicate) => {
            return fail(&ErrorObject::new(code::INVALID_REQUEST, "a request with this id is still running"));
        }
        Err(Refused::Busy) => {
            let fault = Fault::gateway(Reason::Busy, "too many requests of this session run at once");
            return Begun::Answered(reply::words(&id, &fault).into());
        }
        Err(Refused::Ended) => return fail(&ErrorObject::new(code::INVALID_REQUEST, "the session is over")),
    }
    let can_hear = post.can_stream() || session.listening().is_some();
    let declared = (!can_hear).then(|| session.caller().capabilities.clone());
    if method.may_ask()
        && declared.as_ref().is_some_and(ClientCapabilities::can_be_asked)
        && let Some(counts) = context.mount.counts()
    {
        counts.lost(Loss::StreamlessClient);
    }
    let peer: Arc<dyn Peer> = calling.clone();
    let headers = forwarded::named(context.headers, context.mount.forwards());
    let caller = session.caller_of(&Credentials::of(&headers), can_hear);
    let attempt = Attempt::First;
    let call = Call { caller: caller.clone(), method: method.clone(), params, attempt, peer, headers, life };
    let leave = Leave { session: session.clone(), calling, _open: session.pulse().open() };
    let mount = context.mount.clone();
    Begun::Runs(Box::pin(async move {
        let post = leave.calling.post.clone();
        let ended = leave.calling.uncancelled(async {
            if offered.is_none() {
                let description = mount.describe(&caller).await?;
                leave.session.learn(&description);
                if leave.session.offers(&method) == Some(false) {
                    return Err(Fault::method_not_found(method.as_str()));
                }
            }
            mount.call(call).await
        });
        let ended = ended.await;
        // The id is free again before the client can know that it is.
        drop(leave);
        let Some(ended) = ended else { return false };
        let ended = match declared {
            Some(declared) => ended.map_err(|fault| withheld(fault, &declared)),
            None => ended,
        };
        post.answer(Some(&id), worded(&id, &method, ended));
        true
    }))
}

fn unknown(id: &RequestId, method: &str) -> Begun {
    Begun::Answered(reply::words(id, &Fault::method_not_found(method)).into())
}

/// The answer on the wire.
fn worded(id: &RequestId, method: &Method, ended: Result<Outcome, Fault>) -> Encoded {
    match ended {
        // Clients exist that take nothing but an empty object here.
        Ok(Outcome::Complete(_))
            if matches!(method, Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) =>
        {
            encode_result(id, &Raw::constant("{}"))
        }
        Ok(Outcome::Complete(result) | Outcome::Task(result)) => encode_result(id, &result),
        Ok(Outcome::NeedsInput { .. }) => {
            let words = "a question was left open that this client cannot see";
            reply::words(id, &Fault::gateway(Reason::Internal, words)).into()
        }
        Err(fault) => reply::words(id, &fault).into(),
    }
}

/// The error of a request during which nothing could be asked: a client that `declared` what it is said to lack would not
/// know why.
fn withheld(fault: Fault, declared: &ClientCapabilities) -> Fault {
    let required = |error: &ErrorObject| error.data.as_ref()?.to_object()?.get_object("requiredCapabilities");
    match fault {
        Fault::Answered(mut error)
            if error.code == code::MISSING_CAPABILITY && required(&error).is_some_and(|r| !declared.lacks(&r)) =>
        {
            error.message.push_str(" (nothing can be asked of a client that accepts no `text/event-stream`)");
            Fault::Answered(error)
        }
        fault => fault,
    }
}

/// The parameters without what a legacy client has no business to say.
fn cleaned(mut params: RawObject) -> RawObject {
    for name in MODERN_PARAMS {
        if params.has(name) {
            params.remove(name);
        }
    }
    strip_hop_keys(&mut params);
    params
}

/// Takes out of `_meta` what only modern hops have.
pub(super) fn strip_hop_keys(params: &mut RawObject) {
    let claims = |meta: &Raw| memchr::memmem::find(meta.as_bytes(), b"io.modelcontextprotocol").is_some();
    if params.get(meta::META).is_some_and(claims) {
        meta::edit(params, |meta| meta.retain(|key| !meta::HOP_LOCAL.contains(&key)));
    }
}

impl Calling {
    fn new(id: RequestId, session: &Arc<Session>, post: &Arc<Post>, life: Life, token: Option<Raw>) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: own.clone(),
            id,
            session: Arc::downgrade(session),
            post: post.clone(),
            life,
            token,
            progress: Mutex::default(),
            is_over: Mutex::new(false),
            is_cancelled: AtomicBool::new(false),
            cancelled: AtomicWaker::new(),
        })
    }

    /// The id of the request.
    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Abandons the call: it will not be answered.
    pub(super) fn cancel(&self, reason: &str) {
        self.life.abandon(reason);
        self.is_cancelled.store(true, Ordering::Release);
        self.cancelled.wake();
    }

    /// Runs `call` unless the call is cancelled; it is dropped then.
    async fn uncancelled<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = pin!(call);
        poll_fn(|cx| {
            self.cancelled.register(cx.waker());
            if self.is_cancelled.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
            call.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Whether the client may still hear of the call.
    fn is_live(&self) -> bool {
        !*self.over() && !self.is_cancelled.load(Ordering::Acquire)
    }

    fn over(&self) -> MutexGuard<'_, bool> {
        self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Progress with the client's own token, if it wants any and it is progress indeed.
    fn progress(&self, params: Option<RawObject>) -> Option<RawObject> {
        let token = self.token.clone()?;
        let mut params = params?;
        let value: f64 = params.get("progress")?.parse().ok()?;
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| value <= last) {
            return None;
        }
        *last = Some(value);
        params.set("progressToken", token);
        Some(params)
    }
}

impl Peer for Calling {
    fn notify(&self, notification: Notification) {
        if !self.is_live() {
            return;
        }
        let Some(session) = self.session.upgrade() else { return };
        let Notification { method, params } = notification;
        let (weight, params) = match &*method {
            // Progress of a task has the token of the call that created the task, and not of this one.
            notification::PROGRESS if tasks::related(params.as_ref()).is_some() => (Weight::Light, params),
            notification::PROGRESS => match self.progress(params) {
                Some(params) => (Weight::Light, Some(params)),
                None => return,
            },
            notification::MESSAGE if !level::passes(&session.caller(), params.as_ref()) => return,
            notification::MESSAGE => (Weight::Light, params),
            stray if is_stray(stray) => return,
            // These say nothing about a call: they go where everybody's do.
            notification::TOOLS_CHANGED
            | notification::PROMPTS_CHANGED
            | notification::RESOURCES_CHANGED
            | notification::RESOURCE_UPDATED => {
                session.caller().scope.peer().notify(Notification { method, params });
                return;
            }
            _ => (Weight::Light, params),
        };
        if let Some(stream) = self.post.stream() {
            let text = encode_notification(&method, params.as_ref());
            let is_over = self.over();
            if !*is_over {
                stream.push(weight, text);
            }
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let refuse = |refusal| -> BoxFuture<Answer> { Box::pin(std::future::ready(Err(refusal))) };
        let Some(session) = self.session.upgrade().filter(|_| self.is_live()) else { return refuse(Refusal::NoOne) };
        if let Err(missing) = session.caller().capabilities.answers(&question.method, question.params.as_ref()) {
            return refuse(Refusal::Undeclared(missing));
        }
        match self.post.stream().or_else(|| session.listening()) {
            Some(stream) => session.ask(stream, Some(self.own.clone()), question),
            None => refuse(Refusal::NoOne),
        }
    }
}

/// Takes the call out of its session, however it ends.
struct Leave {
    session: Arc<Session>,
    calling: Arc<Calling>,
    _open: Open,
}

impl Drop for Leave {
    fn drop(&mut self) {
        *self.calling.over() = true;
        self.session.leave(&self.calling);
    }
}
