//! Child processes that end with the benchmark, however it ends.
//!
//! Every child leads a process group of its own, which is killed when its
//! [`Running`] is dropped. A benchmark that is itself killed drops nothing, so
//! a *guard* (this binary once more) knows the groups that are alive and kills
//! them when its pipe to the benchmark closes.

use std::{
    cell::RefCell,
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    rc::Rc,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use crate::fault::{Doing, Fault, Result};

/// How long a child may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How much of a child's log a message quotes.
const QUOTED_LOG: usize = 2000;

// === the guard ===

/// The process that kills what is left when the benchmark is gone.
pub(crate) struct Guard {
    process: RefCell<Child>,
    /// Taken only when the guard is let go.
    orders: RefCell<Option<ChildStdin>>,
}

impl Guard {
    /// Starts a guard that also removes `folder` in the end.
    ///
    /// # Errors
    ///
    /// When this binary cannot be started once more.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let mut command = own_role("role:guard")?;
        command.arg(folder).stdin(Stdio::piped()).stdout(Stdio::null());
        lead_group(&mut command);
        let mut process = command.spawn().doing("starting the guard")?;
        let orders = RefCell::new(process.stdin.take());
        let process = RefCell::new(process);
        Ok(Self { process, orders })
    }

    fn order(&self, sign: char, pid: u32) -> Result<()> {
        match &mut *self.orders.borrow_mut() {
            Some(pipe) => writeln!(pipe, "{sign}{pid}").doing("telling the guard of a process"),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends by itself when its pipe closes; there is nobody to tell otherwise.
        let _ = self.process.borrow_mut().wait();
    }
}

/// The role `guard`: reads `+PID` and `-PID`, and at the end of its input kills
/// the groups that are left and removes the folder.
pub(crate) fn guard(folder: Option<&OsStr>) -> Result<()> {
    let mut alive = HashSet::new();
    for line in io::stdin().lines() {
        let Ok(line) = line else { break };
        let Some(pid) = line.get(1..).and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if line.starts_with('+') {
            alive.insert(pid);
        } else {
            alive.remove(&pid);
        }
    }
    alive.into_iter().for_each(kill_group);
    if let Some(folder) = folder {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing("removing the folder of the run");
            }
            _ => {}
        }
    }
    Ok(())
}

/// This binary in one of its roles.
///
/// # Errors
///
/// When the system does not tell where this binary is.
pub(crate) fn own_role(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().doing("finding this binary")?);
    command.arg(role);
    Ok(command)
}

// === children ===

/// A child that runs until it is dropped.
pub(crate) struct Running {
    name: String,
    process: RefCell<Child>,
    pid: u32,
    /// Where its standard error goes.
    log: PathBuf,
    /// Gets the address that the child prints.
    printed: Receiver<SocketAddr>,
    guard: Rc<Guard>,
}

impl Running {
    /// Starts `command`, with its standard error in a file in `folder`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path, guard: &Rc<Guard>) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).doing(format_args!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        lead_group(&mut command);
        let mut process =
            command.spawn().doing(format_args!("starting {name} ({})", command.get_program().display()))?;
        let pid = process.id();
        let (sender, printed) = sync_channel(1);
        let stdout = process.stdout.take();
        let running =
            Self { name: name.to_owned(), process: RefCell::new(process), pid, log, printed, guard: Rc::clone(guard) };
        running.guard.order('+', pid)?;
        if let Some(stdout) = stdout {
            thread::spawn(move || read_output(stdout, &sender));
        }
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The address in the first line of its output that holds
    /// `http://127.0.0.1:PORT`.
    ///
    /// # Errors
    ///
    /// When it prints none in time.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.printed.recv_timeout(START_PATIENCE).map_err(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "printed no address in time",
                RecvTimeoutError::Disconnected => "ended without printing an address",
            };
            Fault::new(format!("{} {what}{}", self.name, self.quoted_log()))
        })
    }

    /// Makes sure that it still runs.
    ///
    /// # Errors
    ///
    /// When it has ended, with the end of its log.
    pub(crate) fn require_alive(&self) -> Result<()> {
        match self.process.borrow_mut().try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(Fault::new(format!("{} has ended by itself: {status}{}", self.name, self.quoted_log())))
            }
            Err(error) => Err(error).doing(format_args!("looking after {}", self.name)),
        }
    }

    /// The end of its log, on lines of their own; nothing when it is empty.
    pub(crate) fn quoted_log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let end = &text[text.len().saturating_sub(QUOTED_LOG)..];
        match String::from_utf8_lossy(end).trim() {
            "" => String::new(),
            end => format!("\n  {} said:\n    {}", self.name, end.replace('\n', "\n    ")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill_group(self.pid);
        let process = self.process.get_mut();
        // The group is gone with the call above; this is for systems without groups.
        let _ = process.kill();
        let _ = process.wait();
        // A guard that cannot be told has ended, and has nothing left to kill.
        let _ = self.guard.order('-', self.pid);
    }
}

/// Sends on the address that the child prints, and reads on so that it never
/// waits for a reader.
fn read_output(stdout: ChildStdout, address: &SyncSender<SocketAddr>) {
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        if let Some(found) = address_in(&String::from_utf8_lossy(&line)) {
            // Only the first one is of interest; the channel has room for it.
            let _ = address.try_send(found);
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(SocketAddr::from(([127, 0, 0, 1], rest[..end].parse().ok()?)))
}

// === process groups ===

#[cfg(unix)]
fn lead_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(unix)]
fn kill_group(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // The only error left is that the group is gone already.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn lead_group(_: &mut Command) {}

#[cfg(not(unix))]
fn kill_group(_: u32) {}
