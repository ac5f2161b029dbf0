//! The entries of `mcpServers`, as the clients that share the file write them.

mod command;
mod http;

use std::collections::HashMap;

use self::command::read_command;
use self::http::read_http;
use super::expand::has_reference;
use super::fault::Key;
use super::name::{LONGEST, RESERVED, mount_name, nearest, suggest};
use super::reader::Reader;
use super::tree::Entry;
use super::{Kind, Server};

pub(super) use self::http::read_headers;

/// The keys of an entry that mean something here.
const KEYS: [&str; 10] =
    ["type", "transport", "url", "serverUrl", "httpUrl", "headers", "command", "args", "env", "cwd"];
const DISABLED: &str = "disabled";

/// The spellings of the address that clients use.
const URLS: [&str; 3] = ["url", "serverUrl", "httpUrl"];

/// An entry with its names, whatever became of it.
pub(super) struct Named {
    /// Its key in the file.
    pub(super) original: String,
    /// The name of its mount.
    pub(super) mount: Option<String>,
    /// `None` for an entry that is disabled, or faulty.
    pub(super) server: Option<Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stdio,
    Http,
    Sse,
    WebSocket,
}

/// Reads all entries.
pub(super) fn read_servers(reader: &mut Reader<'_>, servers: &Entry) -> Vec<Named> {
    let key = Key::root().child(&servers.key);
    let Some(entries) = reader.map(&servers.node, &key) else {
        return Vec::new();
    };
    if entries.is_empty() {
        reader.warn(servers.at, &key, "there are no servers in it");
    }
    let mut taken: HashMap<String, &str> = HashMap::new();
    let mut named = Vec::new();
    for entry in entries {
        let key = key.child(&entry.key);
        let mut read = Named { original: entry.key.clone(), mount: None, server: None };
        if !is_disabled(reader, entry, &key) {
            read.mount = read_name(reader, entry, &key);
            let kind = read_kind(reader, entry, &key);
            if let Some(mount) = &read.mount {
                if let Some(other) = taken.insert(mount.clone(), &entry.key) {
                    let what = format!("its mount would be `{mount}`, and so would that of `{}`", other.escape_debug());
                    reader.fault(entry.at, &key, what).hint("rename one of the two");
                }
                let title = (*mount != entry.key).then(|| entry.key.clone());
                read.server = kind.map(|kind| Server { title, ..Server::with_defaults(mount.clone(), kind) });
            }
        }
        named.push(read);
    }
    named
}

fn is_disabled(reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> bool {
    match entry.node.get(DISABLED) {
        Some(disabled) => reader.bool(&disabled.node, &key.child(DISABLED)).unwrap_or(false),
        None => false,
    }
}

fn read_name(reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> Option<String> {
    if has_reference(&entry.key) {
        reader.fault(entry.at, key, "references are not expanded in names").hint("write the name itself");
        return None;
    }
    let Some(name) = mount_name(&entry.key) else {
        reader
            .fault(entry.at, key, "no mount can be named after this")
            .hint("use letters from a to z, digits, `-` and `_`, a letter first");
        return None;
    };
    if RESERVED.contains(&name.as_str()) {
        reader.fault(entry.at, key, format!("`{name}` is a path of Rialto's own")).hint("rename the server");
        return None;
    }
    if name.len() > LONGEST {
        reader.fault(entry.at, key, format!("its name is longer than {LONGEST} characters")).hint("shorten it");
        return None;
    }
    Some(name)
}

fn read_kind(reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> Option<Kind> {
    let fields = reader.map(&entry.node, key)?;
    for field in fields {
        let name = field.key.as_str();
        if KEYS.contains(&name) || name == DISABLED {
            continue;
        }
        let warning = reader.warn(field.at, &key.child(name), "this key is not read");
        let mut known = KEYS.to_vec();
        known.push(DISABLED);
        if let Some(meant) = nearest(name, &known) {
            warning.hint(format!("did you mean `{meant}`?"));
        }
    }

    let address = read_address(reader, entry, key);
    let command = entry.node.get("command");
    let transport = read_transport(reader, entry, key)?;
    if let (Some(_), Some(command)) = (&address, command) {
        reader
            .fault(command.at, &key.child("command"), "there is a URL as well")
            .hint("keep `command` for a child process, or the URL for a server elsewhere");
        return None;
    }
    match transport {
        Some(Transport::Sse) => Some(unavailable("the HTTP+SSE transport")),
        Some(Transport::WebSocket) => Some(unavailable("the WebSocket transport")),
        Some(Transport::Stdio) => match command {
            Some(command) => read_command(reader, entry, command, key),
            None => missing(reader, entry, key, "command"),
        },
        Some(Transport::Http) => match address {
            Some(address) => read_http(reader, entry, address, key),
            None => missing(reader, entry, key, "url"),
        },
        None => match (address, command) {
            (Some(address), _) => read_http(reader, entry, address, key),
            (None, Some(command)) => read_command(reader, entry, command, key),
            (None, None) => {
                reader
                    .fault(entry.at, key, "neither `url` nor `command` is there")
                    .hint("add `url` for a server elsewhere, or `command` for a child process");
                None
            }
        },
    }
}

fn unavailable(what: &str) -> Kind {
    Kind::Unavailable { reason: format!("{what} is not built into this version of Rialto") }
}

fn missing(reader: &mut Reader<'_>, entry: &Entry, key: &Key, field: &str) -> Option<Kind> {
    reader.fault(entry.at, key, format!("`{field}` is missing")).hint(format!("add `{field}`, or change the type"));
    None
}

/// The outer `None` is a fault, the inner one an entry that leaves it to be seen from the rest.
fn read_transport(reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> Option<Option<Transport>> {
    let mut said: Option<Transport> = None;
    for name in ["type", "transport"] {
        let Some(field) = entry.node.get(name) else {
            continue;
        };
        let key = key.child(name);
        let text = reader.raw_text(&field.node, &key)?;
        let Some(transport) = Transport::parse(text) else {
            let known = ["stdio", "http", "streamable-http", "sse", "ws"];
            reader
                .fault(field.node.at, &key, format!("not a known transport: `{}`", text.escape_debug()))
                .hint(suggest(text, &known));
            return None;
        };
        if said.is_some_and(|other| other != transport) {
            reader.fault(field.node.at, &key, "`type` says something else").hint("keep one of the two");
            return None;
        }
        said = Some(transport);
    }
    Some(said)
}

fn read_address<'n>(reader: &mut Reader<'_>, entry: &'n Entry, key: &Key) -> Option<&'n Entry> {
    let mut found = URLS.iter().filter_map(|name| entry.node.get(name));
    let first = found.next()?;
    if let Some(second) = found.next() {
        reader
            .fault(second.at, &key.child(&second.key), format!("`{}` is here as well", first.key))
            .hint("keep one of the two");
    }
    Some(first)
}

// === impl Transport ===

impl Transport {
    /// The spellings of the common clients, whatever their case and punctuation.
    fn parse(text: &str) -> Option<Self> {
        let mut word = text.to_ascii_lowercase();
        word.retain(|c| c != '-' && c != '_');
        match word.as_str() {
            "stdio" => Some(Self::Stdio),
            "http" | "streamablehttp" => Some(Self::Http),
            "sse" => Some(Self::Sse),
            "ws" | "websocket" => Some(Self::WebSocket),
            _ => None,
        }
    }
}
