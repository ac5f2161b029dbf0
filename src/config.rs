//! The config file: the `mcpServers` file that people already have, with one more top-level key,
//! `rialto`.
//!
//! ```jsonc
//! {
//!   "mcpServers": {
//!     "docs": { "url": "https://docs.example/mcp" },
//!     "My Files": { "command": "npx", "args": ["-y", "files-server"], "env": { "TOKEN": "${FILES_TOKEN}" } }
//!   },
//!   "rialto": {
//!     "listen": "127.0.0.1:8000",
//!     "servers": { "docs": { "start_timeout": "30s" } }
//!   }
//! }
//! ```
//!
//! JSON (comments and trailing commas allowed), YAML and TOML are told apart by the file's
//! extension and read into one tree that knows where everything stands. `${VAR}`, `${VAR:-default}`
//! and `${file:PATH}` are expanded in the strings of that tree, once, so that a value can never
//! change the shape of the file. Relative paths count from the directory of the file.
//!
//! Reading finds every fault it can and gives either a whole [`Config`] or all the [`Faults`];
//! there is no half config.

mod auth;
mod duration;
mod expand;
mod fault;
mod host;
mod limits;
mod listen;
mod name;
mod reader;
mod route;
mod secret;
mod server;
mod settings;
mod size;
mod terms;
mod tree;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::auth::Auth;
use crate::limits::Limits;
use crate::mount::Terms;

pub use self::fault::{Fault, Faults, Position};
pub use self::host::{HostName, NotAHostName};
pub use self::listen::{ListenError, parse_listen};
pub use self::name::is_mount_name;
pub use self::route::{NotARoutePath, Route, RoutePath};
pub use self::secret::Secret;

pub(crate) use self::host::Authority;
pub(crate) use self::route::{fields, route_url};

use self::fault::Key;
use self::reader::Reader;
use self::tree::{Format, Node};

/// The longest config file, in bytes. Real ones have a few thousand.
pub const LONGEST_FILE: u64 = 1024 * 1024;

/// The mounts of the demo, which a config adds with `demo: true`.
pub const DEMO: [&str; 2] = ["docs", "finance"];

/// Looks up an environment variable. A function, so that tests need not touch the environment of
/// their process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A config file, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on: 127.0.0.1:8000 unless the file says otherwise. Outside loopback only if it is said who may
    /// come in.
    pub listen: SocketAddr,
    /// Names, besides the loopback ones, under which requests may address the listener.
    pub hosts: Vec<HostName>,
    /// The address clients see, when a reverse proxy stands in front. It has no path.
    pub public_url: Option<Url>,
    /// Keys that seal the handles given to clients. The first one seals, all of them open. Empty
    /// means: make one up at start.
    pub seal_keys: Vec<Secret>,
    /// Who may come in.
    pub authentication: Authentication,
    /// How much there may be of everything, and how long it may take: the usual unless the file says otherwise.
    pub limits: Limits,
    /// Whether legacy clients are served that ignore the session id they were given. They can be asked nothing.
    pub tolerate_sessionless: bool,
    /// Whether calls and requests are counted.
    pub metrics: bool,
    /// Whether the demo is served beside the servers: see [`DEMO`].
    pub demo: bool,
    /// The servers in the order of the file, without those that are disabled.
    pub servers: Vec<Server>,
    /// The entries of the servers that are disabled, as the file names them.
    pub disabled: Vec<String>,
    /// Plain HTTP routes to servers elsewhere, in the order of the file.
    pub routes: Vec<Route>,
    /// What is strange but harmless, each ready to be printed.
    pub warnings: Vec<String>,
}

/// Who may come in, as `rialto.auth` says it.
#[derive(Clone, Debug, Default)]
pub enum Authentication {
    /// Nothing is said: only this machine can connect, and whoever does is its one user.
    #[default]
    Unsaid,
    /// `"none"`: nobody is asked. Those who come from elsewhere than this machine are strangers, also to each other.
    Nobody,
    /// Those who have one of these keys.
    Keys(Auth),
}

/// One entry of `mcpServers` with the settings that `rialto.servers` has for it.
#[derive(Clone, Debug)]
pub struct Server {
    /// The name of its mount: letters, digits, `_` and `-`, a letter first.
    pub name: String,
    /// The entry's own name, where it could not be the mount's.
    pub title: Option<String>,
    /// How it is reached.
    pub kind: Kind,
    /// Which era of the protocol to speak to it.
    pub era: EraChoice,
    /// Time it has to start and answer its first message.
    pub start_timeout: Duration,
    /// Whether what its tools say about themselves is true.
    pub trust_hints: bool,
    /// On what terms it is used otherwise.
    pub terms: Terms,
}

