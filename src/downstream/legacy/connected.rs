//! A session on a connection: it begins with `initialize`, needs no id, and ends with the connection.

use std::sync::Arc;

use crate::{
    hub::BoxFuture,
    jsonrpc::{Encoded, ErrorObject, Message, Payload, RequestId, code, encode_error, encode_result},
    protocol::{Method, method::notification},
};

use super::{
    super::{endpoint::Context, outbox::Outbox},
    batch,
    call::{self, Begun},
    handshake,
    post::{Post, Shape},
    session::Session,
    told,
};

/// Answers `initialize`. The session comes back where one was opened.
pub(in crate::downstream) async fn open(
    context: &Context<'_>,
    request: &crate::jsonrpc::Request,
) -> (Encoded, Option<Arc<Session>>) {
    match handshake::open(context, request.params.as_ref()).await {
        Ok(greeting) => (encode_result(&request.id, &greeting.result), Some(greeting.session)),
        Err(refused) => (encode_error(Some(&request.id), &refused.to_error()).into(), None),
    }
}

/// What the client says in its session. Comes back with what has to run until everything is answered.
pub(in crate::downstream) fn hear(
    context: &Context<'_>,
    session: &Arc<Session>,
    payload: Payload,
    line: &Arc<Outbox>,
) -> Option<BoxFuture<()>> {
    session.pulse().heard();
    match payload {
        Payload::One(Message::Request(request)) => {
            if request.method != Method::Ping.as_str() {
                // There are clients that never say that they are initialized.
                session.listen_on(line);
            }
            let post = Post::on(line, session, Shape::One);
            let id = request.id.clone();
            match call::begin(context, session, request, &post) {
                Begun::Answered(text) => {
                    line.answer(Some(&id), text);
                    None
                }
                Begun::Runs(work) => Some(Box::pin(async move {
                    let _was_answered = work.await;
                })),
            }
        }
        Payload::One(Message::Notification(said)) => {
            if said.method == notification::INITIALIZED {
                session.listen_on(line);
            }
            told(context, session, said);
            None
        }
        Payload::One(Message::Response(response)) => {
            session.answered(response);
            None
        }
        Payload::Batch(elements) => {
            // What it says by that, it says after the handshake.
            session.listen_on(line);
            let post = Post::on(line, session, Shape::Batch);
            match batch::begin(context, session, elements, &post) {
                Ok(work) => {
                    let (work, line) = (work?, line.clone());
                    Some(Box::pin(async move {
                        work.await;
                        if let Some(answers) = post.gathered() {
                            line.answer(None, answers);
                        }
                    }))
                }
                Err(refused) => {
                    refuse(line, None, refused);
                    None
                }
            }
        }
    }
}

/// Says that something is no request that is taken now.
pub(in crate::downstream) fn refuse(line: &Outbox, id: Option<&RequestId>, message: &str) {
    line.answer(id, encode_error(id, &ErrorObject::new(code::INVALID_REQUEST, message)).into());
}
