//! The roots that a server asks for outside every call.
//!
//! Some servers ask as soon as they are initialized, and work without roots where nobody answers. A modern client can be
//! asked in the answer to a request and at no other time: so the question waits for the next request that may be answered
//! with one, and that request goes on when the server knows the roots.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    hub::{Answer, BoxFuture, Refusal},
    jsonrpc::RawObject,
    limits::ServerLimits,
};

/// How many such questions of one session may wait.
const WAITING: usize = 16;
/// How long a server that was just initialized may take to answer a ping, behind which it will have asked.
const PING: Duration = Duration::from_secs(1);
/// How long a question may be under way on another stream than the answer to that ping.
const CROSSING: Duration = Duration::from_millis(25);
/// How long a server has to take in the roots it asked for before it gets the request.
const TAKEN_IN: Duration = Duration::from_millis(50);

/// The roots of those who share one session.
pub(in super::super) struct Roots {
    kept: Mutex<Option<(RawObject, Instant)>>,
    waiting: Mutex<Vec<oneshot::Sender<Answer>>>,
    /// Counts what happens to the questions that wait.
    changes: watch::Sender<u64>,
    /// Held while it is found out whether the server asks at once.
    settling: tokio::sync::Mutex<()>,
    is_settled: AtomicBool,
    /// How long a question waits for a request. Servers give up after a minute.
    wait: Duration,
    /// How long roots are good for questions outside calls.
    good: Duration,
}

impl Roots {
    /// Nothing is known yet.
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            kept: Mutex::default(),
            waiting: Mutex::default(),
            changes: watch::channel(0).0,
            settling: tokio::sync::Mutex::default(),
            is_settled: AtomicBool::new(false),
            wait: limits.roots_wait,
            good: limits.roots_kept,
        }
    }

    /// Answers a question from what is known, or keeps it until a request comes that a client can be asked by.
    pub(super) fn hold(&self) -> BoxFuture<Answer> {
        let kept =
            lock(&self.kept).as_ref().filter(|(_, since)| since.elapsed() < self.good).map(|(roots, _)| roots.clone());
        if let Some(roots) = kept {
            return Box::pin(std::future::ready(Ok(roots)));
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            waiting.retain(|w| !w.is_closed());
            if waiting.len() >= WAITING {
                return Box::pin(std::future::ready(Err(Refusal::NoOne)));
            }
            waiting.push(answer);
        }
        self.changes.send_modify(|n| *n += 1);
        let wait = self.wait;
        Box::pin(async move {
            match timeout(wait, answered).await {
                Ok(Ok(answer)) => answer,
                _ => Err(Refusal::NoOne),
            }
        })
    }

    /// Notes the roots that a client answered with.
    pub(super) fn learn(&self, answer: &Answer) {
        if let Ok(roots) = answer {
            *lock(&self.kept) = Some((roots.clone(), Instant::now()));
        }
    }

    fn is_waiting(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|w| !w.is_closed());
        !waiting.is_empty()
    }

    /// What a request does before it is sent that a client can be asked by: where the server waits for roots, the client
    /// is asked and the server told. `ping` has the server answer something, `ask` the client.
    pub(in super::super) async fn adopt(
        &self,
        ping: impl Future<Output = ()>,
        ask: impl FnOnce() -> BoxFuture<Answer>,
    ) {
        self.settle(ping).await;
        let mut changes = self.changes.subscribe();
        if !self.is_waiting() {
            return;
        }
        let mut asked = ask();
        loop {
            tokio::select! {
                biased;
                answer = &mut asked => {
                    self.learn(&answer);
                    for waiting in lock(&self.waiting).drain(..) {
                        let _ = waiting.send(answer.clone().map_err(|_| Refusal::NoOne));
                    }
                    self.changes.send_modify(|n| *n += 1);
                    break;
                }
                // Another request of the same clients may be answered first.
                _ = changes.changed() => {
                    if !self.is_waiting() && lock(&self.kept).is_some() {
                        break;
                    }
                }
            }
        }
        sleep(TAKEN_IN).await;
    }

    /// Waits, once, until a server that asks at once has asked.
    async fn settle(&self, ping: impl Future<Output = ()>) {
        if self.is_settled.load(Ordering::Acquire) {
            return;
        }
        let _one = self.settling.lock().await;
        if self.is_settled.load(Ordering::Acquire) {
            return;
        }
        let mut changes = self.changes.subscribe();
        if !self.is_waiting() {
            let asked = async {
                let _ = timeout(PING, ping).await;
                sleep(CROSSING).await;
            };
            tokio::select! {
                () = asked => {}
                _ = changes.changed() => {}
            }
        }
        self.is_settled.store(true, Ordering::Release);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::jsonrpc::Raw;

    fn roots() -> RawObject {
        RawObject::from([("roots", Raw::constant("[]"))])
    }

    fn answers(answer: Answer) -> impl FnOnce() -> BoxFuture<Answer> {
        move || Box::pin(std::future::ready(answer))
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_a_request_and_its_answer_is_kept_for_a_while() {
        let desk = Arc::new(Roots::new(&ServerLimits::default()));
        let held = tokio::spawn(desk.hold());
        tokio::task::yield_now().await;
        desk.adopt(std::future::ready(()), answers(Ok(roots()))).await;
        assert_eq!(held.await.unwrap().unwrap(), roots());
        let never = || -> BoxFuture<Answer> { panic!("nobody waits") };
        desk.adopt(std::future::ready(()), never).await;
        assert!(desk.hold().await.is_ok());
        tokio::time::advance(ServerLimits::default().roots_kept).await;
        // Nobody comes.
        assert!(matches!(desk.hold().await, Err(Refusal::NoOne)));
        desk.adopt(std::future::ready(()), never).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_request_is_answered_serves_another_that_asked_too() {
        let desk = Arc::new(Roots::new(&ServerLimits::default()));
        let held = desk.hold();
        let first = tokio::spawn({
            let desk = desk.clone();
            async move { desk.adopt(std::future::ready(()), || Box::pin(std::future::pending())).await }
        });
        tokio::task::yield_now().await;
        desk.adopt(std::future::ready(()), answers(Ok(roots()))).await;
        first.await.unwrap();
        assert!(held.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_gives_none_lets_the_server_go_on_without() {
        let desk = Roots::new(&ServerLimits::default());
        let held = desk.hold();
        desk.adopt(std::future::pending(), answers(Err(Refusal::Lapsed))).await;
        assert!(matches!(held.await, Err(Refusal::NoOne)));
    }

    #[tokio::test(start_paused = true)]
    async fn few_questions_wait() {
        let desk = Roots::new(&ServerLimits::default());
        let held: Vec<_> = (0..WAITING).map(|_| desk.hold()).collect();
        assert!(matches!(desk.hold().await, Err(Refusal::NoOne)));
        drop(held);
        assert!(!desk.is_waiting());
    }
}
