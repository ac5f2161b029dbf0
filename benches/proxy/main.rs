//! What a whole proxied MCP call costs, side by side with other proxies.
//!
//! ```text
//! cargo bench --bench proxy                                    # everything, about twelve minutes
//! cargo bench --bench proxy -- --case call-legacy --rounds 5
//! cargo bench --bench proxy -- --only direct,forwarder --json figures.json
//! cargo bench --bench proxy -- --quick                         # does it work at all
//! cargo bench --bench proxy -- --help                          # names of cases, settings
//! ```
//!
//! Nothing needs to be installed. The benchmark starts a fast MCP server (the
//! *upstream*) and, before it, one proxy after the other: nothing at all
//! (*direct*), nginx where it is on the `PATH`, a plain byte-forwarding proxy of
//! axum and reqwest (the *forwarder*), Rialto, and Rialto with its metrics
//! turned off (*rialto-bare*). All are processes of their own on 127.0.0.1, with
//! the same number of threads. The load comes from the benchmark's own process:
//! 16 connections, each with one operation under way, as fast as the answers
//! come. The proxies take turns, round after round, after a turn that does not
//! count, so that a noisy minute of the machine hits all of them. Every answer is
//! checked as a whole.
//!
//! # How to read the figures
//!
//! - **CPU µs**: user and system time of the proxy's processes per operation, the
//!   median of the rounds, with their least and most beside it. This is the
//!   figure to go by: it hardly depends on what else the machine does. Of
//!   *direct* it is the upstream's own. The system counts in ticks of 10 ms: a
//!   round of two seconds is exact to about 1 %.
//! - **p50, p99**: how long an operation took with the machine fully loaded, from
//!   the first byte sent to the last byte read. Upstream, proxy and load share the
//!   machine's cores, so these are for comparing with each other only.
//! - **per s**: operations per second of all connections together.
//! - **peak MiB**: the largest resident set of the proxy's processes since they
//!   were started for this case; of several processes the sum, in which pages
//!   that they share count more than once.
//! - **upstream**: messages that the upstream was sent per operation: 1 for a
//!   forwarded call; about 0 for a list that comes from a cache.
//! - **rialto / forwarder** and the like: the ratio of the medians above. Below 1
//!   means less; for "per s" more is better, for all others less is. What metrics
//!   cost is *rialto / rialto-bare*.
//!
//! An operation of the list cases is a whole list. A proxy may give it in
//! several pages; then one operation is several requests. In the cases that
//! cross eras only Rialto translates; the others carry the same client's calls to
//! an upstream of the client's own era, which shows what the translation costs.
//!
//! Believe a difference when the ranges of the rounds do not overlap. For a
//! close one use `--rounds 9 --seconds 5`, and compare two builds of Rialto in
//! one sitting with `--rialto BINARY`. Figures of different machines, or of
//! different days on a shared one, cannot be compared; their ratios can.
//!
//! # When it fails
//!
//! It fails when an answer is wrong or a process ends by itself, never because
//! of a figure. `--quick`, which is also what `cargo test --benches` gets, is one
//! short round in which the figures mean nothing.

mod cases;
mod check;
mod children;
mod contestants;
mod fault;
mod forwarder;
mod load;
mod nginx;
mod options;
mod report;
mod turns;
mod upstream;
mod usage;
mod wire;

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
    rc::Rc,
};

use clap::Parser;

use crate::{
    children::Guard,
    fault::{Doing, Result},
    options::Options,
    report::Report,
};

fn main() -> ExitCode {
    // The benchmark starts its own binary again for the other parts. Those
    // parse the rest of the line, from the role on.
    let mut arguments = env::args_os().skip(1);
    let rest = || env::args_os().skip(1);
    let done = match arguments.next().as_ref().and_then(|role| role.to_str()) {
        Some("role:guard") => children::guard(arguments.next().as_deref()).map(|()| true),
        Some("role:upstream") => upstream::run(&upstream::Options::parse_from(rest())).map(|()| true),
        Some("role:forwarder") => forwarder::run(&forwarder::Options::parse_from(rest())).map(|()| true),
        _ => bench(&Options::parse()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            // Nobody is left to tell when standard error is closed too.
            let _ = writeln!(io::stderr(), "error: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases; tells whether all went well.
fn bench(options: &Options) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("rialto-bench-").tempdir().doing("making a folder for the run")?;
    let guard = Rc::new(Guard::start(folder.path())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("starting the runtime")?;
    let mut out = io::stdout();
    if options.misses_nginx() {
        writeln!(out, "nginx takes no part: it is not on the PATH").doing("printing")?;
    }
    let mut cases = Vec::new();
    let mut failures = 0;
    for case in options.cases() {
        let records = turns::run_case(&case, options, &runtime, folder.path(), &guard)
            .map_err(|fault| fault.while_doing(case.name))?;
        failures += records.iter().filter(|record| record.failure.is_some()).count();
        let report = Report::new(&case, &records);
        out.write_all(report.table(options).as_bytes()).doing("printing the table")?;
        cases.push(report.json());
    }
    if let Some(file) = options.json() {
        let json = format!("{:#}\n", report::whole_json(options, &cases));
        fs::write(file, json).doing(format_args!("writing {}", file.display()))?;
    }
    if failures > 0 {
        writeln!(out, "\n{failures} of the measurements FAILED, see above").doing("printing")?;
    }
    Ok(failures == 0)
}
