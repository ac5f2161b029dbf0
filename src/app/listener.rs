//! The listener: an accept loop of our own over hyper's HTTP/1.1.
//!
//! `axum::serve` has neither a limit on the time a request head may take nor one on connections,
//! and its shutdown waits for streams that never end. This one is bounded everywhere, see
//! [`Limits`], and drains: it stops accepting, tells the application through [`Shutdown`] to end
//! its streams, lets calls finish, and ends by force what is left after [`Limits::drain`].
//!
//! A connection costs one task and one timer. The timer is not touched per request: it wakes now
//! and then, reads what the connection is doing, and goes back to sleep (see `connection`).

mod accept;
mod connection;
mod shutdown;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower::Service;

pub use self::shutdown::Shutdown;

use self::accept::{Backoff, Refuser};
use self::connection::{Connections, Order};

/// What a connection may cost. Each limit says what happens when it is reached.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time for a request head to arrive, counted from the connection being accepted or from the
    /// first byte of a later head. The connection is closed. Sending nothing at all counts too.
    pub head_time: Duration,
    /// Bytes of a request head, and of a chunked body's trailers. Answered with 431.
    pub head_bytes: usize,
    /// Header fields of a request. Answered with 431.
    pub headers: usize,
    /// Time that a connection may wait for its next request. The connection is closed.
    pub idle: Duration,
    /// Time that a write may make no progress because the client does not read. The connection is
    /// closed, which drops the response and whatever produces it.
    pub write_stall: Duration,
    /// Connections open at once. One more is answered with 503 and closed, without its request
    /// being read.
    pub connections: usize,
    /// Time that open connections get to finish after [`Shutdown::drain`]. What is left is cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_time: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            headers: 64,
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            connections: 4096,
            drain: Duration::from_secs(30),
        }
    }
}

/// The listener could not be opened on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut because they outlived the drain, or because the shutdown was
    /// forced.
    pub cut: usize,
}

/// A bound socket, ready to serve.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

// === impl Listener ===

impl Listener {
    /// Opens the socket. Clients that connect from now on wait for [`serve`](Self::serve).
    ///
    /// # Errors
    /// The address is taken, or may not be used.
    pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Self, BindError> {
        let wrap = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(wrap)?;
        let address = socket.local_addr().map_err(wrap)?;
        Ok(Self { socket, address, limits })
    }

    /// The address that was bound: with the real port where port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is drained or forced, and returns when no connection is left.
    ///
    /// The service is cloned for each request, so a clone must be cheap; an axum `Router`, or one
    /// behind [`Guard`](super::guard::Guard), is.
    pub async fn serve<S, B>(self, service: S, shutdown: Shutdown) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self { socket, address, limits } = self;
        let limits = Arc::new(limits);
        let connections = Connections::new(Arc::clone(&limits));
        accept_until_drain(&socket, &service, &connections, &limits, &shutdown).await;

        // Closing the socket first lets a successor bind the port while we finish.
        drop(socket);
        tracing::info!(%address, connections = connections.count(), "draining");
        connections.order(Order::Drain);
        tokio::select! {
            () = connections.closed() => {}
            () = shutdown.forced() => {}
            () = sleep(limits.drain) => {}
        }

        let cut = connections.count();
        if cut > 0 {
            tracing::warn!(%address, connections = cut, "cutting connections that did not finish in time");
        }
        connections.order(Order::Cut);
        connections.closed().await;
        Drained { cut }
    }
}

async fn accept_until_drain<S, B>(
    socket: &TcpListener,
    service: &S,
    connections: &Connections,
    limits: &Limits,
    shutdown: &Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut backoff = Backoff::new();
    let refuser = Refuser::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.draining().cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff.succeeded();
                if connections.count() >= limits.connections {
                    refuser.refuse(stream);
                } else {
                    connections.spawn(stream, peer, service.clone());
                }
            }
            Err(error) => {
                // Out of descriptors, most of the time: they come back only when connections close,
                // so trying again at once would burn a processor for nothing.
                if let Some(pause) = backoff.failed(&error) {
                    tokio::select! {
                        () = shutdown.draining().cancelled() => return,
                        () = sleep(pause) => {}
                    }
                }
            }
        }
    }
}
