//! Medians, ratios, and how they are written down.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

use crate::{
    cases::Case,
    contestants::Kind,
    options::Options,
    turns::{Record, Turn},
};

/// The medians of a proxy's turns.
#[derive(Clone, Copy, Serialize)]
struct Medians {
    cpu_us: Option<f64>,
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    peak_mib: Option<f64>,
    upstream_messages: f64,
}

/// One proxy's figures as a share of another's; below 1 is less.
#[derive(Clone, Copy, Serialize)]
struct Ratios {
    of: Kind,
    to: Kind,
    cpu: Option<f64>,
    p50: f64,
    p99: f64,
    per_second: f64,
    peak: Option<f64>,
}

/// The results of one case.
pub(crate) struct Report<'a> {
    case: &'a Case,
    records: &'a [Record],
    medians: Vec<(Kind, Medians)>,
    ratios: Vec<Ratios>,
}

// === impl Medians ===

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Medians {
    fn of(turns: &[Turn]) -> Option<Self> {
        let certain = |read: fn(&Turn) -> f64| median(turns.iter().map(read).collect());
        let possible = |read: fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(read).collect());
        Some(Self {
            cpu_us: possible(|turn| turn.cpu_us),
            p50_us: certain(|turn| turn.p50_us)?,
            p99_us: certain(|turn| turn.p99_us)?,
            per_second: certain(|turn| turn.per_second)?,
            peak_mib: possible(|turn| turn.peak_mib),
            upstream_messages: certain(|turn| turn.upstream_messages)?,
        })
    }

    fn ratios(&self, of: Kind, other: &Self, to: Kind) -> Ratios {
        // A quick check may be over within a tick, and nothing has a ratio to 0.
        let possible = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?).filter(|ratio| ratio.is_finite());
        Ratios {
            of,
            to,
            cpu: possible(self.cpu_us, other.cpu_us),
            p50: self.p50_us / other.p50_us,
            p99: self.p99_us / other.p99_us,
            per_second: self.per_second / other.per_second,
            peak: possible(self.peak_mib, other.peak_mib),
        }
    }
}

// === impl Report ===

impl<'a> Report<'a> {
    pub(crate) fn new(case: &'a Case, records: &'a [Record]) -> Self {
        let medians: Vec<_> = records
            .iter()
            .filter(|record| record.failure.is_none())
            .filter_map(|record| Some((record.kind, Medians::of(&record.turns)?)))
            .collect();
        let of = |kind| medians.iter().find(|(found, _)| *found == kind);
        let pairs = [
            (Kind::Rialto, Kind::Forwarder),
            (Kind::Rialto, Kind::Nginx),
            (Kind::Forwarder, Kind::Nginx),
            (Kind::Rialto, Kind::RialtoBare),
            (Kind::RialtoKeys, Kind::Rialto),
        ];
        let ratios = pairs
            .into_iter()
            .filter_map(|(ours, theirs)| {
                let ((ours, a), (theirs, b)) = (of(ours)?, of(theirs)?);
                Some(a.ratios(*ours, b, *theirs))
            })
            .collect();
        Self { case, records, medians, ratios }
    }

    /// The case as a table for people.
    pub(crate) fn table(&self, options: &Options) -> String {
        let mut out = heading(self.case, options);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  {:<20} {:>9} {:>17} {:>10} {:>10} {:>10} {:>9} {:>9}",
            "proxy", "CPU µs", "least–most", "p50 µs", "p99 µs", "per s", "peak MiB", "upstream"
        );
        for record in self.records {
            let name = record.kind.name();
            let found = self.medians.iter().find(|(kind, _)| *kind == record.kind);
            match (&record.failure, found) {
                (Some(fault), _) => {
                    let _ = writeln!(out, "  {name:<20} FAILED: {fault}");
                }
                (None, None) => {
                    let _ = writeln!(out, "  {name:<20} was not measured");
                }
                (None, Some((_, medians))) => {
                    let _ = writeln!(
                        out,
                        "  {name:<20} {:>9} {:>17} {:>10.0} {:>10.0} {:>10.0} {:>9} {:>9.2}",
                        shown(medians.cpu_us, 1),
                        spread(&record.turns),
                        medians.p50_us,
                        medians.p99_us,
                        medians.per_second,
                        shown(medians.peak_mib, 1),
                        medians.upstream_messages,
                    );
                }
            }
        }
        for ratios in &self.ratios {
            let _ = writeln!(
                out,
                "  {:<20} {:>9} {:>17} {:>10.2} {:>10.2} {:>10.2} {:>9}",
                format!("{} / {}", ratios.of.name(), ratios.to.name()),
                shown(ratios.cpu, 2),
                "",
                ratios.p50,
                ratios.p99,
                ratios.per_second,
                shown(ratios.peak, 2),
            );
        }
        out
    }

    /// The case for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let proxies: Vec<_> = self
            .records
            .iter()
            .map(|record| {
                let found = self.medians.iter().find(|(kind, _)| *kind == record.kind);
                json!({
                    "proxy": record.kind,
                    "median": found.map(|(_, medians)| medians),
                    "rounds": record.turns,
                    "failure": record.failure.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        json!({
            "case": self.case.name,
            "operation": self.case.what,
            "client": self.case.client,
            "upstream": self.case.upstream,
            "proxies": proxies,
            "ratios": self.ratios,
        })
    }
}

/// Everything for programs: the settings and the cases.
pub(crate) fn whole_json(options: &Options, cases: &[serde_json::Value]) -> serde_json::Value {
    json!({
        "threads": options.threads(),
        "connections": options.connections(),
        "rounds": options.rounds(),
        "seconds": options.window().as_secs_f64(),
        "quick": options.quick(),
        "cases": cases,
    })
}

/// The first lines of a case's table.
pub(crate) fn heading(case: &Case, options: &Options) -> String {
    let (client, upstream) = (case.client.word(), case.upstream.word());
    let length = if options.quick() {
        "a quick check: the figures mean nothing".to_owned()
    } else {
        let (rounds, seconds) = (options.rounds(), options.window().as_secs_f64());
        format!("rounds of {seconds} s: {rounds}")
    };
    let mut out = format!(
        "\n{}: {}, {client} client, {upstream} upstream\n  (connections: {}; threads: {}; {length})\n",
        case.name,
        case.what,
        options.connections(),
        options.threads(),
    );
    if case.client != case.upstream {
        let _ = writeln!(out, "  only rialto translates: the others carry {client} to a {client} upstream");
    }
    out
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The least and the most CPU time of the rounds.
fn spread(turns: &[Turn]) -> String {
    let values = || turns.iter().filter_map(|turn| turn.cpu_us);
    match (values().min_by(f64::total_cmp), values().max_by(f64::total_cmp)) {
        (Some(least), Some(most)) => format!("{least:.1}–{most:.1}"),
        _ => "-".to_owned(),
    }
}
