//! A call that waits for answers: which questions are open, who has seen them, and what becomes of a retry
//! (2026-07-28, basic/patterns/mrtr).
//!
//! Everything here is decided by an event and the time; nothing waits, and nothing is sent. The questions of the server are
//! known by serial numbers, the requests of the client that wait for the call by waiter numbers. Each set of questions that
//! the client is shown opens a new generation, which one set of answers may close.

mod event;
mod stored;

pub(super) use event::{Action, Event, Reply, Retry};

use std::{collections::HashSet, sync::Arc};

use tokio::time::Instant;

use crate::{
    hub::{Question, Refusal},
    jsonrpc::{Raw, RawObject},
    limits::Limits,
    protocol::{ClientCapabilities, answer},
};

use self::stored::Stored;
use super::digest::Digest;

/// How often an answer may be useless before the client is told so.
const STRIKES: u8 = 3;
/// How many questions may be open.
const QUESTIONS: usize = 64;
/// Why a call ends whose stream was closed.
const CLOSED: &str = "the client closed the stream";
/// The longest key that a server may wish for, in bytes.
const KEY: usize = 128;
/// How many wishes of one call are granted: each is remembered for as long as the call is. Later questions get keys of ours.
const WISHES: usize = 256;

struct Open {
    serial: u64,
    key: String,
    method: String,
    params: Option<RawObject>,
    shown: bool,
    /// Whether the latest retry brought an answer that says nothing.
    useless: bool,
    strikes: u8,
}

/// The record of one call.
pub(super) struct Parked<O> {
    created: Instant,
    /// When the client was last heard or answered.
    seen: Instant,
    generation: u32,
    open: Vec<Open>,
    /// The last key of ours: `i` and this number.
    last_key: u64,
    /// The keys that the server wished for and got, which none of ours looks like.
    wished: HashSet<String>,
    waiters: Vec<u64>,
    /// The digest of the answers that the waiters brought; `None` for the first leg.
    brought: Option<Digest>,
    /// How long what is waited for.
    limits: Arc<Limits>,
    /// Until when a retry may come again whose stream was closed.
    missed_until: Option<Instant>,
    capabilities: ClientCapabilities,
    /// When the oldest and the newest question came that nobody has seen.
    unseen: Option<(Instant, Instant)>,
    finished: Option<(O, usize)>,
    stored: Stored<O>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The call runs, or its outcome waits to be fetched.
    Live,
    /// It runs, and may not ask any more; what it has asked may be answered.
    Stopping,
    /// Its outcome was delivered.
    Delivered,
    /// It was dropped.
    Ended,
}

impl<O: Clone> Parked<O> {
    /// A call whose first leg waits for it.
    pub(super) fn new(now: Instant, waiter: u64, capabilities: ClientCapabilities, limits: Arc<Limits>) -> Self {
        Self {
            created: now,
            seen: now,
            generation: 0,
            open: Vec::new(),
            last_key: 0,
            wished: HashSet::new(),
            waiters: vec![waiter],
            brought: None,
            limits,
            missed_until: None,
            capabilities,
            unseen: None,
            finished: None,
            stored: Stored::default(),
            phase: Phase::Live,
        }
    }

    /// When [`Event::Tick`] is due.
    pub(super) fn deadline(&self) -> Instant {
        let Limits { question, repeat, gather, gather_total, .. } = *self.limits;
        let end = self.end_of_all();
        match self.phase {
            Phase::Delivered | Phase::Ended => self.seen + repeat,
            _ if self.waiters.is_empty() => end.min(self.missed_until.unwrap_or(self.seen + question)),
            _ => match self.unseen {
                Some((oldest, newest)) => end.min(oldest + gather_total).min(newest + gather),
                None => end,
            },
        }
    }

    /// When the call ends, whatever happens.
    fn end_of_all(&self) -> Instant {
        self.created + self.limits.parked_total
    }

    /// Takes an event in.
    pub(super) fn on(&mut self, event: Event<O>, now: Instant) -> Vec<Action<O>> {
        let mut actions = Vec::new();
        match (event, self.phase) {
            (Event::Retry(retry), _) => self.retry(retry, now, &mut actions),
            (Event::Tick, Phase::Delivered) if now >= self.deadline() => actions.push(Action::Forget),
            (_, Phase::Delivered | Phase::Ended) => {}
            (Event::Asked(serial, question), _) => self.asked(serial, question, now, &mut actions),
            (Event::Withdrawn(serial), _) => self.withdrawn(serial),
            (Event::Left(waiter), _) => self.left(waiter, now, &mut actions),
            (Event::Finished(outcome, length), _) => {
                self.open.clear();
                self.unseen = None;
                self.finished = Some((outcome, length));
                self.deliver(now, &mut actions);
            }
            (Event::Tick, _) => self.tick(now, &mut actions),
            (Event::Stop, _) => self.stop(&mut actions),
            (Event::Drain, _) => self.drain(&mut actions),
            (Event::Lost, _) => self.end("the call was lost", &Reply::Lost, &mut actions),
        }
        actions
    }

