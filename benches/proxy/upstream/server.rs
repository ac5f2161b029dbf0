//! The MCP side of the upstream: one message in, one answer out, no transport.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    io::Write,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::{LEGACY, LEGACY_REVISIONS, MODERN, Message, blob_text, tool_definition, tool_name};

/// More sessions than this are refused.
const MOST_SESSIONS: usize = 1 << 16;
/// The largest text that `blob` answers with, in KiB.
const LARGEST_BLOB: usize = 16 << 10;

const SERVER_INFO: &str = r#"{"name":"rialto-bench-upstream","version":"1"}"#;
const CAPABILITIES: &str = r#"{"tools":{"listChanged":true}}"#;
/// A catalog that may be cached for longer than any run takes.
const CACHEABLE: &str = r#""ttlMs":3600000,"cacheScope":"public""#;

const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const PARSE_ERROR: i32 = -32700;
const BAD_SESSION: i32 = -32000;
const HEADER_MISMATCH: i32 = -32020;

/// The headers of a POST that MCP gives a meaning.
#[derive(Clone, Copy)]
pub(super) struct Headers<'a> {
    pub(super) version: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

/// What to answer to a message.
pub(super) enum Answer {
    /// The message was a notification or a response.
    Accepted,
    /// A response that succeeded, or failed inside a method that exists.
    Result(Vec<u8>),
    /// The response to `initialize`, with the id of the new session.
    Session { message: Vec<u8>, id: String },
    /// A stream that stays open after its first message.
    Listening { first: Vec<u8> },
    /// An error with an HTTP status of its own.
    Refused { status: StatusCode, message: Vec<u8> },
}

/// The members of `params` that matter here.
#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "protocolVersion")]
    protocol_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    notifications: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    kib: Option<usize>,
}

/// A server of one era or of both.
pub(super) struct Server {
    legacy: bool,
    modern: bool,
    /// The `tools` member of every list, rendered once.
    catalog: String,
    tools: HashSet<String>,
    /// The text of the largest `blob` asked for so far.
    blob: Mutex<String>,
    sessions: Mutex<HashSet<String>>,
    /// Sessions ever opened.
    opened: AtomicU64,
    seed: RandomState,
}

// === impl Server ===

impl Server {
    /// A server with `echo`, `blob` and as many other tools as make `tools`.
    pub(super) fn new(tools: usize, legacy: bool, modern: bool) -> Self {
        let tools = tools.max(2);
        let definitions: Vec<_> = (0..tools).map(tool_definition).collect();
        Self {
            legacy,
            modern,
            catalog: format!(r#""tools":[{}]"#, definitions.join(",")),
            tools: (0..tools).map(|i| tool_name(i).into_owned()).collect(),
            blob: Mutex::default(),
            sessions: Mutex::default(),
            opened: AtomicU64::new(0),
            seed: RandomState::new(),
        }
    }

    pub(super) fn speaks_legacy(&self) -> bool {
        self.legacy
    }

    pub(super) fn has_session(&self, id: &str) -> bool {
        locked(&self.sessions).contains(id)
    }

    pub(super) fn end_session(&self, id: &str) {
        locked(&self.sessions).remove(id);
    }

    /// Answers one message.
    pub(super) fn answer(&self, headers: Headers<'_>, body: &[u8]) -> Answer {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return refused(400, None, PARSE_ERROR, "not one JSON-RPC message");
        };
        let Some(method) = message.method.as_deref() else {
            return Answer::Accepted;
        };
        let params = match message.params.map(|raw| serde_json::from_str(raw.get())) {
            None => Params::default(),
            Some(Ok(params)) => params,
            Some(Err(_)) => return refused(400, message.id, INVALID_PARAMS, "unreadable params"),
        };
        let claims_modern =
            headers.version == Some(MODERN) || params.meta.as_ref().is_some_and(|meta| meta.version.is_some());
        let Some(id) = message.id else {
            return Answer::Accepted;
        };
        match (claims_modern, self.legacy, self.modern) {
            (true, _, true) | (false, false, _) => self.modern(headers, id, method, &params),
            (true, _, false) => {
                let text = "Bad Request: Unsupported protocol version (supported versions: 2025-11-25, 2025-06-18, 2025-03-26)";
                refused(400, Some(id), BAD_SESSION, text)
            }
            (false, true, _) => self.legacy(headers, id, method, &params),
        }
    }

