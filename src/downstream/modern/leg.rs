//! One request's wait for its call.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{BoxFuture, Fault, Life, Outcome, Refusal},
    jsonrpc::{ErrorObject, Raw},
};

use super::{
    exchange::Exchange,
    outlet::Outlet,
    parking::{Arrival, Attached},
    peer::{CallPeer, News},
};

/// A call on its way.
pub(super) type Running = BoxFuture<Result<Outcome, Fault>>;
/// How a request ends.
pub(in crate::downstream) type Ending = Result<Raw, ErrorObject>;

/// What a request hears.
pub(in crate::downstream) enum Step {
    /// A notification, as it is written.
    Said(Bytes),
    /// The response; nothing comes after it.
    End(Ending),
}

/// A request that waits for its call. On the first leg it owns the call: whoever polls the leg polls the call, and dropping
/// the leg abandons it.
pub(in crate::downstream) struct Leg {
    exchange: Exchange,
    outlet: Arc<Outlet>,
    run: Run,
    ending: Option<Ending>,
}

enum Run {
    Own {
        call: Running,
        life: Life,
        peer: Arc<CallPeer>,
    },
    /// The call waits for answers elsewhere.
    Attached(Attached),
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

    /// A later leg: the call is elsewhere.
    pub(super) fn later(exchange: Exchange, attached: Attached, outlet: Arc<Outlet>) -> Self {
        Self { exchange, outlet, run: Run::Attached(attached), ending: None }
    }

    /// Notes why the request is about to be dropped.
    pub(in crate::downstream) fn abandon(&self, reason: &str) {
        if let Run::Own { life, .. } = &self.run {
            life.abandon(reason);
        }
    }

    /// Looks after the call. Whether it may have to be looked after again at once.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.run {
            Run::Own { call, peer, .. } => {
                if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
                    peer.detach(&self.outlet);
                    self.run = Run::Over;
                    self.ending = Some(self.exchange.conclude(outcome));
                    return false;
                }
                let news = peer.news(cx.waker());
                if news.is_empty() {
                    return false;
                }
                self.asked(news);
                true
            }
            Run::Attached(attached) => {
                if let Poll::Ready(reply) = attached.poll(cx) {
                    self.ending = Some(self.exchange.settle(attached.call(), reply));
                    self.run = Run::Over;
                }
                false
            }
            Run::Over => false,
        }
    }

    /// The server asks. A question that will be put to the client moves the call to where it can wait for the answer; the
    /// others are refused here.
    fn asked(&mut self, mut news: News) {
        let shared = &self.exchange.shared;
        let caller = &self.exchange.caller;
        let withdrawn = std::mem::take(&mut news.withdrawn);
        news.asked.retain(|asked| !withdrawn.contains(&asked.serial));
        for asked in std::mem::take(&mut news.asked) {
            match caller.capabilities.answers(&asked.question.method, asked.question.params.as_ref()) {
                Ok(()) => news.asked.push(asked),
                Err(missing) => asked.refuse(Refusal::Undeclared(missing)),
            }
        }
        if news.asked.is_empty() {
            return;
        }
        let parking = &shared.settings.held.parking;
        let ending = [shared.settings.stopping.clone(), shared.settings.draining.clone()];
        let place = match ending.iter().any(CancellationToken::is_cancelled) {
            true => None,
            false => parking.place(&caller.principal),
        };
        match (place, std::mem::replace(&mut self.run, Run::Over)) {
            (Some(place), Run::Own { call, life, peer }) => {
                let arrival = Arrival { place, call, life, peer, news, outlet: self.outlet.clone(), ending };
                self.run = Run::Attached(parking.park(caller, arrival));
            }
            // The server goes on without an answer.
            (_, run) => {
                self.run = run;
                news.asked.into_iter().for_each(|asked| asked.refuse(Refusal::Lapsed));
            }
        }
    }
}

impl Stream for Leg {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if self.ending.is_none() {
            while self.advance(cx) {}
        }
        // What was said before the result goes before it.
        if let Some(said) = self.outlet.take(cx.waker()) {
            return Poll::Ready(Some(Step::Said(said)));
        }
        match (self.ending.take(), &self.run) {
            (Some(ending), _) => Poll::Ready(Some(Step::End(ending))),
            (None, Run::Over) => Poll::Ready(None),
            (None, _) => Poll::Pending,
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        // Where nobody said why, it can only be that.
        self.abandon("the client closed the stream");
    }
}
