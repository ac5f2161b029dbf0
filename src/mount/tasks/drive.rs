//! Seeing a task at a server through to its end.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    hub::{Answer, BoxFuture, Fault, Life, Peer, Question, QuestionEnd, Reason, Refusal, Stop, settle},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{
        method::question,
        tasks::{self, Status},
    },
};

use super::{at::TaskAt, record::End};

/// How often, where it does not say.
const UNSAID: Duration = Duration::from_secs(1);
/// How often a legacy server that works on a task is asked whether it still does: that it does is a sign of life.
const PULSE: Duration = Duration::from_secs(60);
/// How long the result of a task that is over may take.
const LATE: Duration = Duration::from_secs(5);
/// How often in a row a server may be out of reach before a task is given up.
const MISSES: u32 = 5;
/// How many questions a task may show at once.
const QUESTIONS: usize = 32;
/// How long cancelling a task that nobody waits for may take.
const GOODBYE: Duration = Duration::from_secs(10);

/// Which questions of a task are being put to a client, or were: whoever else waits for the task leaves them alone.
#[derive(Debug, Default)]
pub(in crate::mount) struct Claims(Mutex<HashSet<String>>);

/// A question that one wait puts to its client. Dropped without an answer it is free again.
struct Claim {
    claims: Arc<Claims>,
    key: String,
    answered: bool,
}

impl Claims {
    fn take(self: &Arc<Self>, key: &str) -> Option<Claim> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        is_free.then(|| Claim { claims: self.clone(), key: key.to_owned(), answered: false })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.answered {
            self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

/// What becomes of a task when whoever sees it through stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mount) enum Owned {
    /// Nobody else knows it: it is cancelled.
    Alone,
    /// Its client does, and may come back.
    ByClient,
}

/// Cancels a task that is dropped before it has ended.
struct Guard(Option<TaskAt>);

impl Guard {
    fn new(at: &TaskAt, owned: Owned) -> Self {
        Self((owned == Owned::Alone).then(|| at.clone()))
    }

    /// There is nothing left to cancel.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(at) = self.0.take() {
            cancel_later(at);
        }
    }
}

/// Cancels a task that nobody waits for.
pub(in crate::mount) fn cancel_later(at: TaskAt) {
    // Without a runtime the process is ending.
    if !at.can_cancel() {
        return;
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            let life = Life::default();
            if !matches!(timeout(GOODBYE, at.cancel(&life)).await, Ok(Ok(_))) {
                tracing::debug!(upstream = &*at.upstream, "a task could not be cancelled");
            }
        });
    }
}

/// Follows a task of a legacy server: waits for its result, in the course of which the server asks `peer`.
///
/// # Errors
/// When the server cannot be reached or breaks the protocol. That the task fails is no error.
pub(in crate::mount) async fn follow(
    at: &TaskAt,
    peer: &Arc<dyn Peer>,
    life: &Life,
    owned: Owned,
) -> Result<End, Fault> {
    let mut guard = Guard::new(at, owned);
    let mut misses = 0;
    loop {
        let begun = Instant::now();
        match attended(at, peer, life).await {
            Ok(result) => {
                let end = read_end(at, result, life).await;
                guard.ended();
                return Ok(end);
            }
            Err(Fault::Answered(error)) => {
                let task = at.get(life).await.unwrap_or_default();
                match Status::of(&task) {
                    // Against the protocol, the server does not wait with its answer until the task is over.
                    Some(Status::Working | Status::InputRequired) => {
                        life.touch();
                        sleep(interval(&task, at.floor)).await;
                    }
                    status => {
                        guard.ended();
                        let was_cancelled = status == Some(Status::Cancelled);
                        return Ok(if was_cancelled { End::Cancelled } else { End::Failed(error) });
                    }
                }
            }
            // In its era there is no error for that: it gets what the server said.
            Err(Fault::Undeclared { cause, .. }) if !at.caller.revision.is_modern() => {
                guard.ended();
                return Ok(End::Failed(cause));
            }
            Err(fault) if !is_passing(&fault) || !at.session.is_open() || misses >= MISSES => return Err(fault),
            // The stream was lost, and the task goes on: its result can be asked for again.
            Err(_) => {
                misses = if begun.elapsed() > PULSE { 0 } else { misses + 1 };
                sleep(UNSAID * misses).await;
            }
        }
    }
}

