//! From a configuration to mounts.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, EraChoice, Kind, Server, Sessions},
    hub::{Caller, Health, Mount, Principal},
    mount::{Matching, Share, Single},
    seal::Sealer,
    upstream::{
        Connector, EraChoice as Era, Unavailable,
        child::{ChildConnector, ChildSettings, CommandTarget, Guardian},
        http::{HttpConnector, HttpSettings, HttpTarget},
    },
};

use super::gateway::Gateway;

/// How often servers that are down are tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The mount of each server of the configuration, in its order. What has to end before the process does is known to
/// `guardian` and `sessions`.
#[must_use]
pub fn mounts(
    config: &Config,
    sealer: &Arc<Sealer>,
    guardian: &Guardian,
    sessions: &TaskTracker,
) -> Vec<Arc<dyn Mount>> {
    config.servers.iter().map(|server| mount(server, sealer, guardian, sessions)).collect()
}

fn mount(server: &Server, sealer: &Arc<Sealer>, guardian: &Guardian, sessions: &TaskTracker) -> Arc<dyn Mount> {
    let single = |era| {
        let share = match server.sessions {
            Sessions::Principal => Share::Principal,
            Sessions::Shared => Share::Everybody,
            Sessions::PerRequest => Share::Nobody,
        };
        Single::new(&server.name, connector(server, era, guardian, sessions), share, sealer.clone())
            .forwarding(server.forward_headers.clone())
    };
    match server.era {
        EraChoice::Auto => Arc::new(single(Era::Auto)),
        EraChoice::Modern => Arc::new(single(Era::Modern)),
        EraChoice::Legacy => Arc::new(single(Era::Legacy)),
        EraChoice::Match => Arc::new(Matching::new(single(Era::Modern), single(Era::Legacy))),
    }
}

fn connector(server: &Server, era: Era, guardian: &Guardian, sessions: &TaskTracker) -> Arc<dyn Connector> {
    let name: Arc<str> = server.name.as_str().into();
    match &server.kind {
        Kind::Http { url, headers } => {
            let target = HttpTarget { url: url.clone(), headers: headers.clone() };
            let settings = HttpSettings { era, sessions: sessions.clone(), ..HttpSettings::default() };
            match HttpConnector::new(name.clone(), target, settings) {
                Ok(connector) => Arc::new(connector),
                Err(reason) => Arc::new(Unavailable::new(name, reason.to_string())),
            }
        }
        Kind::Command { command, args, env, cwd } => {
            let target =
                CommandTarget { command: command.clone(), args: args.clone(), env: env.clone(), cwd: cwd.clone() };
            let settings = ChildSettings {
                era,
                start_timeout: server.start_timeout,
                guardian: Some(guardian.clone()),
                ..ChildSettings::default()
            };
            Arc::new(ChildConnector::new(name, target, settings))
        }
        Kind::Unavailable { reason } => Arc::new(Unavailable::new(name, reason.clone())),
    }
}

/// Looks at every mount once, so that what is down shows as down with its reason and what is up is warm, and then again and
/// again at those that are down. Ends with the drain.
pub fn watch(gateway: &Gateway, draining: &CancellationToken) {
    for endpoint in gateway.endpoints() {
        let mount = Arc::downgrade(endpoint.mount());
        let draining = draining.clone();
        tokio::spawn(draining.run_until_cancelled_owned(async move {
            let mut told = Health::Unknown;
            while let Some(mount) = mount.upgrade() {
                if mount.health() != Health::Up {
                    let found = mount.describe(&Caller::gateway(Principal::local())).await;
                    let now = found.map_or_else(|fault| Health::Down(fault.to_string()), |_| Health::Up);
                    match &now {
                        Health::Up => tracing::info!(mount = mount.name(), "up"),
                        Health::Down(reason) if told != now => tracing::warn!(mount = mount.name(), reason, "down"),
                        _ => {}
                    }
                    told = now;
                }
                drop(mount);
                tokio::time::sleep(AGAIN).await;
            }
        }));
    }
}
