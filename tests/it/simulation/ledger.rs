//! What happened in a world, and what should not have.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

/// Who a call belongs to and which one it is: what every message about it carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    pub(super) owner: String,
    pub(super) call: u64,
}

impl Mark {
    /// Reads `owner/call`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (owner, call) = text.split_once('/')?;
        Some(Self { owner: owner.to_owned(), call: call.parse().ok()? })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.owner, self.call)
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    faults: Mutex<Vec<String>>,
    story: Mutex<Vec<(Option<Instant>, String)>>,
    /// How often each leg of a call was started at a server, and how often it was sent.
    legs: Mutex<HashMap<(Mark, u64), (usize, usize)>>,
    next: AtomicUsize,
    questions: AtomicUsize,
    servers: AtomicUsize,
    running: AtomicUsize,
}

/// Something that is counted while it exists.
pub(super) struct Present<'a>(&'a AtomicUsize);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ledger {
    /// A call that nobody made before.
    pub(super) fn mark(&self, owner: &str) -> Mark {
        Mark { owner: owner.to_owned(), call: self.next.fetch_add(1, Ordering::Relaxed) as u64 }
    }

    pub(super) fn fault(&self, words: String) {
        self.tell(format!("FAULT {words}"));
        lock(&self.faults).push(words);
    }

    /// Notes what happened, for whoever has to find out why.
    pub(super) fn tell(&self, words: String) {
        let mut story = lock(&self.story);
        if story.len() < 20_000 {
            let now = tokio::runtime::Handle::try_current().is_ok().then(Instant::now);
            story.push((now, words));
        }
    }

    pub(super) fn zero(&self, what: &str, count: usize) {
        if count != 0 {
            self.fault(format!("{count} {what} are left"));
        }
    }

    /// A client sends a leg of a call.
    pub(super) fn sent(&self, mark: &Mark, leg: u64) {
        lock(&self.legs).entry((mark.clone(), leg)).or_default().1 += 1;
    }

    /// A server starts a leg of a call: never more often than it was sent.
    pub(super) fn started(&self, mark: &Mark, leg: u64) {
        let (started, sent) = {
            let mut legs = lock(&self.legs);
            let leg = legs.entry((mark.clone(), leg)).or_default();
            leg.0 += 1;
            *leg
        };
        if started > sent {
            self.fault(format!("leg {leg} of {mark} ran {started} times and was sent {sent} times"));
        }
    }

    pub(super) fn asked(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn server(&self) -> Present<'_> {
        self.servers.fetch_add(1, Ordering::Relaxed);
        Present(&self.servers)
    }

    pub(super) fn run(&self) -> Present<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Present(&self.running)
    }

    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.faults).clone()
    }

    /// The last that happened.
    pub(super) fn story(&self) -> String {
        let story = lock(&self.story);
        let began = story.iter().find_map(|(at, _)| *at);
        let line = |(at, words): &(Option<Instant>, String)| {
            let seconds = at.zip(began).map_or(0.0, |(at, began)| (at - began).as_secs_f64());
            format!("{seconds:10.3} {words}")
        };
        story.iter().rev().take(120).rev().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn calls(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    pub(super) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    pub(super) fn servers(&self) -> usize {
        self.servers.load(Ordering::Relaxed)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
