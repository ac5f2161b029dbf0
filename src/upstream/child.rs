//! Servers that are programs on this machine, spoken to over their standard input and output.
//!
//! Each session has a process of its own, in a process group of its own. Nothing goes through a shell. A process that is
//! not needed any more sees the end of its input, then SIGTERM, then SIGKILL, and its whole group with it.
//!
//! Invariant: no process outlives its [`ChildConnector`]'s runtime, and with a [`Guardian`] none outlives this process,
//! however that ends.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::hub::{BoxFuture, Fault, Health};

use super::{
    Connector, EraChoice, Opening, Session, Sharing,
    lines::{Door, LineSettings},
};

mod guardian;
mod launch;
mod os;
mod process;
mod restarts;
mod stderr;

pub use guardian::{Guardian, guardian_main};

/// Which program a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandTarget {
    /// The program, found on the `PATH` unless it has a slash.
    pub command: String,
    /// Its arguments, each passed on as it is.
    pub args: Vec<String>,
    /// What is set in its environment, beside a few variables that every program needs.
    pub env: Vec<(String, String)>,
    /// The directory it runs in; this process's own by default.
    pub cwd: Option<PathBuf>,
}

/// How a server that is a program is spoken with, and its bounds.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    /// Which era to speak.
    pub era: EraChoice,
    /// How long a process may take from its start until a session with it is open.
    pub start_timeout: Duration,
    /// How long it may take to answer the probe before it counts as legacy.
    pub probe_timeout: Duration,
    /// How long it counts as legacy before it is probed again.
    pub legacy_verdict: Duration,
    /// How long it may read nothing while something waits to be written, before it counts as hung.
    pub write_timeout: Duration,
    /// The longest line that is accepted, in bytes.
    pub line_cap: usize,
    /// How many lines a minute may be no message before the process is given up.
    pub bad_lines: u32,
    /// How many processes of it run at once.
    pub max_processes: usize,
    /// How many lines a second of its standard error the log takes; the rest is counted.
    pub stderr_lines: u32,
    /// Who ends its processes when this one cannot any more. Without one they see the end of their input, and a process
    /// that ignores it stays.
    pub guardian: Option<Guardian>,
}

impl Default for ChildSettings {
    fn default() -> Self {
        let LineSettings { era, start_timeout, probe_timeout, legacy_verdict, write_timeout, line_cap, bad_lines } =
            LineSettings::default();
        Self {
            era,
            start_timeout,
            probe_timeout,
            legacy_verdict,
            write_timeout,
            line_cap,
            bad_lines,
            max_processes: 32,
            stderr_lines: 50,
            guardian: None,
        }
    }
}

impl ChildSettings {
    fn lines(&self) -> LineSettings {
        let &Self { era, start_timeout, probe_timeout, legacy_verdict, write_timeout, line_cap, bad_lines, .. } = self;
        LineSettings { era, start_timeout, probe_timeout, legacy_verdict, write_timeout, line_cap, bad_lines }
    }
}

/// A server that is a program on this machine.
pub struct ChildConnector {
    door: Door<launch::Launcher>,
    max_processes: usize,
}

impl ChildConnector {
    /// A server called `name`. Nothing is started before it is needed.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, target: CommandTarget, settings: ChildSettings) -> Self {
        let name = name.into();
        let (lines, max_processes) = (settings.lines(), settings.max_processes);
        Self { door: Door::new(name.clone(), lines, launch::Launcher::new(name, target, settings)), max_processes }
    }
}

impl Connector for ChildConnector {
    fn name(&self) -> &Arc<str> {
        self.door.name()
    }

    fn sharing(&self) -> BoxFuture<Result<Sharing, Fault>> {
        Box::pin(self.door.clone().sharing())
    }

    fn known_sharing(&self) -> Option<Sharing> {
        self.door.known_sharing()
    }

    fn open(&self, opening: Opening) -> BoxFuture<Result<Arc<dyn Session>, Fault>> {
        Box::pin(self.door.clone().open(opening))
    }

    fn health(&self) -> Health {
        self.door.health()
    }

    fn most_sessions(&self) -> usize {
        self.max_processes
    }

    fn legacy(&self) -> Option<Arc<dyn Connector>> {
        Some(Arc::new(Self { door: self.door.legacy()?, ..*self }))
    }

    fn transport(&self) -> &'static str {
        "stdio"
    }
}
