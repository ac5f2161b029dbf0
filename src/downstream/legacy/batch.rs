//! Batches (2025-03-26, basic/index#batching): split, run side by side, answered together.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Response, StatusCode};

use crate::{
    hub::BoxFuture,
    jsonrpc::{Message, ParseError, encode_error},
    protocol::{Method, Revision},
};

use super::{
    super::{
        Body,
        endpoint::{Context, invalid},
        reply,
    },
    call::{self, Begun},
    post::{Post, Running, Shape},
    session::Session,
    told,
};

/// Answers a batch over HTTP.
pub(super) async fn answer(
    context: &Context<'_>,
    session: &Arc<Session>,
    elements: Vec<Result<Message, ParseError>>,
) -> Response<Body> {
    let post = Post::new(session, Shape::Batch, context.accept.events);
    match begin(context, session, elements, &post) {
        Err(refused) => invalid(refused),
        Ok(None) => reply::empty(StatusCode::ACCEPTED),
        Ok(Some(work)) => Running::new(post, work).answer().await,
    }
}

/// Begins what a batch asks for. Where anything in it wants an answer, the work comes back that says whether there was one.
///
/// # Errors
/// In words, why it is no batch that is taken.
pub(super) fn begin(
    context: &Context<'_>,
    session: &Arc<Session>,
    elements: Vec<Result<Message, ParseError>>,
    post: &Arc<Post>,
) -> Result<Option<BoxFuture<bool>>, &'static str> {
    if session.revision() > Revision::R2025_03_26 {
        return Err("a batch is not part of this protocol version");
    }
    let initializes = |m: &Message| matches!(m, Message::Request(r) if r.method == Method::Initialize.as_str());
    if elements.iter().flatten().any(initializes) {
        return Err("`initialize` must not be part of a batch");
    }
    let running = FuturesUnordered::new();
    let mut is_answered = false;
    for element in elements {
        match element {
            Ok(Message::Request(request)) => {
                is_answered = true;
                let id = request.id.clone();
                match call::begin(context, session, request, post) {
                    Begun::Answered(text) => post.answer(Some(&id), text),
                    Begun::Runs(work) => running.push(work),
                }
            }
            Ok(Message::Notification(notification)) => told(context, session, notification),
            Ok(Message::Response(response)) => session.answered(response),
            Err(fault) => {
                is_answered = true;
                post.answer(fault.id.as_ref(), encode_error(fault.id.as_ref(), &fault.to_error()).into());
            }
        }
    }
    if !is_answered {
        return Ok(None);
    }
    Ok(Some(Box::pin(running.fold(false, |any, was_answered| std::future::ready(any | was_answered)))))
}
