//! The guard at the door: is this request well framed, is it meant for us, and may the page that
//! sent it send it?
//!
//! It sits outside everything else, router included, so that no route can be reached around it:
//!
//! ```
//! # use rialto::app::guard::Guard;
//! # use tower::Layer;
//! # let router: axum::Router = axum::Router::new();
//! let service = Guard::new(([127, 0, 0, 1], 8000).into(), &[], None).layer(router);
//! ```
//!
//! A request that names an allowed host and carries no `Origin`, which is what MCP clients send,
//! passes without an allocation.

mod answer;
mod rules;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::Either;
use http::{Request, Response};
use tower::{Layer, Service};
use url::Url;

use crate::config::HostName;

use self::rules::{Rules, Settings};

/// Checks Host, Origin and the headers that may come only once. A tower layer; clones share their
/// rules.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: Arc<Rules>,
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    rules: Arc<Rules>,
    inner: S,
}

// === impl Guard ===

impl Guard {
    /// A guard for a listener bound to `listener`.
    ///
    /// Allowed as Host are `hosts`, the host of `public_url`, and, where the listener is on
    /// loopback, the loopback names. Allowed as Origin are the origin of `public_url`, the Host's
    /// own origin and, where the listener is on loopback, loopback origins.
    pub fn new(listener: SocketAddr, hosts: &[HostName], public_url: Option<&Url>) -> Self {
        Self { rules: Arc::new(Rules::new(listener, hosts, public_url)) }
    }

    /// The same for an application that a Rust program puts together: what is said about a refusal names methods of the
    /// library in place of settings of the config file.
    #[must_use]
    pub fn in_program(self) -> Self {
        let mut rules = Rules::clone(&self.rules);
        rules.settings = Settings::Program;
        Self { rules: Arc::new(rules) }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { rules: Arc::clone(&self.rules), inner }
    }
}

// === impl Guarded ===

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.rules.check(request.uri(), request.headers()) {
            Ok(()) if answer::is_preflight(request.method(), request.headers()) => {
                Either::Right(ready(Ok(answer::preflight(&self.rules, request.headers()))))
            }
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => {
                refusal.log(request.headers(), self.rules.settings);
                Either::Right(ready(Ok(answer::refuse(refusal, self.rules.settings))))
            }
        }
    }
}
