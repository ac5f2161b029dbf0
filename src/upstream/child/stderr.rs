//! What a server writes to its standard error: into the log, as far as the log can take it.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::Instant,
};

use crate::upstream::lines::escape::printable;

/// The longest line the log takes, in bytes; the rest of it is left out.
const LINE: usize = 8 * 1024;
/// Shorter values of a server's environment are no secrets, and hiding them would only garble its words.
const SECRET: usize = 8;

/// What of a server's standard error goes to the log.
pub(super) struct Rules {
    pub(super) upstream: Arc<str>,
    /// Lines a second.
    pub(super) lines: u32,
    /// Values that are not shown: those the configuration gave to the server.
    pub(super) secrets: Vec<String>,
}

impl Rules {
    /// Hides the longer ones of `values`.
    pub(super) fn new<'a>(upstream: &Arc<str>, lines: u32, values: impl Iterator<Item = &'a str>) -> Self {
        let mut secrets: Vec<_> = values.filter(|v| v.len() >= SECRET).map(str::to_owned).collect();
        // A value that holds another one is hidden as a whole.
        secrets.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Self { upstream: upstream.clone(), lines, secrets }
    }

    fn show(&self, line: &[u8]) -> String {
        let mut shown = printable(line.trim_ascii_end());
        for secret in &self.secrets {
            if shown.contains(secret) {
                shown = shown.replace(secret, "***");
            }
        }
        shown
    }
}

/// Reads everything, so that the server never waits for us, and logs what the rules allow.
pub(super) async fn drain(mut from: impl AsyncRead + Unpin, rules: Rules) {
    let mut log = Log { rules, second: Instant::now(), written: 0, dropped: 0 };
    let mut buffer = vec![0; 16 * 1024];
    let mut line = Vec::new();
    let mut cut = false;
    loop {
        let read = if log.dropped > 0 {
            // Says how much was left out as soon as there is room, also when nothing follows.
            match tokio::time::timeout_at(log.second + Duration::from_secs(1), from.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => {
                    log.turn();
                    continue;
                }
            }
        } else {
            from.read(&mut buffer).await
        };
        let Ok(n @ 1..) = read else { break };
        for part in buffer[..n].split_inclusive(|&b| b == b'\n') {
            let room = LINE.saturating_sub(line.len());
            cut |= part.len() > room;
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                log.line(&line, cut);
                line.clear();
                cut = false;
            }
        }
    }
    if !line.is_empty() {
        log.line(&line, cut);
    }
    log.say_dropped();
}

struct Log {
    rules: Rules,
    second: Instant,
    written: u32,
    dropped: u64,
}

impl Log {
    fn line(&mut self, line: &[u8], cut: bool) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.turn();
        if self.written >= self.rules.lines {
            self.dropped += 1;
            return;
        }
        self.written += 1;
        let more = if cut { " …" } else { "" };
        tracing::info!(target: "rialto::stderr", upstream = %self.rules.upstream, "{}{more}", self.rules.show(line));
    }

    /// Begins a new second where the last one is over.
    fn turn(&mut self) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.say_dropped();
            self.second = Instant::now();
            self.written = 0;
        }
    }

    fn say_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            tracing::warn!(target: "rialto::stderr", upstream = %self.rules.upstream, dropped, "left out lines, there are too many");
        }
    }
}
