//! A server that does what a test tells it, and remembers what it saw.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};

use crate::support::wait::SOON;

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verb: Method,
    pub(crate) headers: HeaderMap,
    /// The body, `null` where it is no JSON.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
    pub(crate) at: Instant,
    /// Which connection it came on.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The result of this request, framed.
    pub(crate) fn result(&self, result: Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result})
    }

    /// An error for this request, framed.
    pub(crate) fn error(&self, code: i64, message: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "error": {"code": code, "message": message}})
    }
}

/// What a stream sends next.
pub(crate) enum Piece {
    Text(String),
    /// The connection is cut.
    Cut,
}

/// What the server answers.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: mpsc::Receiver<Piece>,
}

impl Reply {
    fn streaming(status: u16, content_type: &str) -> (Self, mpsc::Sender<Piece>) {
        let (pieces, body) = mpsc::channel(64);
        (Self { status, headers: vec![("content-type".into(), content_type.into())], body }, pieces)
    }

    pub(crate) fn text(status: u16, content_type: &str, text: impl Into<String>) -> Self {
        let (reply, pieces) = Self::streaming(status, content_type);
        let _ = pieces.try_send(Piece::Text(text.into()));
        reply
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: mpsc::channel(1).1 }
    }

    /// A stream of events that the test goes on writing.
    pub(crate) fn events() -> (Self, mpsc::Sender<Piece>) {
        Self::streaming(200, "text/event-stream")
    }

    /// A JSON body that the test goes on writing.
    pub(crate) fn body() -> (Self, mpsc::Sender<Piece>) {
        Self::streaming(200, "application/json")
    }

    /// A stream of these messages, which then ends.
    pub(crate) fn messages(messages: &[Value]) -> Self {
        let text: String = messages.iter().map(event).collect();
        Self::text(200, "text/event-stream", text)
    }

    /// The same with another text in place of `one`, in what it has to say already.
    pub(crate) fn replacing(mut self, one: &str, other: &str) -> Self {
        let (pieces, body) = mpsc::channel(64);
        while let Ok(piece) = self.body.try_recv() {
            let piece = match piece {
                Piece::Text(text) => Piece::Text(text.replace(one, other)),
                Piece::Cut => Piece::Cut,
            };
            let _ = pieces.try_send(piece);
        }
        Self { body, ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A message as an event.
pub(crate) fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

pub(crate) async fn send(pieces: &mpsc::Sender<Piece>, message: &Value) {
    let _ = pieces.send(Piece::Text(event(message))).await;
}

type Handler = dyn Fn(Seen) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    changed: Notify,
}

/// The running server. Dropped, it takes its connections with it.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    log: Arc<Log>,
    _serving: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |seen| Box::pin(handler(seen)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Log::default());
        let mut serving = JoinSet::new();
        let seen = log.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let _ = stream.set_nodelay(true);
                let (handler, log) = (handler.clone(), seen.clone());
                let service =
                    hyper::service::service_fn(move |request| answer(handler.clone(), log.clone(), number, request));
                connections.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, log, _serving: serving }
    }

    /// A server that answers what `greets` does not by `call`.
    pub(crate) async fn greeting<F>(
        greets: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
        call: impl Fn(Seen) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let call = Arc::new(call);
        Self::start(move |seen| {
            let (greeted, call) = (greets(&seen), call.clone());
            async move {
                match greeted {
                    Some(reply) => reply,
                    None => call(seen).await,
                }
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp?x=1", self.port)
    }

    /// Everything that arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The JSON-RPC methods that arrived, in order; `GET` and `DELETE` for those, `reply` for responses.
    pub(crate) fn trail(&self) -> Vec<String> {
        self.seen().iter().map(label).collect()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.trail().iter().filter(|l| *l == what).count()
    }

    /// Waits until something arrived that passes.
    pub(crate) async fn wait_for(&self, what: &str) -> Seen {
        self.wait_for_nth(what, 1).await
    }

    pub(crate) async fn wait_for_nth(&self, what: &str, n: usize) -> Seen {
        let waiting = async {
            loop {
                let changed = self.log.changed.notified();
                if let Some(found) = self.seen().into_iter().filter(|s| label(s) == what).nth(n - 1) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("`{what}` did not arrive; there was {:?}", self.trail()),
        }
    }
}

fn label(seen: &Seen) -> String {
    match (&seen.verb, seen.method()) {
        (&Method::POST, "") => "reply".into(),
        (&Method::POST, method) => method.into(),
        (verb, _) => verb.to_string(),
    }
}

async fn answer(
    handler: Arc<Handler>,
    log: Arc<Log>,
    connection: usize,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let seen = Seen { verb: head.method, headers: head.headers, body, text, at: Instant::now(), connection };
    log.seen.lock().unwrap().push(seen.clone());
    log.changed.notify_waiters();
    let Reply { status, headers, body } = handler(seen).await;
    let frames = futures_util::stream::unfold(body, |mut body| async move {
        let frame = match body.recv().await? {
            Piece::Text(text) => Ok(Frame::data(Bytes::from(text))),
            Piece::Cut => Err(std::io::Error::other("cut")),
        };
        Some((frame, body))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames)))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(
            http::HeaderName::try_from(name).unwrap(),
            http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    Ok(response)
}

type Frames = Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Sync>>;

struct SyncStream(Frames);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}
