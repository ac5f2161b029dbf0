//! The `rialto` key: settings of Rialto's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use super::fault::{Key, Position};
use super::name::suggest;
use super::reader::Reader;
use super::route::read_routes;
use super::server::Named;
use super::tree::{Entry, Node};
use super::{Config, DEMO, EraChoice, HostName, Kind, Secret, Server, auth, duration, limits, listen};
use crate::limits::ServerLimits;
use crate::mount::{Share, Tasking, Terms};
use crate::protocol::{headers, meta};

const KEYS: [&str; 11] =
    ["listen", "hosts", "public_url", "seal_keys", "auth", "limits", "legacy", "metrics", "demo", "servers", "routes"];
const SERVER_KEYS: [&str; 17] = [
    "era",
    "sessions",
    "max_sessions_per_scope",
    "affinity",
    "public_lists",
    "poll_lists",
    "trust_hints",
    "reissue_idempotent_tools",
    "forward_headers",
    "start_timeout",
    "tasks",
    "limits",
    "health",
    "strict_downlevel",
    "legacy_resource_code",
    "synthetic_progress",
    "mrtr",
];
const LEGACY_KEYS: [&str; 1] = ["tolerate_sessionless"];
const MRTR_KEYS: [&str; 1] = ["passthrough"];
const HEALTH_KEYS: [&str; 1] = ["ping"];
const TASK_KEYS: [&str; 3] = ["prefer", "drive_for_modern", "ttl"];

const ERAS: [(&str, EraChoice); 4] = [
    ("auto", EraChoice::Auto),
    ("modern", EraChoice::Modern),
    ("legacy", EraChoice::Legacy),
    ("match", EraChoice::Match),
];
const SESSIONS: [(&str, Share); 4] = [
    ("principal", Share::Principal),
    ("shared", Share::Everybody),
    ("leased", Share::LEASED),
    ("per-request", Share::Nobody),
];
/// How many sessions may be lent to those who declare the same.
const MOST_LEASED: usize = 1000;

pub(super) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
const DEFAULT_START: Duration = Duration::from_secs(60);
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
            "servers" => read_server_settings(reader, node, &key, (&mut named, config.demo), &config.limits.servers),
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

fn read_server_settings(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &Key,
    (named, has_demo): (&mut [Named], bool),
    general: &ServerLimits,
) {
    let mut set: Vec<usize> = Vec::new();
    for entry in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&entry.key);
        let settings = ServerSettings::read(reader, &entry.node, &key, general);
        // By the name in `mcpServers` first; the name of the mount is good as well.
        let by_original = named.iter().position(|server| server.original == entry.key);
        let found = by_original.or_else(|| {
            let is_mount = |named: &Named| named.mount.as_ref() == Some(&entry.key);
            named.iter().position(is_mount)
        });
        let Some(index) = found else {
            let known: Vec<&str> = named.iter().map(|server| server.original.as_str()).collect();
            reader.fault(entry.at, &key, "there is no server of this name").hint(suggest(&entry.key, &known));
            continue;
        };
        if set.contains(&index) {
            reader
                .fault(
                    entry.at,
                    &key,
                    format!("`{}` has settings already, under its other name", named[index].original),
                )
                .hint("keep one of the two");
            continue;
        }
        set.push(index);
        let found = &mut named[index];
        if let Some(server) = &mut found.server {
            settings.check_state(reader, entry.node.at, &key, server);
            settings.apply(server);
        } else if has_demo && found.mount.as_deref().is_some_and(|mount| DEMO.contains(&mount)) {
            // Any other that is no server is disabled, or faulty.
            reader
                .fault(entry.at, &key, "the mounts of the demo have no settings of their own")
                .hint("leave them out; limits for all servers go under `rialto.limits`");
        }
    }
}

#[derive(Default)]
struct ServerSettings {
    era: Option<EraChoice>,
    start_timeout: Option<Duration>,
    trust_hints: bool,
    terms: Terms,
}

// === impl ServerSettings ===

