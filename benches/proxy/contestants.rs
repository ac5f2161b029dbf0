//! The proxies that take part, and the processes that one case needs.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{
    cases::Case,
    children::{Guard, Running, own_role},
    fault::{Doing, Fault, Result},
    nginx,
    options::Options,
    wire::{Era, MCP_PATH},
};

/// The key of the load, and the SHA-256 of it.
const KEY: &str = "rk_bench-0123456789abcdefghijklmnop";
const KEY_HASH: &str = "90f3c939f11adb3527e56a06baec7d326dfdd80e00d0f2cb6f3dd568ce6e7d53";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The upstream itself, without a proxy.
    Direct,
    /// nginx, where it is installed.
    Nginx,
    /// axum and reqwest, forwarding bytes.
    Forwarder,
    /// The gateway, as it is without a word in its configuration.
    Rialto,
    /// The gateway with everything left out that only watches: what the others have of it is what it costs.
    RialtoBare,
    /// The gateway with keys, each request bringing the last of ten.
    RialtoKeys,
}

impl Kind {
    /// The name in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Forwarder => "forwarder",
            Self::Rialto => "rialto",
            Self::RialtoBare => "rialto-bare",
            Self::RialtoKeys => "rialto-keys",
        }
    }

    /// Whether it is the gateway, in whatever way it is configured.
    pub(crate) fn is_rialto(self) -> bool {
        matches!(self, Self::Rialto | Self::RialtoBare | Self::RialtoKeys)
    }
}

/// Where the load goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// The key that its requests bring, where it asks for one.
    pub(crate) key: Option<&'static str>,
}

/// One proxy, ready for the load.
pub(crate) struct Contestant {
    pub(crate) target: Target,
    /// The process whose CPU time and memory count.
    pub(crate) process: Rc<Running>,
    /// Where the upstream behind it is.
    pub(crate) upstream: SocketAddr,
}

/// The processes of one case. Dropping it ends them.
pub(crate) struct Stage<'a> {
    case: &'a Case,
    options: &'a Options,
    folder: &'a Path,
    guard: &'a Rc<Guard>,
    /// The upstream of the client's era.
    same_era: (Rc<Running>, SocketAddr),
    /// The upstream of the other era, in a case that crosses.
    other_era: Option<(Rc<Running>, SocketAddr)>,
}

impl<'a> Stage<'a> {
    /// Starts the upstreams.
    ///
    /// # Errors
    ///
    /// When one of them does not start.
    pub(crate) fn new(case: &'a Case, options: &'a Options, folder: &'a Path, guard: &'a Rc<Guard>) -> Result<Self> {
        let start = |era| start_upstream(case, era, folder, guard);
        let crosses = case.client != case.upstream;
        Ok(Self {
            same_era: start(case.client)?,
            other_era: crosses.then(|| start(case.upstream)).transpose()?,
            case,
            options,
            folder,
            guard,
        })
    }

    /// Starts a proxy before the upstream that it can talk to.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub(crate) fn start(&self, kind: Kind) -> Result<Contestant> {
        let (upstream_process, upstream) = match (kind, &self.other_era) {
            (kind, Some(other)) if kind.is_rialto() => other,
            _ => &self.same_era,
        };
        let threads = self.options.threads().to_string();
        let mut path = MCP_PATH;
        let (process, address) = match kind {
            Kind::Direct => (Rc::clone(upstream_process), *upstream),
            Kind::Nginx => self.start_nginx(*upstream)?,
            Kind::Forwarder => {
                let mut command = own_role("role:forwarder")?;
                command.args(["--upstream", &upstream.to_string(), "--threads", &threads]);
                self.start_announced(kind, command)?
            }
            Kind::Rialto | Kind::RialtoBare | Kind::RialtoKeys => {
                path = "/mcp/bench";
                let config = self.folder.join(format!("{}.json", kind.name()));
                fs::write(&config, rialto_config(kind, *upstream, self.case.upstream))
                    .doing("writing the configuration")?;
                let mut command = Command::new(self.options.rialto());
                command.arg("serve").arg(config);
                command.args(["--listen", "127.0.0.1:0"]);
                // The second is tokio's own name for the same thing.
                command.env("RIALTO_THREADS", &threads);
                command.env("TOKIO_WORKER_THREADS", &threads);
                for inherited in ["RIALTO_LISTEN", "RIALTO_LOG", "RUST_LOG"] {
                    command.env_remove(inherited);
                }
                self.start_announced(kind, command)?
            }
        };
        let key = (kind == Kind::RialtoKeys).then_some(KEY);
        Ok(Contestant { target: Target { address, path, key }, process, upstream: *upstream })
    }

    fn start_announced(&self, kind: Kind, command: Command) -> Result<(Rc<Running>, SocketAddr)> {
        let process = Running::start(kind.name(), command, self.folder, self.guard)?;
        let address = process.address()?;
        Ok((Rc::new(process), address))
    }

    fn start_nginx(&self, upstream: SocketAddr) -> Result<(Rc<Running>, SocketAddr)> {
        let program = nginx::find().ok_or_else(|| Fault::new("nginx is not on the PATH"))?;
        let mut last = Fault::new("nginx was not started");
        // nginx cannot choose a port itself, and the one found here is free
        // only until somebody else takes it.
        for _ in 0..3 {
            let listen = free_port()?;
            let config = nginx::config(self.folder, listen, upstream, self.options.threads());
            let file = self.folder.join("nginx.conf");
            fs::write(&file, config).doing("writing the configuration of nginx")?;
            let mut command = Command::new(&program);
            command.arg("-p").arg(self.folder).arg("-c").arg(file);
            let process = Running::start(Kind::Nginx.name(), command, self.folder, self.guard)?;
            match wait_for_listener(&process, listen) {
                Ok(()) => return Ok((Rc::new(process), listen)),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

fn start_upstream(case: &Case, era: Era, folder: &Path, guard: &Rc<Guard>) -> Result<(Rc<Running>, SocketAddr)> {
    let mut command = own_role("role:upstream")?;
    command.args(["--tools", &case.tools.to_string()]);
    command.arg(match era {
        Era::Legacy => "--legacy-only",
        Era::Modern => "--modern-only",
    });
    if case.sse {
        command.arg("--sse");
    }
    let name = format!("upstream-{}", era.word());
    let process = Running::start(&name, command, folder, guard)?;
    let address = process.address()?;
    Ok((Rc::new(process), address))
}

fn rialto_config(kind: Kind, upstream: SocketAddr, era: Era) -> String {
    let mut config = serde_json::json!({
        "mcpServers": {"bench": {"url": format!("http://{upstream}{MCP_PATH}")}},
        "rialto": {"servers": {"bench": {"era": era.word()}}},
    });
    match kind {
        Kind::RialtoBare => config["rialto"]["metrics"] = false.into(),
        Kind::RialtoKeys => {
            let key = |n: u8| serde_json::json!({"principal": format!("other-{n}"), "key": format!("sha256:{:064x}", u64::from(n) + (1 << 40))});
            let mut keys: Vec<_> = (1..10).map(key).collect();
            keys.push(serde_json::json!({"principal": "bench", "key": format!("sha256:{KEY_HASH}")}));
            config["rialto"]["auth"] = serde_json::json!({"keys": keys});
        }
        _ => {}
    }
    format!("{config:#}\n")
}

fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("finding a free port")?;
    listener.local_addr().doing("finding a free port")
}

/// Waits for somebody to listen there while the process lives.
fn wait_for_listener(process: &Running, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        process.require_alive()?;
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let log = process.quoted_log();
            return Err(Fault::new(format!("nobody listens on {address}{log}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
}
