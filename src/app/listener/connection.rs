//! One connection: hyper drives the protocol, and what it does is watched from three places.
//!
//! The socket sees bytes arrive and writes stall, the service sees a request begin, the response
//! body sees it end. Each notes it in the connection's [`Activity`] with an atomic store. The
//! connection's one timer reads that note when it fires. It is never further away than the shortest
//! limit, and no deadline is nearer than that when it comes into being, so each is kept to the tick
//! without a timer being moved per request.

mod activity;
mod watched;

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use self::activity::{Activity, Expiry};
use self::watched::{WatchedBody, WatchedIo};
use super::Limits;

pub(super) use self::activity::Order;

/// The open connections of a listener.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    next: AtomicU64,
    tasks: TaskTracker,
    limits: Arc<Limits>,
}

/// Takes a connection off the books however its task ends, a panic included.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            shared: Arc::new(Shared {
                open: Mutex::default(),
                next: AtomicU64::new(0),
                tasks: TaskTracker::new(),
                limits,
            }),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.shared.open().len()
    }

    /// Passes an order to every open connection.
    pub(super) fn order(&self, order: Order) {
        self.shared.tasks.close();
        for activity in self.shared.open().values() {
            activity.order(order);
        }
    }

    /// Completes when an order was given and no connection is left.
    pub(super) async fn closed(&self) {
        self.shared.tasks.wait().await;
    }

    pub(super) fn spawn<S, B>(&self, stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let activity = Arc::new(Activity::new());
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.open().insert(id, Arc::clone(&activity));
        let registered = Registered { shared: Arc::clone(&self.shared), id };
        let limits = Arc::clone(&self.shared.limits);
        self.shared.tasks.spawn(async move {
            drive(stream, peer, service, &activity, &limits).await;
            drop(registered);
        });
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        // The map is whole between any two of its operations, so a panic elsewhere leaves nothing
        // half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.open().remove(&self.id);
    }
}

/// Runs a connection to its end: closed by either side, timed out, or cut.
async fn drive<S, B>(stream: TcpStream, peer: SocketAddr, service: S, activity: &Arc<Activity>, limits: &Limits)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // Small answers and SSE events must leave at once. Where the option fails, so will the
    // connection itself.
    let _ = stream.set_nodelay(true);

    let most_headers = limits.headers;
    let answer = service_fn(move |mut request: Request<Incoming>| {
        activity.request_began();
        request.extensions_mut().insert(ConnectInfo(peer));
        let activity = Arc::clone(activity);
        let service = service.clone();
        async move {
            // hyper has a limit of its own for this, but setting it costs two allocations for each
            // request.
            if request.headers().len() > most_headers {
                let mut refusal = Response::new(WatchedBody::empty(activity));
                *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Ok::<_, Infallible>(refusal);
            }
            let response = match service.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            Ok(response.map(|body| WatchedBody::new(body, activity)))
        }
    });
    let io = TokioIo::new(WatchedIo::new(stream, Arc::clone(activity)));
    let connection =
        http1::Builder::new().max_header_size(limits.head_bytes).header_read_timeout(None).serve_connection(io, answer);

    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep_until(activity.first_alarm(limits)));
    let mut draining = false;
    poll_fn(|cx| {
        match activity.orders(cx.waker()) {
            Order::Serve => {}
            Order::Drain if draining => {}
            Order::Drain => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Cut => return Poll::Ready(()),
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            }
            return Poll::Ready(());
        }
        while alarm.as_mut().poll(cx).is_ready() {
            match activity.expiry(limits) {
                Expiry::Over(what) => {
                    tracing::debug!("closing a connection: {what}");
                    return Poll::Ready(());
                }
                Expiry::LookAgain(at) => alarm.as_mut().reset(at),
            }
        }
        Poll::Pending
    })
    .await;
}
