//! A server over HTTP whose connections are pipes in memory: it can be restarted, forgets sessions, and loses connections
//! before, in and after its answers.

mod streams;
mod wire;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use rialto::{
    hub::BoxFuture,
    upstream::http::{Dial, Stream as Bytes},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use self::{
    streams::Stream,
    wire::{Answer, Request},
};
use super::{
    Rules,
    ledger::{Event, Gauge, Ledger, Present, lock},
    random::Random,
    server::{Server, Session},
};

/// How much may be on its way in each direction, in bytes.
const PIPE: usize = 64 * 1024;

/// The server, whatever process it is at the moment.
pub(super) struct Program {
    rules: Rules,
    ledger: Arc<Ledger>,
    random: Random,
    current: Mutex<Arc<Process>>,
    /// Until when it is down.
    down: Mutex<Option<Instant>>,
}

/// One process of it, with the sessions that end with it.
pub(super) struct Process {
    server: Arc<Server>,
    random: Random,
    sessions: Mutex<HashMap<String, Arc<Known>>>,
}

/// A session of the legacy era with its streams, by number. The one that stands open is number 0.
struct Known {
    session: Arc<Session>,
    streams: Mutex<HashMap<u64, Arc<Stream>>>,
    _present: Present,
}

impl Process {
    fn new(rules: &Rules, random: &Random, ledger: &Arc<Ledger>) -> Arc<Self> {
        let server = Server::new(rules.clone(), random.fork(), ledger.clone());
        let process = Arc::new(Self { server, random: random.fork(), sessions: Mutex::default() });
        let (over, ending) = (process.server.over.clone(), process.clone());
        tokio::spawn(async move {
            over.cancelled().await;
            ending.ends();
        });
        process
    }

    fn ends(&self) {
        self.server.over.cancel();
        for (_, known) in lock(&self.sessions).drain() {
            known.session.end(&self.server);
        }
    }
}

impl Program {
    pub(super) fn new(rules: Rules, random: Random, ledger: Arc<Ledger>) -> Arc<Self> {
        let current = Mutex::new(Process::new(&rules, &random, &ledger));
        Arc::new(Self { rules, ledger, random, current, down: Mutex::default() })
    }

    /// The process, where there is one. One that crashed is followed by another after a while.
    fn process(&self) -> Option<Arc<Process>> {
        let mut current = lock(&self.current);
        if !current.server.over.is_cancelled() {
            return Some(current.clone());
        }
        let mut down = lock(&self.down);
        let until = *down.get_or_insert_with(|| Instant::now() + Duration::from_millis(self.random.below(4000)));
        if Instant::now() < until {
            return None;
        }
        *down = None;
        *current = Process::new(&self.rules, &self.random, &self.ledger);
        Some(current.clone())
    }

    /// Whether something goes wrong that does so once in so many times.
    fn goes_wrong(&self, once_in: u64) -> bool {
        let wrong = !self.rules.calm && self.random.one_in(once_in);
        if wrong {
            self.ledger.happened(Event::Fault);
        }
        wrong
    }

    /// Ends it for good.
    pub(super) fn end(&self) {
        lock(&self.current).ends();
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

/// The way to it.
#[derive(Debug)]
pub(super) struct Wires(pub(super) Arc<Program>);

impl Dial for Wires {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<io::Result<Box<dyn Bytes>>> {
        let program = self.0.clone();
        Box::pin(async move {
            if program.goes_wrong(60) {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let process = program.process().filter(|_| !program.goes_wrong(60)).ok_or_else(refused)?;
            let (ours, theirs) = tokio::io::duplex(PIPE);
            tokio::spawn(async move {
                let _present = program.ledger.present(Gauge::Connections);
                let over = process.server.over.clone();
                over.run_until_cancelled_owned(wire::serve(theirs, program, process)).await;
            });
            Ok(Box::new(ours) as Box<dyn Bytes>)
        })
    }
}

impl Process {
    /// What a request is answered with.
    fn answer(&self, program: &Program, request: Request) -> Answer {
        let Request { verb, body, session, last } = request;
        if self.server.rules.is_modern {
            return match verb.as_str() {
                "POST" if body.get("id").is_some() => self.modern(body),
                "POST" => Answer::Status(202),
                _ => Answer::Status(405),
            };
        }
        if body["method"] == "server/discover" {
            return Answer::Status(if self.random.one_in(2) { 404 } else { 400 });
        }
        if body["method"] == "initialize" {
            return self.begin(body);
        }
        if program.goes_wrong(150) {
            // It forgets the session, and says so to whoever comes next.
            let forgotten = lock(&self.sessions).remove(&session);
            if let Some(known) = forgotten {
                program.ledger.tell(format!("server: forgets {session}"));
                known.session.end(&self.server);
            }
        }
        let Some(known) = lock(&self.sessions).get(&session).cloned() else { return Answer::Status(404) };
        match verb.as_str() {
            "DELETE" => {
                program.ledger.tell(format!("server: {session} is over"));
                lock(&self.sessions).remove(&session);
                known.session.end(&self.server);
                Answer::Status(200)
            }
            "GET" if last.is_none() && !self.server.rules.has_standing => Answer::Status(405),
            "GET" => match known.find(last.as_deref()) {
                Some((stream, from)) => Answer::Log(stream, from),
                None => Answer::Status(404),
            },
            _ if body.get("id").is_none() || body.get("method").is_none() => {
                let (line, _) = mpsc::unbounded_channel();
                self.server.take(&known.session, body, line);
                Answer::Status(202)
            }
            _ => {
                let (line, lines) = mpsc::unbounded_channel();
                let id = body["id"].clone();
                let number = 1 + lock(&known.streams).len() as u64;
                let stream = Stream::new(number, self.server.rules.resumes);
                lock(&known.streams).insert(number, stream.clone());
                stream.clone().follow(lines, Some(id), known.session.over.clone());
                self.server.take(&known.session, body, line);
                Answer::Log(stream, 0)
            }
        }
    }

    fn modern(&self, body: Value) -> Answer {
        let (line, lines) = mpsc::unbounded_channel();
        let id = body["id"].clone();
        self.server.take(&Session::of(&self.server), body, line);
        Answer::Lines(lines, id)
    }

    fn begin(&self, body: Value) -> Answer {
        let session = Session::of(&self.server);
        let name = format!("session-{}", self.random.next());
        self.server.ledger.tell(format!("server: {name} begins"));
        let standing = Stream::new(0, self.server.rules.resumes);
        let (line, lines) = mpsc::unbounded_channel();
        standing.clone().follow(lines, None, session.over.clone());
        *lock(&session.standing) = Some(line);
        self.server.changes_for(&session);
        let streams = Mutex::new(HashMap::from([(0, standing)]));
        let _present = self.server.ledger.present(Gauge::Sessions);
        let (line, lines) = mpsc::unbounded_channel();
        let id = body["id"].clone();
        self.server.take(&session, body, line);
        lock(&self.sessions).insert(name.clone(), Arc::new(Known { session, streams, _present }));
        Answer::Greeting(lines, id, name)
    }
}

impl Known {
    /// The stream that an event id names and where it goes on; without one the stream that stands open, from here on.
    fn find(&self, last: Option<&str>) -> Option<(Arc<Stream>, usize)> {
        let streams = lock(&self.streams);
        let Some(last) = last else {
            let standing = streams.get(&0)?;
            return Some((standing.clone(), standing.len()));
        };
        let (stream, event) = last.split_once('-')?;
        Some((streams.get(&stream.parse().ok()?)?.clone(), event.parse().ok()?))
    }
}
