//! `rialto serve`: the gateway, from a config file or as the demo.

use std::{
    fmt,
    io::Write,
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
    config::{Config, EraChoice, parse_listen},
    downstream::Settings,
    seal::Sealer,
    upstream::child::Guardian,
};
use tokio_util::task::TaskTracker;

use super::{ServeArgs, log};

/// How long children get to end once nothing is served any more.
const CHILDREN: Duration = Duration::from_secs(6);

/// How long servers elsewhere may take to hear that their sessions are over.
const FAREWELLS: Duration = Duration::from_secs(3);

/// Bad configuration (sysexits: EX_CONFIG).
const BAD_CONFIG: u8 = 78;

/// Why nothing is served, and the exit code that says so.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

pub(super) fn run(file: Option<PathBuf>, args: ServeArgs) -> ExitCode {
    match start(file.as_deref(), &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", failure.message.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

fn start(file: Option<&Path>, args: &ServeArgs) -> Result<(), Failure> {
    log::start(&args.log).map_err(|e| Failure::new(64, format!("error: `--log {}`: {e}", args.log)))?;
    let mut config = match file {
        Some(file) => {
            Config::load(file, &|name| std::env::var_os(name)).map_err(|faults| Failure::new(BAD_CONFIG, faults))?
        }
        None => Config::default(),
    };
    if let Some(listen) = &args.listen {
        config.listen =
            parse_listen(listen).map_err(|e| Failure::new(64, format!("error: `--listen {listen}`: {e}")))?;
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
    let served = runtime.block_on(serve(config, file, guardian));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: Config, file: Option<&Path>, guardian: Guardian) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(|e| Failure::new(1, format!("error: no signal handlers: {e}")))?;
    let secrets: Vec<&[u8]> = config.seal_keys.iter().map(|k| k.expose()).collect();
    let sealer =
        Sealer::new(&secrets).map_err(|e| Failure::new(BAD_CONFIG, format!("error: `rialto.seal_keys`: {e}")))?;
    if secrets.is_empty() && file.is_some() {
        tracing::warn!("no `rialto.seal_keys`: sessions and parked calls end with this process");
    }
    let settings = Settings {
        sealer: Arc::new(sealer),
        sessions_survive: !secrets.is_empty(),
        draining: shutdown.draining().clone(),
        ..Settings::default()
    };
    let sessions = TaskTracker::new();
    let draining = shutdown.draining().clone();
    let application = assemble::application(&config, settings, &guardian, &sessions);
    let application = match file {
        Some(_) => assemble::mounts(application, &config),
        None => demo(application),
    };
    let listener = Listener::bind(config.listen, Limits::default())
        .await
        .map_err(|e| Failure::new(1, format!("error: {e}\nhint: choose another address with `--listen`")))?;
    let address = listener.local_addr();
    let Assembled { router, gateway, .. } = application.listener(address).assemble();
    announce(&format!("http://{address}"), &gateway);
    assemble::watch(&gateway, &draining);

    let drained = listener.serve(router, shutdown).await;
    if drained.cut > 0 {
        tracing::warn!(connections = drained.cut, "cut connections that did not end in time");
    }
    drop(gateway);
    sessions.close();
    let (children, told) = tokio::join!(
        tokio::time::timeout(CHILDREN, guardian.children_ended()),
        tokio::time::timeout(FAREWELLS, sessions.wait()),
    );
    if children.is_err() {
        tracing::warn!("some children did not end in time; the guardian ends them");
    }
    if told.is_err() {
        tracing::warn!("some servers could not be told in time that their sessions are over");
    }
    Ok(())
}

/// The demo: Rialto's own documentation, and the books of a small company, which are REST routes as well.
fn demo(application: Builder) -> Builder {
    let finance = crate::demo::Finance::new();
    let (routes, _document) = finance.router();
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
    // Each client is served in its own era, so that each subscribes to resources in the way that it knows.
    application.mount("docs", docs).mount("finance", books.era(EraChoice::Match)).routes(routes)
}

/// Says on standard output where everything is.
fn announce(base: &str, gateway: &Gateway) {
    let mut text = format!("Rialto {} listens on {base}\n\n", env!("CARGO_PKG_VERSION"));
    for entry in gateway.entries() {
        let name = entry.name();
        text.push_str(&format!("  {name:<16} {base}/mcp/{name}\n"));
    }
    text.push_str(&format!("\n  {:<16} {base}/readyz\n", "what is up"));
    let mut out = std::io::stdout();
    // A closed standard output is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
