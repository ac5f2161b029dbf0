//! The command line of the benchmark.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use crate::{
    cases::{CASES, Case},
    contestants::Kind,
    nginx,
};

/// Measures a whole proxied MCP call: CPU time, latency and memory, side by side
/// with nginx and a plain forwarder.
#[derive(Parser, Debug)]
#[command(name = "proxy", bin_name = "cargo bench --bench proxy --")]
pub(crate) struct Options {
    /// Worker threads of each proxy.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Connections of the load, each with one request under way.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// How often each proxy has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How long a turn is measured, in seconds.
    #[arg(long, default_value = "2", value_parser = window)]
    seconds: Duration,
    /// Only see that everything works: one short round, whose figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Run this case only; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = CASES.map(|case| case.name))]
    case: Vec<String>,
    /// Run these proxies only, separated by commas.
    #[arg(long, value_name = "PROXIES", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The gateway's binary, to measure another build than this one.
    #[arg(long, value_name = "BINARY", default_value = env!("CARGO_BIN_EXE_rialto"))]
    rialto: PathBuf,
    /// What `cargo bench` passes to every benchmark, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
    /// Run the cases whose name holds one of these, as `cargo bench FILTER` asks.
    #[arg(hide = true)]
    filters: Vec<String>,
}

/// Reads a window in seconds.
fn window(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.05..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("between 0.05 and 3600".to_owned())
    }
}

// === impl Options ===

impl Options {
    pub(crate) fn threads(&self) -> usize {
        self.threads.into()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.into()
    }

    /// Whether this is only a check that everything works. `cargo test
    /// --benches`, which wants no measurement either, passes no `--bench`.
    pub(crate) fn quick(&self) -> bool {
        self.quick || !self.bench
    }

    /// Rounds that count.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick() { 1 } else { self.rounds.into() }
    }

    /// How long a turn is measured.
    pub(crate) fn window(&self) -> Duration {
        if self.quick() { Duration::from_millis(50) } else { self.seconds }
    }

    /// How long each turn runs before it is measured.
    pub(crate) fn lead_in(&self) -> Duration {
        self.window().div_f64(5.0).min(Duration::from_millis(500))
    }

    pub(crate) fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }

    pub(crate) fn rialto(&self) -> &Path {
        &self.rialto
    }

    /// The cases asked for, in the order of [`CASES`].
    pub(crate) fn cases(&self) -> Vec<Case> {
        let named = |case: &Case| {
            let everything = self.case.is_empty() && self.filters.is_empty();
            everything
                || self.case.iter().any(|name| name == case.name)
                || self.filters.iter().any(|part| case.name.contains(part))
        };
        CASES.into_iter().filter(named).collect()
    }

    /// Whether nginx was left out only because it is not installed.
    pub(crate) fn misses_nginx(&self) -> bool {
        self.only.is_empty() && nginx::find().is_none()
    }

    /// The proxies that take part, in the order of their turns. nginx is left
    /// out where it is not installed, unless it was asked for by name.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let all = [Kind::Direct, Kind::Nginx, Kind::Forwarder, Kind::Rialto, Kind::RialtoBare, Kind::RialtoKeys];
        all.into_iter()
            .filter(|kind| match kind {
                Kind::Nginx if self.only.is_empty() => nginx::find().is_some(),
                _ => self.only.is_empty() || self.only.contains(kind),
            })
            .collect()
    }
}
