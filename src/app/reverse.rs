//! Plain HTTP routes to servers elsewhere: a reverse proxy, behind the same middleware as everything else.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, Request, header};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;
use url::Url;

use crate::{
    auth::{Access, Unidentified},
    config::{RoutePath, fields, route_url},
    hub::BoxFuture,
};

use super::{
    gateway::not_your_route,
    problem::{Kind, Problem},
};

mod bodies;
mod headers;
mod path;

use bodies::{Download, Upload, UploadError};
use path::BadPath;

/// Requests that one route has at its server at once, answers that are still being read included. One more is answered
/// with 503.
const AT_ONCE: usize = 256;
/// Idle connections that are kept to one server.
const IDLE: usize = 32;
/// How long they are kept.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// How long connecting may take, name lookup and TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// A server elsewhere that a route leads to, for [`Builder::route_to`](super::Builder::route_to).
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderName, HeaderValue};
/// use rialto::{Reverse, Rialto};
///
/// let reports = Reverse::to("https://reports.internal/v2")
///     .header(HeaderName::from_static("x-token"), HeaderValue::from_static("a secret"))
///     .timeout(Duration::from_secs(10));
/// let app = Rialto::builder().route_to("/reports", reports).build();
/// # let _ = app;
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Reverse {
    url: Result<Url, String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    body_limit: u64,
}

/// The service behind a route. Clones share the connections.
#[derive(Clone)]
pub(super) struct ReverseRoute(Arc<Shared>);

struct Shared {
    path: RoutePath,
    target: Result<Target, String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    body_limit: u64,
    seats: Arc<Semaphore>,
    surroundings: Surroundings,
}

struct Target {
    url: Url,
    client: reqwest::Client,
}

/// What a route has to know of the application it is in.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) unidentified: Unidentified,
    pub(super) public_url: Option<Url>,
    pub(super) draining: CancellationToken,
}

/// Why there is no answer of the server.
#[derive(Debug)]
enum Failure {
    Forbidden,
    Method,
    Path,
    Busy,
    Upload(UploadError),
    Unreachable(String),
    Broken(String),
    Late,
}

// === impl Reverse ===

impl Reverse {
    /// How long a server may take to begin its answer, unless said.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The largest body of a request in bytes, unless said.
    pub const BODY_LIMIT: u64 = 64 << 20;

    /// A server elsewhere. What is below the route goes below the path of `url`: with a route `/reports` to
    /// `http://127.0.0.1:9000/v2`, a request for `/reports/may?page=2` goes to `http://127.0.0.1:9000/v2/may?page=2`.
    ///
    /// A text that is no `http` or `https` URL, or has a user, a query or a fragment, makes a route that is down and says
    /// why.
    pub fn to(url: impl AsRef<str>) -> Self {
        let url = route_url(url.as_ref()).map_err(|(what, _)| what);
        Self { url, headers: Vec::new(), timeout: Self::TIMEOUT, body_limit: Self::BODY_LIMIT }
    }

    /// A header for every request, such as a credential, in place of the client's. Those that frame a message or say where
    /// it comes from are Rialto's own, and are not set.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        if fields::may_set(&name) {
            value.set_sensitive(true);
            self.headers.push((name, value));
        }
        self
    }

    /// How long the server may take to begin its answer, counted from the end of the request; 504 after that. Once begun,
    /// an answer may last as long as it likes, but not be silent for more than five minutes.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// The largest body of a request, in bytes; 413 beyond it. Bodies are passed on as they come and not held.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The service of a route at `path`.
    pub(super) fn into_route(self, path: RoutePath, surroundings: Surroundings) -> ReverseRoute {
        let Self { url, headers, timeout, body_limit } = self;
        let target = url.and_then(|url| Ok(Target { client: client(&url)?, url }));
        if let Err(reason) = &target {
            tracing::error!(route = %path, "this route leads nowhere: {reason}");
        }
        let seats = Arc::new(Semaphore::new(AT_ONCE));
        ReverseRoute(Arc::new(Shared { path, target, headers, timeout, body_limit, seats, surroundings }))
    }
}

impl From<&str> for Reverse {
    fn from(url: &str) -> Self {
        Self::to(url)
    }
}

fn client(url: &Url) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        // What the server says goes to the client, redirects and compressed bodies included.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_TIME)
        .tcp_nodelay(true);
    // Reading the certificates of the machine takes long, and without TLS nobody needs them.
    let builder = if url.scheme() == "https" { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(|error| format!("no client for it could be made: {error}"))
}

// === impl ReverseRoute ===

