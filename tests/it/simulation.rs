//! Clients, gateway and servers in one thread with a clock of its own: delays, drops, duplicates and crashes in an order that
//! a seed decides.
//!
//! Nothing here touches a socket. Servers of either era speak JSON lines over pipes in memory, or HTTP over connections that
//! are such pipes; clients of either era call the endpoint, and time passes only while everybody waits. At every step it is
//! checked that a request ends exactly once, that nothing of one principal reaches another, that no call runs twice, that
//! subscriptions bring what they promised and nothing else, and that a task that is over stays as it ended; at the end, that
//! every gauge is back at zero.
//!
//! `SIMULATION_SEEDS=1000 cargo test --test it simulation` runs more worlds than usual, `SIMULATION_SEED=n` only that one,
//! `SIMULATION_STORY=n` tells the last n things that happened before it failed. A seed that failed once stays in
//! `FAILED_ONCE`.

mod http;
mod ledger;
mod legacy_client;
mod modern_client;
mod pipe;
mod plan;
mod random;
mod server;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use rialto::{
    downstream::{Endpoint, Settings},
    hub::{Caught, Gather, Health, Holding, Limit, Mount},
    mount::{Share, Single, Tasking, Terms},
    telemetry::{CallSeries, Gauges, Measured, Metrics, MountGauges, RequestSeries},
    upstream::{
        Connector, EraChoice,
        http::{HttpConnector, HttpSettings, HttpTarget},
        in_process::InProcessConnector,
        lines::LineSettings,
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    http::{Program, Wires},
    ledger::{Event, Gauge, Ledger, Present, lock},
    random::Random,
};

/// Seeds that found something: run first, for ever.
const FAILED_ONCE: [u64; 12] = [382, 1702, 15, 20, 24, 33, 34, 42, 73, 141, 185, 1104];
/// How many worlds are tried where nobody says how many.
const WORLDS: u64 = 60;
/// Principals of a world.
const PRINCIPALS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// How long everything in a world may take, by its own clock: longer than any deadline of the gateway.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// After this time a server is let go of what only those needed who have left properly.
const SETTLED: Duration = Duration::from_secs(120);
/// After this time nothing may be held any more that its client forgot.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

/// How a world is.
#[derive(Clone)]
struct Rules {
    /// What the servers speak.
    is_modern: bool,
    /// Whether connections never break. Servers still crash.
    calm: bool,
    /// Who shares the sessions of legacy servers.
    share: Share,
    /// Whether a legacy server asks its questions where it says what belongs to no call.
    astray: bool,
    /// Whether a legacy server over HTTP has a stream for that.
    has_standing: bool,
    /// Whether its streams can be taken up again.
    resumes: bool,
    /// Fires when all clients have left: nothing changes any more.
    ending: CancellationToken,
    /// Fires when the gateway stops.
    draining: CancellationToken,
}

impl Rules {
    fn of(random: &Random) -> Self {
        let share = match random.below(6) {
            0 => Share::Everybody,
            1 => Share::Nobody,
            2 => Share::LEASED,
            3 => Share::Leased { at_most: NonZeroUsize::MIN.saturating_add(1) },
            _ => Share::Principal,
        };
        Self {
            is_modern: random.one_in(2),
            calm: random.one_in(3),
            share,
            astray: random.one_in(3),
            has_standing: !random.one_in(5),
            resumes: random.one_in(2),
            ending: CancellationToken::new(),
            draining: CancellationToken::new(),
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self.share, Share::Everybody | Share::Leased { .. })
    }
}

/// What the inhabitants of a world share.
#[derive(Clone)]
struct World {
    endpoint: Arc<Endpoint>,
    ledger: Arc<Ledger>,
    rules: Rules,
    settings: Settings,
    limit: Arc<Limit<Caught<Gather<Single>>>>,
    single: Single,
    metrics: Arc<Metrics>,
    /// What legacy clients were subscribed to when they walked away.
    left: Arc<Mutex<Vec<Present>>>,
}

#[test]
fn worlds_of_delays_drops_duplicates_and_crashes_keep_their_promises() {
    let number = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => FAILED_ONCE.into_iter().chain(1..=number("SIMULATION_SEEDS").unwrap_or(WORLDS)).collect(),
    };
    let (mut calls, mut events) = (0, Ledger::default().events());
    let are_many = seeds.len() > 50;
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ledger = Arc::new(Ledger::default());
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::time::timeout(LONGEST, live(seed, ledger.clone())).await.expect("the world came to an end");
            });
        }));
        let mut faults = ledger.faults();
        if let Err(panic) = lived {
            let words =
                panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|w| (*w).to_owned()));
            faults.push(words.unwrap_or_default());
        }
        assert!(faults.is_empty(), "SIMULATION_SEED={seed} finds:\n{}\n\n{}", faults.join("\n"), ledger.story());
        calls += ledger.calls();
        for ((_, all), (_, own)) in events.iter_mut().zip(ledger.events()) {
            *all += own;
        }
    }
    println!("{calls} calls, {events:?}");
    // A simulation in which nothing happens proves nothing.
    assert!(!are_many || calls > 0 && events.iter().all(|(_, count)| *count > 0), "{calls} calls, {events:?}");
}

