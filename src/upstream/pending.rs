//! The calls that wait for an answer in one upstream session, and which of them a message belongs to.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    hub::Fault,
    jsonrpc::{ErrorObject, Notification, Raw, RawObject, Request, RequestId},
    protocol::{
        ClientCapabilities, Method, meta, tasks,
        trace::{self, Trace},
    },
};

mod inbox;

pub(crate) use inbox::Inbox;

/// What reaches a running call beside its own stream.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Progress, a log message, or something unknown.
    Notification(Notification),
    /// A question that was attributed to the call.
    Question(Request),
    /// The server takes a question back.
    Withdrawn(RequestId),
}

/// How a call ends.
pub(crate) type Ended = Result<Result<Raw, ErrorObject>, Fault>;

struct Entry {
    order: u64,
    may_ask: bool,
    /// Whether the client wants to hear log messages of the call.
    hears: bool,
    capabilities: ClientCapabilities,
    /// The task whose result is waited for.
    task: Option<String>,
    post: inbox::Post,
}

/// The pending calls of a session, by the id under which they were sent.
#[derive(Default)]
pub(crate) struct Pending {
    inner: Mutex<Inner>,
    /// Whether the calls are of several principals, so that nothing is put down to one of them as a guess.
    strict: bool,
}

#[derive(Default)]
struct Inner {
    calls: HashMap<u64, Entry>,
    order: u64,
    closed: bool,
}

impl Pending {
    /// For the calls of one principal, or for those of several.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call under a fresh id. `None` when the session is closed.
    pub(crate) fn enter(
        &self,
        (may_ask, hears): (bool, bool),
        capabilities: ClientCapabilities,
        task: Option<String>,
    ) -> Option<(u64, Inbox)> {
        let (post, inbox) = inbox::inbox();
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        inner.order += 1;
        let order = inner.order;
        let id = loop {
            // Not guessable by a server that would answer somebody else's call.
            let id = fresh_id();
            if !inner.calls.contains_key(&id) {
                break id;
            }
        };
        inner.calls.insert(id, Entry { order, may_ask, hears, capabilities, task, post });
        Some((id, inbox))
    }

    /// Takes a call out; whether it was still there.
    pub(crate) fn leave(&self, id: u64) -> bool {
        self.lock().calls.remove(&id).is_some()
    }

    /// Ends a call with its response; `false` when nobody waits for it.
    pub(crate) fn end(&self, id: u64, outcome: Result<Raw, ErrorObject>) -> bool {
        match self.lock().calls.remove(&id) {
            Some(entry) => entry.post.end(Ok(outcome)),
            None => false,
        }
    }

    /// How many calls wait.
    pub(crate) fn count(&self) -> usize {
        self.lock().calls.len()
    }

    /// Whether somebody still waits for a call.
    pub(crate) fn waits(&self, id: u64) -> bool {
        self.lock().calls.contains_key(&id)
    }

    /// Ends one call with a fault; `false` when nobody waits for it.
    pub(crate) fn fail(&self, id: u64, fault: Fault) -> bool {
        match self.lock().calls.remove(&id) {
            Some(entry) => entry.post.end(Err(fault)),
            None => false,
        }
    }

    /// Ends every call with the same fault; no call can be entered afterwards.
    pub(crate) fn close(&self, fault: &Fault) {
        let mut inner = self.lock();
        inner.closed = true;
        for (_, entry) in inner.calls.drain() {
            entry.post.end(Err(fault.clone()));
        }
    }

    /// Hands a message to a call; the message comes back when the call is gone or its inbox is full.
    pub(crate) fn deliver(&self, id: u64, message: Incoming) -> Result<(), Incoming> {
        match self.lock().calls.get(&id) {
            Some(entry) => entry.post.put(message),
            None => Err(message),
        }
    }

    /// The server takes a question back that it asked outside every call's own stream: whichever call carries it, drops it.
    pub(crate) fn withdraw(&self, question: &RequestId) {
        for entry in self.lock().calls.values().filter(|entry| entry.may_ask) {
            let _ = entry.post.put(Incoming::Withdrawn(question.clone()));
        }
    }

    /// The call that a question belongs to which arrived outside every call's own stream: the one that waits for the task that
    /// the question names; where it names none, the only one whose client can answer it, and of several the one started last.
    /// All calls of a session belong to the same principal, and the answer goes to the asking server by its id whatever call
    /// carries the question. Where they belong to several, it is asked in the only call that may be asked anything, or in none.
    pub(crate) fn attribute(&self, method: &str, params: Option<&RawObject>) -> Option<u64> {
        let task = tasks::related(params);
        let inner = self.lock();
        if self.strict && task.is_none() && inner.calls.values().filter(|e| e.may_ask).count() != 1 {
            return None;
        }
        let able = inner.calls.iter().filter(|(_, e)| e.may_ask && e.capabilities.answers(method, params).is_ok());
        let able = able.filter(|(_, e)| !self.strict || e.task == task);
        let own = able.filter(|(_, e)| task.is_none() || e.task == task);
        own.max_by_key(|(_, e)| (e.task.is_none(), e.order)).map(|(&id, _)| id)
    }

    /// The call that waits for the task that a notification names.
    pub(crate) fn of_task(&self, params: Option<&RawObject>) -> Option<u64> {
        let task = Some(tasks::related(params)?);
        let inner = self.lock();
        inner.calls.iter().filter(|(_, e)| e.task == task).max_by_key(|(_, e)| e.order).map(|(&id, _)| id)
    }

    /// The only call that may be asked something, for a question that no call's client can answer: the refusal is that
    /// call's, and explains why it fails.
    pub(crate) fn only_asked(&self) -> Option<u64> {
        let inner = self.lock();
        let mut asked = inner.calls.iter().filter(|(_, e)| e.may_ask && e.task.is_none());
        match (asked.next(), asked.next()) {
            (Some((&id, _)), None) => Some(id),
            _ => None,
        }
    }