    fn asked(&mut self, serial: u64, question: Question, now: Instant, actions: &mut Vec<Action<O>>) {
        let waited_for = !self.waiters.is_empty();
        if waited_for && let Err(missing) = self.capabilities.answers(&question.method, question.params.as_ref()) {
            actions.push(Action::Refuse(serial, Refusal::Undeclared(missing)));
        } else if self.phase == Phase::Stopping || self.open.len() >= QUESTIONS {
            actions.push(Action::Refuse(serial, Refusal::Lapsed));
        } else {
            let key = self.key(question.key);
            let Question { method, params, .. } = question;
            self.open.push(Open { serial, key, method, params, shown: false, useless: false, strikes: 0 });
            let oldest = self.unseen.map_or(now, |(oldest, _)| oldest);
            self.unseen = Some((oldest, now));
        }
    }

    /// A key that no other question of the call ever has: the one the server wishes for, unless it was used.
    fn key(&mut self, wish: Option<String>) -> String {
        let is_ours = |key: &str| key.strip_prefix('i').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let may_be = |key: &str| !key.is_empty() && key.len() <= KEY && !is_ours(key);
        if let Some(wish) = wish.filter(|wish| may_be(wish) && self.wished.len() < WISHES)
            && self.wished.insert(wish.clone())
        {
            return wish;
        }
        self.last_key += 1;
        format!("i{}", self.last_key)
    }

    fn withdrawn(&mut self, serial: u64) {
        self.open.retain(|q| q.serial != serial);
        if self.open.iter().all(|q| q.shown) {
            self.unseen = None;
        }
    }

