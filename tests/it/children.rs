//! Servers that are processes: starting them, what they may do wrong, and that nothing of them stays.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rialto::{
    hub::{Fault, Health, Reason, SilentPeer},
    protocol::{Method, Revision},
    upstream::{
        Connector, EraChoice, Session, Sharing,
        child::{ChildConnector, ChildSettings, CommandTarget, Guardian},
    },
};
use serde_json::{Value, json};

use crate::{
    matrix::process::{self, fixture_path},
    server_kit::{quiet_opening, request, soon, tool, value},
};

mod endings;
mod guardian;
mod hung;
mod spares;
mod speech;
mod starts;

/// The server that misbehaves as it is told, which cargo builds beside the other fixture.
fn raw(options: &[&str]) -> CommandTarget {
    let path = fixture_path().with_file_name(format!("raw-server{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `cargo build --example raw-server`", path.display());
    CommandTarget {
        command: path.to_str().expect("a path that is text").to_owned(),
        args: options.iter().map(|&o| o.to_owned()).collect(),
        ..CommandTarget::default()
    }
}

fn connector(options: &[&str]) -> ChildConnector {
    ChildConnector::new("raw", raw(options), ChildSettings::default())
}

fn with_settings(options: &[&str], settings: ChildSettings) -> ChildConnector {
    ChildConnector::new("raw", raw(options), settings)
}

async fn open(connector: &ChildConnector) -> Arc<dyn Session> {
    soon("a session", connector.open(quiet_opening())).await.expect("a session")
}

async fn refused(connector: &ChildConnector) -> Fault {
    soon("a fault", connector.open(quiet_opening())).await.err().expect("a fault")
}

/// What a tool of the raw server returns.
async fn ask(session: &dyn Session, name: &str, arguments: Value) -> Result<Value, Fault> {
    let params = json!({"name": name, "arguments": arguments});
    let result = soon(name, session.call(request(Method::ToolsCall, &params, Arc::new(SilentPeer)))).await?;
    Ok(value(&result)["structuredContent"]["value"].clone())
}

async fn pid(session: &dyn Session) -> i32 {
    let pid = ask(session, "pid", json!({})).await.expect("a pid");
    i32::try_from(pid.as_i64().expect("a number")).expect("a pid")
}

/// The letter that the kernel shows for a process that exists.
fn state(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().next().map(str::to_owned)
}

/// Waits until a child of ours is gone, also as a zombie; returns how long that took.
async fn gone(pid: i32) -> Duration {
    until(|| state(pid).is_none()).await
}

/// Waits until the child of somebody else has ended; when it is reaped is not our business.
async fn ended(pid: i32) -> Duration {
    until(|| matches!(state(pid).as_deref(), None | Some("Z"))).await
}

/// Waits until something is so; returns how long that took.
async fn until(over: impl Fn() -> bool) -> Duration {
    let since = Instant::now();
    process::until("what becomes of a process", || std::future::ready(over())).await;
    since.elapsed()
}

fn kill(pid: i32) {
    signal(pid, rustix::process::Signal::KILL);
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("signalled");
}

/// The lines of a file that a fixture writes.
fn lines_of(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn starts_in(file: &Path) -> usize {
    lines_of(file).iter().filter(|line| line.starts_with("start ")).count()
}
