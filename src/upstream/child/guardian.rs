//! Ending the servers of a gateway that cannot do it any more.
//!
//! The guardian is a process of its own, the same program run again. It reads `+ID` and `-ID` lines, one for each process
//! group that begins and ends; when its input ends it ends the groups that are left. The other end of that pipe is held by
//! the gateway alone, so it closes however the gateway ends.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Write},
    process::{ChildStdin, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::os::{Group, separate};

/// How long groups may take to end after SIGTERM once the gateway is gone.
const ASKED: Duration = Duration::from_secs(1);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A guardian that is running. It ends, with everything it was told of, when the last clone is dropped or this process ends.
#[derive(Clone)]
pub struct Guardian(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Told whenever a group has ended.
    ended: Notify,
}

struct State {
    pipe: ChildStdin,
    groups: BTreeSet<Group>,
    command: Box<dyn Fn() -> io::Result<Command> + Send>,
}

impl std::fmt::Debug for Guardian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guardian").field("groups", &self.state().groups).finish_non_exhaustive()
    }
}

impl Guardian {
    /// Starts this program again as `PROGRAM guardian`, which must do nothing but [`guardian_main`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::start_with(|| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("guardian").env_clear();
            Ok(command)
        })
    }

    /// The same for a program that hides its [`guardian_main`] elsewhere.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(command: impl Fn() -> io::Result<Command> + Send + 'static) -> io::Result<Self> {
        let command = Box::new(command);
        let pipe = run(command()?)?;
        let state = Mutex::new(State { pipe, groups: BTreeSet::new(), command });
        Ok(Self(Arc::new(Shared { state, ended: Notify::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends this group as well, should it come to that.
    pub(super) fn watch(&self, group: Group) {
        let mut state = self.state();
        state.groups.insert(group);
        state.tell('+', group);
    }

    /// Forgets a group that has ended: its id may soon be somebody else's.
    pub(super) fn release(&self, group: Group) {
        let mut state = self.state();
        if state.groups.remove(&group) {
            state.tell('-', group);
            self.0.ended.notify_waiters();
        }
    }

    /// Waits until no process is left that it would have to end.
    pub async fn children_ended(&self) {
        loop {
            let mut ended = std::pin::pin!(self.0.ended.notified());
            // From here on nothing is missed.
            ended.as_mut().enable();
            if self.state().groups.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl State {
    fn tell(&mut self, sign: char, group: Group) {
        // A few bytes into a pipe that is read at once: this does not block.
        if self.pipe.write_all(format!("{sign}{}\n", group.id()).as_bytes()).is_ok() {
            return;
        }
        tracing::warn!("the guardian of the servers' processes is gone, another one is started");
        let again = (self.command)().and_then(run).and_then(|mut pipe| {
            for group in &self.groups {
                pipe.write_all(format!("+{}\n", group.id()).as_bytes())?;
            }
            self.pipe = pipe;
            Ok(())
        });
        if let Err(error) = again {
            tracing::error!("there is no guardian: processes of servers may outlive this one ({error})");
        }
    }
}

/// Starts a guardian, away from our terminal's signals, and returns the pipe to it.
fn run(mut command: Command) -> io::Result<ChildStdin> {
    separate(&mut command);
    let mut guardian = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pipe = guardian.stdin.take().ok_or_else(|| io::Error::other("no pipe to the guardian"))?;
    std::thread::Builder::new().name("guardian".to_owned()).spawn(move || {
        // So that no zombie stays of it.
        let _ = guardian.wait();
    })?;
    Ok(pipe)
}

/// The guardian itself: reads from standard input until it ends, then ends the process groups that are left. Signals that
/// are meant for the gateway do not end it.
#[must_use]
pub fn guardian_main() -> ExitCode {
    // Once registered, the handlers stay; nobody has to wait for them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let _deaf = runtime.as_ref().ok().map(|runtime| {
        let _inside = runtime.enter();
        ignore_signals()
    });
    let mut groups = BTreeSet::new();
    let mut input = io::stdin().lock();
    let mut line = String::new();
    loop {
        line.clear();
        match input.read_line(&mut line) {
            Ok(1..) => note(&mut groups, &line),
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(_) => break,
        }
    }
    end(groups);
    ExitCode::SUCCESS
}

fn note(groups: &mut BTreeSet<Group>, line: &str) {
    let Some(line) = line.strip_suffix('\n') else { return };
    let group = |id: &str| id.parse().ok().and_then(Group::of);
    if let Some(group) = line.strip_prefix('+').and_then(group) {
        groups.insert(group);
    } else if let Some(group) = line.strip_prefix('-').and_then(group) {
        groups.remove(&group);
    }
}

fn end(mut groups: BTreeSet<Group>) {
    for group in &groups {
        group.terminate();
    }
    let until = Instant::now() + ASKED;
    while Instant::now() < until {
        groups.retain(|group| group.is_alive());
        if groups.is_empty() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    for group in &groups {
        group.kill();
    }
}

#[cfg(unix)]
fn ignore_signals() -> Vec<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect()
}

#[cfg(not(unix))]
fn ignore_signals() {}