    /// The only call that runs, for a message that names none. Whoever waits for a task does not count beside others.
    pub(crate) fn only(&self) -> Option<u64> {
        let inner = self.lock();
        let waits = !inner.calls.values().any(|e| e.task.is_none());
        let mut ids = inner.calls.iter().filter(|(_, e)| waits || e.task.is_none()).map(|(id, _)| id);
        match (ids.next(), ids.next()) {
            (Some(&id), None) => Some(id),
            _ => None,
        }
    }

    /// The call that a log message belongs to which names none, in a session of one principal: the only one that runs, or of
    /// several the only one whose client wants to hear any. In a session of several it may be of a call that is over.
    pub(crate) fn only_hearing(&self) -> Option<u64> {
        if self.strict {
            return None;
        }
        if let Some(only) = self.only() {
            return Some(only);
        }
        let inner = self.lock();
        let mut hear = inner.calls.iter().filter(|(_, e)| e.hears && e.task.is_none()).map(|(id, _)| id);
        match (hear.next(), hear.next()) {
            (Some(&id), None) => Some(id),
            _ => None,
        }
    }
}

/// An id below 2^53: exact in a double.
fn fresh_id() -> u64 {
    random_word() & ((1 << 53) - 1)
}

/// The span of a request that is about to be sent. Of all numbers only zero names none.
fn fresh_span() -> NonZeroU64 {
    NonZeroU64::new(random_word()).unwrap_or(NonZeroU64::MIN)
}

/// A number from the system's generator, which is asked for a block at a time.
fn random_word() -> u64 {
    use aws_lc_rs::rand::{SecureRandom, SystemRandom};
    thread_local! {
        static BLOCK: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BLOCK.with_borrow_mut(|block| {
        if block.is_empty() {
            let mut bytes = [0_u8; 512];
            let _ = SystemRandom::new().fill(&mut bytes);
            block.extend(bytes.chunks_exact(8).map(|c| {
                let mut word = [0; 8];
                word.copy_from_slice(c);
                u64::from_le_bytes(word)
            }));
        }
        block.pop().unwrap_or(0)
    })
}

/// The progress token of a call: derived from its id, so that progress finds the call whatever stream it comes on.
pub(crate) fn progress_token(id: u64) -> Raw {
    Raw::from(&*format!("p{id}"))
}

/// Puts our own progress token and our own span in the place of the client's, where there are any. Returns where the trace
/// stands now.
pub(crate) fn own(params: &mut RawObject, id: u64, upstream: &str, method: &Method) -> Option<Trace> {
    if meta::get(params, meta::PROGRESS_TOKEN).is_some() {
        meta::edit(params, |m| m.set(meta::PROGRESS_TOKEN, progress_token(id)));
    }
    let (before, now) = trace::proceed(params, fresh_span)?;
    let (trace, parent, span) = (now.id(), before.span(), now.span());
    // A method that no revision defines is text of a client.
    let method = Method::KNOWN.iter().find(|known| *known == method).map_or("other", Method::as_str);
    tracing::debug!(target: "rialto::trace", trace, parent, span, upstream, method, "sends a request");
    Some(now)
}

/// The task whose result a request waits for.
pub(crate) fn task_of(method: &Method, params: &RawObject) -> Option<String> {
    let id = params.get(tasks::TASK_ID).filter(|_| *method == Method::TasksResult)?;
    id.as_text().map(std::borrow::Cow::into_owned)
}

/// The call that a progress notification belongs to, by its token.
pub(crate) fn call_of_progress(params: Option<&RawObject>) -> Option<u64> {
    params?.get("progressToken")?.as_text()?.strip_prefix('p')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_message_is_of_the_only_call_that_wants_to_hear_any() {
        let pending = Pending::default();
        let enter = |hears| pending.enter((true, hears), ClientCapabilities::default(), None).unwrap();
        let (deaf, _inbox) = enter(false);
        assert_eq!(pending.only_hearing(), Some(deaf));
        let (hears, _inbox) = enter(true);
        assert_eq!((pending.only_hearing(), pending.only()), (Some(hears), None));
        let (other, _inbox) = enter(true);
        assert_eq!(pending.only_hearing(), None);
        pending.leave(hears);
        assert_eq!(pending.only_hearing(), Some(other));
    }

    #[test]
    fn among_the_calls_of_several_principals_nothing_is_guessed() {
        const ELICIT: &str = "elicitation/create";
        let object = |text: &'static str| Raw::constant(text).to_object().unwrap();
        let able = ClientCapabilities::new(object(r#"{"elicitation":{}}"#));
        let of_task = object(r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#);
        let of_task = Some(&of_task);
        let pending = Pending::new(true);
        let enter = |may_ask, task: Option<&str>| {
            pending.enter((may_ask, true), able.clone(), task.map(str::to_owned)).unwrap()
        };
        assert_eq!(pending.attribute(ELICIT, None), None);
        let (_list, _inbox) = enter(false, None);
        let (holder, _inbox) = enter(true, None);
        assert_eq!(pending.attribute(ELICIT, None), Some(holder));
        assert_eq!((pending.attribute(ELICIT, of_task), pending.only_hearing()), (None, None));
        let (wait, _inbox) = enter(true, Some("t"));
        assert_eq!(pending.attribute(ELICIT, None), None, "it may be of either");
        assert_eq!(pending.attribute(ELICIT, of_task), Some(wait));
        pending.leave(holder);
        assert_eq!(pending.attribute(ELICIT, None), None, "a task is asked about by its name");
        assert_eq!(pending.only_hearing(), None);
    }
}