    fn legacy(&self, headers: Headers<'_>, id: &RawValue, method: &str, params: &Params<'_>) -> Answer {
        if method == "initialize" {
            return self.initialize(id, params);
        }
        match headers.session {
            None => {
                return refused(400, Some(id), BAD_SESSION, "Bad Request: Mcp-Session-Id is missing");
            }
            Some(session) if !self.has_session(session) => {
                return refused(404, Some(id), BAD_SESSION, "Session not found");
            }
            Some(_) => {}
        }
        if headers.version.is_some_and(|version| !LEGACY_REVISIONS.contains(&version)) {
            return refused(400, Some(id), BAD_SESSION, "Bad Request: Unsupported protocol version");
        }
        match method {
            "ping" => Answer::Result(response(id, &[])),
            "tools/list" => Answer::Result(response(id, &[&self.catalog])),
            "tools/call" => self.call(id, params, ""),
            _ => match empty_list(method) {
                Some(list) => Answer::Result(response(id, &[list])),
                None => Answer::Result(error(Some(id), METHOD_NOT_FOUND, "Method not found")),
            },
        }
    }

    fn initialize(&self, id: &RawValue, params: &Params<'_>) -> Answer {
        let mut sessions = locked(&self.sessions);
        if sessions.len() >= MOST_SESSIONS {
            return refused(503, Some(id), INVALID_REQUEST, "too many sessions");
        }
        let number = self.opened.fetch_add(1, Relaxed);
        let session = format!("{:016x}-{number}", self.seed.hash_one(number));
        sessions.insert(session.clone());
        let asked = params.protocol_version.as_deref().unwrap_or(LEGACY);
        let revision = LEGACY_REVISIONS.into_iter().find(|known| *known == asked).unwrap_or(LEGACY);
        let result =
            format!(r#""protocolVersion":"{revision}","capabilities":{CAPABILITIES},"serverInfo":{SERVER_INFO}"#);
        Answer::Session { message: response(id, &[&result]), id: session }
    }

    fn modern(&self, headers: Headers<'_>, id: &RawValue, method: &str, params: &Params<'_>) -> Answer {
        let meta = params.meta.as_ref();
        let version = meta.and_then(|meta| meta.version.as_deref());
        if version.is_none() || meta.is_none_or(|meta| meta.capabilities.is_none()) {
            let text = "_meta must name the protocol version and the client's capabilities";
            return refused(400, Some(id), INVALID_PARAMS, text);
        }
        let name = (method == "tools/call").then_some(params.name.as_deref()).flatten();
        let differs = [
            ("MCP-Protocol-Version", headers.version, version),
            ("Mcp-Method", headers.method, Some(method)),
            ("Mcp-Name", name.and(headers.name), name),
        ]
        .into_iter()
        .find(|(_, header, body)| header != body);
        if let Some((header, ..)) = differs {
            let text = format!("the header {header} is missing or differs from the body");
            return refused(400, Some(id), HEADER_MISMATCH, &text);
        }
        if version != Some(MODERN) {
            return unsupported(id, version.unwrap_or_default());
        }
        let common =
            format!(r#""resultType":"complete","_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER_INFO}}}"#);
        match method {
            "server/discover" => {
                let discovered = format!(r#""supportedVersions":["{MODERN}"],"capabilities":{CAPABILITIES}"#);
                Answer::Result(response(id, &[&common, &discovered, CACHEABLE]))
            }
            "subscriptions/listen" => {
                let wanted = params.notifications.map_or("{}", RawValue::get);
                let first = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{wanted}}}}}"#
                );
                Answer::Listening { first: first.into() }
            }
            "tools/list" => Answer::Result(response(id, &[&common, &self.catalog, CACHEABLE])),
            "tools/call" => self.call(id, params, &common),
            _ => match empty_list(method) {
                Some(list) => Answer::Result(response(id, &[&common, list, CACHEABLE])),
                None => refused(404, Some(id), METHOD_NOT_FOUND, "Method not found"),
            },
        }
    }

    /// Runs a tool; `common` is what goes before the members of every result.
    fn call(&self, id: &RawValue, params: &Params<'_>, common: &str) -> Answer {
        let invalid = |text| Answer::Result(error(Some(id), INVALID_PARAMS, text));
        let name = params.name.as_deref().unwrap_or_default();
        if !self.tools.contains(name) {
            return invalid("Unknown tool");
        }
        let arguments = params.arguments.map_or("{}", RawValue::get);
        let Ok(arguments) = serde_json::from_str::<Arguments<'_>>(arguments) else {
            return invalid("unreadable arguments");
        };
        const OPEN: &str = r#""content":[{"type":"text","text":"#;
        const CLOSE: &str = r#"}],"isError":false"#;
        if name == "blob" {
            let Some(kib) = arguments.kib.filter(|kib| *kib <= LARGEST_BLOB) else {
                return invalid("blob needs the number kib, at most 16384");
            };
            let mut blob = locked(&self.blob);
            if blob.len() < kib * 1024 {
                *blob = blob_text(kib);
            }
            let quoted = [OPEN, "\"", &blob[..kib * 1024], "\"", CLOSE];
            return Answer::Result(response(id, &[common, &quoted.concat()]));
        }
        // The JSON string goes back exactly as it came in, escapes and all.
        match arguments.text.map(RawValue::get) {
            Some(text) if text.starts_with('"') => {
                Answer::Result(response(id, &[common, &[OPEN, text, CLOSE].concat()]))
            }
            _ => invalid("this tool needs the string text"),
        }
    }
}