impl World {
    fn new(rules: &Rules, connector: Arc<dyn Connector>, random: &Random, ledger: &Arc<Ledger>) -> Self {
        let settings = Settings { draining: rules.draining.clone(), ..Settings::default() };
        let tasking = Tasking { prefer: random.one_in(2), drive_for_modern: random.one_in(2), ..Tasking::default() };
        let terms = Terms { tasking, ..rules.share.into() };
        let single = Single::new("work", connector, terms, settings.sealer.clone());
        // As an application stacks them.
        let limit = Arc::new(Limit::new(Caught::new(Gather::new(single.clone(), 10))));
        let series = CallSeries::new("work");
        let metrics = Metrics::new(vec![series.clone()], Arc::new(RequestSeries::new([], Vec::new())));
        let mount: Arc<dyn Mount> = Arc::new(Measured::new(limit.clone(), series));
        Self {
            endpoint: Endpoint::new(mount, settings.clone()),
            ledger: ledger.clone(),
            rules: rules.clone(),
            settings,
            limit,
            single,
            metrics,
            left: Arc::default(),
        }
    }

    /// What holds at every step.
    fn check(&self) {
        let ledger = &self.ledger;
        let listening = ledger.count(Gauge::Listening);
        ledger.at_most("subscriptions of modern clients", self.settings.held.listens(), listening);
        ledger.at_most("calls with a place", self.limit.taken(), ledger.calls() * 2 + listening + 64);
    }

    /// A legacy client walks away from what it is subscribed to.
    fn leaves(&self, wanted: impl Iterator<Item = Option<Present>>) {
        lock(&self.left).extend(wanted.flatten());
    }

    /// The gauges that a scrape tells of and that are not zero.
    fn scraped(&self) -> Vec<String> {
        let mount = MountGauges {
            name: "work".to_owned(),
            health: Health::Unknown,
            sessions: self.settings.sessions.len(),
            holding: self.single.holding(),
            counts: self.single.counts().cloned(),
        };
        let gauges = Gauges {
            mounts: vec![mount],
            is_whole: true,
            parked: self.settings.held.parked(),
            subscriptions: self.settings.held.listens(),
        };
        let text = self.metrics.scrape(gauges).unwrap_or_default();
        let names = ["rialto_sessions", "rialto_calls_in_flight", "rialto_calls_asking", "rialto_parked_calls"];
        let held = ["rialto_upstream_sessions", "rialto_listeners", "rialto_upstream_subscriptions", "rialto_tasks"];
        let names = [&names[..], &["rialto_subscriptions"], &held].concat();
        let told = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        let told: Vec<_> = told.map(str::to_owned).collect();
        if told.len() != names.len() {
            self.ledger.fault(format!("a scrape tells {told:?}"));
        }
        told.into_iter().filter(|line| !line.ends_with(" 0")).collect()
    }
}

