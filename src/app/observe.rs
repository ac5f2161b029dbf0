//! The outermost layer: every HTTP request is counted, and told of in the access log where somebody reads it.
//!
//! The access log is what is logged at `debug` under the target `rialto::access`, one line a request, written when the answer
//! ends: `--log info,rialto::access=debug` turns it on. A request costs nothing for it while it is off. It names who asked
//! for what and how it ended, never a query, a header or a body; and, where the client says so, the trace and the client's
//! span in it. The requests that a server gets because of it are logged under `rialto::trace`, with that span as their parent.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Join, Map, Ready, join, ready as known},
};
use http::{Method, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::{
    protocol::trace::Trace,
    telemetry::{Ended, Note, Place, RequestSeries},
};

/// How much of a path the log shows, in characters.
const SHOWN: usize = 256;

/// Marks the answers of custom routes. A response extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Custom;

/// Counts requests and logs them. A tower layer.
#[derive(Clone, Debug)]
pub(super) struct Observe {
    pub(super) series: Arc<RequestSeries>,
    /// Whether requests are counted, or only logged.
    pub(super) counts: bool,
}

/// A service behind [`Observe`].
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    observe: Observe,
    inner: S,
}

/// A request under way. Dropping it counts a client that left.
pub(super) struct Underway(Option<Counted>);

/// What is known about a request under way.
struct Counted {
    observe: Observe,
    place: Place,
    line: Option<Box<Line>>,
}

/// The answer of a service, and the request that it is for.
type Answered = (Result<Response<Body>, Infallible>, Underway);

/// A line of the access log to be.
struct Line {
    began: Instant,
    verb: Method,
    path: String,
    /// The trace that the headers name.
    trace: Option<Trace>,
    note: Note,
}

/// A body whose end is logged.
struct Logged {
    body: Body,
    bytes: u64,
    ending: Ending,
}

/// How a request ended, for the log: what is missing is how long it took.
struct Ending {
    observe: Observe,
    place: Place,
    line: Box<Line>,
    is_custom: bool,
    ended: Ended,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { observe: self.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    // Kept beside the answer that is awaited, rather than in a box around it: this is on the way of every request.
    type Future = Map<Join<S::Future, Ready<Underway>>, fn(Answered) -> Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let place = self.observe.series.place(request.uri().path());
        let line = tracing::enabled!(target: "rialto::access", tracing::Level::DEBUG).then(|| {
            let note = Note::default();
            request.extensions_mut().insert(note.clone());
            let path = request.uri().path().chars().take(SHOWN).collect();
            let trace = Trace::of_headers(request.headers());
            Box::new(Line { began: Instant::now(), verb: request.method().clone(), path, trace, note })
        });
        let observe = self.observe.clone();
        let underway = Underway(Some(Counted { observe, place, line }));
        join(self.inner.call(request), known(underway)).map(answered)
    }
}

/// Counts a request that was answered, and leaves its line to the end of the answer.
fn answered((response, mut underway): Answered) -> Result<Response<Body>, Infallible> {
    let response = response?;
    let Some(request) = underway.0.take() else { return Ok(response) };
    let is_custom = response.extensions().get::<Custom>().is_some();
    Ok(match request.end(is_custom, Ended::Answered(response.status())) {
        Some(ending) => response.map(|body| Body::new(Logged { body, bytes: 0, ending })),
        None => response,
    })
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(ending) = self.0.take().and_then(|request| request.end(false, Ended::Aborted)) {
            ending.log(0);
        }
    }
}

impl Counted {
    /// Counts the request; what is still to be logged of it comes back.
    fn end(self, is_custom: bool, ended: Ended) -> Option<Ending> {
        let Self { observe, place, line } = self;
        if observe.counts {
            observe.series.count(place, is_custom, ended);
        }
        Some(Ending { observe, place, line: line?, is_custom, ended })
    }
}

impl Ending {
    /// Writes the line. What comes from outside is written as a quoted text, in which nothing can end the line, colour it or
    /// turn it around (SEC-126).
    fn log(&self, bytes: u64) {
        let (route, mount) = self.observe.series.names(self.place, self.is_custom);
        let Line { began, verb, path, trace, note } = &*self.line;
        let trace = note.trace().or(trace.as_ref());
        let status = match self.ended {
            Ended::Answered(status) => status.as_u16(),
            // What nginx made common for a client that closed the connection before it was answered.
            Ended::Aborted => 499,
        };
        tracing::debug!(
            target: "rialto::access",
            verb = ?verb.as_str(),
            path = ?path,
            route,
            mount,
            method = note.method(),
            principal = note.sender().map(|principal| tracing::field::debug(principal.as_str())),
            trace = trace.map(Trace::id),
            span = trace.map(Trace::span),
            status,
            bytes,
            ms = began.elapsed().as_secs_f64() * 1e3,
            "request"
        );
    }
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes += data.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.ending.log(self.bytes);
    }
}
