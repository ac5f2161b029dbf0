//! Clients, gateway and servers in one thread with a clock of its own: delays, drops, duplicates and crashes in an order that
//! a seed decides.
//!
//! Nothing here touches a socket. Servers speak JSON lines over pipes in memory, clients call the endpoint, and time passes
//! only while everybody waits. At every step it is checked that a request ends exactly once, that nothing of one principal
//! reaches another, and that no call runs twice; at the end, that every gauge is back at zero.
//!
//! `SIMULATION_SEEDS=1000 cargo test --test it simulation` runs more worlds than usual, `SIMULATION_SEED=n` only that one. A
//! seed that failed once stays in `FAILED_ONCE`.

mod ledger;
mod legacy_client;
mod modern_client;
mod random;
mod server;

use std::{sync::Arc, time::Duration};

use rialto::{
    downstream::{Endpoint, Settings},
    hub::{Gather, Limit, Mount},
    mount::{Share, Single},
    upstream::{EraChoice, in_process::InProcessConnector, lines::LineSettings},
};
use tokio::task::JoinSet;

use self::{ledger::Ledger, random::Random};

/// Seeds that found something: run first, for ever.
const FAILED_ONCE: [u64; 1] = [1702];
/// How many worlds are tried where nobody says how many.
const WORLDS: u64 = 100;
/// Principals of a world.
const PRINCIPALS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// How long everything in a world may take, by its own clock: longer than any deadline of the gateway.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// After this time nothing may be held any more that its client forgot.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

/// What the inhabitants of a world share.
#[derive(Clone)]
struct World {
    endpoint: Arc<Endpoint>,
    ledger: Arc<Ledger>,
    /// What the servers speak.
    is_modern: bool,
}

#[test]
fn worlds_of_delays_drops_duplicates_and_crashes_keep_their_promises() {
    let number = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => FAILED_ONCE.into_iter().chain(1..=number("SIMULATION_SEEDS").unwrap_or(WORLDS)).collect(),
    };
    let (mut calls, mut questions) = (0, 0);
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
        questions += ledger.questions();
    }
    // A simulation in which nothing happens proves nothing.
    assert!(calls > 0 && questions > 0, "{calls} calls and {questions} questions");
    println!("{calls} calls with {questions} questions");
}

async fn live(seed: u64, ledger: Arc<Ledger>) {
    let random = Random::new(seed);
    let is_modern = random.one_in(2);
    let settings = Settings::default();
    let connector = {
        let (ledger, servers) = (ledger.clone(), random.fork());
        let era = if is_modern { EraChoice::Modern } else { EraChoice::Legacy };
        let lines = LineSettings { era, ..LineSettings::default() };
        InProcessConnector::with_settings("work", lines, move |io| {
            let (ledger, random) = (ledger.clone(), servers.fork());
            async move { server::serve(io, is_modern, random, ledger).await }
        })
    };
    let single = Single::new("work", Arc::new(connector), Share::Principal, settings.sealer.clone());
    let mount: Arc<dyn Mount> = Arc::new(Limit::new(Gather::new(single)));
    let world = World { endpoint: Endpoint::new(mount, settings.clone()), ledger: ledger.clone(), is_modern };

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
    while let Some(client) = clients.join_next().await {
        if let Err(panic) = client {
            ledger.fault(format!("a client panicked: {panic}"));
        }
    }
    // What a client walked away from is let go in time, and not before somebody had a chance to come back.
    tokio::time::sleep(FORGOTTEN).await;
    ledger.zero("parked calls", settings.held.parked());
    ledger.zero("subscriptions", settings.held.listens());
    ledger.zero("legacy sessions", settings.sessions.len());
    drop((world, settings));
    tokio::time::sleep(Duration::from_secs(60)).await;
    ledger.zero("servers", ledger.servers());
    ledger.zero("calls at servers", ledger.running());
}