impl Shared {
    async fn forward(&self, request: Request<Body>) -> Result<Response, Failure> {
        let access = Access::of(request.extensions(), self.surroundings.unidentified);
        if !access.may_use_routes() {
            return Err(Failure::Forbidden);
        }
        // These two are about the connection (RFC 9110, sections 9.3.6 and 9.3.8), which ends here.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Failure::Method);
        }
        let target = self.target.as_ref().map_err(|reason| Failure::Unreachable(reason.clone()))?;
        let (head, body) = request.into_parts();
        let rest = head.uri.path().strip_prefix(self.path.as_str()).ok_or(Failure::Path)?;
        let url = path::address(&target.url, rest, head.uri.query()).map_err(|BadPath| Failure::Path)?;
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| Failure::Busy)?;
        let upload = Upload::new(body, self.body_limit).map_err(Failure::Upload)?;
        let progress = upload.progress();

        let mut sent = reqwest::Request::new(head.method.clone(), url.clone());
        *sent.headers_mut() =
            headers::of_request(&head, &self.headers, self.path.as_str(), self.surroundings.public_url.as_ref());
        if !http_body::Body::is_end_stream(&upload) {
            *sent.body_mut() = Some(reqwest::Body::wrap(upload));
        }
        let answer = progress.wait(self.timeout, target.client.execute(sent)).await.ok_or(Failure::Late)?;
        let answer = answer.map_err(|error| match progress.failed() {
            Some(upload) => Failure::Upload(upload),
            None => Failure::of(error),
        })?;
        if answer.status().is_informational() {
            return Err(Failure::Broken("it switched to a protocol that nobody asked for".to_owned()));
        }
        let (mut head_back, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        headers::of_response(&mut head_back.headers);
        if let Some(given) = head_back.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) {
            let public = headers::public_path(&head, self.path.as_str());
            let back = path::location(given, &url, &target.url, &public);
            if let Some(back) = back.and_then(|back| HeaderValue::try_from(back).ok()) {
                head_back.headers.insert(header::LOCATION, back);
            }
        }
        head_back.extensions.clear();
        // The version is that of each hop (RFC 9112, section 2.3): what the server speaks says nothing of us.
        head_back.version = http::Version::default();
        let body = Download::new(body, &self.surroundings.draining, seat);
        Ok(Response::from_parts(head_back, Body::new(body)))
    }
}

impl Service<Request<Body>> for ReverseRoute {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(
            async move { Ok(shared.forward(request).await.unwrap_or_else(|failure| failure.answer(&shared.path))) },
        )
    }
}

// === impl Failure ===

impl Failure {
    fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            return Self::Late;
        }
        // Its own words are general; what it was about is further down.
        let mut words = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            words = cause.to_string();
            source = cause.source();
        }
        if error.is_connect() { Self::Unreachable(words) } else { Self::Broken(words) }
    }

    /// The answer to the client. What went wrong at the server is for the log: it may hold addresses.
    fn answer(self, route: &RoutePath) -> Response {
        match &self {
            Self::Unreachable(why) | Self::Broken(why) => tracing::warn!(%route, "no answer from its server: {why}"),
            Self::Late => tracing::warn!(%route, "no answer from its server in time"),
            Self::Busy => tracing::warn!(%route, "refused a request: {AT_ONCE} are under way already"),
            other => tracing::debug!(%route, "refused a request: {other:?}"),
        }
        let close = matches!(self, Self::Upload(_));
        let problem = match self {
            Self::Forbidden => not_your_route(),
            Self::Method => {
                let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
                Problem::new(Kind::MethodNotAllowed, "this method is not passed on").header(header::ALLOW, allow)
            }
            Self::Path => {
                let words = "the path can be read in more than one way: dot segments, encoded slashes or backslashes";
                Problem::new(Kind::InvalidRequest, words)
            }
            Self::Busy => Problem::new(Kind::Busy, "too many requests are under way at this server")
                .retry_after(Duration::from_secs(1)),
            Self::Upload(UploadError::TooLarge) => {
                Problem::new(Kind::TooLarge, "the body is larger than this route takes")
            }
            Self::Upload(UploadError::TooSlow | UploadError::Broken) => {
                Problem::new(Kind::RequestTimeout, "the body did not come in time")
            }
            Self::Unreachable(_) => {
                Problem::new(Kind::UpstreamUnreachable, "the server behind this route cannot be reached")
            }
            Self::Broken(_) => {
                Problem::new(Kind::UpstreamFailed, "the server behind this route broke off before it answered")
            }
            Self::Late => Problem::new(Kind::UpstreamTimeout, "the server behind this route did not answer in time"),
        };
        let mut response = problem.into_response();
        if close {
            // What is left of the body would be read as the next request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
