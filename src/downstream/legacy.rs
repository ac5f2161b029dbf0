//! The legacy era over streamable HTTP (2025-03-26 to 2025-11-25, basic/transports; 2024-11-05 clients are served alike).
//!
//! `initialize` opens a session; everything after it names the session in `Mcp-Session-Id`. A session belongs to one principal
//! at one mount, and for everybody else it does not exist. Calls belong to the session: a client that loses its connection
//! finds their answers again by the id of the last event it saw.

mod batch;
mod call;
pub(super) mod connected;
mod handshake;
mod level;
mod log;
mod outside;
mod post;
mod pulse;
mod question;
mod session;
mod sessions;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::{
    hub::Mount,
    jsonrpc::{ErrorObject, Message, Notification, Payload, RequestId, code},
    protocol::{Era, Method, Revision, headers, method::notification},
    seal::MAX_HANDLE,
};

pub use sessions::{SessionLimits, Sessions};

use super::{
    Body,
    endpoint::{Context, Settings, invalid, not_allowed},
    reply,
};

use call::Begun;
use post::{Post, Running, Shape};
use session::Resumed;
pub(super) use session::Session;
use sessions::{Key, key_of};

/// The event after which a client wants to go on (WHATWG HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Without a version header a client speaks this revision (2025-06-18, basic/transports#protocol-version-header).
const UNSAID: Revision = Revision::R2025_03_26;

/// Says nothing, but that coming back soon is of no use: some readers come back for as long as an answer is missing.
const LATER: Bytes = Bytes::from_static(b"retry: 60000\n\n");

/// Serves the legacy era at one mount.
pub(super) struct Legacy;

/// Why a request is answered before anybody looks at what it wants.
#[derive(Clone, Copy, Debug)]
enum Turned {
    /// The version header names nothing that is known.
    Version,
    /// The session does not exist, is over, or is somebody else's: always the same answer.
    Unknown,
    /// There is no session, and the operator wants one.
    Sessionless,
    /// A response without a session answers nothing.
    Orphan,
    /// There is nothing to do.
    Nothing,
    /// There are too many sessions.
    Full,
}

impl Turned {
    fn answer(self) -> Response<Body> {
        match self {
            Self::Version => invalid("`MCP-Protocol-Version` names no supported version"),
            Self::Unknown => {
                let text = "no such session: send `initialize` without `Mcp-Session-Id`";
                reply::error(StatusCode::NOT_FOUND, None, &ErrorObject::new(code::INVALID_REQUEST, text))
            }
            Self::Sessionless => {
                invalid("`Mcp-Session-Id` is missing: send `initialize` first and repeat the id of its answer")
            }
            Self::Orphan => invalid("a response belongs to a session, and `Mcp-Session-Id` is missing"),
            Self::Nothing => reply::empty(StatusCode::ACCEPTED),
            Self::Full => handshake::unavailable(None),
        }
    }

    /// The answer to a POST. A client in the middle of its session goes on when it hears that there is too much at once; a
    /// status that says so could end all that it is doing, see [`reply::status_of`].
    fn answer_to(self, payload: &Payload) -> Response<Body> {
        match (self, payload) {
            (Self::Full, Payload::One(Message::Request(request))) => {
                reply::rescue(Era::Legacy, &request.id, &handshake::too_many())
            }
            _ => self.answer(),
        }
    }
}

/// A session and what it is found by.
type Found = (Key, Arc<Session>);

impl Legacy {
    pub(super) fn new(_: &Arc<dyn Mount>, _: &Settings) -> Self {
        Self
    }

    pub(super) async fn post(&self, context: &Context<'_>, payload: Payload) -> Response<Body> {
        let payload = match payload {
            Payload::One(Message::Request(request)) if request.method == Method::Initialize.as_str() => {
                return self.initialize(context, request).await;
            }
            payload => payload,
        };
        let session = version(context.headers).and_then(|revision| match claim(context)? {
            Some((_, session)) => Ok(session),
            None => passing(context, &payload, revision),
        });
        let session = match session {
            Ok(session) => session,
            Err(turned) => return turned.answer_to(&payload),
        };
        session.pulse().heard();
        match payload {
            Payload::One(Message::Request(request)) => {
                let post = Post::new(&session, Shape::One, context.accept.events);
                match call::begin(context, &session, request, &post) {
                    Begun::Answered(text) => reply::json(StatusCode::OK, text),
                    Begun::Runs(work) => Running::new(post, work).answer().await,
                }
            }
            Payload::One(Message::Notification(notification)) => {
                told(context, &session, notification);
                reply::empty(StatusCode::ACCEPTED)
            }
            Payload::One(Message::Response(response)) => {
                session.answered(response);
                reply::empty(StatusCode::ACCEPTED)
            }
            Payload::Batch(elements) => batch::answer(context, &session, elements).await,
        }
    }

    async fn initialize(&self, context: &Context<'_>, request: crate::jsonrpc::Request) -> Response<Body> {
        if version(context.headers).is_ok_and(|v| v.is_some_and(Revision::is_modern)) {
            tracing::warn!("a client sends the legacy `initialize` under the header of a modern version");
        }
        // An id that a client brings along is never taken over; one that is in use cannot begin again.
        if let Ok(Some(_)) = claim(context) {
            let error = ErrorObject::new(code::INVALID_REQUEST, "this session is initialized already");
            return reply::error(StatusCode::BAD_REQUEST, Some(&request.id), &error);
        }
        handshake::initialize(context, request).await
    }

