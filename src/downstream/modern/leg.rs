//! One request's wait for its call.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use crate::{
    hub::{BoxFuture, Fault, Life, Outcome, Refusal},
    jsonrpc::{ErrorObject, Raw},
};

use super::{exchange::Exchange, outlet::Outlet, peer::CallPeer};

/// A call on its way.
pub(super) type Running = BoxFuture<Result<Outcome, Fault>>;
/// How a request ends.
pub(super) type Ending = Result<Raw, ErrorObject>;

/// What a request hears.
pub(super) enum Step {
    /// A notification, as an event.
    Event(Bytes),
    /// The response; nothing comes after it.
    End(Ending),
}

/// A request that waits for its call. On the first leg it owns the call: whoever polls the leg polls the call, and dropping
/// the leg abandons it.
pub(super) struct Leg {
    exchange: Exchange,
    outlet: Arc<Outlet>,
    run: Run,
    ending: Option<Ending>,
}

enum Run {
    Own { call: Running, life: Life, peer: Arc<CallPeer> },
    Over,
}

impl Leg {
    /// The first leg of a call.
    pub(super) fn first(
        exchange: Exchange,
        call: Running,
        life: Life,
        peer: Arc<CallPeer>,
        outlet: Arc<Outlet>,
    ) -> Self {
        Self { exchange, outlet, run: Run::Own { call, life, peer }, ending: None }
    }
}

impl Stream for Leg {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let leg = &mut *self;
        loop {
            if leg.ending.is_none() {
                match &mut leg.run {
                    Run::Own { call, peer, .. } => {
                        if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
                            peer.detach(&leg.outlet);
                            leg.run = Run::Over;
                            leg.ending = Some(leg.exchange.conclude(outcome));
                        } else {
                            let news = peer.news(cx.waker());
                            if !news.is_empty() {
                                for asked in news.asked {
                                    let _ = asked.answer.send(Err(Refusal::Lapsed));
                                }
                                continue;
                            }
                        }
                    }
                    Run::Over => return Poll::Ready(None),
                }
            }
            // What was said before the result goes before it.
            return match leg.outlet.take(cx.waker()) {
                Some(event) => Poll::Ready(Some(Step::Event(event))),
                None => match leg.ending.take() {
                    Some(ending) => Poll::Ready(Some(Step::End(ending))),
                    None => Poll::Pending,
                },
            };
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        if let Run::Own { life, .. } = &self.run {
            life.abandon("the client closed the stream");
        }
    }
}
