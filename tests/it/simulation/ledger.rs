//! What happened in a world, and what should not have.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

use super::PRINCIPALS;

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

/// Something of which there are none when everybody has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gauge {
    /// Servers at the ends of pipes.
    Servers,
    /// Calls that run at servers.
    Running,
    /// Connections to servers over HTTP.
    Connections,
    /// Sessions that servers over HTTP know.
    Sessions,
    /// Listens, and streams that stand open, at servers.
    Ears,
    /// What is subscribed to in the sessions of legacy servers.
    Subscribed,
    /// Subscriptions of modern clients.
    Listening,
    /// Sessions of legacy clients.
    Clients,
    /// What legacy clients are subscribed to.
    Wanted,
}

const GAUGES: usize = Gauge::Wanted as usize + 1;

/// Something that happened, of which every run of the simulation has to see some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Question,
    Round,
    Update,
    ListChange,
    Acknowledged,
    TaskMade,
    TaskOver,
    Resumed,
    Theft,
    Fault,
    Crash,
    Drain,
    Roots,
}

const EVENTS: [(Event, &str); 13] = [
    (Event::Question, "questions"),
    (Event::Round, "rounds without questions"),
    (Event::Update, "updates"),
    (Event::ListChange, "changes of lists"),
    (Event::Acknowledged, "subscriptions"),
    (Event::TaskMade, "tasks"),
    (Event::TaskOver, "ends of tasks"),
    (Event::Resumed, "streams taken up again"),
    (Event::Theft, "thefts"),
    (Event::Fault, "faults of connections"),
    (Event::Crash, "crashes"),
    (Event::Drain, "drains"),
    (Event::Roots, "roots asked for"),
];

#[derive(Default)]
pub(super) struct Ledger {
    faults: Mutex<Vec<String>>,
    story: Mutex<Vec<(Option<Instant>, String)>>,
    /// How often each leg of a call was started at a server, and how often it was sent.
    legs: Mutex<HashMap<(Mark, u64), (usize, usize)>>,
    /// Calls whose client does not want them any more.
    given_up: Mutex<HashSet<Mark>>,
    next: AtomicUsize,
    gauges: [Arc<AtomicUsize>; GAUGES],
    events: [AtomicUsize; EVENTS.len()],
}

/// Something that is counted while it exists.
pub(super) struct Present(Arc<AtomicUsize>);

impl Drop for Present {
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
        self.at_most(what, count, 0);
    }

    pub(super) fn at_most(&self, what: &str, count: usize, most: usize) {
        if count > most {
            self.fault(format!("{count} {what} are left, where {most} could be"));
        }
    }

    /// Everything that anybody is sent passes here: there is nothing of anybody else in it.
    pub(super) fn reads(&self, principal: &str, text: &str) {
        let foreign = |other: &&str| *other != principal && text.contains(&format!("{other}/"));
        if let Some(other) = PRINCIPALS.iter().find(|other| foreign(other)) {
            self.fault(format!("{principal} reads of {other}: {text}"));
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

    /// A client does not want a call any more.
    pub(super) fn gives_up(&self, mark: &Mark) {
        lock(&self.given_up).insert(mark.clone());
    }

    /// Whether the client of a call does not want it any more.
    pub(super) fn is_given_up(&self, mark: &Mark) -> bool {
        lock(&self.given_up).contains(mark)
    }

    pub(super) fn happened(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often everything happened.
    pub(super) fn events(&self) -> [(&'static str, usize); EVENTS.len()] {
        EVENTS.map(|(event, words)| (words, self.events[event as usize].load(Ordering::Relaxed)))
    }

    pub(super) fn present(&self, gauge: Gauge) -> Present {
        let gauge = self.gauges[gauge as usize].clone();
        gauge.fetch_add(1, Ordering::Relaxed);
        Present(gauge)
    }

    pub(super) fn count(&self, gauge: Gauge) -> usize {
        self.gauges[gauge as usize].load(Ordering::Relaxed)
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
        let most = std::env::var("SIMULATION_STORY").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
        story.iter().rev().take(most).rev().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn calls(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
