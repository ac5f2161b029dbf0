//! One configured server, as its probe and its sessions share it: the client, the headers, and what happened last.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use crate::{
    hub::{Credentials, Fault, GatewayFault, Health, Reason},
    jsonrpc::ErrorObject,
    protocol::headers::{PROTOCOL_VERSION, SESSION_ID},
};

use super::{
    HttpSettings, HttpTarget, TargetError,
    client::{Answer, Bounds, Client, Purpose, SendError},
    wire::{ConnectError, Place},
};

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("rialto/", env!("CARGO_PKG_VERSION")));

/// A configured server, as those reach it who send the same along.
pub(super) struct Server {
    pub(super) name: Arc<str>,
    pub(super) settings: HttpSettings,
    /// Whether the server was last seen to work without sessions, in the legacy era.
    pub(super) stateless: Arc<AtomicBool>,
    client: Client,
    uri: Uri,
    /// What the operator has every request carry.
    given: Arc<HeaderMap>,
    /// What every request carries: that, and what is sent along.
    common: HeaderMap,
    health: Arc<HealthCell>,
}

impl Server {
    pub(super) fn new(name: Arc<str>, target: HttpTarget, settings: HttpSettings) -> Result<Self, TargetError> {
        let wrong = |what: &str| TargetError { server: name.clone(), what: what.into() };
        let place = Place::of(&target.url, settings.tls.clone(), settings.dial.clone()).map_err(wrong)?;
        let path = &target.url[url::Position::BeforePath..url::Position::AfterQuery];
        let uri = path.parse().map_err(|_| wrong("has a path that cannot be sent"))?;
        let host = &target.url[url::Position::BeforeHost..url::Position::AfterPort];
        let host = HeaderValue::from_str(host).map_err(|_| wrong("has a host that cannot be sent"))?;
        let mut common = HeaderMap::with_capacity(16);
        common.insert(header::HOST, host);
        common.insert(header::USER_AGENT, USER_AGENT);
        if let Some(credentials) = credentials(&target.url) {
            common.insert(header::AUTHORIZATION, credentials);
        }
        for (name, value) in target.headers {
            // What frames the message or belongs to the protocol is not the operator's.
            if !is_ours(&name) {
                common.insert(name, value);
            }
        }
        let bounds = Bounds {
            connections: settings.connections,
            idle: settings.idle_connections,
            idle_for: settings.idle,
            connect: settings.connect,
        };
        let client = Client::new(place, bounds);
        let (stateless, health) = <(Arc<AtomicBool>, Arc<HealthCell>)>::default();
        let given = Arc::new(common.clone());
        Ok(Self { name, settings, stateless, client, uri, given, common, health })
    }

    /// The same server for those who send these headers along.
    pub(super) fn sending(&self, credentials: &Credentials) -> Self {
        let mut common = self.common.clone();
        self.add(&mut common, credentials.headers());
        Self {
            name: self.name.clone(),
            settings: self.settings.clone(),
            stateless: self.stateless.clone(),
            client: self.client.clone(),
            uri: self.uri.clone(),
            given: self.given.clone(),
            common,
            health: self.health.clone(),
        }
    }