/// How a server is reached. Its debug form shows no values that may be secret.
#[derive(Clone)]
pub enum Kind {
    /// Streamable HTTP.
    Http {
        /// The endpoint: `http` or `https`, with a host and without a user.
        url: Url,
        /// Sent with every request. The values are marked sensitive.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// A child process that speaks MCP on its standard input and output.
    Command {
        /// The program: a path, or a name to look up in `PATH`.
        command: String,
        /// Its arguments, passed as they are and never through a shell.
        args: Vec<String>,
        /// Variables set for it.
        env: Vec<(String, String)>,
        /// The directory it starts in.
        cwd: Option<PathBuf>,
    },
    /// A transport that this version cannot speak. The server shows as down.
    Unavailable {
        /// What is missing, in a form to show people.
        reason: String,
    },
}

/// Which era of the protocol to speak to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraChoice {
    /// Find out, the modern era first.
    #[default]
    Auto,
    /// The modern era only.
    Modern,
    /// The legacy era only.
    Legacy,
    /// The era of the client at hand.
    Match,
}

// === impl Config ===

impl Default for Config {
    /// No servers, and everything else as a file that says nothing has it.
    fn default() -> Self {
        Self {
            listen: settings::DEFAULT_LISTEN,
            hosts: Vec::new(),
            public_url: None,
            seal_keys: Vec::new(),
            authentication: Authentication::Unsaid,
            limits: Limits::default(),
            tolerate_sessionless: true,
            metrics: true,
            demo: false,
            servers: Vec::new(),
            disabled: Vec::new(),
            routes: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads and checks a file. Besides it, only files named by `${file:…}` are read.
    ///
    /// # Errors
    /// All the faults found.
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Self, Faults> {
        match read_file(path) {
            Ok(text) => Self::parse(&text, path, environment),
            Err(fault) => Err(Faults::new(path, vec![fault])),
        }
    }

    /// Checks a text as if it were the file at `path`, whose extension says the format.
    ///
    /// # Errors
    /// All the faults found.
    pub fn parse(text: &str, path: &Path, environment: Environment<'_>) -> Result<Self, Faults> {
        let (root, duplicates) = match Format::of(path).and_then(|format| tree::parse(text, format)) {
            Ok(parsed) => parsed,
            Err(fault) => return Err(Faults::new(path, vec![fault])),
        };
        let mut reader = Reader::new(path, environment, duplicates);
        let config = read_root(&mut reader, &root);
        match config {
            Some(mut config) if reader.faults().is_empty() => {
                config.warnings = reader.into_warnings();
                Ok(config)
            }
            _ => Err(Faults::new(path, reader.into_faults())),
        }
    }
}

fn read_root(reader: &mut Reader<'_>, root: &Node) -> Option<Config> {
    const OURS: [&str; 3] = ["mcpServers", "servers", "rialto"];
    let entries = reader.map(root, &Key::root())?;

    // Other clients keep keys of their own at the top; only what looks like one of ours misspelt is
    // worth a word.
    for entry in entries {
        let key = entry.key.as_str();
        if !OURS.contains(&key)
            && let Some(meant) = name::nearest(key, &OURS)
        {
            reader
                .warn(entry.at, &Key::root().child(key), "this key is not read")
                .hint(format!("did you mean `{meant}`?"));
        }
    }

    let servers = match (root.get("mcpServers"), root.get("servers")) {
        (Some(entry), None) | (None, Some(entry)) => server::read_servers(reader, entry),
        (Some(_), Some(second)) => {
            reader
                .fault(second.at, &Key::root().child("servers"), "`mcpServers` is here as well")
                .hint("keep one of the two, with all the servers");
            return None;
        }
        // Whoever asks for the demo wants to look at it, and may have nothing else yet.
        (None, None) if settings::wants_demo(root) => Vec::new(),
        (None, None) => {
            reader
                .fault(root.at, &Key::root(), "there is no `mcpServers`")
                .hint("add `mcpServers` with one entry for each server");
            Vec::new()
        }
    };
    Some(settings::read(reader, root.get("rialto"), servers))
}

fn read_file(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| Fault::general(format!("cannot read the file: {error}"));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(Fault::general(format!("the file is longer than {LONGEST_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Fault::general(format!("the file is not UTF-8 text: see line {line}"))
    })
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers } => {
                let mut shown = url.clone();
                shown.set_query(None);
                let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
                f.debug_struct("Http").field("url", &shown.as_str()).field("headers", &names).finish()
            }
            Self::Command { command, args, env, cwd } => {
                let names: Vec<_> = env.iter().map(|(name, _)| name).collect();
                f.debug_struct("Command")
                    .field("command", command)
                    .field("args", &args.len())
                    .field("env", &names)
                    .field("cwd", cwd)
                    .finish()
            }
            Self::Unavailable { reason } => f.debug_struct("Unavailable").field("reason", reason).finish(),
        }
    }
}
