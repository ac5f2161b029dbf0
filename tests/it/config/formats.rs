//! JSON, YAML and TOML give the same config, and nothing makes them panic.

use std::time::Duration;

use proptest::prelude::*;
use rialto::{
    Limits,
    config::{EraChoice, Kind},
    mount::Share,
};

use super::{parse_as, url};

const JSON: &str = r#"{
  // Comments and trailing commas are fine.
  "mcpServers": {
    "docs": { "url": "https://${HOST}/mcp", "headers": { "Authorization": "Bearer ${TOKEN}" } },
    "My Files": { "command": "npx", "args": ["-y", "files"], "env": { "A": "${TOKEN}" }, "cwd": "work" },
  },
  "rialto": {
    "listen": "127.0.0.1:9000", "hosts": ["gw.example"], "public_url": "https://gw.example",
    "seal_keys": ["${SEAL}"],
    "limits": { "reattach": "5s", "parked": 2000, "body": "64MiB", "session_total": "7d" },
    "servers": {
      "docs": { "era": "legacy", "sessions": "per-request", "start_timeout": "5m", "forward_headers": ["X-Tenant"], "poll_lists": true },
      "My Files": { "sessions": "shared" },
    },
  },
}"#;

const YAML: &str = r#"
mcpServers:
  docs:
    url: https://${HOST}/mcp
    headers: &auth { Authorization: "Bearer ${TOKEN}" }
  My Files: { command: npx, args: [-y, files], env: { A: "${TOKEN}" }, cwd: work }
rialto:
  listen: 127.0.0.1:9000
  hosts: [gw.example]
  public_url: https://gw.example
  seal_keys: ["${SEAL}"]
  limits: { reattach: 5s, parked: 2000, body: 64MiB, session_total: 7d }
  servers:
    docs:
      era: legacy
      sessions: per-request
      start_timeout: 5m
      forward_headers: [X-Tenant]
      poll_lists: true
    My Files: { sessions: shared }
"#;

const TOML: &str = r#"
[mcpServers.docs]
url = "https://${HOST}/mcp"
headers = { Authorization = "Bearer ${TOKEN}" }

[mcpServers."My Files"]
command = "npx"
args = ["-y", "files"]
env.A = "${TOKEN}"
cwd = "work"

[rialto]
listen = "127.0.0.1:9000"
hosts = ["gw.example"]
public_url = "https://gw.example"
seal_keys = ["${SEAL}"]
limits = { reattach = "5s", parked = 2_000, body = "64MiB", session_total = "7d" }

[rialto.servers.docs]
era = "legacy"
sessions = "per-request"
start_timeout = "5m"
forward_headers = ["X-Tenant"]
poll_lists = true

[rialto.servers."My Files"]
sessions = "shared"
"#;

