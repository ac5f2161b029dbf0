//! `rialto.limits` and `rialto.servers.<name>.limits`: bounds and waits.

use std::time::Duration;

use super::fault::{Key, Position};
use super::reader::Reader;
use super::settings::unknown;
use super::tree::{Entry, Node, Value};
use super::{duration, size};
use crate::limits::{Limits, ServerLimits};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// One key: what it sets, and between which values.
struct Row<L> {
    key: &'static str,
    slot: Slot<L>,
}

enum Slot<L> {
    Time(fn(&mut L) -> &mut Duration, Duration, Duration),
    /// One that is not the same everywhere where nothing is said.
    TimeOr(fn(&mut L) -> &mut Option<Duration>, Duration, Duration),
    Count(fn(&mut L) -> &mut usize, usize, usize),
    Size(fn(&mut L) -> &mut usize, usize, usize),
}

/// A row of a field that is called as its key is.
macro_rules! row {
    ($kind:ident $field:ident, $least:expr, $most:expr) => {
        Row { key: stringify!($field), slot: Slot::$kind(|limits| &mut limits.$field, $least, $most) }
    };
}

/// What concerns clients.
static CLIENTS: [Row<Limits>; 23] = [
    row!(Size body, KIB, GIB),
    row!(Time body_time, SECOND, HOUR),
    row!(Time keep_alive, SECOND, HOUR),
    row!(Time question, SECOND, MONTH),
    row!(Time gather, Duration::ZERO, MINUTE),
    row!(Time gather_total, Duration::ZERO, MINUTE),
    row!(Time parked_total, SECOND, MONTH),
    row!(Count parked_each, 0, 1_000_000),
    row!(Count parked, 0, 1_000_000),
    row!(Count parked_logs, 0, 100_000),
    row!(Time reattach, Duration::ZERO, HOUR),
    row!(Time repeat, Duration::ZERO, HOUR),
    row!(Size repeat_size, KIB, 64 * MIB),
    row!(Time session_idle, SECOND, MONTH),
    row!(Time session_silent, SECOND, MONTH),
    row!(Time session_total, SECOND, YEAR),
    row!(Count sessions_each, 1, 1_000_000),
    row!(Count sessions, 1, 1_000_000),
    row!(Count replay, 1, 100_000),
    row!(Size replay_size, KIB, GIB),
    row!(Time replay_time, Duration::ZERO, DAY),
    row!(Count listens_each, 0, 1_000_000),
    row!(Count listens, 0, 1_000_000),
];

/// What concerns servers.
static SERVERS: [Row<ServerLimits>; 17] = [
    row!(Time silence, MILLISECOND, MONTH),
    row!(Time call, MILLISECOND, MONTH),
    row!(Size message, 64 * KIB, GIB),
    row!(TimeOr probe, MILLISECOND, HOUR),
    row!(Time legacy_for, SECOND, MONTH),
    row!(Time server_idle, SECOND, MONTH),
    row!(Count rounds, 1, 1_000),
    row!(Time roots_wait, MILLISECOND, HOUR),
    row!(Time roots_kept, Duration::ZERO, DAY),
    row!(Count visits, 1, 100),
    row!(Time visit, Duration::ZERO, HOUR),
    row!(Time linger, Duration::ZERO, HOUR),
    row!(Time list_kept, Duration::ZERO, HOUR),
    row!(Time description_kept, MINUTE, HOUR),
    row!(Count page, 1, 1_000_000),
    row!(Size page_size, KIB, GIB),
    row!(Time task_poll, MILLISECOND, HOUR),
];

/// Which wait or bound must not be more than which other: the one would never be reached.
static CLIENTS_ORDER: [(&str, &str); 6] = [
    ("gather", "gather_total"),
    ("question", "parked_total"),
    ("parked_each", "parked"),
    ("session_idle", "session_total"),
    ("sessions_each", "sessions"),
    ("listens_each", "listens"),
];
static SERVERS_ORDER: [(&str, &str); 1] = [("silence", "call")];

/// The keys under `rialto.limits`, those of all servers among them.
fn all_keys() -> Vec<&'static str> {
    CLIENTS.iter().map(|row| row.key).chain(server_keys()).collect()
}

fn server_keys() -> Vec<&'static str> {
    SERVERS.iter().map(|row| row.key).collect()
}

/// Reads `rialto.limits`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Limits {
    let mut limits = Limits::default();
    let entries = reader.map(node, key).unwrap_or_default();
    for entry in entries {
        let key = key.child(&entry.key);
        let is_known =
            set(&CLIENTS, &mut limits, reader, entry, &key) || set(&SERVERS, &mut limits.servers, reader, entry, &key);
        if !is_known {
            unknown(reader, entry, &key, &all_keys());
        }
    }
    in_order((&CLIENTS, &CLIENTS_ORDER), &mut limits, reader, entries, key);
    in_order((&SERVERS, &SERVERS_ORDER), &mut limits.servers, reader, entries, key);
    limits
}

