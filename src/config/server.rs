//! The entries of `mcpServers`, as the clients that share the file write them.

use std::collections::HashMap;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::expand::has_reference;
use super::fault::Key;
use super::name::{LONGEST, RESERVED, mount_name, nearest, suggest};
use super::reader::Reader;
use super::tree::{Entry, Node};
use super::{Kind, Server};

/// The keys of an entry that mean something here.
const KEYS: [&str; 10] =
    ["type", "transport", "url", "serverUrl", "httpUrl", "headers", "command", "args", "env", "cwd"];
const DISABLED: &str = "disabled";

/// The spellings of the address that clients use.
const URLS: [&str; 3] = ["url", "serverUrl", "httpUrl"];

/// Headers that belong to the protocol. Files of other clients do set some of them; what they set is left out.
const OURS: [&str; 15] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An entry, with the name it has in the file.
pub(super) struct Named {
    pub(super) original: String,
    /// `None` for an entry that is disabled.
    pub(super) server: Option<Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stdio,
    Http,
    Sse,
    WebSocket,
}

/// Reads all entries. Those with faults are missing from the result, and the reader knows.
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
        if is_disabled(reader, entry, &key) {
            named.push(Named { original: entry.key.clone(), server: None });
            continue;
        }
        let name = read_name(reader, entry, &key);
        let kind = read_kind(reader, entry, &key);
        let Some(name) = name else { continue };
        if let Some(other) = taken.insert(name.clone(), &entry.key) {
            reader
                .fault(entry.at, &key, format!("its mount would be `{name}`, and so would that of `{other}`"))
                .hint("rename one of the two");
            continue;
        }
        let Some(kind) = kind else { continue };
        named.push(Named {
            original: entry.key.clone(),
            server: Some(Server {
                title: (name != entry.key).then(|| entry.key.clone()),
                ..Server::with_defaults(name, kind)
            }),
        });
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

fn read_http(reader: &mut Reader<'_>, entry: &Entry, address: &Entry, key: &Key) -> Option<Kind> {
    let headers = match entry.node.get("headers") {
        Some(headers) => read_headers(reader, &headers.node, &key.child("headers")),
        None => Some(Vec::new()),
    };
    let url = read_url(reader, &address.node, &key.child(&address.key));
    match url? {
        url if matches!(url.scheme(), "ws" | "wss") => Some(unavailable("the WebSocket transport")),
        url => Some(Kind::Http { url, headers: headers? }),
    }
}

fn read_url(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Url> {
    const HINT: &str = "write the whole address, such as `https://docs.example/mcp`";
    let text = reader.text(node, key)?;
    let mut url = match Url::parse(&text.value) {
        Ok(url) => url,
        Err(error) => {
            reader.fault(node.at, key, format!("not a URL: {error}")).hint(HINT);
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") || !url.has_host() {
        reader.fault(node.at, key, "not an `http` or `https` URL").hint(HINT);
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        reader
            .fault(node.at, key, "a user or password in a URL is not sent")
            .hint("put an `Authorization` header into `headers`");
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

fn read_headers(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let faults = reader.faults().len();
    for field in reader.map(node, key)? {
        let key = key.child(&field.key);
        let Ok(name) = HeaderName::try_from(&field.key) else {
            reader
                .fault(field.at, &key, "not the name of a header")
                .hint("use letters, digits and `-`; references are not expanded in names");
            continue;
        };
        if headers.iter().any(|(other, _)| *other == name) {
            reader.fault(field.at, &key, "this header is there twice, in another case").hint("keep one of the two");
            continue;
        }
        let Some(text) = reader.text(&field.node, &key) else {
            continue;
        };
        let Ok(mut value) = HeaderValue::from_str(&text.value) else {
            reader
                .fault(field.node.at, &key, "its value has characters that a header cannot carry")
                .hint("printable ASCII only, and no line breaks");
            continue;
        };
        if OURS.contains(&name.as_str()) || name.as_str().starts_with("mcp-param-") {
            reader.warn(field.at, &key, "Rialto sets this header itself; this one is not sent");
            continue;
        }
        value.set_sensitive(true);
        headers.push((name, value));
    }
    (reader.faults().len() == faults).then_some(headers)
}

fn read_command(reader: &mut Reader<'_>, entry: &Entry, command: &Entry, key: &Key) -> Option<Kind> {
    let faults = reader.faults().len();
    let command_key = key.child("command");
    let program = reader.raw_text(&command.node, &command_key).map(str::to_owned);
    if let Some(program) = &program {
        if has_reference(program) {
            reader
                .fault(command.node.at, &command_key, "references are not expanded in `command`")
                .hint("write the program itself; references are fine in `args` and `env`");
        } else if program.trim().is_empty() || program.contains('\0') {
            reader
                .fault(command.node.at, &command_key, "not the name of a program")
                .hint("write its path, or a name to look up in `PATH`");
        }
    }
    let args = match entry.node.get("args") {
        Some(args) => read_args(reader, &args.node, &key.child("args")),
        None => Vec::new(),
    };
    let env = match entry.node.get("env") {
        Some(env) => read_env(reader, &env.node, &key.child("env")),
        None => Vec::new(),
    };
    let cwd = entry.node.get("cwd").and_then(|cwd| read_cwd(reader, &cwd.node, &key.child("cwd")));
    if reader.faults().len() > faults {
        return None;
    }
    Some(Kind::Command { command: program?, args, env, cwd })
}

fn read_args(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<String> {
    let mut args = Vec::new();
    for (key, item) in reader.list(node, key) {
        args.extend(read_child_text(reader, item, &key));
    }
    args
}

fn read_env(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for field in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&field.key);
        if field.key.is_empty() || field.key.contains(['=', '\0']) || has_reference(&field.key) {
            reader.fault(field.at, &key, "not the name of an environment variable").hint("no `=` and no references");
            continue;
        }
        let value = read_child_text(reader, &field.node, &key);
        env.extend(value.map(|value| (field.key.clone(), value)));
    }
    env
}

fn read_cwd(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<PathBuf> {
    let text = read_child_text(reader, node, key)?;
    Some(reader.directory().join(text))
}

/// A string that is handed to a process, which cannot take a NUL.
fn read_child_text(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<String> {
    let text = reader.text(node, key)?.value;
    if text.contains('\0') {
        reader.fault(node.at, key, "its value holds a NUL, which no process can be given").hint("take it out");
        return None;
    }
    Some(text)
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