/// What the answer to a request for a result says. Some servers have nothing to say of a task that failed or was cancelled,
/// and say that: the task itself says what became of it.
async fn read_end(at: &TaskAt, result: Raw, life: &Life) -> End {
    const SAID: [&str; 3] = ["content", "structuredContent", "isError"];
    if result.to_object().is_some_and(|result| SAID.into_iter().any(|name| result.has(name))) {
        return End::Completed(result);
    }
    let task = at.get(life).await.unwrap_or_default();
    match Status::of(&task) {
        Some(Status::Failed) => {
            let message = task.get("statusMessage").and_then(Raw::as_text).unwrap_or("the task failed".into());
            End::Failed(ErrorObject::new(code::INTERNAL, &*message))
        }
        Some(Status::Cancelled) => End::Cancelled,
        _ => End::Completed(result),
    }
}

/// Waits for the result of a task, and asks meanwhile whether it is still being worked on. Where it is over and the result
/// does not come, the server has lost sight of who waits, and is asked again.
async fn attended(at: &TaskAt, peer: &Arc<dyn Peer>, life: &Life) -> Result<Raw, Fault> {
    let mut waiting = at.result(peer.clone(), life);
    loop {
        tokio::select! {
            biased;
            result = &mut waiting => return result,
            () = sleep(PULSE) => {
                let asked = Life::default();
                tokio::select! {
                    biased;
                    result = &mut waiting => return result,
                    Ok(task) = at.get(&asked) => {
                        life.touch();
                        if Status::of(&task).is_some_and(Status::is_terminal) {
                            if let Ok(result) = timeout(LATE, &mut waiting).await {
                                return result;
                            }
                            waiting = at.result(peer.clone(), life);
                        }
                    }
                    () = sleep(PULSE) => {}
                }
            }
        }
    }
}

/// Whether trying again may help.
fn is_passing(fault: &Fault) -> bool {
    fault.reason().is_some_and(Reason::is_retryable)
}

/// A task of a modern server that is seen through for a client.
pub(in crate::mount) struct Polling<'a> {
    pub(in crate::mount) at: &'a TaskAt,
    /// Whom the task's questions go to, in the server's words.
    pub(in crate::mount) peer: Arc<dyn Peer>,
    pub(in crate::mount) life: &'a Life,
    pub(in crate::mount) claims: Arc<Claims>,
    pub(in crate::mount) owned: Owned,
}

/// An answer of the client, with the question's key and method.
type Told = (Claim, String, Answer);

