//! Endpoints behind a socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rialto::{
    downstream::{Body, Endpoint, Settings},
    hub::{Mount, Principal},
};
use tokio::{net::TcpListener, task::JoinSet};

use super::{Client, Scripted};

/// The header by which a test says who it is.
pub(crate) const PRINCIPAL: &str = "x-principal";

/// A gateway with a few mounts, each at `/{name}`. Its connections end with it.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Settings,
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// One mount, `docs`.
    pub(crate) async fn start() -> (Self, Arc<Scripted>) {
        Self::start_with(Settings::default()).await
    }

    /// One mount, `docs`, with settings.
    pub(crate) async fn start_with(settings: Settings) -> (Self, Arc<Scripted>) {
        let mount = Scripted::new("docs");
        (Self::serve(settings, std::slice::from_ref(&mount)).await, mount)
    }

    /// Several mounts.
    pub(crate) async fn serve(settings: Settings, mounts: &[Arc<Scripted>]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints: Arc<[_]> =
            mounts.iter().map(|m| Endpoint::new(m.clone() as Arc<dyn Mount>, settings.clone())).collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let endpoints = endpoints.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let endpoints = endpoints.clone();
                        async move { Ok::<_, Infallible>(route(&endpoints, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, settings, _tasks: tasks }
    }

    /// Where a mount is.
    pub(crate) fn url(&self, mount: &str) -> String {
        format!("http://{}/{mount}", self.address)
    }

    /// A client of `docs` that has said nothing yet.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.url("docs"))
    }

    /// A client that has finished the handshake and can do everything.
    pub(crate) async fn session(&self, revision: &'static str) -> Client {
        let mut client = self.client();
        client.handshake(revision).await;
        client
    }
}

async fn route(endpoints: &[Arc<Endpoint>], request: Request<Incoming>) -> Response<Body> {
    let principal = request.headers().get(PRINCIPAL).and_then(|v| v.to_str().ok()).unwrap_or("alice");
    let principal = Principal::new(principal);
    let name = request.uri().path().trim_start_matches('/').to_owned();
    match endpoints.iter().find(|e| e.mount().name() == name) {
        Some(endpoint) => endpoint.serve(request, &principal).await,
        None => {
            let mut response = Response::new(Body::whole(bytes::Bytes::new()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}