    pub(super) fn get(&self, context: &Context<'_>) -> Response<Body> {
        if !context.accept.events {
            return reply::not_acceptable();
        }
        let last = match single(context.headers, &LAST_EVENT_ID) {
            Ok(last) => last,
            Err(Several) => return invalid("`Last-Event-ID` must be one event id"),
        };
        let session = match version(context.headers).and_then(|_| claim(context)) {
            Ok(Some((_, session))) => session,
            Ok(None) if last.is_some() => return invalid("`Last-Event-ID` needs `Mcp-Session-Id`"),
            Ok(None) => return not_allowed("POST"),
            Err(turned) => return turned.answer(),
        };
        session.pulse().heard();
        let draining = &context.settings.draining;
        let Some(last) = last else {
            return match session.listen() {
                Some(reader) => reply::events(reader.until(draining)),
                None => Turned::Unknown.answer(),
            };
        };
        match session.resume(last.to_str().unwrap_or_default()) {
            Resumed::Request(reader) => reply::events(reader),
            Resumed::Standalone(reader) => reply::events(reader.until(draining)),
            Resumed::Cut => not_allowed("POST, DELETE"),
            // An error would make readers try again and again.
            Resumed::Unknown => reply::events(futures_util::stream::iter([LATER])),
        }
    }

    pub(super) fn delete(&self, context: &Context<'_>) -> Response<Body> {
        match version(context.headers).and_then(|_| claim(context)) {
            Ok(Some((key, _))) => {
                context.settings.sessions.end(&key, "the client ended the session");
                reply::empty(StatusCode::OK)
            }
            Ok(None) => not_allowed("POST"),
            Err(turned) => turned.answer(),
        }
    }
}

/// Whether a notification of a server is none for a client of this era: what clients say themselves, what names a request by an
/// id of another hop, and what only streams of the modern era have.
fn is_stray(method: &str) -> bool {
    matches!(
        method,
        notification::INITIALIZED
            | notification::CANCELLED
            | notification::ROOTS_CHANGED
            | notification::ACKNOWLEDGED
            | notification::TASK_CHANGED
    )
}

/// There are several values where one is expected.
struct Several;

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Several),
    }
}

/// The revision that the header names, if there is one. One that nobody knows is refused.
fn version(headers: &HeaderMap) -> Result<Option<Revision>, Turned> {
    let Some(value) = single(headers, &headers::PROTOCOL_VERSION).map_err(|Several| Turned::Version)? else {
        return Ok(None);
    };
    value.to_str().ok().and_then(|v| Revision::parse(v.trim())).map(Some).ok_or(Turned::Version)
}

/// The session that the request names, if it names any.
fn claim(context: &Context<'_>) -> Result<Option<Found>, Turned> {
    let Some(value) = single(context.headers, &headers::SESSION_ID).map_err(|Several| Turned::Unknown)? else {
        return Ok(None);
    };
    let handle = match value.to_str() {
        Ok(handle) if handle.len() <= MAX_HANDLE && handle.bytes().all(|b| b.is_ascii_graphic()) => handle,
        _ => return Err(Turned::Unknown),
    };
    let key = key_of(handle);
    if let Some(session) = context.settings.sessions.find(&key, context.principal, context.mount.name()) {
        return Ok(Some((key, session)));
    }
    handshake::restore(context, key, handle).map(|session| Some((key, session)))
}

/// A client without a session is served request by request, where the operator does not mind.
fn passing(context: &Context<'_>, payload: &Payload, revision: Option<Revision>) -> Result<Arc<Session>, Turned> {
    if !context.settings.tolerate_sessionless {
        return Err(Turned::Sessionless);
    }
    match payload {
        // Without a session it can concern nothing.
        Payload::One(Message::Notification(_)) => return Err(Turned::Nothing),
        Payload::One(Message::Response(_)) => return Err(Turned::Orphan),
        _ => {}
    }
    let scope = context.settings.scopes.of(context.principal);
    Ok(Session::passing(context.principal, context.mount.name(), revision.unwrap_or(UNSAID), scope))
}

/// The client says something that wants no answer.
fn told(context: &Context<'_>, session: &Arc<Session>, notification: Notification) {
    let Notification { method, mut params } = notification;
    params.iter_mut().for_each(call::strip_hop_keys);
    let forwarded = match &*method {
        // Nothing waits for it: whoever sends anything can be told things.
        notification::INITIALIZED => None,
        notification::CANCELLED => {
            let id = params.as_ref().and_then(|p| RequestId::new(p.get("requestId")?).ok());
            if let Some(call) = id.and_then(|id| session.call(&id)) {
                let reason = params.as_ref().and_then(|p| p.get("reason")?.as_text());
                call.cancel(reason.as_deref().unwrap_or("the client cancelled the request"));
            }
            None
        }
        notification::PROGRESS => session.progressed(params.as_ref()),
        _ => Some(Notification { method, params }),
    };
    if let Some(notification) = forwarded {
        context.mount.notify(&session.caller_of(&context.credentials(), true), notification);
    }
}
