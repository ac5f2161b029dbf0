//! The modern era: stateless requests over HTTP POST (2026-07-28, basic/transports).
//!
//! A request is checked against its own envelope and headers, then runs as one [`leg::Leg`]: the future of the call, polled
//! by whoever holds the HTTP answer. It becomes one JSON object, or a stream of events as soon as there is something to
//! say before the result.

mod callers;
mod discover;
mod envelope;
mod exchange;
mod gate;
mod leg;
mod outlet;
mod peer;
mod refused;
mod respond;

use std::sync::Arc;

use http::{Response, StatusCode};

use crate::{
    hub::{Attempt, Call, Life, Mount},
    jsonrpc::{Message, Request},
    protocol::Method,
};

use self::{
    callers::Callers, envelope::Envelope, exchange::Exchange, leg::Leg, outlet::Outlet, peer::CallPeer,
    refused::Refused,
};
use super::{
    Body,
    endpoint::{self, Context, Settings},
    reply,
};

/// The modern side of one endpoint.
pub(super) struct Modern {
    shared: Arc<Shared>,
    callers: Callers,
}

/// What outlives a request: an answer that is a stream still needs it.
struct Shared {
    mount: Arc<dyn Mount>,
    settings: Settings,
}

impl Modern {
    pub(super) fn new(mount: &Arc<dyn Mount>, settings: &Settings) -> Self {
        let shared = Arc::new(Shared { mount: mount.clone(), settings: settings.clone() });
        Self { shared, callers: Callers::default() }
    }

    pub(super) async fn post(&self, context: &Context<'_>, message: Message) -> Response<Body> {
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                match self.request(context, request).await {
                    Ok(response) => response,
                    Err(refused) => refused.answer(&id),
                }
            }
            // No notification of a client means anything over HTTP: a request ends when its stream is closed, and an id that a
            // client chose must not end somebody else's.
            Message::Notification(_) => reply::empty(StatusCode::ACCEPTED),
            Message::Response(_) => endpoint::invalid("a response is not part of this protocol version"),
        }
    }

    async fn request(&self, context: &Context<'_>, request: Request) -> Result<Response<Body>, Refused> {
        let Request { id, method, params } = request;
        let method = Method::parse(&method);
        let (envelope, params) = Envelope::read(params)?;
        envelope.check(context.headers, &method, &params)?;
        let caller = self.callers.caller(&context.settings.scopes, context.principal, &envelope);
        let description = gate::admit(context, &caller, &method, &params).await?;
        if method == Method::Discover {
            return Ok(reply::result(&id, &discover::result(&description.unwrap_or_default())));
        }
        let text = params.to_raw();
        let peer = CallPeer::new(method.may_ask());
        let outlet = Outlet::new(context.accept, &envelope);
        peer.attach(&outlet);
        let life = Life::new(context.settings.life);
        let call = self.shared.mount.call(Call {
            caller: caller.clone(),
            method: method.clone(),
            params,
            attempt: Attempt::First,
            peer: peer.clone(),
            life: life.clone(),
        });
        let server_info = description.and_then(|d| d.server_info.clone());
        let exchange = Exchange { shared: self.shared.clone(), caller, method, text, server_info };
        Ok(respond::respond(id, context.accept, Leg::first(exchange, call, life, peer, outlet)).await)
    }
}
