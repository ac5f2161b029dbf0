//! The application: every mount under one router.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    routing::{any_service, get},
};
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode};
use serde_json::json;
use tower::Service;

use crate::{
    downstream::{Endpoint, Settings},
    hub::{BoxFuture, Gather, Health, Limit, Mount, Principal},
};

/// The mounts of a gateway, in the order of the configuration.
#[derive(Clone, Debug)]
pub struct Gateway {
    endpoints: Arc<[Arc<Endpoint>]>,
}

impl Gateway {
    /// Puts an endpoint in front of each mount, with the layers that every call passes.
    #[must_use]
    pub fn new(mounts: Vec<Arc<dyn Mount>>, settings: &Settings) -> Self {
        let endpoints = mounts.into_iter().map(|mount| {
            // Read from the outside in: a call is bounded in number and time, questions included; then the questions of
            // modern servers are answered for clients that cannot; then it reaches the mount.
            let stack = Limit::new(Gather::new(mount));
            Endpoint::new(Arc::new(stack), settings.clone())
        });
        Self { endpoints: endpoints.collect() }
    }

    /// The endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The routes of the gateway: MCP at `/mcp/{mount}`, with and without a trailing slash, and its health.
    pub fn router(&self) -> Router {
        let mcp = Mcp(self.clone());
        Router::new()
            .route("/mcp/{mount}", any_service(mcp.clone()))
            .route("/mcp/{mount}/", any_service(mcp))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz).with_state(self.clone()))
    }

    fn endpoint(&self, path: &str) -> Option<&Arc<Endpoint>> {
        let name = path.strip_prefix("/mcp/")?;
        let name = name.strip_suffix('/').unwrap_or(name);
        self.endpoints.iter().find(|e| e.mount().name() == name)
    }
}

/// The service behind `/mcp/{mount}`.
#[derive(Clone)]
struct Mcp(Gateway);

impl Service<Request<Body>> for Mcp {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, BoxFuture<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(endpoint) = self.0.endpoint(request.uri().path()).cloned() else {
            let mut response = Response::new(Body::from("there is no mount of this name; /readyz lists them\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Either::Left(ready(Ok(response)));
        };
        // Put there by whoever authenticates; without it everybody on loopback is the one local user.
        let principal = request.extensions().get::<Principal>().cloned().unwrap_or_else(Principal::local);
        Either::Right(Box::pin(async move { Ok(endpoint.serve(request, &principal).await.map(Body::new)) }))
    }
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The listener and the configuration are in order. Servers that are down are listed, and do not make it unready.
async fn readyz(State(gateway): State<Gateway>) -> Json<serde_json::Value> {
    let mounts: serde_json::Map<String, serde_json::Value> = gateway
        .endpoints
        .iter()
        .map(|endpoint| {
            let status = match endpoint.mount().health() {
                Health::Unknown => json!({ "status": "unknown" }),
                Health::Up => json!({ "status": "up" }),
                Health::Down(reason) => json!({ "status": "down", "reason": reason }),
            };
            (endpoint.mount().name().to_owned(), status)
        })
        .collect();
    Json(json!({ "status": "ready", "mounts": mounts }))
}
