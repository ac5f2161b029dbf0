//! `rialto stdio` as clients start it: a process of their own.

use std::{
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use super::{
    MODERN, NEWEST, Pipe,
    kit::{text_of, tool},
    modern, request,
};
use crate::{
    matrix::process::{Fixture, fixture_command, processes_with, until},
    support::wait::soon,
};

/// How long a client waits for the end of the process when it has closed its end, before it uses force.
const PATIENCE: Duration = Duration::from_secs(4);

/// The digest of a key that nobody has.
const KEY: &str = "ee8d4643112c081bb08351b2462237a9abf59e4b0ab003a6ce802f904362549d";

/// A running `rialto stdio`, killed when this is dropped.
struct Piped {
    child: Child,
    errors: tokio::task::JoinHandle<String>,
    _folder: TempDir,
}

fn command(folder: &TempDir, config: &Value, more: &[&str]) -> Command {
    let file = folder.path().join("mcp.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.arg("stdio").arg(file).args(more).args(["--log", "debug"]).env_remove("RIALTO_LISTEN").kill_on_drop(true);
    command
}

impl Piped {
    fn start(config: &Value, more: &[&str]) -> (Pipe, Self) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(&folder, config, more);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = child.stderr.take().unwrap();
        let errors = tokio::spawn(async move {
            let mut text = String::new();
            let _ = said.read_to_string(&mut text).await;
            text
        });
        let pipe = Pipe::of(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        (pipe, Self { child, errors, _folder: folder })
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs").try_into().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the end, which has to come before clients use force, and gives what was said on standard error.
    async fn ended(mut self) -> (ExitStatus, Duration, String) {
        let began = Instant::now();
        let status = soon("the end of rialto", self.child.wait()).await.unwrap();
        let took = began.elapsed();
        (status, took, soon("the end of its words", self.errors).await.unwrap())
    }
}

/// What ends soon and well.
async fn ends_well(piped: Piped) {
    let (status, took, said) = piped.ended().await;
    assert!(status.success() && took < PATIENCE, "{status} after {took:?}\n{said}");
}

fn servers(servers: Value) -> Value {
    json!({ "mcpServers": servers })
}

#[tokio::test]
async fn a_client_that_closes_its_end_leaves_nothing_behind() {
    let fixture = Fixture::start(&["--revision", NEWEST]).await;
    let tag = format!("piped-closed-{}", std::process::id());
    let child = fixture_command(&["--revision", NEWEST, "--tag", &tag]);
    let config = servers(json!({ "remote": fixture.entry(), "child": child }));
    for mount in ["remote", "child"] {
        let (mut client, piped) = Piped::start(&config, &["--mount", mount]);
        client.handshake("2024-11-05").await;
        let said = client.ask(&request(1, "tools/call", tool("counter"))).await;
        assert_eq!(text_of(&said), "1");
        let discovered = client.ask(&modern(2, "server/discover", json!({}))).await;
        assert!(discovered["result"]["capabilities"]["tools"].is_object());
        let children = processes_with(&tag).len();
        assert_eq!(children > 0, mount == "child", "only what is wanted is started: {children}");
        client.close().await;
        assert_eq!(client.rest().await, [] as [Value; 0], "nothing but messages is on standard output");
        ends_well(piped).await;
        assert_eq!(processes_with(&tag), [] as [u32; 0]);
        assert_eq!(fixture.status().await["open"], json!([]));
    }
}

#[tokio::test]
async fn calls_that_run_when_the_client_closes_its_end_are_cancelled_at_the_server() {
    for revision in [NEWEST, MODERN] {
        let fixture = Fixture::start(&["--revision", revision]).await;
        let (mut client, piped) = Piped::start(&servers(json!({ "docs": fixture.entry() })), &[]);
        client.handshake(NEWEST).await;
        let slow = json!({"name": "slow", "arguments": {"steps": 1000, "ms": 50}});
        client.send(&request(1, "tools/call", slow.clone())).await;
        client.send(&modern("m", "tools/call", slow)).await;
        let counted =
            async |what: &str, fixture: &Fixture| fixture.status().await["executions"][what].as_u64().unwrap_or(0);
        until("both calls to reach the server", async || counted("slow", &fixture).await == 2).await;
        client.close().await;
        let closed = Instant::now();
        until("both calls to be cancelled", async || counted("slow.cancelled", &fixture).await == 2).await;
        assert!(closed.elapsed() < Duration::from_secs(3), "{:?}", closed.elapsed());
        let rest = client.rest().await;
        assert!(rest.iter().all(|m| m["method"] == "notifications/message"), "{rest:?}");
        ends_well(piped).await;
        assert_eq!(fixture.status().await["open"], json!([]));
    }
}

#[tokio::test]
async fn a_client_that_is_killed_leaves_nothing_behind() {
    let tag = format!("piped-killed-{}", std::process::id());
    let (mut client, piped) =
        Piped::start(&servers(json!({ "docs": fixture_command(&["--revision", NEWEST, "--tag", &tag]) })), &[]);
    client.handshake(NEWEST).await;
    let mut slow = request(1, "tools/call", json!({"name": "slow", "arguments": {"steps": 1000, "ms": 20}}));
    slow["params"]["_meta"] = json!({"progressToken": 1});
    client.send(&slow).await;
    client.said("notifications/progress").await;
    // Both ends at once, in the middle of everything.
    drop(client);
    ends_well(piped).await;
    assert_eq!(processes_with(&tag), [] as [u32; 0]);
}

#[tokio::test]
async fn nobody_who_reads_is_the_end_even_while_somebody_could_write() {
    let (mut child, folder) = (None, tempfile::tempdir().unwrap());
    let config = servers(json!({ "docs": fixture_command(&["--revision", NEWEST]) }));
    let mut started = command(&folder, &config, &[]);
    let mut process = started.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut writer = process.stdin.take().unwrap();
    drop(process.stdout.take());
    child.replace(&mut process);
    let ping = request(1, "ping", json!({}));
    tokio::io::AsyncWriteExt::write_all(&mut writer, format!("{ping}\n").as_bytes()).await.unwrap();
    let status = soon("the end of rialto", child.unwrap().wait()).await.unwrap();
    assert!(status.success(), "{status}");
    drop(writer);
}

#[tokio::test]
async fn a_signal_ends_it_while_the_client_is_there() {
    // Of a gateway that others reach, load balancers take leave for a while. A client does not wait for that.
    let keyed = json!({
        "listen": "0.0.0.0:0",
        "hosts": ["gw.example"],
        "auth": { "keys": [{ "principal": "ci", "key": format!("sha256:{KEY}") }] },
    });
    for (signal, rialto) in [(Signal::TERM, json!({})), (Signal::INT, json!({})), (Signal::TERM, keyed)] {
        let tag = format!("piped-signal-{}-{}", signal.as_raw(), std::process::id());
        let mut config = servers(json!({ "docs": fixture_command(&["--revision", NEWEST, "--tag", &tag]) }));
        config["rialto"] = rialto;
        let (mut client, piped) = Piped::start(&config, &[]);
        client.handshake(NEWEST).await;
        let listen = json!({"notifications": {"toolsListChanged": true}});
        client.send(&modern(7, "subscriptions/listen", listen)).await;
        client.said("notifications/subscriptions/acknowledged").await;
        let slow = json!({"name": "slow", "arguments": {"steps": 1000, "ms": 50}});
        client.send(&request(1, "tools/call", slow)).await;
        piped.signal(signal);
        let asked = Instant::now();
        // The subscription is ended, and the call is not answered.
        let rest: Vec<_> = client.rest().await.into_iter().filter(|m| m["method"] != "notifications/message").collect();
        let (status, _, said) = piped.ended().await;
        let took = asked.elapsed();
        assert_eq!(rest.len(), 2, "{rest:?}\n{said}");
        assert_eq!((&rest[0]["params"]["requestId"], &rest[1]["id"]), (&json!(7), &json!(7)), "{rest:?}");
        // Clients use force two seconds after they have asked for the end.
        assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}\n{said}");
        assert_eq!(processes_with(&tag), [] as [u32; 0]);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_whatever_its_server_does() {
    let tag = format!("piped-twice-{}", std::process::id());
    let stubborn = fixture_command(&["--revision", NEWEST, "--stubborn", "--tag", &tag]);
    let (mut client, piped) = Piped::start(&servers(json!({ "docs": stubborn })), &[]);
    client.handshake(NEWEST).await;
    // One of each, so that they count as two.
    piped.signal(Signal::TERM);
    piped.signal(Signal::INT);
    let asked = Instant::now();
    let (status, _, said) = piped.ended().await;
    // Left alone, the server would take five seconds.
    assert!(status.success() && asked.elapsed() < PATIENCE, "{status} after {:?}\n{said}", asked.elapsed());
    until("the end of the server", async || processes_with(&tag).is_empty()).await;
}

#[tokio::test]
async fn what_cannot_be_written_is_a_failure() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = servers(json!({ "docs": fixture_command(&["--revision", NEWEST]) }));
    let mut process = command(&folder, &config, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::from(full))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = process.stdin.take().unwrap();
    let ping = request(1, "ping", json!({}));
    tokio::io::AsyncWriteExt::write_all(&mut writer, format!("{ping}\n").as_bytes()).await.unwrap();
    let output = soon("the end of rialto", process.wait_with_output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("error: the connection to the client broke"), "{said}");
}

#[tokio::test]
async fn the_mount_has_to_be_told_where_there_are_several() {
    let one = fixture_command(&["--revision", NEWEST]);
    let both = servers(json!({ "docs": one, "files": one }));
    let mut off = one.clone();
    off["disabled"] = json!(true);
    let (one_off, all_off) = (servers(json!({ "docs": one, "old": off })), servers(json!({ "old": off })));
    for (config, more, said) in [
        (&both, &[][..], "say `--mount NAME`, of `docs`, `files`"),
        (&one_off, &["--mount", "old"], "the server `old` is disabled"),
        (&all_off, &["--mount", "old"], "the server `old` is disabled"),
        (&all_off, &[], "every server of the config is disabled"),
        (&both, &["--mount", "nothing"], "there is no mount `nothing`"),
        (&servers(json!({})), &[], "the config has no server"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = soon("the end", command(&folder, config, more).stdin(Stdio::null()).output()).await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.contains(said) && output.stdout.is_empty(), "{errors}");
    }
    let (mut client, piped) = Piped::start(&both, &["--mount", "files"]);
    client.handshake(NEWEST).await;
    client.close().await;
    ends_well(piped).await;
}

#[tokio::test]
async fn the_demo_needs_no_file() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(["stdio", "--mount", "docs"]).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut client = Pipe::of(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    client.handshake(NEWEST).await;
    let found = client.ask(&request(1, "tools/call", json!({"name": "search", "arguments": {"query": "stdio"}}))).await;
    assert_eq!(found["result"]["isError"], false, "{found}");
    client.close().await;
    assert!(soon("the end of rialto", child.wait()).await.unwrap().success());
}