impl Polling<'_> {
    /// Asks the server how far the task is until it is over, and puts the task's questions to the client.
    ///
    /// # Errors
    /// When the server cannot be reached or breaks the protocol, or when the client that waits for the task is gone. That the
    /// task fails is no error.
    pub(in crate::mount) async fn follow(self) -> Result<End, Fault> {
        let mut guard = Guard::new(self.at, self.owned);
        let mut open: FuturesUnordered<BoxFuture<Told>> = FuturesUnordered::new();
        let mut misses = 0;
        loop {
            let task = match self.at.get(self.life).await {
                Ok(task) => task,
                Err(fault) if is_passing(&fault) && self.at.session.is_open() && misses < MISSES => {
                    misses += 1;
                    sleep(UNSAID * misses).await;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            misses = 0;
            self.life.touch();
            if let Some(end) = ended(self.at, &task)? {
                guard.ended();
                return Ok(end);
            }
            if let Err(stop) = self.ask(&task, &mut open)? {
                return Ok(self.stop(&mut guard, &stop).await);
            }
            let mut pause = pin!(sleep(interval(&task, self.at.floor)));
            loop {
                tokio::select! {
                    biased;
                    Some(told) = open.next(), if !open.is_empty() => {
                        if let Some(stop) = self.told(told).await? {
                            return Ok(self.stop(&mut guard, &stop).await);
                        }
                    }
                    () = &mut pause => break,
                }
            }
        }
    }

    /// Puts the questions to the client that nobody has put to it yet.
    fn ask(&self, task: &RawObject, open: &mut FuturesUnordered<BoxFuture<Told>>) -> Result<Result<(), Stop>, Fault> {
        if Status::of(task) != Some(Status::InputRequired) {
            return Ok(Ok(()));
        }
        let requests = task.get_object("inputRequests").unwrap_or_default();
        if requests.len() > QUESTIONS {
            return Err(self.at.broken("its task asks too many questions at once"));
        }
        for (key, request) in requests.iter() {
            let request = request.to_object().unwrap_or_default();
            let method = request.get("method").and_then(Raw::as_text).unwrap_or_default().into_owned();
            if !matches!(&*method, question::ELICIT | question::SAMPLE | question::ROOTS) {
                return Err(self.at.broken("its task asks something that no client answers"));
            }
            let params = request.get_object("params");
            if self.at.capabilities.answers(&method, params.as_ref()).is_err() {
                return Ok(Err(Stop::unanswerable(&method)));
            }
            let Some(claim) = self.claims.take(&key) else { continue };
            let asked = self.peer.ask(Question { method: method.clone(), params, key: Some(key.into_owned()) });
            let asking = self.life.asking();
            open.push(Box::pin(async move {
                let answer = asked.await;
                drop(asking);
                (claim, method, answer)
            }));
        }
        Ok(Ok(()))
    }

    /// Hands an answer to the server.
    async fn told(&self, (mut claim, method, answer): Told) -> Result<Option<Stop>, Fault> {
        self.life.question_ended(&method, QuestionEnd::of(&answer));
        // Whoever waits is gone or has no time; the task waits on for somebody who has.
        if self.owned == Owned::ByClient && matches!(answer, Err(Refusal::NoOne | Refusal::Lapsed)) {
            return Err(Fault::gateway(Reason::Timeout, "a question of the task was not answered"));
        }
        let answer = match settle(&method, answer) {
            Ok(answer) => answer,
            Err(stop) => return Ok(Some(stop)),
        };
        let answers = RawObject::from([(&*claim.key, answer.to_raw())]);
        self.at.update(&answers, self.life).await?;
        claim.answered = true;
        Ok(None)
    }

    /// A question got no answer that the server could be given: the task cannot go on.
    async fn stop(&self, guard: &mut Guard, stop: &Stop) -> End {
        guard.ended();
        if self.at.cancel(self.life).await.is_err() {
            tracing::debug!(upstream = &*self.at.upstream, "a task could not be cancelled");
        }
        End::Completed(stop.tool_result())
    }
}

/// How a task of a modern server has ended, if it has.
pub(in crate::mount) fn ended(at: &TaskAt, task: &RawObject) -> Result<Option<End>, Fault> {
    Ok(Some(match Status::of(task) {
        None => return Err(at.broken("its task has no status that is known")),
        Some(Status::Working | Status::InputRequired) => return Ok(None),
        Some(Status::Cancelled) => End::Cancelled,
        Some(Status::Failed) => match task.get("error") {
            Some(error) => End::Failed(ErrorObject::read(error)),
            None => return Err(at.broken("its task failed without an error")),
        },
        Some(Status::Completed) => match task.get("result") {
            Some(result) => End::Completed(result.clone()),
            None => return Err(at.broken("its task completed without a result")),
        },
    }))
}

/// When to ask again, `floor` at the earliest.
fn interval(task: &RawObject, floor: Duration) -> Duration {
    let said = task.get("pollIntervalMs").or_else(|| task.get("pollInterval"));
    said.and_then(tasks::millis).unwrap_or(UNSAID).max(floor)
}