    fn left(&mut self, waiter: u64, now: Instant, actions: &mut Vec<Action<O>>) {
        let before = self.waiters.len();
        self.waiters.retain(|w| *w != waiter);
        if self.waiters.len() < before {
            self.seen = now;
            if self.waiters.is_empty() {
                match self.brought {
                    Some(_) if !self.limits.reattach.is_zero() => self.missed_until = Some(now + self.limits.reattach),
                    _ => self.end(CLOSED, &Reply::Lost, actions),
                }
            }
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action<O>>) {
        if now < self.deadline() {
            return;
        }
        if now >= self.end_of_all() {
            self.end("the call took too long", &Reply::Expired, actions);
        } else if self.missed_until.is_some() {
            self.end(CLOSED, &Reply::Lost, actions);
        } else if self.waiters.is_empty() {
            self.end("the client did not return", &Reply::Expired, actions);
        } else {
            self.show(now, actions);
        }
    }

    /// No question is shown any more that the client has not seen.
    fn stop(&mut self, actions: &mut Vec<Action<O>>) {
        self.phase = Phase::Stopping;
        self.unseen = None;
        self.open.retain(|question| {
            if !question.shown {
                actions.push(Action::Refuse(question.serial, Refusal::Lapsed));
            }
            question.shown
        });
    }

    fn drain(&mut self, actions: &mut Vec<Action<O>>) {
        // Where somebody waits the call may finish, but a retry would find nobody here.
        match self.waiters.is_empty() {
            true => self.end("the gateway stops", &Reply::Lost, actions),
            false => self.stop(actions),
        }
    }

    fn retry(&mut self, retry: Retry, now: Instant, actions: &mut Vec<Action<O>>) {
        let Retry { waiter, generation, answers, digest, capabilities } = retry;
        let runs = matches!(self.phase, Phase::Live | Phase::Stopping);
        if let Some(reply) = self.stored.find(generation, &digest, now) {
            if runs {
                self.seen = now;
            }
            actions.push(Action::Reply(waiter, reply));
            return;
        }
        let current = generation == self.generation && generation > 0 && runs;
        // Its answers were taken already, from a retry that waits or whose stream broke.
        if current && self.brought == Some(digest) {
            self.waiters.push(waiter);
            actions.push(Action::Accept(waiter));
            if self.missed_until.take().is_some() {
                self.seen = now;
                self.capabilities = capabilities;
                self.deliver(now, actions);
            }
            return;
        }
        if !current || self.brought.is_some() || !self.waiters.is_empty() {
            actions.push(Action::Reply(waiter, Reply::Stale));
            return;
        }
        self.seen = now;
        self.capabilities = capabilities;
        self.brought = Some(digest);
        self.waiters.push(waiter);
        actions.push(Action::Accept(waiter));
        if self.finished.is_some() {
            self.deliver(now, actions);
            return;
        }
        if let Some(key) = self.take_answers(&answers, actions) {
            // The same state may be answered again, properly.
            self.waiters.clear();
            self.brought = None;
            actions.push(Action::Reply(waiter, Reply::Useless(key)));
            return;
        }
        if !self.open.is_empty() {
            self.show(now, actions);
        }
    }

    /// Passes the useful answers on. The key of an answer that was useless too often, if there is one.
    fn take_answers(&mut self, answers: &RawObject, actions: &mut Vec<Action<O>>) -> Option<String> {
        let before = self.open.len();
        let mut left = Vec::new();
        for mut question in std::mem::take(&mut self.open) {
            let given = if question.shown { answers.get(&question.key) } else { None };
            question.useless = given.is_some();
            match given.and_then(|given| answer::read(&question.method, given)) {
                Some(answer) => actions.push(Action::Answer(question.serial, answer)),
                None => left.push(question),
            }
        }
        // Answering one question after the other is fine. Coming back with nothing is not.
        let nothing = left.len() == before;
        let mut struck = None;
        for question in left.iter_mut().filter(|q| q.shown && (q.useless || nothing)) {
            question.strikes = question.strikes.saturating_add(1);
            if question.strikes >= STRIKES {
                struck.get_or_insert_with(|| question.key.clone());
            }
        }
        self.open = left;
        struck
    }

    /// Answers the waiters with every question that is open, so far as the client can still answer it.
    fn show(&mut self, now: Instant, actions: &mut Vec<Action<O>>) {
        self.unseen = None;
        let capabilities = &self.capabilities;
        self.open.retain(|question| match capabilities.answers(&question.method, question.params.as_ref()) {
            Ok(()) => true,
            Err(missing) => {
                actions.push(Action::Refuse(question.serial, Refusal::Undeclared(missing)));
                false
            }
        });
        if self.open.is_empty() {
            return;
        }
        let mut requests = RawObject::new();
        for question in &mut self.open {
            question.shown = true;
            requests.set(&question.key, question.request());
        }
        let length = requests.written_length();
        let generation = self.generation + 1;
        self.reply(&Reply::Ask { generation, requests }, length, now, actions);
        self.generation = generation;
    }

    fn deliver(&mut self, now: Instant, actions: &mut Vec<Action<O>>) {
        if self.waiters.is_empty() {
            return;
        }
        let Some((outcome, length)) = self.finished.take() else { return };
        self.reply(&Reply::Done(outcome), length, now, actions);
        self.phase = Phase::Delivered;
        actions.push(match self.stored.length() {
            0 => Action::Forget,
            length => Action::Linger(length),
        });
    }

    /// Answers every waiter, and keeps the answer for a retry that comes twice.
    fn reply(&mut self, reply: &Reply<O>, length: usize, now: Instant, actions: &mut Vec<Action<O>>) {
        actions.extend(self.waiters.drain(..).map(|waiter| Action::Reply(waiter, reply.clone())));
        self.seen = now;
        if let Some(digest) = self.brought.take() {
            let (until, room) = (now + self.limits.repeat, self.limits.repeat_size);
            self.stored.keep((self.generation, digest), reply.clone(), length, until, room);
        }
    }

    fn end(&mut self, reason: &'static str, reply: &Reply<O>, actions: &mut Vec<Action<O>>) {
        actions.extend(self.waiters.drain(..).map(|waiter| Action::Reply(waiter, reply.clone())));
        self.open.clear();
        self.finished = None;
        self.unseen = None;
        self.missed_until = None;
        self.stored = Stored::default();
        self.phase = Phase::Ended;
        actions.push(Action::End(reason));
    }
}

impl Open {
    /// The question as the client sees it.
    fn request(&self) -> Raw {
        let mut request = RawObject::from([("method", Raw::from(&*self.method))]);
        if let Some(params) = &self.params {
            request.set("params", params.to_raw());
        }
        request.to_raw()
    }
}

#[cfg(test)]
mod tests;
