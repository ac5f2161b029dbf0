//! Rialto and the fixture server as processes of their own.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::oneshot,
};

use super::client::http_client;
use crate::server_kit::soon;

/// The fixture server, which cargo builds beside the program.
pub(crate) fn fixture_path() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_rialto")).parent().unwrap();
    let path = programs.join("examples").join(format!("fixture-server{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `cargo build --example fixture-server`", path.display());
    path
}

/// An entry of `mcpServers` that starts a fixture server as a child.
pub(crate) fn fixture_command(arguments: &[&str]) -> Value {
    let arguments = [&["--transport", "stdio"], arguments].concat();
    json!({ "command": fixture_path(), "args": arguments })
}

/// A fixture server over HTTP. It ends when this is dropped, or when the test is killed.
pub(crate) struct Fixture {
    _child: Child,
    pub(crate) url: String,
}

impl Fixture {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(fixture_path())
            .args(["--transport", "http", "--attached"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = soon("the URL of the fixture server", lines.next_line()).await.unwrap().expect("its URL");
        Self { _child: child, url }
    }

    pub(crate) fn entry(&self) -> Value {
        json!({ "url": self.url })
    }

    /// What the server knows that the protocol does not say.
    pub(crate) async fn status(&self) -> Value {
        status(&self.url).await
    }
}

/// What the fixture server at this URL knows that the protocol does not say.
pub(crate) async fn status(url: &str) -> Value {
    get_json(&url.replace("/mcp", "/status")).await
}

async fn get_json(url: &str) -> Value {
    let text = http_client().get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What a process has written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    /// Reads on and on, and tells of the first line that `found` finds something in.
    fn follow(
        &self,
        from: impl AsyncRead + Unpin + Send + 'static,
        mut found: impl FnMut(&str) + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let output = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                found(&line);
                let mut text = output.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        })
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A running `rialto serve`. It is killed when this is dropped, and its children with it.
pub(crate) struct Rialto {
    child: Child,
    pub(crate) base: String,
    out: Output,
    errors: Output,
    _folder: TempDir,
}

/// How a `rialto` ended that served nothing.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output and standard error.
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Rialto {
    /// Serves the entries of `mcpServers`.
    pub(crate) async fn start(servers: &Value) -> Self {
        Self::start_file("mcp.json", &json!({ "mcpServers": servers }).to_string()).await
    }

    /// Serves a config file with this name and text.
    pub(crate) async fn start_file(name: &str, text: &str) -> Self {
        match Self::run(Some((name, text))).await {
            Ok(rialto) => rialto,
            Err(ended) => panic!("rialto served nothing: {ended:?}"),
        }
    }

    /// Serves the demo.
    pub(crate) async fn demo() -> Self {
        match Self::run(None).await {
            Ok(rialto) => rialto,
            Err(ended) => panic!("rialto served nothing: {ended:?}"),
        }
    }

    /// Starts it and waits until it says where it listens, or ends.
    pub(crate) async fn run(file: Option<(&str, &str)>) -> Result<Self, Ended> {
        Self::run_with(file, |command| command.args(["--listen", "127.0.0.1:0"])).await
    }

    /// The same, listening where `set` lets it.
    pub(crate) async fn run_with(
        file: Option<(&str, &str)>,
        set: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self, Ended> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
        command.arg("serve");
        if let Some((name, text)) = file {
            std::fs::write(folder.path().join(name), text).unwrap();
            command.arg(name);
        }
        command.current_dir(folder.path());
        for variable in ["RIALTO_LISTEN", "RIALTO_THREADS"] {
            command.env_remove(variable);
        }
        set(&mut command);
        command.env("NO_COLOR", "1").env("RIALTO_LOG", std::env::var("RIALTO_LOG").unwrap_or("info,rmcp=warn".into()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();

        let (said, address) = oneshot::channel();
        let mut said = Some(said);
        let (out, errors) = (Output::default(), Output::default());
        let out_done = out.follow(child.stdout.take().unwrap(), move |line| {
            if let Some((_, address)) = line.split_once(" listens on http://")
                && let Some((_, port)) = address.rsplit_once(':')
                && let Some(said) = said.take()
            {
                let _ = said.send(format!("http://127.0.0.1:{port}"));
            }
        });
        let errors_done = errors.follow(child.stderr.take().unwrap(), |_| {});
        match soon("the address of rialto", address).await {
            Ok(base) => Ok(Self { child, base, out, errors, _folder: folder }),
            Err(_) => {
                let status = soon("the end of rialto", child.wait()).await.unwrap();
                soon("the output of rialto", async { drop((out_done.await, errors_done.await)) }).await;
                Err(Ended { status, out: out.text(), errors: errors.text() })
            }
        }
    }

    pub(crate) fn mount(&self, name: &str) -> String {
        format!("{}/mcp/{name}", self.base)
    }

    /// What it has announced so far.
    pub(crate) fn announced(&self) -> String {
        self.out.text()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.errors.text()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon("the end of rialto", self.child.wait()).await.unwrap()
    }

    /// What `/readyz` says about a mount.
    pub(crate) async fn readiness(&self, mount: &str) -> Value {
        get_json(&format!("{}/readyz", self.base)).await["mounts"][mount].clone()
    }
}

/// The processes that have this argument, by their id. None where there is no `/proc` to look into.
pub(crate) fn processes_with(argument: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let found = named.filter(|(_, path)| {
        // What has ended in between has no arguments any more.
        let arguments = std::fs::read(path.join("cmdline")).unwrap_or_default();
        arguments.split(|b| *b == 0).any(|a| a == argument.as_bytes())
    });
    found.map(|(pid, _)| pid).collect()
}

/// Looks again and again until something is so; nothing announces what happens to processes of others.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}
