//! What is said about wrong files: all of it at once, each with its place and a way out.

use super::{entry_faults, faults, parse_as, settings_faults};

#[test]
fn all_faults_are_told_at_once() {
    let message = faults(
        r#"{
  "mcpServers": {
    "docs": { "url": "not a url" },
    "files": { "command": "npx", "args": ["-y", 1], "env": { "A": "${UNSET}" } }
  },
  "rialto": {
    "lisen": "127.0.0.1:8000",
    "servers": { "dosc": {}, "files": { "era": "modren" } }
  }
}"#,
    );
    assert_eq!(
        message,
        "mcp.json:3:22: error: mcpServers.docs.url: not a URL: relative URL without a base
  hint: write the whole address, such as `https://docs.example/mcp`
mcp.json:4:49: error: mcpServers.files.args[1]: must be a string, but is a number
  hint: put it in quotes
mcp.json:4:67: error: mcpServers.files.env.A: the environment variable `UNSET` is not set
  hint: set it, or write `${UNSET:-default}`
mcp.json:7:5: error: rialto.lisen: unknown key
  hint: did you mean `listen`?
mcp.json:8:18: error: rialto.servers.dosc: there is no server of this name
  hint: did you mean `docs`?
mcp.json:8:48: error: rialto.servers.files.era: not a known value: `modren`
  hint: did you mean `modern`?"
    );
}

#[test]
fn faults_of_every_format_have_their_place() {
    let yaml = "mcpServers:\n  docs:\n    url: http://a/\nrialto:\n  host: []\n";
    let toml = "[mcpServers.docs]\nurl = \"http://a/\"\n[rialto]\n  host = []\n";
    for (file, text, place) in [("c.yaml", yaml, "c.yaml:5:3"), ("c.toml", toml, "c.toml:4:3")] {
        let faults = parse_as(file, text).unwrap_err();
        let expected = format!("{place}: error: rialto.host: unknown key\n  hint: did you mean `hosts`?");
        assert_eq!(faults.to_string(), expected);
        let fault = faults.iter().next().unwrap();
        assert_eq!(fault.key(), "rialto.host");
        assert_eq!(fault.to_do(), Some("did you mean `hosts`?"));
    }
}