#[test]
fn every_format_says_the_same() {
    let files = [
        ("conf/mcp.json", JSON),
        ("conf/mcp.jsonc", JSON),
        ("conf/mcp.yaml", YAML),
        ("conf/mcp.YML", YAML),
        ("conf/mcp.toml", TOML),
    ];
    for (file, text) in files {
        let config = parse_as(file, text).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.warnings, [""; 0], "{file}");
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.hosts, ["gw.example".parse().unwrap()]);
        assert_eq!(config.public_url.unwrap().as_str(), "https://gw.example/");
        let limits = Limits {
            reattach: Duration::from_secs(5),
            parked: 2000,
            body: 64 << 20,
            session_total: Duration::from_secs(7 * 24 * 3600),
            ..Limits::default()
        };
        assert_eq!(config.limits, limits);
        assert_eq!(config.seal_keys[0].expose(), b"0123456789abcdef0123456789abcdef");

        let [docs, files] = &config.servers[..] else {
            panic!("{file}: {:?}", config.servers);
        };
        assert_eq!((docs.name.as_str(), docs.title.as_deref()), ("docs", None));
        assert_eq!(url(docs), "https://docs.example/mcp");
        assert_eq!((docs.era, docs.terms.share), (EraChoice::Legacy, Share::Nobody));
        assert_eq!(docs.start_timeout, Duration::from_secs(300));
        assert_eq!(docs.terms.forward_headers, ["x-tenant"]);
        assert!(docs.terms.poll_lists && !files.terms.poll_lists);
        let Kind::Http { headers, .. } = &docs.kind else { unreachable!() };
        assert_eq!(headers[0].0, "authorization");
        assert_eq!(headers[0].1, "Bearer CANARY_token");
        assert!(headers[0].1.is_sensitive());

        assert_eq!((files.name.as_str(), files.title.as_deref()), ("my-files", Some("My Files")));
        assert_eq!((files.era, files.terms.share), (EraChoice::Auto, Share::Everybody));
        assert_eq!(files.start_timeout, Duration::from_secs(60));
        let Kind::Command { command, args, env, cwd } = &files.kind else {
            panic!("{:?}", files.kind);
        };
        assert_eq!(command, "npx");
        assert_eq!(args, &["-y", "files"]);
        assert_eq!(env, &[("A".to_owned(), "CANARY_token".to_owned())]);
        assert_eq!(cwd.as_deref(), Some("conf/work".as_ref()));

        let shown = format!("{docs:?} {files:?} {:?}", config.seal_keys);
        assert!(!shown.contains("CANARY") && !shown.contains("0123"), "{shown}");
    }
}

#[test]
fn the_order_of_the_file_is_kept() {
    let json = r#"{ "mcpServers": { "z": { "url": "http://a/" }, "a": { "url": "http://a/" }, "m": { "url": "http://a/" } } }"#;
    let yaml = "mcpServers:\n  z: {url: 'http://a/'}\n  a: {url: 'http://a/'}\n  m: {url: 'http://a/'}\n";
    let toml = "mcpServers.z.url = 'http://a/'\n[mcpServers.a]\nurl = 'http://a/'\n[mcpServers.m]\nurl = 'http://a/'\n";
    for (file, text) in [("c.json", json), ("c.yaml", yaml), ("c.toml", toml)] {
        let config = parse_as(file, text).unwrap();
        let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"], "{file}");
    }
}

#[test]
fn broken_files_are_placed() {
    let cases = [
        ("c.json", "{\n  \"mcpServers\": {,}\n}", "c.json:2:18: error: "),
        ("c.json", "{ \"mcpServers\": {} } x", "c.json:1:22: error: "),
        ("c.json", "{ 'mcpServers': {} }", "c.json:1:3: error: "),
        ("c.json", "", "c.json: error: the file is empty"),
        ("c.json", "[1]", "c.json:1:1: error: must be a map, but is a list"),
        ("c.yaml", "mcpServers:\n  a: [\n", "c.yaml:"),
        ("c.yaml", "a: 1\n---\nb: 2\n", "c.yaml:"),
        ("c.yaml", "", "c.yaml:"),
        ("c.toml", "[mcpServers\n", "c.toml:1:"),
        ("c.toml", "a = \n", "c.toml:1:"),
        ("c.json", "\u{feff}{ \"mcpServers\": 1 }", "c.json:1:17: error: mcpServers: must be a map, but is a number"),
        ("c.json", "{ \"é\": 1, \"mcpServers\": 1 }", "c.json:1:25: error: "),
    ];
    for (file, text, start) in cases {
        let message = parse_as(file, text).unwrap_err().to_string();
        assert!(message.starts_with(start), "{text:?}: {message}");
        let what = message.split("error: ").nth(1).unwrap();
        assert!(what.starts_with(|c: char| !c.is_uppercase()), "{message}");
        assert!(!message.ends_with('.'), "{message}");
    }
}

