//! The mounts of an application, each behind its endpoint.

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    routing::{any, any_service, get},
};
use futures_util::{
    FutureExt,
    future::{Either, Ready, ready},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    auth::{Access, Unidentified},
    downstream::{Endpoint, Settings},
    hub::{BoxFuture, Caught, Gather, Health, Limit, Mount, Sheltered, words},
    jsonrpc::{ErrorObject, code, encode_error},
    limits::{Limits, ServerLimits},
    telemetry::{CallSeries, Measured},
};

use super::{
    problem::{Kind, Problem},
    table::{Door, Table},
};

/// A mount on its way into a gateway: with the layers that its calls pass.
pub struct Mounted {
    pub(super) mount: Arc<dyn Mount>,
    pub(super) layers: Vec<MountLayer>,
    pub(super) title: Option<String>,
    pub(super) unidentified: Unidentified,
    /// Where its calls are counted, if they are.
    pub(super) series: Option<Arc<CallSeries>>,
    /// The bounds towards its server, where it has some of its own.
    pub(super) limits: Option<ServerLimits>,
}

/// Puts something around a mount.
pub(super) type MountLayer = Box<dyn Fn(Arc<dyn Mount>) -> Arc<dyn Mount> + Send + Sync>;

/// One mount of a gateway.
pub struct Entry {
    endpoint: Arc<Endpoint>,
    title: Option<String>,
    unidentified: Unidentified,
}

/// The mounts of a gateway, in the order of the configuration. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Gateway {
    entries: Arc<[Arc<Entry>]>,
    ending: [CancellationToken; 2],
}

/// Why a mount is closed to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// There is no mount of this name.
    Unknown,
    /// The principal may not use it.
    Forbidden,
}

// === impl Gateway ===

impl Gateway {
    /// Puts an endpoint in front of each mount, with the layers that every call passes.
    #[must_use]
    pub fn new(mounts: impl IntoIterator<Item = impl Into<Mounted>>, settings: &Settings) -> Self {
        let entries = mounts.into_iter().map(|mounted| Arc::new(Entry::new(mounted.into(), settings)));
        let ending = [settings.stopping.clone(), settings.draining.clone()];
        Self { entries: entries.collect(), ending }
    }

    /// Whether new requests are better sent elsewhere, since this process is about to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.ending.iter().any(CancellationToken::is_cancelled)
    }

    /// The mounts.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The mount of this name, if this access may use it.
    ///
    /// # Errors
    /// Why it is closed.
    pub fn open(&self, name: &str, access: &Access) -> Result<&Arc<Entry>, Closed> {
        let entry = self.entries.iter().find(|entry| entry.name() == name).ok_or(Closed::Unknown)?;
        if access.may_use(name) { Ok(entry) } else { Err(Closed::Forbidden) }
    }

    /// The mounts that this access may use.
    pub fn open_to<'a>(&'a self, access: &'a Access) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.entries.iter().filter(|entry| access.may_use(entry.name()))
    }

    /// The routes of the gateway alone: MCP at `/mcp/{mount}`, with and without a trailing slash, and its health.
    pub fn router(&self) -> Router {
        let mut table = Table::default();
        self.add_routes(&mut table);
        table.into_parts().0
    }

    /// Adds those routes to others.
    pub fn add_routes(&self, table: &mut Table) {
        for entry in &*self.entries {
            let mcp = any_service(Mcp(entry.clone()));
            table.add(Door::Key, &format!("/mcp/{}", entry.name()), mcp.clone());
            table.add(Door::Key, &format!("/mcp/{}/", entry.name()), mcp);
        }
        // Said before anybody is asked for a key, which would not help: a client with the wrong address hears so, and one that
        // looks for an authorization server learns that there is none (2026-07-28, basic/authorization).
        table.add(Door::Nowhere, "/mcp/{*path}", any(no_mount));
        for name in ["oauth-protected-resource", "oauth-authorization-server", "openid-configuration"] {
            table.add(Door::Nowhere, &format!("/.well-known/{name}"), any(nothing));
            table.add(Door::Nowhere, &format!("/.well-known/{name}/{{*path}}"), any(nothing));
        }
        table.add(Door::Public, "/healthz", get(healthz));
        table.add(Door::Public, "/readyz", get(readyz).with_state(self.clone()));
    }
}

// === impl Mounted ===

