//! The modern era: stateless requests over HTTP POST (2026-07-28, basic/transports).
//!
//! A request is checked against its own envelope and headers, then waits for its call as one [`leg::Leg`], polled by whoever
//! holds the HTTP answer. The answer becomes one JSON object, or a stream of events as soon as there is something to say
//! before the result. A call that asks the client moves to the [`parking`], and the client comes back with the answers.

mod callers;
mod digest;
mod discover;
mod envelope;
mod exchange;
mod gate;
mod held;
mod leg;
mod listen;
mod outlet;
mod parked;
mod parking;
mod peer;
mod quota;
mod refused;
mod respond;
mod retry;
mod state;

pub use held::{Held, HeldLimits};
pub(super) use leg::Step;
pub(super) use respond::response;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::{
    hub::{Attempt, Call, Life, Mount, RequestState, Scope},
    jsonrpc::{Message, Notification, Raw, RawObject, Request},
    protocol::{Method, method::notification, trace},
};

use self::{
    callers::Callers, envelope::Envelope, exchange::Exchange, gate::Admitted, leg::Leg, listen::Subscription,
    outlet::Outlet, parking::Answers, peer::CallPeer, refused::Refused, retry::Next, state::Clock,
};
use super::{
    Body,
    endpoint::{self, Context, Settings},
    forwarded, reply,
};

/// The modern side of one endpoint.
pub(super) struct Modern {
    shared: Arc<Shared>,
    callers: Callers,
}

/// What comes of a request that is not refused.
pub(super) enum Reply {
    /// The answer is known.
    Result(Raw),
    /// It has to be waited for.
    Call(Box<Leg>),
    /// It is a stream of changes.
    Listening(Subscription),
    /// It would be a stream, which the client does not read.
    Unreadable,
}

/// What outlives a request: an answer that is a stream still needs it.
struct Shared {
    mount: Arc<dyn Mount>,
    settings: Settings,
    clock: Clock,
}

impl Modern {
    pub(super) fn new(mount: &Arc<dyn Mount>, settings: &Settings) -> Self {
        Self::with(Callers::default(), mount, settings)
    }

    /// For clients that are all in one scope.
    pub(super) fn within(scope: Arc<Scope>, mount: &Arc<dyn Mount>, settings: &Settings) -> Self {
        Self::with(Callers::within(scope), mount, settings)
    }

    fn with(callers: Callers, mount: &Arc<dyn Mount>, settings: &Settings) -> Self {
        let shared = Shared { mount: mount.clone(), settings: settings.clone(), clock: Clock::new() };
        Self { shared: Arc::new(shared), callers }
    }

    pub(super) async fn post(&self, context: &Context<'_>, message: Message) -> Response<Body> {
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                match self.request(context, request).await {
                    Ok(Reply::Result(result)) => reply::result(&id, &result),
                    Ok(Reply::Call(leg)) => respond::respond(id, context.accept, *leg).await,
                    Ok(Reply::Listening(subscription)) => respond::stream(id, subscription),
                    Ok(Reply::Unreadable) => reply::not_acceptable(),
                    Err(refused) => refused.answer(&id),
                }
            }
            Message::Notification(said) => {
                self.said(context, said);
                reply::empty(StatusCode::ACCEPTED)
            }
            Message::Response(_) => endpoint::invalid("a response is not part of this protocol version"),
        }
    }

    /// No notification of the protocol means anything over HTTP: a request ends when its stream is closed, and an id that a
    /// client chose must not end somebody else's. One that no revision defines is the mount's to pass on, where it came in an
    /// envelope that says who sent it.
    pub(super) fn said(&self, context: &Context<'_>, said: Notification) {
        let Notification { method, params } = said;
        if notification::is_defined(&method) {
            return;
        }
        if let Ok((envelope, params)) = Envelope::read(params)
            && envelope.is_served()
        {
            let caller = self.callers.caller(context, &envelope);
            self.shared.mount.notify(&caller, Notification { method, params: Some(params) });
        }
    }

    /// What comes of a request.
    pub(super) async fn request(&self, context: &Context<'_>, request: Request) -> Result<Reply, Refused> {
        let Request { id, method, params } = request;
        let method = Method::parse(&method);
        let (envelope, mut params) = Envelope::read(params)?;
        envelope.check(context, &method, &params)?;
        let caller = self.callers.caller(context, &envelope);
        let text = params.to_raw();
        let mut exchange = Exchange { shared: self.shared.clone(), caller, method, text, server_info: None };
        // Before anything asks the server: a state that is not this caller's must not even open a session.
        let next = retry::read(&exchange, &mut params)?;
        let Admitted { description, tool } = gate::admit(context, &exchange.caller, &exchange.method, &params).await?;
        match exchange.method {
            Method::Discover => return Ok(Reply::Result(discover::result(&description.unwrap_or_default()))),
            Method::Listen => {
                return listen::listen(&self.shared, context, exchange.caller, id, &params, description).await;
            }
            _ => {}
        }
        exchange.server_info = description.and_then(|d| d.server_info.clone());
        let outlet = Outlet::new(context.accept, &envelope);
        let leg = match next {
            Next::Call(attempt) => {
                let mut headers = forwarded::named(context.headers, self.shared.mount.forwards());
                forwarded::add_unrecognised(&mut headers, context.headers, tool.as_deref());
                trace::adopt(&mut params, context.headers);
                self.call(exchange, params, attempt, headers, outlet)
            }
            Next::Attach { call, generation, answers } => {
                let digest = digest::of_object(&answers);
                let capabilities = exchange.caller.capabilities.clone();
                let answers = Answers { generation, answers, digest, capabilities };
                let parking = &self.shared.settings.held.parking;
                let attached = parking.attach(&call, answers, outlet.clone()).ok_or_else(|| {
                    exchange.seals().refused("its call has ended");
                    RequestState::invalid()
                })?;
                Leg::later(exchange, attached, outlet)
            }
        };
        Ok(Reply::Call(Box::new(leg)))
    }

    fn call(
        &self,
        exchange: Exchange,
        params: RawObject,
        attempt: Attempt,
        headers: Vec<(HeaderName, HeaderValue)>,
        outlet: Arc<Outlet>,
    ) -> Leg {
        let peer = CallPeer::new(exchange.method.may_ask());
        peer.attach(&outlet);
        let life = Life::new(self.shared.settings.life);
        let call = self.shared.mount.call(Call {
            caller: exchange.caller.clone(),
            method: exchange.method.clone(),
            params,
            attempt,
            peer: peer.clone(),
            headers,
            life: life.clone(),
        });
        Leg::first(exchange, call, life, peer, outlet)
    }
}
