//! Endpoints behind a real socket, or called in memory where the test moves the clock.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rialto::{
    downstream::{Endpoint, Settings},
    hub::{Mount, Principal},
};
use tokio::{net::TcpListener, task::JoinSet};

use super::mount::Scripted;

/// The header by which a test says who it is.
pub(crate) const PRINCIPAL: &str = "x-principal";

type Answer = Response<UnsyncBoxBody<bytes::Bytes, Infallible>>;

/// Endpoints at `/mcp/{mount}`. They go away with it.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    endpoints: Arc<HashMap<&'static str, Arc<Endpoint>>>,
    address: Option<SocketAddr>,
    _serving: JoinSet<()>,
}

impl Gateway {
    /// Endpoints without a socket.
    pub(crate) fn in_memory(mounts: &[&Arc<Scripted>]) -> Self {
        Self::with(mounts, Settings::default())
    }

    /// The same with settings.
    pub(crate) fn with(mounts: &[&Arc<Scripted>], settings: Settings) -> Self {
        let endpoint = |mount: &&Arc<Scripted>| {
            let name = mount.name;
            let mount: Arc<dyn Mount> = (*mount).clone();
            (name, Endpoint::new(mount, settings.clone()))
        };
        let endpoints = Arc::new(mounts.iter().map(endpoint).collect());
        Self { settings, endpoints, address: None, _serving: JoinSet::new() }
    }

    /// Endpoints behind a socket.
    pub(crate) async fn start(mounts: &[&Arc<Scripted>]) -> Self {
        Self::in_memory(mounts).listen().await
    }

    /// Puts the endpoints behind a socket.
    pub(crate) async fn listen(mut self) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        self.address = Some(listener.local_addr().unwrap());
        let endpoints = self.endpoints.clone();
        self._serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let endpoints = endpoints.clone();
                connections.spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let endpoints = endpoints.clone();
                        async move { Ok::<_, Infallible>(serve(&endpoints, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        self
    }

    /// Where the socket is, where there is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Sends a request past every socket.
    pub(crate) async fn serve(&self, request: Request<Full<bytes::Bytes>>) -> Answer {
        serve(&self.endpoints, request).await
    }
}

async fn serve<B>(endpoints: &HashMap<&'static str, Arc<Endpoint>>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let name = request.uri().path().trim_start_matches("/mcp/").to_owned();
    let principal = request.headers().get(PRINCIPAL).and_then(|v| v.to_str().ok()).unwrap_or("alice").to_owned();
    match endpoints.get(name.as_str()) {
        Some(endpoint) => endpoint.serve(request, &Principal::new(&principal)).await.map(BodyExt::boxed_unsync),
        None => {
            let mut missing = Response::new(Full::default().boxed_unsync());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}
