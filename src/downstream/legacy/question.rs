//! Asking the client: a request on one of its streams, answered by a POST of its own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use crate::{
    hub::{Answer, BoxFuture, Question, Refusal},
    jsonrpc::{
        ErrorObject, Notification, Raw, RawObject, RequestId, Response, code, encode_notification, encode_request,
    },
    protocol::{meta, method::notification},
};

use super::{
    super::way::{Way, Weight},
    call::Calling,
    session::Session,
};

/// How long a question waits for its answer, and for each sign of progress after that.
const PATIENCE: Duration = Duration::from_secs(600);
/// How many questions of one session may be open.
const OPEN: usize = 64;

/// A question that waits for its answer.
pub(super) struct Pending {
    answered: oneshot::Sender<Answer>,
    progressed: Arc<Notify>,
    stream: Arc<dyn Way>,
    /// The call it belongs to.
    pub(super) call: Option<Weak<Calling>>,
    /// Under which token the server wants to hear of progress.
    token: Option<Raw>,
}

impl Session {
    /// Asks `question` on `stream`. Dropping the future withdraws it.
    pub(super) fn ask(
        self: &Arc<Self>,
        stream: Arc<dyn Way>,
        call: Option<Weak<Calling>>,
        question: Question,
    ) -> BoxFuture<Answer> {
        let refuse = |refusal| -> BoxFuture<Answer> { Box::pin(std::future::ready(Err(refusal))) };
        let (answered, mut answer) = oneshot::channel();
        let progressed = Arc::new(Notify::new());
        let id = {
            let mut inner = self.lock();
            if inner.questions.len() >= OPEN {
                return refuse(Refusal::Lapsed);
            }
            inner.asked += 1;
            let id = format!("{}-{}", self.nonce, inner.asked);
            let token = question.params.as_ref().and_then(|p| meta::get(p, meta::PROGRESS_TOKEN));
            let pending = Pending { answered, progressed: progressed.clone(), stream: stream.clone(), call, token };
            inner.questions.insert(id.clone(), pending);
            id
        };
        if !stream.push(Weight::Heavy, on_the_wire(&id, &question)) {
            self.lock().questions.remove(&id);
            return refuse(Refusal::NoOne);
        }
        let withdrawn_when_dropped = Withdraw { session: Arc::downgrade(self), id };
        Box::pin(async move {
            let _open = withdrawn_when_dropped;
            let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
            loop {
                tokio::select! {
                    biased;
                    answer = &mut answer => return answer.unwrap_or(Err(Refusal::NoOne)),
                    () = progressed.notified() => patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE),
                    () = &mut patience => return Err(Refusal::Lapsed),
                }
            }
        })
    }

    /// The client answered a question. What nobody waits for is ignored.
    pub(super) fn answered(&self, response: Response) {
        let Some(id) = response.id.as_ref().and_then(|id| id.raw().as_text()) else { return };
        let Some(pending) = self.lock().questions.remove(&*id) else { return };
        let answer = match response.outcome {
            Ok(result) => result.to_object().ok_or_else(|| {
                Refusal::Answered(ErrorObject::new(
                    code::INTERNAL,
                    "the client answered with something else than an object",
                ))
            }),
            Err(error) => Err(Refusal::Answered(error)),
        };
        let _ = pending.answered.send(answer);
    }

    /// The client makes progress with a question: its time starts anew. Returns what the server shall hear of it.
    pub(super) fn progressed(&self, params: Option<&RawObject>) -> Option<Notification> {
        let mut params = params?.clone();
        let id = params.get("progressToken")?.as_text()?.into_owned();
        let token = {
            let inner = self.lock();
            let pending = inner.questions.get(&id)?;
            pending.progressed.notify_one();
            pending.token.clone()?
        };
        params.set("progressToken", token);
        Some(Notification { method: notification::PROGRESS.to_owned(), params: Some(params) })
    }

    /// Takes a question back, if it is still open.
    pub(super) fn withdraw(&self, id: &str) {
        let Some(pending) = self.lock().questions.remove(id) else { return };
        let params =
            RawObject::from([("requestId", Raw::from(id)), ("reason", Raw::from("the answer is not needed any more"))]);
        let told = encode_notification(notification::CANCELLED, Some(&params));
        if !pending.stream.push(Weight::Heavy, told.clone())
            && let Some(standalone) = self.listening()
        {
            standalone.push(Weight::Heavy, told);
        }
    }
}

/// The question as a request. It carries a progress token of ours, so that a client that needs long can say that it is at it.
fn on_the_wire(id: &str, question: &Question) -> bytes::Bytes {
    let mut params = question.params.clone().unwrap_or_default();
    meta::edit(&mut params, |meta| {
        meta.set(meta::PROGRESS_TOKEN, Raw::from(id));
    });
    // A string is always a valid id.
    let id = RequestId::new(&Raw::from(id)).unwrap_or_else(|_| RequestId::number(0));
    encode_request(&id, &question.method, Some(&params))
}

/// Takes the question back when the one who asked loses interest.
struct Withdraw {
    session: Weak<Session>,
    id: String,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            session.withdraw(&self.id);
        }
    }
}
