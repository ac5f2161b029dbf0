//! What both ends of the benchmark agree on: headers, revisions, tools and texts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The revision that the legacy load speaks.
pub(crate) const LEGACY: &str = "2025-11-25";
/// The revision that the modern load speaks.
pub(crate) const MODERN: &str = "2026-07-28";
/// The legacy revisions that travel over streamable HTTP.
pub(crate) const LEGACY_REVISIONS: [&str; 3] = [LEGACY, "2025-06-18", "2025-03-26"];

pub(crate) const VERSION_HEADER: &str = "mcp-protocol-version";
pub(crate) const SESSION_HEADER: &str = "mcp-session-id";
pub(crate) const METHOD_HEADER: &str = "mcp-method";
pub(crate) const NAME_HEADER: &str = "mcp-name";

/// The path of the upstream's MCP endpoint.
pub(crate) const MCP_PATH: &str = "/mcp";
/// Where the upstream tells how many messages it has been sent.
pub(crate) const COUNT_PATH: &str = "/count";

/// The `_meta` member that every modern request carries, without braces.
pub(crate) const MODERN_META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"rialto-bench","version":"1"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}"#
);

/// The two wire formats that MCP has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Era {
    /// A handshake and a session.
    Legacy,
    /// Stateless requests, each with its whole envelope.
    Modern,
}

impl Era {
    /// The word for it in names, configuration and messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    /// The revision that the benchmark speaks in this era.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Legacy => LEGACY,
            Self::Modern => MODERN,
        }
    }
}

/// The name of the upstream's tool number `i`.
pub(crate) fn tool_name(i: usize) -> Cow<'static, str> {
    match i {
        0 => Cow::Borrowed("echo"),
        1 => Cow::Borrowed("blob"),
        _ => Cow::Owned(format!("lookup_{i:05}")),
    }
}

/// The `inputSchema` of tool number `i`, as the upstream writes it.
pub(crate) fn tool_schema(i: usize) -> &'static str {
    if i == 1 {
        r#"{"type":"object","properties":{"kib":{"type":"integer","minimum":0,"maximum":16384}},"required":["kib"]}"#
    } else {
        r#"{"type":"object","properties":{"text":{"type":"string","description":"What to answer with"}},"required":["text"]}"#
    }
}

/// The definition of tool number `i`, as it stands in `tools/list`.
pub(crate) fn tool_definition(i: usize) -> String {
    let name = tool_name(i);
    let schema = tool_schema(i);
    let description = match i {
        0 => "Answers with the text it is given.",
        1 => "Answers with a text of the size asked for.",
        _ => "Answers with the text it is given, like many others beside it.",
    };
    format!(r#"{{"name":"{name}","description":"{description}","inputSchema":{schema}}}"#)
}

/// The text that `blob` answers with: printable, and nothing in it to escape.
pub(crate) fn blob_text(kib: usize) -> String {
    const LINE: &str = "the quick brown fox jumps over the lazy dog and runs off 012345.";
    const _: () = assert!(LINE.len() == 64, "sixteen lines make a KiB");
    LINE.repeat(kib * 16)
}

/// A JSON-RPC message with its members unread.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
}

/// The payload of each event of a whole Server-Sent Events body.
///
/// Events without data, and those whose data is empty, carry no message.
pub(crate) fn sse_payloads(body: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if !data.is_empty() {
                payloads.push(std::mem::take(&mut data));
            }
        } else if let Some(value) = line.strip_prefix(b"data:") {
            if !data.is_empty() {
                data.push(b'\n');
            }
            data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
    }
    payloads
}
