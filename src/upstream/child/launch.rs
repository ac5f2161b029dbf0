//! Starting a process.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    process::{Child, Command},
    sync::{Semaphore, oneshot},
};

use crate::{
    hub::{BoxFuture, Fault, Reason},
    upstream::lines::{Launch, Pipe, escape::printable},
};

use super::{ChildSettings, CommandTarget, os, process::Process, restarts::Restarts, stderr};

/// How many processes are started at once, of all servers together: many that ended at the same time shall not take the
/// machine down with their return.
static STARTS: Semaphore = Semaphore::const_new(8);
/// How long a start waits for a place: as long as a process that is not needed any more takes to end, and a little.
const PLACE: Duration = Duration::from_secs(6);
/// How long one start counts.
const START: Duration = Duration::from_millis(250);

/// Starts the processes of one server.
#[derive(Clone)]
pub(super) struct Launcher(Arc<State>);

struct State {
    upstream: Arc<str>,
    target: CommandTarget,
    settings: ChildSettings,
    places: Arc<Semaphore>,
    restarts: Restarts,
}

impl Launcher {
    pub(super) fn new(upstream: Arc<str>, target: CommandTarget, settings: ChildSettings) -> Self {
        let restarts = Restarts::new(&upstream);
        let places = Arc::new(Semaphore::new(settings.max_processes));
        Self(Arc::new(State { upstream, target, settings, places, restarts }))
    }
}

impl Launch for Launcher {
    fn launch(&self) -> BoxFuture<Result<Pipe, Fault>> {
        let state = self.0.clone();
        Box::pin(async move { state.launch().await })
    }

    fn is_full(&self) -> bool {
        self.0.places.available_permits() == 0
    }

    fn has_room(&self) -> bool {
        self.0.places.available_permits() > 1
    }

    fn up(&self) {
        self.0.restarts.up();
    }

    fn down(&self, fault: &Fault, lived: Duration) {
        self.0.restarts.down(fault, lived);
    }
}

impl State {
    fn fault(&self, reason: Reason, message: impl Into<String>) -> Fault {
        Fault::upstream(reason, &self.upstream, message)
    }

    async fn launch(&self) -> Result<Pipe, Fault> {
        let Ok(Ok(place)) = tokio::time::timeout(PLACE, self.places.clone().acquire_owned()).await else {
            let max = self.settings.max_processes;
            return Err(self.fault(
                Reason::Busy,
                format!("{max} processes of the server run already, which is what its `max_processes` allows"),
            ));
        };
        self.restarts.ready().await?;
        if let Ok(turn) = STARTS.acquire().await {
            tokio::spawn(async move {
                tokio::time::sleep(START).await;
                drop(turn);
            });
        }
        let child = self.start().inspect_err(|fault| self.restarts.down(fault, Duration::ZERO))?;
        let rules = stderr::Rules::new(
            &self.upstream,
            self.settings.stderr_lines,
            self.target.env.iter().map(|(_, value)| value.as_str()),
        );
        let drain = |from| {
            tokio::spawn(async move {
                if let Some(from) = from {
                    stderr::drain(from, rules).await;
                }
            })
        };
        let mut process = Process::new(&self.upstream, child, self.settings.guardian.clone(), drain, place);
        let (Some(writer), Some(reader)) = (process.child().stdin.take(), process.child().stdout.take()) else {
            return Err(self.fault(Reason::Internal, "the process has no pipes"));
        };
        let (hold, released) = oneshot::channel::<()>();
        let (ended, how) = oneshot::channel();
        tokio::spawn(process.attend(released, ended));
        let upstream = self.upstream.clone();
        let gone = Box::pin(async move {
            let message = match how.await {
                Ok(how) => format!("the server's process ended ({how})"),
                Err(_) => "the server's process was ended".to_owned(),
            };
            Fault::upstream(Reason::UpstreamExited, &upstream, message)
        });
        Ok(Pipe { reader: Box::new(reader), writer: Box::new(writer), gone, hold: Box::new(hold) })
    }

    fn start(&self) -> Result<Child, Fault> {
        let target = &self.target;
        if let Some(cwd) = target.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
            tracing::error!(upstream = %self.upstream, "the directory to run the server in does not exist: {}", cwd.display());
            return Err(self.fault(Reason::ConnectFailed, "the directory in its `cwd` does not exist"));
        }
        let mut command = std::process::Command::new(&target.command);
        command
            .args(&target.args)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| os::passes(name)))
            .envs(target.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(cwd) = &target.cwd {
            command.current_dir(cwd);
        }
        os::separate(&mut command);
        let started = Command::from(command).kill_on_drop(true).spawn();
        started.map_err(|error| {
            tracing::error!(upstream = %self.upstream, "could not start `{}`: {error}", target.command);
            self.fault(Reason::ConnectFailed, self.explain(&error))
        })
    }

    fn explain(&self, error: &io::Error) -> String {
        // The last part only: where programs are on this machine is nobody's business.
        let name = self.target.command.rsplit(['/', '\\']).next().unwrap_or_default();
        let is_path = name.len() < self.target.command.len();
        let command = printable(name.as_bytes());
        match error.kind() {
            io::ErrorKind::NotFound if is_path => {
                format!("its command `{command}` was not found: look at the path in `command`, and at `cwd`")
            }
            io::ErrorKind::NotFound => {
                format!("its command `{command}` was not found: install it, or give its full path in `command`")
            }
            io::ErrorKind::PermissionDenied => format!("its command `{command}` may not be executed"),
            kind => format!("its command `{command}` could not be started ({kind})"),
        }
    }
}
