//! CPU time and memory of a process and its descendants, as Linux counts them.

use std::{collections::HashMap, fs, process::Command, sync::LazyLock};

/// What a process tree has used since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time in seconds, of children that have ended too.
    pub(crate) cpu_seconds: f64,
    /// The sum of the peak resident sets, in KiB.
    pub(crate) peak_kib: u64,
}

/// Ticks of the times in `/proc/PID/stat` per second.
static TICKS_PER_SECOND: LazyLock<f64> = LazyLock::new(|| {
    Command::new("getconf")
        .arg("CLK_TCK")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok())
        // What every common Linux has.
        .unwrap_or(100.0)
});

/// Reads the process and all that descends from it; `None` where there is no
/// `/proc` to read, or no such process.
pub(crate) fn of_tree(root: u32) -> Option<Usage> {
    let stats = all_processes();
    let mut usage = Usage { cpu_seconds: 0.0, peak_kib: 0 };
    let mut waiting = vec![root];
    stats.get(&root)?;
    while let Some(pid) = waiting.pop() {
        if let Some(stat) = stats.get(&pid) {
            usage.cpu_seconds += stat.ticks as f64 / *TICKS_PER_SECOND;
            usage.peak_kib += peak_kib(pid).unwrap_or(0);
        }
        waiting.extend(stats.iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| *child));
    }
    Some(usage)
}

/// The part of `/proc/PID/stat` that matters here.
struct Stat {
    parent: u32,
    /// The process's own times and those of the children it has waited for.
    ticks: u64,
}

fn all_processes() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, stat(&line)?))
        })
        .collect()
}

/// Reads `PID (NAME) STATE PARENT …`; the name may hold blanks and brackets.
fn stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
    // utime, stime, cutime and cstime are fields 14 to 17 of proc(5); the
    // slice begins with field 3.
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