    /// The headers of a POST, to which a session adds its own once.
    pub(super) fn post_headers(&self) -> HeaderMap {
        let mut headers = self.common.clone();
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::ACCEPT, EITHER);
        headers
    }

    /// Adds the headers of one call to those of every request, in place of what is sent along anyway. What the operator gave
    /// the server stays as it is.
    pub(super) fn add(&self, headers: &mut HeaderMap, more: &[(HeaderName, HeaderValue)]) {
        let added = || more.iter().filter(|(name, _)| !self.given.contains_key(name));
        for (name, _) in added().filter(|(name, _)| self.common.contains_key(name)) {
            headers.remove(name);
        }
        for (name, value) in added() {
            headers.append(name, value.clone());
        }
    }

    /// A POST of one message.
    pub(super) fn post(&self, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        self.request(Method::POST, headers, body)
    }

    /// A GET for a stream, with the headers of the session's POSTs.
    pub(super) fn get(&self, mut headers: HeaderMap) -> Request<Full<Bytes>> {
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::ACCEPT, EVENTS);
        self.request(Method::GET, headers, Bytes::new())
    }

    /// Ends a session at the server, without minding the answer.
    pub(super) async fn delete(&self, session: HeaderValue, version: Option<HeaderValue>) {
        let mut headers = self.common.clone();
        headers.insert(SESSION_ID, session);
        if let Some(version) = version {
            headers.insert(PROTOCOL_VERSION, version);
        }
        let request = self.request(Method::DELETE, headers, Bytes::new());
        let ending = async {
            if let Ok(mut answer) = self.client.send(Purpose::Control, request).await
                && answer.body.collect(4096).await.is_ok()
            {
                answer.body.finish();
            }
        };
        let _ = tokio::time::timeout(self.settings.close, ending).await;
    }

    fn request(&self, method: Method, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, purpose: Purpose, request: Request<Full<Bytes>>) -> Result<Answer, SendError> {
        let sent = self.client.send(purpose, request).await;
        if let Err(SendError::Connect(error)) = &sent {
            self.health.down(error.to_string());
        }
        sent
    }

    /// The fault for a request that got no answer.
    pub(super) fn unsent(&self, error: SendError) -> Fault {
        match error {
            SendError::Busy => self.fault(Reason::Busy, "too many connections are in use, try again later"),
            SendError::Connect(ConnectError::Tls) => {
                self.fault(Reason::TlsFailed, format!("could not be reached: {}", ConnectError::Tls))
            }
            SendError::Connect(error) => self.fault(Reason::ConnectFailed, format!("could not be reached: {error}")),
            SendError::Lost => self.lost(),
        }
    }

    /// The fault for a connection that broke before the answer was there.
    pub(super) fn lost(&self) -> Fault {
        self.fault(Reason::StreamLost, "the connection broke before the answer came; the call may have run")
    }

    /// The fault for a message that is too large.
    pub(super) fn too_large(&self) -> Fault {
        let most = self.settings.max_message;
        self.fault(Reason::Limit, format!("it sent a message of more than {most} bytes, which is more than is allowed"))
    }

    /// A fault at this server.
    pub(super) fn fault(&self, reason: Reason, message: impl Into<String>) -> Fault {
        Fault::upstream(reason, &self.name, message)
    }

    /// A fault at this server with what it said itself.
    pub(super) fn fault_because(&self, reason: Reason, message: &str, cause: &ErrorObject) -> Fault {
        Fault::Gateway(GatewayFault {
            upstream: Some(self.name.clone()),
            cause: Some(cause.to_raw()),
            ..GatewayFault::new(reason, message)
        })
    }

    /// The fault for an answer with this status, and when the server wants to be asked again.
    pub(super) fn status_fault(&self, status: u16, message: impl Into<String>, after: Option<Duration>) -> Fault {
        Fault::Gateway(GatewayFault {
            upstream: Some(self.name.clone()),
            status: Some(status),
            retry_after: after,
            // Any other says that something is wrong with the request or the address, which will be so the next time.
            retryable: matches!(status, 408 | 425 | 429 | 500..),
            ..GatewayFault::new(Reason::UpstreamHttp, message)
        })
    }

    /// Whether the server can be used, by what happened last.
    pub(super) fn health(&self) -> Health {
        self.health.get()
    }

    /// Notes that the server works.
    pub(super) fn works(&self) {
        self.health.up();
    }

    /// Notes what is wrong with the server.
    pub(super) fn fails(&self, fault: &Fault) {
        if let Fault::Gateway(fault) = fault {
            self.health.down(fault.message.clone());
        }
    }
}

/// Name and password in the address, as the header they mean.
fn credentials(url: &url::Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut text: Vec<u8> = percent_decode_str(url.username()).collect();
    text.push(b':');
    text.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a header is set by the client itself.
fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("mcp-")
        || *name == LAST_EVENT_ID
        || [
            header::HOST,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::TRANSFER_ENCODING,
            header::CONNECTION,
            header::UPGRADE,
            header::TE,
            header::TRAILER,
            header::EXPECT,
            header::ACCEPT,
            header::ACCEPT_ENCODING,
        ]
        .contains(name)
}

/// What happened last. Noting that all is well again and again costs one load.
#[derive(Default)]
struct HealthCell {
    state: AtomicU8,
    reason: Mutex<String>,
}

const UP: u8 = 1;
const DOWN: u8 = 2;

impl HealthCell {
    fn up(&self) {
        if self.state.load(Ordering::Relaxed) != UP {
            self.state.store(UP, Ordering::Relaxed);
        }
    }

    fn down(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.state.store(DOWN, Ordering::Relaxed);
    }

    fn get(&self) -> Health {
        match self.state.load(Ordering::Relaxed) {
            UP => Health::Up,
            DOWN => Health::Down(self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            _ => Health::Unknown,
        }
    }
}
