//! What a session says to the server beside its calls, in the order in which it was said.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::protocol::headers::PROTOCOL_VERSION;
use crate::{
    jsonrpc::{Notification, Raw, RawObject, RequestId, encode_error, encode_notification, encode_result},
    protocol::method::notification,
    upstream::conversation::{Reply, Word},
};

use super::{
    super::{answer, client::Purpose},
    Core, Epoch,
};

/// Something to be written.
pub(super) enum Command {
    /// A call that nobody waits for any more.
    Abandoned {
        epoch: Arc<Epoch>,
        id: u64,
        reason: Option<String>,
        /// What the server is told about the questions that it asked in that call.
        replies: Vec<Reply>,
    },
    /// A notification of the client.
    Said(Notification),
}

/// Writes until the session is let go of, then says goodbye to the server.
pub(super) async fn write(core: Arc<Core>, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Abandoned { epoch, id, reason, replies } => abandon(&core, &epoch, id, reason, replies).await,
            Command::Said(said) => {
                let epoch = core.epoch.load_full();
                post(&core, &epoch, encode_notification(&said.method, said.params.as_ref())).await;
            }
        }
        core.written.send_modify(|written| *written += 1);
    }
    let epoch = core.epoch.load_full();
    if let Some(session) = epoch.session.clone() {
        core.server.delete(session, epoch.headers.get(PROTOCOL_VERSION).cloned()).await;
    }
}

/// The cancellation goes first: a server that got the answers first would go on with the call.
async fn abandon(core: &Core, epoch: &Arc<Epoch>, id: u64, reason: Option<String>, replies: Vec<Reply>) {
    if epoch.forgotten.load(Ordering::Acquire) {
        return;
    }
    let mut params = RawObject::from([("requestId", RequestId::number(id).raw().clone())]);
    if let Some(reason) = reason {
        params.set("reason", Raw::from(&*reason));
    }
    post(core, epoch, encode_notification(notification::CANCELLED, Some(&params))).await;
    for reply in replies {
        post(core, epoch, encode(&reply)).await;
    }
}

/// Sends the reply to a question while the call goes on. Waits only while too many replies are under way.
pub(super) async fn reply(core: &Arc<Core>, epoch: &Arc<Epoch>, reply: Reply) {
    send(core, epoch, encode(&reply)).await;
}

/// The same for whatever a conversation has to say.
pub(super) async fn word(core: &Arc<Core>, epoch: &Arc<Epoch>, word: Word) {
    let body = match word {
        Word::Reply(reply) => encode(&reply),
        Word::Alive { said, .. } => encode_notification(&said.method, said.params.as_ref()),
    };
    send(core, epoch, body).await;
}

async fn send(core: &Arc<Core>, epoch: &Arc<Epoch>, body: Bytes) {
    let Ok(place) = core.replies.clone().acquire_owned().await else { return };
    let (core, epoch) = (core.clone(), epoch.clone());
    tokio::spawn(async move {
        post(&core, &epoch, body).await;
        drop(place);
    });
}

fn encode(reply: &Reply) -> Bytes {
    match &reply.outcome {
        Ok(result) => encode_result(&reply.id, result).into_bytes(),
        Err(error) => encode_error(Some(&reply.id), error),
    }
}

/// Sends something that has no answer. Any success will do; a failure is noted and no more, for nobody waits for it.
async fn post(core: &Core, epoch: &Epoch, body: Bytes) {
    let server = &core.server;
    let posting = async {
        match server.send(Purpose::Control, server.post(epoch.headers.clone(), body)).await {
            Ok(answer) => match answer::Reply::read(answer, server.settings.max_message).await {
                answer::Reply::Messages(messages) => messages.finish(),
                answer::Reply::Refused(refused) => {
                    tracing::debug!(upstream = %server.name, status = %refused.status, "the server refused a message");
                }
                answer::Reply::Empty => {}
            },
            Err(error) => tracing::debug!(upstream = %server.name, ?error, "a message could not be sent"),
        }
    };
    if tokio::time::timeout(server.settings.close, posting).await.is_err() {
        tracing::debug!(upstream = %server.name, "the server did not take a message in time");
    }
}
