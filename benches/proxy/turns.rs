//! The turns of one case: each proxy once, over and over, and what each turn cost.

use std::{
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, time::sleep};

use crate::{
    cases::Case,
    children::Guard,
    contestants::{Contestant, Kind, Stage},
    fault::{Fault, Result},
    load::{Fleet, messages_received},
    options::Options,
    usage,
};

/// How long a proxy may take from its start to its first right answer.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// What one turn came to.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Turn {
    /// Operations that were answered.
    pub(crate) operations: usize,
    /// CPU time of the proxy per operation, in microseconds; `None` where the
    /// system does not tell.
    pub(crate) cpu_us: Option<f64>,
    /// Half of the operations took no longer, in microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 operations took no longer, in microseconds.
    pub(crate) p99_us: f64,
    /// Operations per second.
    pub(crate) per_second: f64,
    /// The peak of the proxy's memory since it was started, in MiB.
    pub(crate) peak_mib: Option<f64>,
    /// Messages that the upstream was sent, per operation.
    pub(crate) upstream_messages: f64,
}

/// How a proxy did in one case.
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) turns: Vec<Turn>,
    /// Why it was taken out, if it was.
    pub(crate) failure: Option<Fault>,
}

/// A proxy and its record, while the case runs.
struct Player {
    record: Record,
    contestant: Option<Contestant>,
}

/// Runs one case with all proxies.
///
/// # Errors
///
/// When the upstream does not start. What goes wrong with one proxy stands in
/// its record, and stops no other.
pub(crate) fn run_case(
    case: &Case,
    options: &Options,
    runtime: &Runtime,
    folder: &Path,
    guard: &Rc<Guard>,
) -> Result<Vec<Record>> {
    let stage = Stage::new(case, options, folder, guard)?;
    let mut players: Vec<Player> = options.kinds().into_iter().map(|kind| Player::new(kind, &stage)).collect();
    for player in &mut players {
        player.attempt(|contestant| {
            runtime.block_on(until_ready(case, contestant))?;
            if !options.quick() {
                // A turn that does not count: caches, pools and the allocator fill.
                runtime.block_on(take_turn(case, options, contestant))?;
            }
            Ok(())
        });
    }
    for _ in 0..options.rounds() {
        for player in &mut players {
            let turn = player.attempt(|contestant| runtime.block_on(take_turn(case, options, contestant)));
            player.record.turns.extend(turn);
        }
    }
    Ok(players.into_iter().map(|player| player.record).collect())
}

impl Player {
    fn new(kind: Kind, stage: &Stage<'_>) -> Self {
        let (contestant, failure) = match stage.start(kind) {
            Ok(contestant) => (Some(contestant), None),
            Err(fault) => (None, Some(fault)),
        };
        Self { record: Record { kind, turns: Vec::new(), failure }, contestant }
    }

    /// Does something with the proxy unless it is out; takes it out when that
    /// fails.
    fn attempt<T>(&mut self, act: impl FnOnce(&Contestant) -> Result<T>) -> Option<T> {
        let contestant = self.contestant.as_ref()?;
        let result = act(contestant).map_err(|fault| {
            // A process that has died explains a refused connection better.
            let death = contestant.process.require_alive().err();
            let log = contestant.process.quoted_log();
            death.unwrap_or_else(|| Fault::new(format!("{fault}{log}")))
        });
        match result {
            Ok(done) => Some(done),
            Err(fault) => {
                self.record.failure = Some(fault);
                self.contestant = None;
                None
            }
        }
    }
}

/// Waits for the first right answer: a proxy may listen before it has found
/// out about its upstream.
async fn until_ready(case: &Case, contestant: &Contestant) -> Result<()> {
    let deadline = Instant::now() + READY_PATIENCE;
    loop {
        contestant.process.require_alive()?;
        match Fleet::open(case, contestant.target, 1).await {
            Ok(fleet) => {
                fleet.close().await;
                return Ok(());
            }
            Err(fault) if Instant::now() > deadline => {
                let patience = READY_PATIENCE.as_secs();
                return Err(
                    fault.while_doing(format_args!("no right answer in the {patience} seconds after its start"))
                );
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Opens new connections, lets them run for a moment, and measures.
async fn take_turn(case: &Case, options: &Options, contestant: &Contestant) -> Result<Turn> {
    let mut fleet = Fleet::open(case, contestant.target, options.connections()).await?;
    fleet.drive(options.lead_in()).await?;
    let pid = contestant.process.pid();
    let messages_before = messages_received(contestant.upstream).await?;
    let before = usage::of_tree(pid);
    let measured = fleet.drive(options.window()).await?;
    let after = usage::of_tree(pid);
    let messages = messages_received(contestant.upstream).await? - messages_before;
    contestant.process.require_alive()?;
    fleet.close().await;

    let operations = measured.latencies.len();
    let per_operation = |total: f64| total / operations as f64;
    let quantile = |q: f64| {
        let rank = (q * operations as f64).ceil() as usize;
        measured.latencies[rank.clamp(1, operations) - 1] as f64 / 1e3
    };
    Ok(Turn {
        operations,
        cpu_us: before.zip(after).map(|(before, after)| per_operation((after.cpu_seconds - before.cpu_seconds) * 1e6)),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        per_second: operations as f64 / measured.wall.as_secs_f64(),
        peak_mib: after.map(|usage| usage.peak_kib as f64 / 1024.0),
        upstream_messages: per_operation(messages as f64),
    })
}