impl ServerSettings {
    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key, general: &ServerLimits) -> Self {
        let mut settings = Self::default();
        let mut at_most = None;
        let terms = &mut settings.terms;
        for entry in reader.map(node, key).unwrap_or_default() {
            let key = key.child(&entry.key);
            let node = &entry.node;
            match entry.key.as_str() {
                "era" => settings.era = reader.choice(node, &key, &ERAS),
                "start_timeout" => settings.start_timeout = read_duration(reader, node, &key),
                "trust_hints" => settings.trust_hints = reader.bool(node, &key).unwrap_or_default(),
                "sessions" => terms.share = reader.choice(node, &key, &SESSIONS).unwrap_or_default(),
                "max_sessions_per_scope" => {
                    at_most = reader
                        .count(node, &key, 1, MOST_LEASED)
                        .and_then(NonZeroUsize::new)
                        .map(|most| (most, entry.at, key));
                }
                "health" => terms.ping_idle = read_switch(reader, node, &key, &HEALTH_KEYS).unwrap_or_default(),
                "affinity" => terms.affinity = read_affinity(reader, node, &key),
                "public_lists" => terms.public_lists = reader.bool(node, &key).unwrap_or_default(),
                "poll_lists" => terms.poll_lists = reader.bool(node, &key).unwrap_or_default(),
                "reissue_idempotent_tools" => {
                    terms.reissue_idempotent_tools = reader.bool(node, &key).unwrap_or_default();
                }
                "forward_headers" => terms.forward_headers = read_forwarded(reader, node, &key),
                "tasks" => terms.tasking = read_tasks(reader, node, &key),
                "limits" => terms.limits = Some(limits::read_server(reader, node, &key, general)),
                "strict_downlevel" => terms.strict_downlevel = reader.bool(node, &key).unwrap_or_default(),
                "legacy_resource_code" => terms.legacy_resource_code = reader.bool(node, &key).unwrap_or_default(),
                "synthetic_progress" => terms.synthetic_progress = reader.bool(node, &key).unwrap_or_default(),
                "mrtr" => terms.pass_request_state = read_switch(reader, node, &key, &MRTR_KEYS).unwrap_or_default(),
                _ => unknown(reader, entry, &key, &SERVER_KEYS),
            }
        }
        match (at_most, &mut settings.terms.share) {
            (Some((most, ..)), Share::Leased { at_most }) => *at_most = most,
            (Some((_, at, key)), _) => {
                let what = "only sessions that are lent to one caller at a time may be several for the same callers";
                reader.fault(at, &key, what).hint("say `\"sessions\": \"leased\"` as well, or leave it out");
            }
            (None, _) => {}
        }
        if settings.terms.reissue_idempotent_tools && !settings.trust_hints {
            reader
                .fault(
                    node.at,
                    &key.child("reissue_idempotent_tools"),
                    "nobody but the server says which tools these are",
                )
                .hint("where you trust it, say `\"trust_hints\": true` as well");
        }
        settings
    }

    /// A state that passes as it is has to be bound to its caller by the server, which therefore has to be shown each caller: by
    /// a header that is said of no single request, and that the operator does not set for everybody.
    fn check_state(&self, reader: &mut Reader<'_>, at: Position, key: &Key, server: &Server) {
        let mut lasting = self.terms.forward_headers.iter().filter(|name| !headers::names_a_request(name));
        let is_told_apart = match &server.kind {
            Kind::Http { headers, .. } => lasting.any(|name| headers.iter().all(|(own, _)| own != name)),
            Kind::Command { .. } => false,
            Kind::Unavailable { .. } => true,
        };
        if self.terms.pass_request_state && !is_told_apart {
            reader
                .fault(
                    at,
                    &key.child("mrtr").child("passthrough"),
                    "the server cannot tell callers apart, so that one could use the state of another",
                )
                .hint("name the header in which each caller sends a credential of its own in `forward_headers`");
        }
    }

    fn apply(self, server: &mut Server) {
        server.era = self.era.unwrap_or(server.era);
        server.start_timeout = self.start_timeout.unwrap_or(server.start_timeout);
        server.trust_hints = self.trust_hints;
        server.terms = self.terms;
    }
}

fn read_tasks(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Tasking {
    let mut tasks = Tasking::default();
    for entry in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&entry.key);
        let node = &entry.node;
        match entry.key.as_str() {
            "prefer" => tasks.prefer = reader.bool(node, &key).unwrap_or_default(),
            "drive_for_modern" => tasks.drive_for_modern = reader.bool(node, &key).unwrap_or_default(),
            "ttl" => tasks.ttl = read_duration(reader, node, &key).unwrap_or(tasks.ttl),
            _ => unknown(reader, entry, &key, &TASK_KEYS),
        }
    }
    tasks
}

/// The one switch of a group.
fn read_switch(reader: &mut Reader<'_>, node: &Node, key: &Key, known: &[&str; 1]) -> Option<bool> {
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

fn read_affinity(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Arc<str>> {
    let text = reader.text(node, key)?.value;
    if text.is_empty() || meta::is_reserved(&text) {
        reader
            .fault(node.at, key, format!("`{}` is the protocol's own word, or none", text.escape_debug()))
            .hint("name a key of `_meta` that your clients set, such as `example.com/conversation`");
        return None;
    }
    Some(text.into())
}

fn read_forwarded(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for (key, item) in reader.list(node, key) {
        let Some(text) = reader.text(item, &key) else {
            continue;
        };
        let Ok(name) = HeaderName::try_from(&text.value) else {
            reader
                .fault(item.at, &key, "not the name of a header")
                .hint("use letters, digits and `-`; there are no wildcards");
            continue;
        };
        if !headers::may_forward(&name) {
            reader.fault(item.at, &key, format!("`{name}` is never forwarded")).hint(
                "give the server credentials of its own in `headers`; headers of the protocol travel by themselves",
            );
            continue;
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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

// === impl Server ===

impl Server {
    pub(super) fn with_defaults(name: String, kind: Kind) -> Self {
        Self {
            name,
            title: None,
            kind,
            era: EraChoice::default(),
            start_timeout: DEFAULT_START,
            trust_hints: false,
            terms: Terms::default(),
        }
    }
}
