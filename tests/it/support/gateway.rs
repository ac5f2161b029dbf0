//! Endpoints behind a real socket, or called in memory where the test moves the clock.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rialto::{
    Limits, Proxy, Rialto,
    downstream::{Endpoint, Settings},
    hub::{Gather, Limit, Mount, Principal},
};
use tokio::{net::TcpListener, task::JoinSet};

use super::mount::Scripted;

/// The header by which a test says who it is.
pub(crate) const PRINCIPAL: &str = "x-principal";

type Answer = Response<UnsyncBoxBody<bytes::Bytes, Infallible>>;

/// The endpoints of some mounts, each at `/mcp/{mount}`.
#[derive(Clone)]
pub(crate) struct Endpoints(Arc<HashMap<String, Arc<Endpoint>>>);

impl Endpoints {
    pub(crate) fn new<M: Mount + 'static>(mounts: impl IntoIterator<Item = Arc<M>>, settings: &Settings) -> Self {
        let endpoint = |mount: Arc<M>| (mount.name().to_owned(), Endpoint::new(mount, settings.clone()));
        Self(Arc::new(mounts.into_iter().map(endpoint).collect()))
    }

    /// Puts them behind a socket, for as long as the tasks are kept.
    pub(crate) async fn listen(&self) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = self.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let endpoints = endpoints.clone();
                connections.spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let endpoints = endpoints.clone();
                        async move { Ok::<_, Infallible>(endpoints.serve(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        (address, serving)
    }

    async fn serve<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = bytes::Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let name = request.uri().path().trim_start_matches("/mcp/");
        let principal = request.headers().get(PRINCIPAL).and_then(|v| v.to_str().ok()).unwrap_or("alice");
        match self.0.get(name) {
            Some(endpoint) => {
                let principal = Principal::new(principal);
                endpoint.serve(request, &principal).await.map(BodyExt::boxed_unsync)
            }
            None => {
                let mut missing = Response::new(Full::default().boxed_unsync());
                *missing.status_mut() = StatusCode::NOT_FOUND;
                missing
            }
        }
    }
}

/// Endpoints that go away with it.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    endpoints: Endpoints,
    address: Option<SocketAddr>,
    _serving: JoinSet<()>,
}

impl Gateway {
    /// Endpoints without a socket.
    pub(crate) fn in_memory(mounts: &[&Arc<Scripted>]) -> Self {
        Self::with(mounts, Settings::default())
    }

    /// The same with settings.
    pub(crate) fn with<M: Mount>(mounts: &[&Arc<M>], settings: Settings) -> Self {
        let endpoints = Endpoints::new(mounts.iter().copied().cloned(), &settings);
        Self { settings, endpoints, address: None, _serving: JoinSet::new() }
    }

    /// One mount, whatever it is, behind the layers that a gateway puts around it.
    pub(crate) fn around(mount: Arc<dyn Mount>, settings: Settings) -> Self {
        let stack = Arc::new(Limit::new(Arc::new(Gather::new(mount, 10))));
        let endpoints = Endpoints::new([stack], &settings);
        Self { settings, endpoints, address: None, _serving: JoinSet::new() }
    }

    /// A proxy as the mount `docs` of an application with these limits.
    pub(crate) fn of(proxy: Proxy, limits: Limits) -> Self {
        let settings = Settings::from(limits);
        let application = Rialto::builder().settings(settings.clone()).mount("docs", proxy).assemble();
        let endpoint = application.gateway.entries()[0].endpoint().clone();
        let endpoints = Endpoints(Arc::new(HashMap::from([("docs".to_owned(), endpoint)])));
        Self { settings, endpoints, address: None, _serving: JoinSet::new() }
    }

    /// Where a mount is, for clients of their own making.
    pub(crate) fn url(&self, mount: &str) -> String {
        format!("http://{}/mcp/{mount}", self.address.expect("a socket"))
    }

    /// Endpoints behind a socket.
    pub(crate) async fn start(mounts: &[&Arc<Scripted>]) -> Self {
        Self::in_memory(mounts).listen().await
    }

    /// Other mounts than those that a test plays, behind a socket.
    pub(crate) async fn over<M: Mount>(mounts: &[Arc<M>], settings: Settings) -> Self {
        let endpoints = Endpoints::new(mounts.iter().cloned(), &settings);
        let (address, serving) = endpoints.listen().await;
        Self { settings, endpoints, address: Some(address), _serving: serving }
    }

    /// A mount that answers every call, behind a socket.
    pub(crate) async fn plain() -> (Self, Arc<Scripted>) {
        let mount = Arc::new(Scripted::plain());
        (Self::start(&[&mount]).await, mount)
    }

    /// Puts the endpoints behind a socket.
    pub(crate) async fn listen(self) -> Self {
        let (address, serving) = self.endpoints.listen().await;
        Self { address: Some(address), _serving: serving, ..self }
    }

    /// Where the socket is, where there is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Sends a request past every socket.
    pub(crate) async fn serve(&self, request: Request<Full<bytes::Bytes>>) -> Answer {
        self.endpoints.serve(request).await
    }
}
