//! `rialto stdio`: one mount for the one client that started the process.

use rialto::{
    app::{Assembled, Builder, gateway::Gateway, listener::Shutdown},
    config::Config,
    hub::Principal,
};

use super::serve::Failure;

/// Bad usage (sysexits: EX_USAGE).
const BAD_USAGE: u8 = 64;
/// Reading or writing failed (sysexits: EX_IOERR).
const BROKEN: u8 = 74;

/// A client on standard input and output.
pub(super) struct Stdio {
    /// The mount that it reaches, where there are several.
    pub(super) mount: Option<String>,
}

impl Stdio {
    /// Serves the client until it closes its end or the process is told to stop; told twice, it stops at once. Says how that
    /// ended beside what is left to be ended.
    pub(super) async fn serve(
        self,
        application: Builder,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<(Gateway, Result<(), Failure>), Failure> {
        let Assembled { gateway, .. } = application.assemble();
        let entry = match (&self.mount, gateway.entries()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), entries) => entries.iter().find(|entry| entry.name() == name),
        };
        let Some(entry) = entry.cloned() else {
            let names: Vec<_> = gateway.entries().iter().map(|entry| format!("`{}`", entry.name())).collect();
            let disabled = &config.disabled;
            let what = match (&self.mount, &names[..]) {
                (Some(name), _) if disabled.contains(name) => {
                    format!(
                        "error: the server `{}` is disabled\nhint: take `disabled` out of its entry",
                        name.escape_debug()
                    )
                }
                (_, []) if !disabled.is_empty() => {
                    "error: every server of the config is disabled\nhint: take `disabled` out of the entry of one"
                        .to_owned()
                }
                (_, []) => "error: the config has no server\nhint: add one to `mcpServers`".to_owned(),
                (Some(name), _) => format!("error: there is no mount `{name}`\nhint: there is {}", names.join(", ")),
                (None, _) => format!("error: which mount?\nhint: say `--mount NAME`, of {}", names.join(", ")),
            };
            return Err(Failure::new(BAD_USAGE, what));
        };
        // Whoever started the process may use all that it may, whatever keys others need.
        let endpoint = entry.endpoint();
        let local = Principal::local();
        let serving = endpoint.serve_lines(tokio::io::stdin(), tokio::io::stdout(), &local);
        let served = tokio::select! {
            served = serving => served,
            () = shutdown.forced() => Ok(()),
        };
        let broken = |error| Failure::new(BROKEN, format!("error: the connection to the client broke: {error}"));
        Ok((gateway, served.map_err(broken)))
    }
}
