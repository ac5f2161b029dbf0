//! The `rialto` key: settings of Rialto's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use super::fault::Key;
use super::name::suggest;
use super::reader::Reader;
use super::route::read_routes;
use super::server::Named;
use super::tree::{Entry, Node};
use super::{Config, DEMO, HostName, Secret, auth, duration, limits, listen, terms};

const KEYS: [&str; 11] =
    ["listen", "hosts", "public_url", "seal_keys", "auth", "limits", "legacy", "metrics", "demo", "servers", "routes"];
const LEGACY_KEYS: [&str; 1] = ["tolerate_sessionless"];

pub(super) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
const LONGEST_START: Duration = Duration::from_secs(3600);

/// The shortest text that may serve as a key, in bytes: what 32 of them hold is enough for AES-256.
const SHORTEST_KEY: usize = 32;

/// Puts the config together from the servers and the `rialto` key, if there is one.
pub(super) fn read(reader: &mut Reader<'_>, rialto: Option<&Entry>, mut named: Vec<Named>) -> Config {
    // Where nothing is faulty, every other entry is a server by now.
    let disabled = named.iter().filter(|named| named.server.is_none()).map(|named| named.original.clone()).collect();
    let mut config = Config { disabled, ..Config::default() };
    let key = Key::root().child("rialto");
    let settings = rialto.and_then(|entry| reader.map(&entry.node, &key)).unwrap_or_default();
    if let Some(demo) = rialto.and_then(|entry| entry.node.get("demo")) {
        let key = key.child("demo");
        config.demo = reader.bool(&demo.node, &key).unwrap_or_default();
        let own = DEMO.into_iter().filter(|_| config.demo);
        for name in own {
            if named.iter().any(|server| server.mount.as_deref() == Some(name)) {
                let what = format!("the demo has a mount `{name}`, and so has `mcpServers`");
                reader.fault(demo.at, &key, what).hint("rename the server, or do without the demo");
            }
            named.push(Named { original: name.to_owned(), mount: Some(name.to_owned()), server: None });
        }
    }
    if let Some(entry) = rialto.and_then(|entry| entry.node.get("limits")) {
        config.limits = limits::read(reader, &entry.node, &key.child("limits"));
    }
    for entry in settings {
        let key = key.child(&entry.key);
        let node = &entry.node;
        match entry.key.as_str() {
            "listen" => config.listen = listen::read(reader, node, &key).unwrap_or(DEFAULT_LISTEN),
            "hosts" => config.hosts = read_hosts(reader, node, &key),
            "public_url" => config.public_url = read_public_url(reader, node, &key),
            "seal_keys" => config.seal_keys = read_seal_keys(reader, node, &key),
            "auth" => config.authentication = auth::read(reader, node, &key, &named),
            "legacy" => {
                config.tolerate_sessionless = read_switch(reader, node, &key, &LEGACY_KEYS).unwrap_or(true);
            }
            "metrics" => config.metrics = reader.bool(node, &key).unwrap_or(true),
            // Read before everything that names a mount, and before what has limits of its own.
            "demo" | "limits" => {}
            "servers" => {
                terms::read(reader, node, &key, &mut named, &config.limits.servers);
                if config.demo {
                    leave_the_demo(reader, node, &key);
                }
            }
            "routes" => config.routes = read_routes(reader, node, &key),
            _ => unknown(reader, entry, &key, &KEYS),
        }
    }
    config.servers = named.into_iter().filter_map(|named| named.server).collect();
    // Only now is everything known that it depends on. After another fault in it, `auth` says nothing that counts.
    let is_clean = !reader.faults().iter().any(|fault| fault.key().starts_with("rialto.auth"));
    if is_clean
        && let Some(node) = rialto.and_then(|entry| entry.node.get("listen")).map(|entry| &entry.node)
        && let Err(error) = listen::may_listen(config.listen, &config.authentication, &config.servers)
    {
        let (what, hint) = error.parts();
        reader.fault(node.at, &key.child("listen"), what).hint(hint);
    }
    config
}

/// The mounts of the demo are what they are.
fn leave_the_demo(reader: &mut Reader<'_>, servers: &Node, key: &Key) {
    for name in DEMO {
        if let Some(entry) = servers.get(name) {
            let what = "the mounts of the demo have no settings of their own";
            reader
                .fault(entry.at, &key.child(name), what)
                .hint("leave it out; `rialto.limits` holds for the demo as well");
        }
    }
}

/// Whether a config asks for the demo.
pub(super) fn wants_demo(root: &Node) -> bool {
    root.get("rialto").is_some_and(|rialto| rialto.node.get("demo").is_some())
}

pub(super) fn unknown(reader: &mut Reader<'_>, entry: &Entry, key: &Key, known: &[&str]) {
    reader.fault(entry.at, key, "unknown key").hint(suggest(&entry.key, known));
}

fn read_hosts(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<HostName> {
    let mut hosts = Vec::new();
    for (key, item) in reader.list(node, key) {
        let Some(text) = reader.text(item, &key) else {
            continue;
        };
        match text.value.parse() {
            Ok(host) => hosts.push(host),
            Err(error) => reader
                .fault(item.at, &key, format!("{error}"))
                .hint("write the bare name, such as `gw.example`, or `gw.example:8443`; no scheme, no wildcard"),
        }
    }
    hosts
}

fn read_public_url(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Url> {
    const HINT: &str = "write what clients see, such as `https://gw.example`";
    let text = reader.text(node, key)?;
    let url = match Url::parse(&text.value) {
        Ok(url) => url,
        Err(error) => {
            reader.fault(node.at, key, format!("not a URL: {error}")).hint(HINT);
            return None;
        }
    };
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_bare {
        reader
            .fault(node.at, key, "not a bare `http` or `https` address: a path or a user cannot be part of it")
            .hint(HINT);
        return None;
    }
    Some(url)
}

fn read_seal_keys(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<Secret> {
    let mut keys = Vec::new();
    for (key, item) in reader.list(node, key) {
        let Some(text) = reader.text(item, &key) else {
            continue;
        };
        if text.value.len() < SHORTEST_KEY {
            reader
                .fault(item.at, &key, format!("shorter than {SHORTEST_KEY} characters"))
                .hint("make one with `openssl rand -base64 32` and refer to it as `${file:PATH}`");
            continue;
        }
        keys.push(Secret::new(text.value));
    }
    keys
}

/// The one switch of a group.
pub(super) fn read_switch(reader: &mut Reader<'_>, node: &Node, key: &Key, known: &[&str; 1]) -> Option<bool> {
    let mut switch = None;
    for entry in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&entry.key);
        match entry.key == known[0] {
            true => switch = reader.bool(&entry.node, &key),
            false => unknown(reader, entry, &key, known),
        }
    }
    switch
}

pub(super) fn read_duration(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Duration> {
    const HINT: &str = "write a number with its unit, such as `500ms`, `60s` or `5m`, up to `1h`";
    let text = reader.text(node, key)?.value;
    match duration::parse(&text) {
        Some(duration) if !duration.is_zero() && duration <= LONGEST_START => Some(duration),
        _ => {
            reader.fault(node.at, key, "not a duration that fits here").hint(HINT);
            None
        }
    }
}
