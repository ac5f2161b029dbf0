//! What people copy to connect. Nothing of it comes from a server: names of mounts are letters, digits, `_` and `-`, and the
//! address was checked, so that pasting it into a shell does what it looks like.

use serde_json::{Map, Value, json};

/// How to connect with one kind of client.
pub(super) struct Snippet {
    pub(super) client: &'static str,
    /// Where it goes.
    pub(super) place: &'static str,
    pub(super) text: String,
}

/// What stands where the key goes.
const KEY: &str = "YOUR_KEY";

/// For each kind of client, how to reach all of these mounts.
pub(super) fn all(base: &str, names: &[&str], wants_key: bool, has_api: bool) -> Vec<Snippet> {
    let Some(first) = names.first() else { return Vec::new() };
    let url = |name: &str| format!("{base}/mcp/{name}");
    let entries = |kind: Option<&str>| {
        let entry = |name: &&str| {
            let mut entry = Map::new();
            if let Some(kind) = kind {
                entry.insert("type".to_owned(), kind.into());
            }
            entry.insert("url".to_owned(), url(name).into());
            if wants_key {
                entry.insert("headers".to_owned(), json!({ "Authorization": format!("Bearer {KEY}") }));
            }
            ((*name).to_owned(), Value::Object(entry))
        };
        Value::Object(names.iter().map(entry).collect())
    };
    let header = |flag: &str| match wants_key {
        true => format!(" {flag} \"Authorization: Bearer {KEY}\""),
        false => String::new(),
    };
    let lines = |line: &dyn Fn(&str) -> String| names.iter().map(|name| line(name)).collect::<Vec<_>>().join("\n");

    let mut snippets = vec![
        Snippet {
            client: "Any client with an mcpServers file",
            place: "in its configuration",
            text: pretty(&json!({ "mcpServers": entries(Some("http")) })),
        },
        Snippet {
            client: "Claude Code",
            place: "in a shell",
            text: lines(&|name| format!("claude mcp add --transport http {name} {}{}", url(name), header("--header"))),
        },
        Snippet {
            client: "VS Code",
            place: "in .vscode/mcp.json",
            text: pretty(&json!({ "servers": entries(Some("http")) })),
        },
        Snippet {
            client: "Cursor",
            place: "in .cursor/mcp.json",
            text: pretty(&json!({ "mcpServers": entries(None) })),
        },
        Snippet {
            client: "MCP Inspector",
            place: "in a shell",
            text: format!(
                "npx @modelcontextprotocol/inspector --cli {} --transport http{} --method tools/list",
                url(first),
                header("--header")
            ),
        },
    ];
    if has_api {
        let auth = header("-H");
        snippets.push(Snippet {
            client: "REST",
            place: "in a shell; put the tool's name for TOOL and its arguments for {}",
            text: format!(
                "curl{auth} {base}/api/mounts/{first}/tools\n\
                 curl{auth} {base}/api/mounts/{first}/tools/TOOL -H \"Content-Type: application/json\" -d '{{}}'"
            ),
        });
    }
    snippets
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
