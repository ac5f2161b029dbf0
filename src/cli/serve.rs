//! `rialto serve` and `rialto stdio`: the gateway, from a config file or as the demo.

use std::{
    fmt,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use rialto::{
    Proxy,
    app::{
        Assembled, Builder, assemble,
        gateway::Gateway,
        listener::{Limits, Listener, Shutdown},
    },
    config::{Authentication, Config, ListenError},
    downstream::Settings,
    seal::Sealer,
    upstream::child::Guardian,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ServeArgs, log, stdio::Stdio};

/// How long children get to end once nothing is served any more.
const CHILDREN: Duration = Duration::from_secs(6);

/// How long requests are still taken after a stop was asked for and `/readyz` says so: the time in which load balancers
/// look and send what comes elsewhere.
const NOTICE: Duration = Duration::from_secs(3);

/// How long servers elsewhere may take to hear that their sessions are over.
const FAREWELLS: Duration = Duration::from_secs(3);

/// Bad configuration (sysexits: EX_CONFIG).
const BAD_CONFIG: u8 = 78;

/// Why nothing is served, and the exit code that says so.
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

pub(super) fn run(file: Option<PathBuf>, args: ServeArgs) -> ExitCode {
    exit(start(file.as_deref(), &args, None))
}

/// The same for one client on standard input and output.
pub(super) fn run_stdio(file: Option<PathBuf>, mount: Option<String>, args: ServeArgs) -> ExitCode {
    exit(start(file.as_deref(), &args, Some(Stdio { mount })))
}

fn exit(served: Result<(), Failure>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", failure.message.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

fn start(file: Option<&Path>, args: &ServeArgs, stdio: Option<Stdio>) -> Result<(), Failure> {
    log::start(&args.log).map_err(|e| Failure::new(64, format!("error: `--log {}`: {e}", args.log)))?;
    let mut config = match file {
        Some(file) => {
            Config::load(file, &|name| std::env::var_os(name)).map_err(|faults| Failure::new(BAD_CONFIG, faults))?
        }
        None => Config::default(),
    };
    if let Some(listen) = args.listen.as_ref().filter(|_| stdio.is_none()) {
        config
            .listen_on(listen)
            .map_err(|e| Failure::new(64, format!("error: `--listen {listen}`: {e}{}", demo_hint(file, &e))))?;
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    // Before the first thread and the first child: nothing that is started later can outlive it.
    let guardian = Guardian::start().map_err(|e| Failure::new(1, format!("error: cannot start the guardian: {e}")))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime.enable_all().build().map_err(|e| Failure::new(1, format!("error: no runtime: {e}")))?;
    let is_piped = stdio.is_some();
    let served = runtime.block_on(serve(config, file, guardian, stdio));
    if is_piped {
        // The thread that reads standard input ends when the client says something, which may be never.
        runtime.shutdown_background();
    } else {
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    served
}

/// What to do about an address that the demo is not made for.
fn demo_hint(file: Option<&Path>, error: &ListenError) -> &'static str {
    match (file, error) {
        (None, ListenError::Open) => {
            "\nhint: the demo has no keys; they come with a config file, which may say `\"demo\": true`, and `rialto serve FILE` serves"
        }
        _ => "",
    }
}

async fn serve(config: Config, file: Option<&Path>, guardian: Guardian, stdio: Option<Stdio>) -> Result<(), Failure> {
    // On this machine nobody spreads requests over several processes, and who stops this one waits for it. The client
    // that started it does not wait long.
    let notice = if config.is_local() || stdio.is_some() { Duration::ZERO } else { NOTICE };
    let shutdown =
        Shutdown::on_signals(notice).map_err(|e| Failure::new(1, format!("error: no signal handlers: {e}")))?;
    let secrets: Vec<&[u8]> = config.seal_keys.iter().map(|k| k.expose()).collect();
    let sealer =
        Sealer::new(&secrets).map_err(|e| Failure::new(BAD_CONFIG, format!("error: `rialto.seal_keys`: {e}")))?;
    if secrets.is_empty() && file.is_some() && stdio.is_none() {
        tracing::warn!("no `rialto.seal_keys`: sessions and parked calls end with this process");
    }
    let settings = Settings {
        sealer: Arc::new(sealer),
        sessions_survive: !secrets.is_empty(),
        tolerate_sessionless: config.tolerate_sessionless,
        stopping: shutdown.stopping().clone(),
        draining: shutdown.draining().clone(),
        limits: Arc::new(config.limits),
        ..Settings::default()
    };
    let sessions = TaskTracker::new();
    let (draining, told_twice) = (shutdown.draining().clone(), shutdown.clone());
    let application = assemble::application(&config, settings, &guardian, &sessions);
    let application = match file {
        Some(_) if config.demo => demo(assemble::mounts(application, &config)),
        Some(_) => assemble::mounts(application, &config),
        None => demo(application),
    };
    let (gateway, served) = match stdio {
        Some(stdio) => stdio.serve(application, &config, &shutdown).await?,
        None => (listen(application, &config, shutdown, &draining).await?, Ok(())),
    };
    drop(gateway);
    sessions.close();
    let ends = async {
        tokio::join!(
            tokio::time::timeout(CHILDREN, guardian.children_ended()),
            tokio::time::timeout(FAREWELLS, sessions.wait()),
        )
    };
    let (children, told) = tokio::select! {
        biased;
        // The guardian ends what is left.
        () = told_twice.forced() => return served,
        ends = ends => ends,
    };
    if children.is_err() {
        tracing::warn!("some children did not end in time; the guardian ends them");
    }
    if told.is_err() {
        tracing::warn!("some servers could not be told in time that their sessions are over");
    }
    served
}

/// Serves everybody who connects, until the process is told to stop.
async fn listen(
    application: Builder,
    config: &Config,
    shutdown: Shutdown,
    draining: &CancellationToken,
) -> Result<Gateway, Failure> {
    let listener = Listener::bind(config.listen, Limits::default())
        .await
        .map_err(|e| Failure::new(1, format!("error: {e}\nhint: choose another address with `--listen`")))?;
    let address = listener.local_addr();
    let Assembled { router, gateway, .. } = application.listener(address).assemble();
    announce(address, config, &gateway);
    assemble::watch(&gateway, draining);
    let drained = listener.serve(router, shutdown).await;
    if drained.cut > 0 {
        tracing::warn!(connections = drained.cut, "cut connections that did not end in time");
    }
    Ok(gateway)
}

/// The demo: Rialto's own documentation, and the books of a small company, which are REST routes as well.
fn demo(application: Builder) -> Builder {
    let finance = crate::demo::Finance::new();
    let (routes, document) = finance.router();
    let docs = Proxy::in_process(|io| async move {
        if let Err(error) = crate::demo::Docs::serve(io).await {
            tracing::warn!(%error, "the docs server ended");
        }
    });
    let books = Proxy::in_process(move |io| {
        let finance = finance.clone();
        async move {
            if let Err(error) = finance.serve(io).await {
                tracing::warn!(%error, "the finance server ended");
            }
        }
    });
    application.mount("docs", docs).mount("finance", books).routes(routes).openapi(document)
}

/// Says on standard output where everything is, and who may come in.
fn announce(address: SocketAddr, config: &Config, gateway: &Gateway) {
    let own = format!("http://{address}");
    let base = config.public_url.as_ref().map_or(own.as_str(), |url| url.as_str().trim_end_matches('/'));
    let mut text = format!("Rialto {} listens on {own}\n{}\n\n", env!("CARGO_PKG_VERSION"), posture(config));
    for entry in gateway.entries() {
        let name = entry.name();
        text.push_str(&format!("  {name:<16} {base}/mcp/{name}\n"));
    }
    for route in &config.routes {
        text.push_str(&format!("  {:<16} {base}{}\n", "route", route.path));
    }
    text.push_str(&format!("\n  {:<16} {base}/\n  {:<16} {base}/docs\n", "what is up", "REST"));
    let mut out = std::io::stdout();
    // A closed standard output is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let is_keyed = matches!(config.authentication, Authentication::Keys(_));
    if config.is_local() && !is_keyed && config.public_url.is_some() {
        tracing::warn!(
            "`rialto.public_url` without `rialto.auth`: whoever the reverse proxy lets in counts as the user of this machine"
        );
    }
    if !config.is_local() && config.hosts.is_empty() && config.public_url.is_none() && address.ip().is_unspecified() {
        tracing::warn!("no `rialto.hosts` and no `rialto.public_url`: requests are refused under every name");
    }
}

/// Who may come in, in one line.
fn posture(config: &Config) -> String {
    match &config.authentication {
        Authentication::Keys(auth) => {
            let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
            format!("{} of {}", plural(auth.count(), "key"), plural(auth.principals(), "principal"))
        }
        _ if config.is_local() => "no keys: only this machine can connect".to_owned(),
        _ => "no keys: anybody who can connect may use everything".to_owned(),
    }
}