#[test]
fn entries_are_checked() {
    let cases = [
        (r#""type": "http""#, "`url` is missing"),
        (r#""type": "stdio", "url": "http://a/""#, "`command` is missing"),
        ("", "neither `url` nor `command` is there"),
        (r#""url": "http://a/", "command": "x""#, "there is a URL as well"),
        (r#""url": "http://a/", "httpUrl": "http://a/""#, "`url` is here as well"),
        (r#""url": "http://a/", "type": "htpp""#, "did you mean `http`?"),
        (r#""url": "http://a/", "type": "grpc""#, "valid here: `stdio`"),
        (r#""url": "http://a/", "type": "http", "transport": "sse""#, "`type` says something else"),
        (r#""url": "ftp://a/""#, "not an `http` or `https` URL"),
        (r#""url": "file:///etc/passwd""#, "not an `http` or `https` URL"),
        (r#""url": "http://""#, "not a URL"),
        (r#""url": "http://user:pass@a/""#, "put an `Authorization` header into `headers`"),
        (r#""url": ["http://a/"]"#, "must be a string, but is a list"),
        (r#""url": null"#, "must be a string, but is nothing"),
        (r#""url": "http://a/", "headers": { "a b": "x" }"#, "not the name of a header"),
        (r#""url": "http://a/", "headers": { "a": "x\ny" }"#, "cannot carry"),
        (r#""url": "http://a/", "headers": { "X-A": "x", "x-a": "y" }"#, "twice, in another case"),
        (r#""url": "http://a/", "headers": { "x": 1 }"#, "put it in quotes"),
        (r#""command": """#, "not the name of a program"),
        (r#""command": "a\u0000b""#, "not the name of a program"),
        (r#""command": "x", "args": "-y""#, "must be a list, but is a string"),
        (r#""command": "x", "args": ["a\u0000b"]"#, "holds a NUL"),
        (r#""command": "x", "env": { "A=B": "x" }"#, "not the name of an environment variable"),
        (r#""command": "x", "env": { "A": true }"#, "put it in quotes"),
        (r#""command": "x", "cwd": 1"#, "mcpServers.docs.cwd: must be a string"),
        (r#""url": "http://a/", "disabled": "true""#, "must be true or false, but is a string"),
        (r#""url": "http://a/", "url": "http://b/""#, "this key is there twice"),
    ];
    for (fields, expected) in cases {
        let message = entry_faults(fields);
        assert!(message.contains(expected), "{fields}: {message}");
        assert!(message.contains(": error: mcpServers.docs"), "{message}");
    }
}

#[test]
fn settings_are_checked() {
    let cases = [
        (r#""listen": "127.0.0.1""#, "rialto.listen: not an IP address with a port"),
        (r#""listen": "localhost:8000""#, "write it as `127.0.0.1:8000`"),
        (r#""listen": 8000"#, "must be a string, but is a number"),
        (r#""hosts": ["https://gw.example"]"#, "rialto.hosts[0]: not a host name"),
        (r#""hosts": ["ok", "*.example"]"#, "rialto.hosts[1]: not a host name"),
        (r#""hosts": ["gw.example/"]"#, "no scheme, no wildcard"),
        (r#""hosts": "gw.example""#, "must be a list, but is a string"),
        (r#""public_url": "gw.example""#, "rialto.public_url: not a URL"),
        (r#""public_url": "https://gw.example/path""#, "not a bare `http` or `https` address"),
        (r#""public_url": "ftp://gw.example""#, "not a bare `http` or `https` address"),
        (r#""seal_keys": ["short"]"#, "shorter than 32 characters"),
        (r#""demo": true"#, "rialto.demo: the demo has a mount `docs`, and so has `mcpServers`"),
        (
            r#""demo": true, "servers": { "finance": { "poll_lists": true } }"#,
            "rialto.servers.finance: the mounts of the demo have no settings of their own",
        ),
        (r#""demo": "yes""#, "rialto.demo: must be true or false, but is a string"),
        (r#""metrics": "off""#, "rialto.metrics: must be true or false, but is a string"),
        (r#""policies": "none""#, "rialto.policies: unknown key\n  hint: valid here: `listen`, `hosts`"),
        (r#""mounts": {}"#, "rialto.mounts: unknown key"),
        (r#""servers": { "absent": {} }"#, "valid here: `docs`, `My Files`"),
        (r#""servers": { "docs": { "eras": "auto" } }"#, "did you mean `era`?"),
        (r#""servers": { "docs": { "tasks": { "prefered": true } } }"#, "did you mean `prefer`?"),
        (r#""servers": { "docs": { "tasks": { "ttl": "1d" } } }"#, "not a duration that fits here"),
        (
            r#""servers": { "docs": { "sessions": "mine" } }"#,
            "valid here: `principal`, `shared`, `leased`, `per-request`",
        ),
        (r#""servers": { "docs": { "start_timeout": "60" } }"#, "write a number with its unit"),
        (r#""servers": { "docs": { "start_timeout": "0s" } }"#, "not a duration that fits here"),
        (r#""servers": { "docs": { "start_timeout": "2h" } }"#, "up to `1h`"),
        (r#""servers": { "docs": { "start_timeout": 60 } }"#, "must be a string, but is a number"),
        (r#""servers": { "docs": { "forward_headers": ["Authorization"] } }"#, "`authorization` is never forwarded"),
        (r#""servers": { "docs": { "forward_headers": ["cookie"] } }"#, "`cookie` is never forwarded"),
        (r#""servers": { "docs": { "forward_headers": ["transfer-encoding"] } }"#, "is never forwarded"),
        (r#""servers": { "docs": { "forward_headers": ["mcp-param-x"] } }"#, "is never forwarded"),
        (r#""servers": { "docs": { "forward_headers": ["x-*!("] } }"#, "there are no wildcards"),
        (r#""servers": { "My Files": {}, "my-files": {} }"#, "under its other name"),
        (r#""listen": "127.0.0.1:1", "listen": "127.0.0.1:2""#, "the first one is in line 2; keep one of them"),
    ];
    for (settings, expected) in cases {
        let message = settings_faults(settings);
        assert!(message.contains(expected), "{settings}: {message}");
        assert!(message.contains("\n  hint: ") || message.contains("must be"), "{message}");
    }
}

#[test]
fn two_lists_of_servers_are_one_too_many() {
    let message = faults(r#"{ "mcpServers": {}, "servers": {} }"#);
    assert!(message.contains("servers: `mcpServers` is here as well"), "{message}");
}

#[test]
fn repeated_keys_are_faults_in_every_format() {
    let cases = [
        ("c.json", r#"{ "mcpServers": {}, "mcpServers": {} }"#),
        ("c.json", r#"{ "mcpServers": { "a": { "url": "http://a/" }, "\u0061": { "url": "http://b/" } } }"#),
        ("c.yaml", "mcpServers: {}\nmcpServers: {}\n"),
        ("c.toml", "[mcpServers]\n[mcpServers]\n"),
    ];
    for (file, text) in cases {
        let message = parse_as(file, text).unwrap_err().to_string();
        assert!(message.contains("twice") || message.contains("duplicate"), "{message}");
    }
}
