//! Requests about tasks that are kept here.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use tokio::time::{sleep, timeout};

use crate::{
    hub::{Answer, BoxFuture, Call, Fault, Outcome, Question},
    jsonrpc::{Raw, RawObject, code},
    protocol::{
        ClientCapabilities, Method,
        meta::{self, SERVER_INFO},
        tasks::Status,
    },
};

use super::{
    super::super::{
        super::tasks::{Design, End, Handle, Kept, Told, Wait, kept_words, not_found, relate},
        Inner,
    },
    belonging, cannot_cancel, was_cancelled,
};

/// How long a task that its server says is over may take to bring its result.
const RESULT: Duration = Duration::from_secs(5);
/// How often whoever waits for a task gives a sign of life.
const PULSE: Duration = Duration::from_secs(60);

impl Inner {
    pub(super) async fn about_kept(&self, call: &Call, handle: &Handle, kept: &Arc<Kept>) -> Result<Outcome, Fault> {
        match (&call.method, kept.design) {
            (Method::TasksGet, Design::Legacy) => Ok(Outcome::Complete(kept.task().to_raw())),
            (Method::TasksGet, Design::Extension) => {
                self.freshen(call, handle, kept).await?;
                Ok(Outcome::Complete(with_info(detailed(kept, &call.caller.capabilities), kept)))
            }
            (Method::TasksUpdate, Design::Extension) => {
                let Some(answers) = call.params.get_object("inputResponses") else {
                    return Err(Fault::error(code::INVALID_PARAMS, "`inputResponses` must be an object"));
                };
                kept.answer(answers);
                Ok(Outcome::Complete(with_info(RawObject::new(), kept)))
            }
            (Method::TasksCancel, Design::Extension) => {
                if let Some(at) = kept.at() {
                    match at.can_cancel() {
                        true => match at.cancel(&call.life).await {
                            Ok(_) => kept.cancel(),
                            // It is over already, and its result on the way.
                            Err(Fault::Answered(_)) => {}
                            Err(fault) => return Err(fault),
                        },
                        false => kept.cancel(),
                    }
                }
                Ok(Outcome::Complete(with_info(RawObject::new(), kept)))
            }
            (Method::TasksCancel, Design::Legacy) => {
                if kept.end().is_some() {
                    return Err(cannot_cancel(&kept.task()));
                }
                kept.cancel();
                Ok(Outcome::Complete(kept.task().to_raw()))
            }
            (Method::TasksResult, Design::Legacy) => {
                let _place = kept.waits.enter()?;
                match wait(call, kept).await {
                    End::Completed(result) => Ok(belonging(Outcome::Complete(result), &kept.handle)),
                    End::Failed(error) => Err(Fault::Answered(error)),
                    End::Cancelled => Err(was_cancelled()),
                }
            }
            _ => Err(Fault::method_not_found(call.method.as_str())),
        }
    }

    /// Asks the legacy server how far a kept task is.
    async fn freshen(&self, call: &Call, handle: &Handle, kept: &Arc<Kept>) -> Result<(), Fault> {
        let Some(at) = kept.at() else { return Ok(()) };
        match at.get(&call.life).await {
            Ok(task) => {
                let is_over = Status::of(&task).is_some_and(Status::is_terminal);
                kept.refresh(&kept_words(task));
                if is_over {
                    let mut changes = kept.watch();
                    let ends = async { while kept.end().is_none() && changes.changed().await.is_ok() {} };
                    let _ = timeout(RESULT, ends).await;
                }
                Ok(())
            }
            // The server forgot it, and there will be no result.
            Err(Fault::Answered(error)) if error.code == code::INVALID_PARAMS && kept.end().is_none() => {
                self.tasks.registry.forget(&call.caller.principal, handle);
                Err(not_found())
            }
            // Whoever waits for the result there finds out what that means.
            Err(_) => Ok(()),
        }
    }
}

/// A kept task as a modern client sees it that declared these capabilities.
fn detailed(kept: &Kept, capabilities: &ClientCapabilities) -> RawObject {
    kept.detailed(|question| capabilities.answers(&question.method, question.params.as_ref()).is_ok())
}

/// A complete result of the modern era.
fn with_info(task: RawObject, kept: &Kept) -> Raw {
    let mut result = RawObject::from([("resultType", Raw::from("complete"))]);
    for (name, value) in task.iter() {
        result.set(&name, value.clone());
    }
    if let Some(info) = &kept.server_info {
        result.set(meta::META, RawObject::from([(SERVER_INFO, info.clone())]).to_raw());
    }
    result.to_raw()
}

/// Waits until a kept task is over, and puts its questions to the client that waits.
async fn wait(call: &Call, kept: &Arc<Kept>) -> End {
    let mut wait: Wait = kept.join();
    let mut changes = kept.watch();
    let mut open = FuturesUnordered::new();
    let mut put: Vec<(u64, AbortHandle)> = Vec::new();
    loop {
        if let Some(end) = kept.end() {
            return end;
        }
        tokio::select! {
            biased;
            Some(told) = wait.told.recv() => match told {
                Told::Put(serial, question) => {
                    let asking = ask(call, kept, question);
                    let (abort, registration) = AbortHandle::new_pair();
                    put.push((serial, abort));
                    open.push(Abortable::new(asking.map(move |answer| (serial, answer)), registration));
                }
                Told::Take(serial) => {
                    if let Some(at) = put.iter().position(|(own, _)| *own == serial) {
                        put.swap_remove(at).1.abort();
                    }
                }
            },
            Some(Ok((serial, answer))) = open.next(), if !open.is_empty() => {
                put.retain(|(own, _)| *own != serial);
                wait.answered(serial, answer);
            }
            _ = changes.changed() => {}
            () = sleep(PULSE) => call.life.touch(),
        }
    }
}

/// Puts a question of a kept task to the client that waits for it.
fn ask(call: &Call, kept: &Kept, mut question: Question) -> BoxFuture<Answer> {
    let mut params = question.params.take().unwrap_or_default();
    relate(&mut params, Some(&kept.handle));
    question.params = Some(params);
    let asked = call.peer.ask(question);
    let asking = call.life.asking();
    Box::pin(async move {
        let answer = asked.await;
        drop(asking);
        answer
    })
}