#[test]
fn a_broken_file_is_not_quoted() {
    let secret = "CANARY_secret";
    let broken = [
        ("c.json", format!("{{ \"a\": \"{secret}\" \"{secret}\" }}")),
        ("c.json", format!("{{ \"a\": {secret} }}")),
        ("c.yaml", format!("a: \"{secret}\n b: [{secret}\n")),
        ("c.yaml", format!("a: *{secret}\n")),
        ("c.yaml", format!("{secret}: 1\nb: !!int {secret}\n")),
        ("c.toml", format!("a = {secret}\n")),
        ("c.toml", format!("a = \"{secret}\n")),
        ("c.toml", format!("{secret} {secret}\n")),
    ];
    for (file, text) in broken {
        let message = parse_as(file, &text).unwrap_err().to_string();
        assert!(!message.contains(secret), "{message}");
    }
}

#[test]
fn the_extension_says_the_format() {
    for file in ["mcp", "mcp.txt", "mcp.json5", ".json"] {
        let message = parse_as(file, JSON).unwrap_err().to_string();
        assert!(message.contains("does not say its format"), "{file}: {message}");
        assert!(message.contains("hint: let it end in `.json`"), "{message}");
    }
}

#[test]
fn sec_064_depth_is_bounded() {
    for depth in [21, 65, 600, 20_000] {
        let json = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let yaml = format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
        let toml = format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        for (file, text) in [("c.json", json), ("c.json", objects), ("c.yaml", yaml), ("c.toml", toml)] {
            assert!(parse_as(file, &text).is_err(), "{file} {depth}");
        }
    }
    // Copies of copies of copies.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let copies = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{copies}]\n");
    }
    assert!(parse_as("c.yaml", &bomb).is_err());
}

/// Text made of what the formats are made of, which gets much further into a parser than noise
/// does.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "'",
        "\n",
        "\n  ",
        "- ",
        "= ",
        "#",
        "//",
        "/*",
        "*/",
        "&a",
        "*a",
        "<<: ",
        "!!str ",
        "|\n",
        ">\n",
        "? ",
        "---\n",
        "...\n",
        "\\u",
        "\\ud800",
        "\\",
        "0x",
        "1e",
        "-",
        "+",
        ".",
        "null",
        "true",
        "~",
        "${",
        "}",
        "$${",
        "file:",
        ":-",
        "mcpServers",
        "servers",
        "rialto",
        "docs",
        "url",
        "command",
        "args",
        "env",
        "headers",
        "listen",
        "hosts",
        "seal_keys",
        "type",
        "\"mcpServers\": {",
        "\"rialto\": {",
        "http://a/",
        "\u{feff}",
        "\u{0}",
        "é",
        "[[",
        "]]",
        "\"\"\"",
        "2020-01-01",
        "\t",
        "\r\n",
        "%YAML 1.2\n",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in prop_oneof![".{0,200}", pieces()]) {
        for file in ["c.json", "c.yaml", "c.toml"] {
            if let Err(faults) = parse_as(file, &text) {
                prop_assert!(faults.iter().count() > 0);
                prop_assert!(faults.to_string().starts_with(file));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        for file in ["c.json", "c.yaml", "c.toml"] {
            let _ = parse_as(file, &text);
        }
    }

    #[test]
    fn no_value_of_an_entry_panics(text in prop_oneof![".{0,60}", pieces()], field in 0..8_usize) {
        let field = ["url", "command", "cwd", "type", "transport", "serverUrl", "disabled", "x"][field];
        let value = serde_json::Value::String(text.clone());
        let entry = format!(r#"{{ "mcpServers": {{ "a": {{ "{field}": {value} }} }} }}"#);
        let _ = parse_as("c.json", &entry);
        let name = format!(r#"{{ "mcpServers": {{ {value}: {{ "url": "http://a/" }} }} }}"#);
        if let Ok(config) = parse_as("c.json", &name) {
            let mount = &config.servers[0].name;
            prop_assert!(mount.starts_with(|c: char| c.is_ascii_alphabetic()), "{mount}");
            prop_assert!(mount.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{mount}");
            prop_assert!(mount.len() <= 63);
        }
    }
}
