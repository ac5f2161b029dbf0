//! The HTTP answer of a request: one JSON object where the result comes first, a stream of events otherwise.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Response, StatusCode};

use crate::{
    downstream::{Body, accept::Accept, reply, sse},
    jsonrpc::{Encoded, ErrorObject, RequestId, code, encode_error, encode_result},
    protocol::Era,
};

use super::{
    leg::{Ending, Leg, Step},
    listen::Subscription,
};

/// Waits for what comes first. The status of an error can only be told while nothing else was.
pub(super) async fn respond(id: RequestId, accept: Accept, mut leg: Leg) -> Response<Body> {
    let first = match accept.events {
        true => tokio::time::timeout(sse::KEEP_ALIVE, leg.next()).await.ok(),
        false => Some(leg.next().await),
    };
    let event = match first {
        Some(Some(Step::Said(said))) => sse::event(None, &said),
        Some(Some(Step::End(Ok(result)))) => return reply::result(&id, &result),
        Some(Some(Step::End(Err(error)))) => {
            return reply::error(reply::status_of(Era::Modern, error.code), Some(&id), &error);
        }
        Some(None) => {
            let error = ErrorObject::new(code::INTERNAL, "the call ended without an answer");
            return reply::error(StatusCode::OK, Some(&id), &error);
        }
        None => sse::comment(),
    };
    reply::events(Events { id, first: Some(event), steps: Some(leg) })
}

/// The stream of a subscription.
pub(super) fn stream(id: RequestId, subscription: Subscription) -> Response<Body> {
    reply::events(Events { id, first: None, steps: Some(subscription) })
}

/// The stream of a request: it polls the call, and ends with the response.
struct Events<S> {
    id: RequestId,
    first: Option<Bytes>,
    steps: Option<S>,
}

impl<S: Stream<Item = Step> + Unpin> Stream for Events<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(steps) = &mut self.steps else { return Poll::Ready(None) };
        match ready!(steps.poll_next_unpin(cx)) {
            Some(Step::Said(said)) => Poll::Ready(Some(sse::event(None, &said))),
            Some(Step::End(ending)) => {
                self.steps = None;
                Poll::Ready(Some(sse::event(None, &response(&self.id, &ending).into_bytes())))
            }
            None => {
                self.steps = None;
                Poll::Ready(None)
            }
        }
    }
}

/// The response.
pub(in crate::downstream) fn response(id: &RequestId, ending: &Ending) -> Encoded {
    match ending {
        Ok(result) => encode_result(id, result),
        Err(error) => encode_error(Some(id), error).into(),
    }
}