async fn live(seed: u64, ledger: Arc<Ledger>) {
    let random = Random::new(seed);
    let rules = Rules::of(&random);
    let era = match random.below(3) {
        0 => EraChoice::Auto,
        _ if rules.is_modern => EraChoice::Modern,
        _ => EraChoice::Legacy,
    };
    let (servers, is_http) = (random.fork(), random.one_in(2));
    ledger.tell(format!(
        "world {seed}: modern {}, calm {}, http {is_http}, {:?}, {era:?}, astray {}, standing {}, resumes {}",
        rules.is_modern, rules.calm, rules.share, rules.astray, rules.has_standing, rules.resumes
    ));
    let program = Program::new(rules.clone(), servers.fork(), ledger.clone());
    let connector: Arc<dyn Connector> = if is_http {
        let dial = Some(Arc::new(Wires(program.clone())) as Arc<_>);
        let settings = HttpSettings { era, dial, ..HttpSettings::default() };
        let target = HttpTarget { url: "http://work.test/mcp".parse().unwrap(), headers: Vec::new() };
        Arc::new(HttpConnector::new("work".into(), target, settings).unwrap())
    } else {
        let (ledger, rules) = (ledger.clone(), rules.clone());
        let lines = LineSettings { era, ..LineSettings::default() };
        Arc::new(InProcessConnector::with_settings("work", lines, move |io| {
            let (rules, ledger, random) = (rules.clone(), ledger.clone(), servers.fork());
            async move { pipe::serve(io, rules, random, ledger).await }
        }))
    };
    let world = World::new(&rules, connector, &random, &ledger);

    let mut clients = JoinSet::new();
    for principal in PRINCIPALS {
        for _ in 0..1 + random.below(2) {
            let (world, random) = (world.clone(), random.fork());
            match random.one_in(2) {
                true => clients.spawn(modern_client::live(world, principal, random)),
                false => clients.spawn(legacy_client::live(world, principal, random)),
            };
        }
    }
    if random.one_in(6) {
        let (draining, ledger, after) = (rules.draining.clone(), ledger.clone(), random.below(120_000));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            ledger.tell("the gateway stops".to_owned());
            ledger.happened(Event::Drain);
            draining.cancel();
        });
    }
    while let Some(client) = clients.join_next().await {
        if let Err(panic) = client {
            ledger.fault(format!("a client panicked: {panic}"));
        }
    }
    rules.ending.cancel();
    tokio::time::sleep(SETTLED).await;
    world.check();
    if rules.calm && !rules.is_modern {
        let wanted = ledger.count(Gauge::Wanted);
        ledger.at_most("subscriptions in the sessions of servers", ledger.count(Gauge::Subscribed), wanted);
    }
    // What a client walked away from is let go in time, and not before somebody had a chance to come back.
    tokio::time::sleep(FORGOTTEN).await;
    ledger.zero("parked calls", world.settings.held.parked());
    ledger.zero("subscriptions", world.settings.held.listens());
    ledger.zero("legacy sessions", world.settings.sessions.len());
    ledger.zero("calls with a place", world.limit.taken());
    ledger.zero("listens and streams at servers", ledger.count(Gauge::Ears));
    ledger.zero("connections to servers", ledger.count(Gauge::Connections));
    ledger.zero("servers", ledger.count(Gauge::Servers));
    if !is_http || rules.calm {
        ledger.zero("calls at servers", ledger.count(Gauge::Running));
        ledger.zero("sessions at servers", ledger.count(Gauge::Sessions));
        ledger.zero("subscriptions at servers", ledger.count(Gauge::Subscribed));
    }
    for line in world.scraped() {
        ledger.fault(format!("a gauge is not zero: {line}"));
    }
    if world.single.holding() != Holding::default() {
        ledger.fault(format!("the mount holds {:?}", world.single.holding()));
    }
    lock(&world.left).clear();
    drop(world);
    program.end();
    tokio::time::sleep(Duration::from_secs(60)).await;
    for gauge in [Gauge::Servers, Gauge::Running, Gauge::Connections, Gauge::Ears, Gauge::Listening, Gauge::Clients] {
        ledger.zero(&format!("{gauge:?}"), ledger.count(gauge));
    }
}
