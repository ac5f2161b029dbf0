//! The role `upstream`: an MCP server fast enough never to be what limits a proxy.
//!
//! It speaks streamable HTTP of both eras on one URL, and is as strict as a
//! proxy may expect a server to be, so that a proxy that sends the wrong headers
//! is found out rather than measured.

mod server;

use std::{
    convert::Infallible,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use clap::Parser;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use self::server::{Answer, Headers, Server};
use crate::{
    fault::{Doing, Result},
    wire::{COUNT_PATH, MCP_PATH, METHOD_HEADER, NAME_HEADER, SESSION_HEADER, VERSION_HEADER},
};

/// The longest request that is read.
const LONGEST_REQUEST: usize = 4 << 20;

/// What the upstream is told on its command line.
#[derive(Parser, Debug)]
#[command(name = "upstream")]
pub(crate) struct Options {
    /// Tools to list; never fewer than `echo` and `blob`.
    #[arg(long, default_value_t = 10)]
    tools: usize,
    /// Refuse modern requests, as a server does that has never heard of them.
    #[arg(long, conflicts_with = "modern_only")]
    legacy_only: bool,
    /// Refuse the legacy handshake.
    #[arg(long)]
    modern_only: bool,
    /// Answer requests with a stream of one event rather than with a JSON body.
    #[arg(long)]
    sse: bool,
}

type EventStream = stream::BoxStream<'static, std::result::Result<Frame<Bytes>, Infallible>>;
type Body = Either<Full<Bytes>, StreamBody<EventStream>>;

/// One running upstream.
struct Upstream {
    server: Server,
    sse: bool,
    /// Messages that have come in by POST.
    received: AtomicU64,
}

/// Serves on a free port of 127.0.0.1 and prints the address, until killed.
///
/// # Errors
///
/// When no port can be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let upstream = Arc::new(Upstream {
        server: Server::new(options.tools, !options.modern_only, !options.legacy_only),
        sse: options.sse,
        received: AtomicU64::new(0),
    });
    // One thread does: it answers some 100 000 calls a second.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("starting the runtime")?;
    runtime.block_on(serve(upstream))
}

async fn serve(upstream: Arc<Upstream>) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.doing("listening")?;
    let address = listener.local_addr().doing("listening")?;
    writeln!(std::io::stdout(), "upstream on http://{address}").doing("printing the address")?;
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, or the peer is gone already: the next one may do.
            tokio::task::yield_now().await;
            continue;
        };
        // Nagle's algorithm would hold small answers back; without this option
        // the figures are worse, not wrong.
        let _ = socket.set_nodelay(true);
        let upstream = Arc::clone(&upstream);
        let service = service_fn(move |request| {
            let upstream = Arc::clone(&upstream);
            async move { Ok::<_, Infallible>(upstream.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(socket), service));
    }
}

// === impl Upstream ===

impl Upstream {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        match (head.uri.path(), &head.method) {
            (MCP_PATH, &Method::POST) => self.post(&head.headers, body).await,
            (MCP_PATH, &Method::GET) => match self.session_of(&head.headers) {
                Ok(_) => events(Bytes::from_static(b": open\n\n"), Then::StayOpen),
                Err(status) => empty(status),
            },
            (MCP_PATH, &Method::DELETE) => match self.session_of(&head.headers) {
                Ok(session) => {
                    self.server.end_session(session);
                    empty(StatusCode::NO_CONTENT)
                }
                Err(status) => empty(status),
            },
            (COUNT_PATH, &Method::GET) => {
                let count = self.received.load(Relaxed).to_string();
                Response::new(Either::Left(Full::from(count)))
            }
            (MCP_PATH, _) => empty(StatusCode::METHOD_NOT_ALLOWED),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    async fn post(&self, headers: &HeaderMap, body: Incoming) -> Response<Body> {
        self.received.fetch_add(1, Relaxed);
        let accept = text(headers, header::ACCEPT.as_str()).unwrap_or_default();
        if !accept.contains("application/json") || !accept.contains("text/event-stream") {
            return empty(StatusCode::NOT_ACCEPTABLE);
        }
        let kind = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let Ok(body) = Limited::new(body, LONGEST_REQUEST).collect().await else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let headers = Headers {
            version: text(headers, VERSION_HEADER),
            session: text(headers, SESSION_HEADER),
            method: text(headers, METHOD_HEADER),
            name: text(headers, NAME_HEADER),
        };
        match self.server.answer(headers, &body.to_bytes()) {
            Answer::Accepted => empty(StatusCode::ACCEPTED),
            Answer::Listening { first } => events(event(&first), Then::StayOpen),
            Answer::Result(message) => self.message(StatusCode::OK, message),
            Answer::Session { message, id } => {
                let mut response = self.message(StatusCode::OK, message);
                if let Ok(id) = HeaderValue::from_str(&id) {
                    response.headers_mut().insert(SESSION_HEADER, id);
                }
                response
            }
            Answer::Refused { status, message } => json(status, message),
        }
    }

    fn message(&self, status: StatusCode, message: Vec<u8>) -> Response<Body> {
        if self.sse { events(event(&message), Then::End) } else { json(status, message) }
    }

    /// The session that a GET or DELETE names, or the status that refuses it.
    fn session_of<'a>(&self, headers: &'a HeaderMap) -> std::result::Result<&'a str, StatusCode> {
        if !self.server.speaks_legacy() {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        match text(headers, SESSION_HEADER) {
            None => Err(StatusCode::METHOD_NOT_ALLOWED),
            Some(id) if self.server.has_session(id) => Ok(id),
            Some(_) => Err(StatusCode::NOT_FOUND),
        }
    }
}

// === responses ===

/// What happens to a stream of events after its first one.
enum Then {
    End,
    StayOpen,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

fn json(status: StatusCode, message: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(message)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 32);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn events(first: Bytes, then: Then) -> Response<Body> {
    let first = stream::iter([Ok(Frame::data(first))]);
    let stream = match then {
        Then::End => first.boxed(),
        Then::StayOpen => first.chain(stream::pending()).boxed(),
    };
    let mut response = Response::new(Either::Right(StreamBody::new(stream)));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would hold the events back otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