/// Reads the limits of one server, which has `general` ones where it says nothing.
pub(super) fn read_server(reader: &mut Reader<'_>, node: &Node, key: &Key, general: &ServerLimits) -> ServerLimits {
    let mut limits = *general;
    let entries = reader.map(node, key).unwrap_or_default();
    for entry in entries {
        let key = key.child(&entry.key);
        if set(&SERVERS, &mut limits, reader, entry, &key) {
            continue;
        }
        if CLIENTS.iter().any(|row| row.key == entry.key) {
            let what = "this concerns clients, and is the same for all servers";
            reader.fault(entry.at, &key, what).hint(format!("say it under `rialto.limits.{}`", entry.key));
        } else {
            unknown(reader, entry, &key, &server_keys());
        }
    }
    in_order((&SERVERS, &SERVERS_ORDER), &mut limits, reader, entries, key);
    limits
}

/// Reads one key, where it is one of these.
fn set<L>(rows: &[Row<L>], limits: &mut L, reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> bool {
    let Some(row) = rows.iter().find(|row| row.key == entry.key) else { return false };
    match row.slot {
        Slot::Time(at, least, most) => {
            if let Some(time) = time(reader, &entry.node, key, least, most) {
                *at(limits) = time;
            }
        }
        Slot::TimeOr(at, least, most) => {
            if let Some(time) = time(reader, &entry.node, key, least, most) {
                *at(limits) = Some(time);
            }
        }
        Slot::Count(at, least, most) => {
            if let Some(count) = reader.count(&entry.node, key, least, most) {
                *at(limits) = count;
            }
        }
        Slot::Size(at, least, most) => {
            if let Some(size) = bytes(reader, &entry.node, key, least, most) {
                *at(limits) = size;
            }
        }
    }
    true
}

/// A text; what is none is no duration and no size either.
fn words(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<String> {
    match &node.value {
        Value::Text(_) => reader.text(node, key).map(|text| text.value),
        _ => Some(String::new()),
    }
}

fn time(reader: &mut Reader<'_>, node: &Node, key: &Key, least: Duration, most: Duration) -> Option<Duration> {
    let text = words(reader, node, key)?;
    match duration::parse(&text) {
        Some(time) if (least..=most).contains(&time) => Some(time),
        _ => {
            let (least, most) = (duration::write(least), duration::write(most));
            reader
                .fault(node.at, key, format!("not a duration from `{least}` to `{most}`"))
                .hint("write a whole number with its unit, such as `500ms`, `60s`, `5m`, `24h` or `7d`");
            None
        }
    }
}

fn bytes(reader: &mut Reader<'_>, node: &Node, key: &Key, least: usize, most: usize) -> Option<usize> {
    let text = words(reader, node, key)?;
    match size::parse(&text).and_then(|size| usize::try_from(size).ok()) {
        Some(size) if (least..=most).contains(&size) => Some(size),
        _ => {
            let (least, most) = (size::write(least), size::write(most));
            reader
                .fault(node.at, key, format!("not a size from `{least}` to `{most}`"))
                .hint("write a whole number with its unit, such as `512KiB`, `64MiB` or `1GiB`");
            None
        }
    }
}

/// Notes which of the limits, as they are now, could never be reached for another one.
fn in_order<L>(
    (rows, order): (&[Row<L>], &[(&str, &str)]),
    limits: &mut L,
    reader: &mut Reader<'_>,
    entries: &[Entry],
    key: &Key,
) {
    for (short, long) in order {
        let said = |name: &str| entries.iter().find(|entry| entry.key == name);
        // What is not there is right, or right beside what was said elsewhere.
        let Some(entry) = said(short).or_else(|| said(long)) else { continue };
        let value = |name: &str, limits: &mut L| {
            rows.iter().find(|row| row.key == name).map(|row| match row.slot {
                Slot::Time(at, ..) => (at(limits).as_millis(), duration::write(*at(limits))),
                Slot::TimeOr(at, ..) => (at(limits).unwrap_or_default().as_millis(), String::new()),
                Slot::Count(at, ..) | Slot::Size(at, ..) => (*at(limits) as u128, at(limits).to_string()),
            })
        };
        let (Some((less, shown)), Some((more, bound))) = (value(short, limits), value(long, limits)) else { continue };
        if less > more {
            let place: Position = entry.at;
            let what = format!("`{short}` ({shown}) is more than `{long}` ({bound}), and would never be reached");
            let hint = if entry.key == *short {
                format!("raise `{long}` as well")
            } else {
                format!("lower `{short}` as well")
            };
            reader.fault(place, &key.child(&entry.key), what).hint(hint);
        }
    }
}
