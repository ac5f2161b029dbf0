//! One MCP endpoint: telling the eras apart.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Credentials, LifeLimits, Mount, Principal},
    jsonrpc::{ErrorObject, Limits, Message, ParseError, Payload, RawObject, code, encode_error},
    protocol::{Method, Revision, headers, meta},
    seal::Sealer,
    telemetry::Note,
};

use super::{
    Body, Scopes,
    accept::{self, Accept},
    body::{BODY_LIMIT, BODY_TIME, BodyError, read_body},
    forwarded,
    legacy::{Legacy, Sessions},
    modern::{Held, Modern},
    reply,
};

/// What every endpoint of a gateway shares.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seals session ids and request states.
    pub sealer: Arc<Sealer>,
    /// The scopes of the modern era.
    pub scopes: Arc<Scopes>,
    /// What modern clients hold: parked calls and subscriptions.
    pub held: Arc<Held>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long a call may last.
    pub life: LifeLimits,
    /// Fires when the gateway was told to stop: it says that it is not ready any more, and serves on until `draining`.
    pub stopping: CancellationToken,
    /// Fires when the gateway stops: open streams end then.
    pub draining: CancellationToken,
    /// The sessions of the legacy era.
    pub sessions: Arc<Sessions>,
    /// Whether the keys of `sealer` outlive the process: legacy sessions then go on after a restart.
    pub sessions_survive: bool,
    /// Whether legacy clients are served that ignore the session id they were given. They can be asked nothing.
    pub tolerate_sessionless: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sealer: Arc::new(Sealer::random()),
            scopes: Arc::default(),
            held: Arc::default(),
            body_limit: BODY_LIMIT,
            body_time: BODY_TIME,
            life: LifeLimits::default(),
            stopping: CancellationToken::new(),
            draining: CancellationToken::new(),
            sessions: Arc::default(),
            sessions_survive: false,
            tolerate_sessionless: true,
        }
    }
}

/// What a request is about, for the era that handles it.
pub(super) struct Context<'a> {
    /// The mount behind the endpoint.
    pub(super) mount: &'a Arc<dyn Mount>,
    /// What all endpoints share.
    pub(super) settings: &'a Settings,
    /// The headers of the request.
    pub(super) headers: &'a HeaderMap,
    /// Whether they have to repeat what the body says: over HTTP, and nowhere else.
    pub(super) is_mirrored: bool,
    /// What the client takes as an answer.
    pub(super) accept: Accept,
    /// Who calls.
    pub(super) principal: &'a Principal,
}

impl Context<'_> {
    /// What of the headers goes on to the server with everything that is sent for this client.
    pub(super) fn credentials(&self) -> Credentials {
        forwarded::credentials(self.headers, self.mount.forwards())
    }
}

