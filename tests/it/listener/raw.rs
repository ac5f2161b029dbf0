//! A gateway in small behind the real listener and guard, and a client that sends bytes and reads
//! bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use rialto::app::guard::Guard;
use rialto::app::listener::{Drained, Limits, Listener, Shutdown};
use rialto::config::HostName;
use rialto::downstream::read_body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::Layer;
use url::Url;

use crate::support::wait::{SOON, within};

/// The cap on bodies of `POST /mcp/docs`.
pub(crate) const BODY_LIMIT: usize = 4096;

/// How a test wants its gateway.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) hosts: Vec<HostName>,
    pub(crate) public_url: Option<Url>,
    pub(crate) body_time: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), hosts: Vec::new(), public_url: None, body_time: SOON }
    }
}

/// A running gateway. `POST /mcp/docs` answers with the headers and the body it got, `GET /stream`
/// streams until it is asked to end, `GET /stuck` never ends, `GET /flood` writes without end, `GET
/// /gated` answers once the test opens the gate.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) serving: JoinHandle<Drained>,
    app: Arc<App>,
}

struct App {
    calls: AtomicUsize,
    begun: watch::Sender<usize>,
    gate: Notify,
    shutdown: Shutdown,
    body_time: Duration,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let shutdown = Shutdown::new();
        let app = Arc::new(App {
            calls: AtomicUsize::new(0),
            begun: watch::Sender::new(0),
            gate: Notify::new(),
            shutdown: shutdown.clone(),
            body_time: setup.body_time,
        });
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), setup.limits).await.unwrap();
        let address = listener.local_addr();
        let guard = Guard::new(address, &setup.hosts, setup.public_url.as_ref());
        let service = guard.layer(router(&app));
        let serving = tokio::spawn(listener.serve(service, shutdown.clone()));
        Self { address, shutdown, serving, app }
    }

    /// Requests that reached a handler.
    pub(crate) fn calls(&self) -> usize {
        self.app.calls.load(Ordering::SeqCst)
    }

    /// Waits until this many handlers have begun.
    pub(crate) async fn begun(&self, count: usize) {
        let mut begun = self.app.begun.subscribe();
        within(begun.wait_for(|&begun| begun >= count)).await.unwrap();
    }

    pub(crate) fn open_gate(&self) {
        self.app.gate.notify_one();
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Sends bytes on a connection of their own and reads until the gateway closes it.
    pub(crate) async fn exchange(&self, request: impl AsRef<[u8]>) -> Answers {
        exchange(self.address, request).await
    }

    /// Sends one `POST /mcp/docs` with these header lines besides the length, and gives the status.
    pub(crate) async fn post(&self, headers: &str) -> u16 {
        let request = format!("POST /mcp/docs HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: 2\r\n\r\n{{}}");
        self.exchange(request).await.only().status
    }
}

fn router(app: &Arc<App>) -> Router {
    let each = |app: &Arc<App>| Arc::clone(app);
    let (docs, streamed, gated, counted) = (each(app), each(app), each(app), each(app));
    Router::new()
        .route("/mcp/docs", post(move |request| echo(docs.clone(), request)).get(|| async { "ok" }))
        .route("/stream", get(move || streaming(streamed.clone())))
        .route("/stuck", get(|| async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) }))
        .route("/flood", get(flood))
        .route(
            "/gated",
            get(move || async move {
                gated.gate.notified().await;
                "through"
            }),
        )
        .layer(axum::middleware::from_fn(move |request: Request, next: axum::middleware::Next| {
            let app = counted.clone();
            async move {
                app.calls.fetch_add(1, Ordering::SeqCst);
                app.begun.send_modify(|begun| *begun += 1);
                next.run(request).await
            }
        }))
}

async fn echo(app: Arc<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match read_body(body, BODY_LIMIT, Instant::now() + app.body_time).await {
        Ok(body) => {
            let mut text = String::new();
            for (name, value) in &head.headers {
                text += &format!("{name}={}\n", value.as_bytes().escape_ascii());
            }
            text += &format!("body={}\n", body.escape_ascii());
            text.into_response()
        }
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}

/// Like a listen stream: a first event at once, and last words when the gateway drains.
async fn streaming(app: Arc<App>) -> Body {
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"data: open\n\n")) });
    let last = stream::once(async move {
        app.shutdown.draining().cancelled().await;
        Ok(Bytes::from_static(b"data: bye\n\n"))
    });
    Body::from_stream(futures_util::StreamExt::chain(first, last))
}

async fn flood() -> Body {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
}

/// Sends bytes on a connection of their own and reads until the other end closes it.
pub(crate) async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Answers {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.rest().await
}

/// A client's end of a connection.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have closed already; then what it answered is what counts.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads until a text has come.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        within(async {
            loop {
                let byte = self.stream.read_u8().await.expect("closed early");
                read.push(byte);
                if read.ends_with(text.as_bytes()) {
                    return;
                }
            }
        })
        .await;
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Whether the gateway has closed, as far as can be told without waiting.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match timeout(Duration::from_millis(1), self.stream.read(&mut byte)).await {
            Ok(Ok(0) | Err(_)) => true,
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// Reads until the gateway closes.
    pub(crate) async fn rest(&mut self) -> Answers {
        let mut read = Vec::new();
        // A reset instead of an end loses nothing that was read before it.
        let _ = within(self.stream.read_to_end(&mut read)).await;
        Answers(String::from_utf8_lossy(&read).into_owned())
    }
}

/// All that came back on a connection.
#[derive(Debug)]
pub(crate) struct Answers(String);

/// One response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answers {
    pub(crate) fn count(&self) -> usize {
        self.0.matches("HTTP/1.1 ").count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The one response there is.
    pub(crate) fn only(self) -> Answer {
        assert_eq!(self.count(), 1, "expected one response: {:?}", self.0);
        let status = self.0["HTTP/1.1 ".len()..][..3].parse().unwrap();
        Answer { status, text: self.0 }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All the values of a header, in their order.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// What follows the head, as it was framed.
    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

pub(crate) const FORBIDDEN: u16 = StatusCode::FORBIDDEN.as_u16();
