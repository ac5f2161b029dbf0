//! From a configuration to an application.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Authentication, Config, Kind, Route, Server},
    downstream::Settings,
    hub::{Caller, Health, Principal},
    upstream::child::Guardian,
};

use super::{
    builder::{Builder, Rialto},
    gateway::Gateway,
    proxy::{Process, Proxy},
    reverse::Reverse,
};

/// How often servers that are down are tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The application of a configuration, without the mounts, with its routes to servers elsewhere: `settings` are those of its endpoints, and what has to end before
/// the process does is known to `guardian` and `sessions`.
pub fn application(config: &Config, settings: Settings, guardian: &Guardian, sessions: &TaskTracker) -> Builder {
    let process = Process { guardian: Some(guardian.clone()), sessions: sessions.clone() };
    let builder = Rialto::builder().settings(settings).process(process).hosts(config.hosts.iter().cloned());
    let builder = builder.metrics(config.metrics);
    let builder = match &config.authentication {
        Authentication::Keys(auth) => builder.auth(auth.clone()),
        // Whoever connects to loopback is the one user of this machine; who comes from elsewhere is anybody.
        Authentication::Unsaid | Authentication::Nobody if config.is_local() => builder.local(),
        Authentication::Unsaid | Authentication::Nobody => builder,
    };
    let builder = match &config.public_url {
        Some(url) => builder.public_url(url.clone()),
        None => builder,
    };
    config.routes.iter().fold(builder, |builder, route| builder.route_to(route.path.as_str(), reverse(route)))
}

fn reverse(route: &Route) -> Reverse {
    let server = Reverse::to(&route.url)
        .timeout(route.timeout.unwrap_or(Reverse::TIMEOUT))
        .body_limit(route.body_limit.unwrap_or(Reverse::BODY_LIMIT));
    route.headers.iter().fold(server, |server, (name, value)| server.header(name.clone(), value.clone()))
}

/// Adds a mount for each server of the configuration, in its order.
pub fn mounts(mut builder: Builder, config: &Config) -> Builder {
    for server in &config.servers {
        builder = builder.mount(&server.name, proxy(server));
    }
    builder
}

fn proxy(server: &Server) -> Proxy {
    let proxy = match &server.kind {
        Kind::Http { url, headers } => {
            headers.iter().fold(Proxy::to(url), |proxy, (name, value)| proxy.header(name.clone(), value.clone()))
        }
        Kind::Command { command, args, env, cwd } => {
            let proxy = Proxy::command(command).args(args).start_timeout(server.start_timeout);
            let proxy = env.iter().fold(proxy, |proxy, (name, value)| proxy.env(name, value));
            match cwd {
                Some(directory) => proxy.current_dir(directory),
                None => proxy,
            }
        }
        Kind::Unavailable { reason } => Proxy::nowhere(reason.clone()),
    };
    let proxy = proxy.era(server.era).terms(server.terms.clone());
    match &server.title {
        Some(title) => proxy.title(title),
        None => proxy,
    }
}

/// Looks at every mount once, so that what is down shows as down with its reason and what is up is warm, and then again and
/// again at those that are down. Ends with the drain.
pub fn watch(gateway: &Gateway, draining: &CancellationToken) {
    for entry in gateway.entries() {
        let mount = Arc::downgrade(entry.mount());
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