/// The MCP endpoint in front of one mount.
pub struct Endpoint {
    mount: Arc<dyn Mount>,
    settings: Settings,
    modern: Modern,
    legacy: Legacy,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("mount", &self.mount.name()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Puts an endpoint in front of `mount`.
    #[must_use]
    pub fn new(mount: Arc<dyn Mount>, settings: Settings) -> Arc<Self> {
        let modern = Modern::new(&mount, &settings);
        let legacy = Legacy::new(&mount, &settings);
        Arc::new(Self { mount, settings, modern, legacy })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The mount behind it.
    #[must_use]
    pub fn mount(&self) -> &Arc<dyn Mount> {
        &self.mount
    }

    /// Answers one HTTP request. Host, Origin and authentication have been dealt with.
    pub async fn serve<B>(&self, request: Request<B>, principal: &Principal) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let context = Context {
            mount: &self.mount,
            settings: &self.settings,
            headers: &head.headers,
            is_mirrored: true,
            accept: Accept::read(&head.headers),
            principal,
        };
        match head.method {
            Verb::POST => self.post(&context, body, head.extensions.get()).await,
            Verb::GET => self.get(&context),
            Verb::DELETE => self.delete(&context),
            _ => not_allowed("GET, POST, DELETE"),
        }
    }

    async fn post<B>(&self, context: &Context<'_>, body: B, note: Option<&Note>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !accept::sends_json(context.headers) || context.headers.contains_key(header::CONTENT_ENCODING) {
            let words = "the body must be `Content-Type: application/json`, without `Content-Encoding`\n";
            return reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, words);
        }
        if !context.accept.json {
            return reply::not_acceptable();
        }
        let text = match read_body(body, self.settings.body_limit, Instant::now() + self.settings.body_time).await {
            Ok(text) => text,
            Err(fault) => return unread(&fault),
        };
        let payload = match Payload::parse(text, Limits::DOWNSTREAM) {
            Ok(payload) => payload,
            Err(fault) => return unparsed(&fault),
        };
        if let Some(note) = note {
            note.payload(&payload);
        }
        match payload {
            Payload::One(message) if is_modern(context.headers, &message) => self.modern.post(context, message).await,
            Payload::Batch(elements) if elements.iter().flatten().any(|m| is_modern(context.headers, m)) => {
                invalid("a batch is not part of this protocol version")
            }
            payload => self.legacy.post(context, payload).await,
        }
    }

    fn get(&self, context: &Context<'_>) -> Response<Body> {
        if names_modern(context.headers) {
            return not_allowed("POST");
        }
        self.legacy.get(context)
    }

    fn delete(&self, context: &Context<'_>) -> Response<Body> {
        if names_modern(context.headers) {
            return not_allowed("POST");
        }
        self.legacy.delete(context)
    }
}

/// Whether the version header names a modern revision.
fn names_modern(headers: &HeaderMap) -> bool {
    headers
        .get(headers::PROTOCOL_VERSION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| Revision::parse(v.trim()))
        .is_some_and(Revision::is_modern)
}

/// The revision that the envelope of a message claims.
fn claim(params: Option<&RawObject>) -> Option<crate::jsonrpc::Raw> {
    meta::get(params?, meta::PROTOCOL_VERSION)
}

/// Whether a message is of the modern era: it carries the envelope's claim, or what the header says leaves no other choice.
/// A plain `initialize` is the legacy handshake whatever the header says; one with a modern claim is not.
pub(super) fn is_modern(headers: &HeaderMap, message: &Message) -> bool {
    match message {
        Message::Request(request) => {
            let claim = || claim(request.params.as_ref());
            if request.method == Method::Initialize.as_str() {
                return claim().and_then(|c| Revision::parse(&c.as_text()?)).is_some_and(Revision::is_modern);
            }
            names_modern(headers)
                || claim().is_some()
                || matches!(Method::parse(&request.method), Method::Discover | Method::Listen)
        }
        Message::Notification(notification) => claim(notification.params.as_ref()).is_some() || names_modern(headers),
        Message::Response(_) => names_modern(headers),
    }
}

/// A 405 that names what is allowed.
pub(super) fn not_allowed(allow: &'static str) -> Response<Body> {
    let words =
        "this is an MCP endpoint: clients POST to it; GET and DELETE belong to sessions that `initialize` began\n";
    let mut response = reply::text(StatusCode::METHOD_NOT_ALLOWED, words);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A 400 for something that is JSON but no message we take.
pub(super) fn invalid(message: &str) -> Response<Body> {
    reply::error(StatusCode::BAD_REQUEST, None, &ErrorObject::new(code::INVALID_REQUEST, message))
}

/// A 400 for something that is no message.
pub(super) fn unparsed(fault: &ParseError) -> Response<Body> {
    reply::json(StatusCode::BAD_REQUEST, encode_error(fault.id.as_ref(), &fault.to_error()))
}

fn unread(fault: &BodyError) -> Response<Body> {
    let error = ErrorObject::new(code::INVALID_REQUEST, fault.to_string());
    let mut response = reply::error(fault.status(), None, &error);
    // What is left of the body would be read as the next request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