impl From<Arc<dyn Mount>> for Mounted {
    fn from(mount: Arc<dyn Mount>) -> Self {
        Self { mount, layers: Vec::new(), title: None, unidentified: Unidentified::Local, series: None, limits: None }
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(mounted: Mounted, settings: &Settings) -> Self {
        let Mounted { mount, layers, title, unidentified, series, limits } = mounted;
        let servers = limits.unwrap_or(settings.limits.servers);
        let settings = Settings { limits: Arc::new(Limits { servers, ..*settings.limits }), ..settings.clone() };
        // Read from the outside in: a call is counted, whatever becomes of it; it is bounded in number and time, questions
        // included; what panics below ends the call and nothing else; then it passes the layers and hooks that this mount was
        // given, the first of them first; then the questions of modern servers are answered for clients that cannot; then it
        // reaches the mount.
        let mut stack: Arc<dyn Mount> = Arc::new(Gather::new(mount, servers.rounds));
        if !layers.is_empty() {
            stack = Arc::new(Sheltered::new(stack));
        }
        for layer in layers.iter().rev() {
            stack = layer(stack);
        }
        let limited = Limit::new(Caught::new(stack));
        let mount: Arc<dyn Mount> = match series {
            Some(series) => Arc::new(Measured::new(limited, series)),
            None => Arc::new(limited),
        };
        let endpoint = Endpoint::new(mount, settings);
        Self { endpoint, title, unidentified }
    }

    /// Its name, as in `/mcp/{name}`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.endpoint.mount().name()
    }

    /// What people call it, where that is not its name.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Its MCP endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The mount with all its layers.
    #[must_use]
    pub fn mount(&self) -> &Arc<dyn Mount> {
        self.endpoint.mount()
    }

    /// Who a request to it comes from that nobody authenticated.
    #[must_use]
    pub fn unidentified(&self) -> Unidentified {
        self.unidentified
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The service behind `/mcp/{mount}`.
#[derive(Clone, Debug)]
pub(super) struct Mcp(pub(super) Arc<Entry>);

impl Service<Request<Body>> for Mcp {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, BoxFuture<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let entry = self.0.clone();
        let access = Access::of(request.extensions(), entry.unidentified);
        if !access.may_use(entry.name()) {
            return Either::Left(ready(Ok(forbidden())));
        }
        Either::Right(Box::pin(async move {
            // Calls catch what panics in them. What else does is a defect of the endpoint, and this request's alone.
            let served = AssertUnwindSafe(entry.endpoint.serve(request, access.principal())).catch_unwind().await;
            Ok(served.map_or_else(|panic| broken(entry.name(), &*panic), |response| response.map(Body::new)))
        }))
    }
}

fn broken(mount: &str, panic: &(dyn Any + Send)) -> Response<Body> {
    tracing::error!(mount, "a panic in an endpoint: {}", words(panic));
    let error = ErrorObject::new(code::INTERNAL, "the gateway failed while it handled this; its log says more");
    let mut response = Response::new(Body::from(encode_error(None, &error)));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The principal is known and may not come in. No challenge: another key of the same principal would not help.
pub(super) fn forbidden() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"error":"access_denied"}"#));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Who calls is known, and may use some mounts and nothing beside them.
pub(super) fn not_your_route() -> Problem {
    Problem::new(Kind::Forbidden, "your key opens mounts only, and not the routes beside them")
}

async fn no_mount() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is no mount of this name; /readyz lists those that are open to you\n")
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Whether requests may be sent here: the listener and the configuration are in order, and the process is not about to end.
/// Servers that are down do not make it unready. Who is known hears how those are that it may use; a stranger hears nothing of
/// them, not even their names.
async fn readyz(State(gateway): State<Gateway>, request: Request<Body>) -> (StatusCode, Json<serde_json::Value>) {
    let (status, word) = match gateway.is_stopping() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        false => (StatusCode::OK, "ready"),
    };
    let mut answer = json!({ "status": word });
    for entry in gateway.entries() {
        let access = Access::of(request.extensions(), entry.unidentified());
        if access.principal().is_anonymous() || !access.may_use(entry.name()) {
            continue;
        }
        answer["mounts"][entry.name()] = match entry.mount().health() {
            Health::Unknown => json!({ "status": "unknown" }),
            Health::Up => json!({ "status": "up" }),
            Health::Down(reason) => json!({ "status": "down", "reason": reason }),
        };
    }
    (status, Json(answer))
}