// === messages ===

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A response whose result has these members; empty ones are left out.
fn response(id: &RawValue, members: &[&str]) -> Vec<u8> {
    let length: usize = members.iter().map(|members| members.len() + 1).sum();
    let mut message = Vec::with_capacity(length + id.get().len() + 48);
    message.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    message.extend_from_slice(id.get().as_bytes());
    message.extend_from_slice(br#","result":{"#);
    let mut separator: &[u8] = b"";
    for members in members.iter().filter(|members| !members.is_empty()) {
        message.extend_from_slice(separator);
        message.extend_from_slice(members.as_bytes());
        separator = b",";
    }
    message.extend_from_slice(b"}}");
    message
}

/// An error response; `text` holds nothing that JSON escapes.
fn error(id: Option<&RawValue>, code: i32, text: &str) -> Vec<u8> {
    let mut message = br#"{"jsonrpc":"2.0","#.to_vec();
    // Writing to a vector cannot fail.
    if let Some(id) = id {
        let _ = write!(message, r#""id":{id},"#);
    }
    let _ = write!(message, r#""error":{{"code":{code},"message":"{text}"}}}}"#);
    message
}

fn refused(status: u16, id: Option<&RawValue>, code: i32, text: &str) -> Answer {
    Answer::Refused {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        message: error(id, code, text),
    }
}

fn unsupported(id: &RawValue, asked: &str) -> Answer {
    let message = serde_json::json!({
        "jsonrpc": "2.0", "id": id,
        "error": {
            "code": -32022, "message": "Unsupported protocol version",
            "data": {"supported": [MODERN], "requested": asked},
        },
    });
    Answer::Refused { status: StatusCode::BAD_REQUEST, message: message.to_string().into() }
}

/// The member of the lists that are always empty here.
fn empty_list(method: &str) -> Option<&'static str> {
    match method {
        "prompts/list" => Some(r#""prompts":[]"#),
        "resources/list" => Some(r#""resources":[]"#),
        "resources/templates/list" => Some(r#""resourceTemplates":[]"#),
        _ => None,
    }
}
