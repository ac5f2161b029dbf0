//! The entries of `mcpServers`, as the clients write them.

use rialto::{
    config::Kind,
    mount::{Share, Tasking},
};

use super::{entry, faults, parse, parse_as, url};

#[derive(Debug, PartialEq)]
enum Reached {
    Http,
    Command,
    Down,
}

fn reached(fields: &str) -> Reached {
    match &entry(fields).servers[0].kind {
        Kind::Http { .. } => Reached::Http,
        Kind::Command { .. } => Reached::Command,
        Kind::Unavailable { .. } => Reached::Down,
    }
}

#[test]
fn the_spellings_of_other_clients_are_understood() {
    let cases = [
        (r#""url": "http://a/mcp""#, Reached::Http),
        (r#""serverUrl": "http://a/mcp""#, Reached::Http),
        (r#""httpUrl": "http://a/mcp""#, Reached::Http),
        (r#""url": "http://a/", "type": "http""#, Reached::Http),
        (r#""url": "http://a/", "type": "streamable-http""#, Reached::Http),
        (r#""url": "http://a/", "transport": "streamable_http""#, Reached::Http),
        (r#""url": "http://a/", "type": "streamableHttp""#, Reached::Http),
        (r#""url": "http://a/", "type": "http", "transport": "streamable-http""#, Reached::Http),
        (r#""command": "x""#, Reached::Command),
        (r#""command": "x", "type": "stdio""#, Reached::Command),
        (r#""command": "x", "transport": "STDIO""#, Reached::Command),
        (r#""url": "http://a/sse", "type": "sse""#, Reached::Down),
        (r#""url": "wss://a/", "type": "ws""#, Reached::Down),
        (r#""url": "ws://a/""#, Reached::Down),
    ];
    for (fields, expected) in cases {
        assert_eq!(reached(fields), expected, "{fields}");
    }
}

#[test]
fn what_cannot_be_spoken_yet_is_down_with_its_reason_and_stops_nobody() {
    let config = parse(
        r#"{ "mcpServers": { "old": { "type": "sse", "url": "${UNSET}" }, "socket": { "url": "wss://a/" },
             "docs": { "url": "http://a/" } } }"#,
    );
    let reason = |index: usize| match &config.servers[index].kind {
        Kind::Unavailable { reason } => reason.as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(0), "the HTTP+SSE transport is not built into this version of Rialto");
    assert_eq!(reason(1), "the WebSocket transport is not built into this version of Rialto");
    assert_eq!(url(&config.servers[2]), "http://a/");
}

#[test]
fn vs_code_calls_them_servers() {
    let config = parse(
        r#"{ "inputs": [{ "type": "promptString", "id": "key" }], "servers": { "docs": { "type": "http", "url": "http://a/" } } }"#,
    );
    assert_eq!(config.servers[0].name, "docs");
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_disabled_are_left_out_unread() {
    let config = parse(
        r#"{ "mcpServers": { "off": { "disabled": true, "url": "${UNSET}" }, "on": { "disabled": false, "url": "http://a/" } },
             "rialto": { "servers": { "off": { "era": "modern" } } } }"#,
    );
    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[0].name, "on");
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn settings_find_a_server_by_either_name() {
    for name in ["My Files", "my-files"] {
        let config = parse(&format!(
            r#"{{ "mcpServers": {{ "My Files": {{ "command": "x" }} }},
                 "rialto": {{ "servers": {{ "{name}": {{ "start_timeout": "500ms" }} }} }} }}"#
        ));
        assert_eq!(config.servers[0].start_timeout.as_millis(), 500);
    }
}

#[test]
fn what_is_not_read_is_a_warning() {
    let config = parse(
        r#"{
  "mcpservers": {}, "theme": "dark",
  "mcpServers": { "docs": { "url": "http://a/", "autoApprove": [], "heders": {},
    "headers": { "Content-Type": "application/json", "X-Key": "k" } } }
}"#,
    );
    assert_eq!(
        config.warnings,
        [
            "mcp.json:2:3: warning: mcpservers: this key is not read\n  hint: did you mean `mcpServers`?",
            "mcp.json:3:49: warning: mcpServers.docs.autoApprove: this key is not read",
            "mcp.json:3:68: warning: mcpServers.docs.heders: this key is not read\n  hint: did you mean `headers`?",
            "mcp.json:4:18: warning: mcpServers.docs.headers.Content-Type: Rialto sets this header itself; this one is not sent",
        ]
    );
    let Kind::Http { headers, .. } = &config.servers[0].kind else { unreachable!() };
    assert_eq!(headers.len(), 1);
    assert_eq!(headers[0].0, "x-key");
}

#[test]
fn no_servers_at_all_is_worth_a_word() {
    let config = parse(r#"{ "mcpServers": {} }"#);
    assert!(config.warnings[0].contains("there are no servers in it"), "{:?}", config.warnings);
    let message = faults(r#"{ "rialto": {} }"#);
    assert!(message.contains("there is no `mcpServers`"), "{message}");
}

#[test]
fn sec_057_names_become_mounts_without_colliding() {
    let named = |name: &str| format!(r#"{{ "mcpServers": {{ "{name}": {{ "url": "http://a/" }} }} }}"#);
    let names = [
        ("user_service", "user_service"),
        ("My Files", "my-files"),
        ("a/../b", "a-b"),
        ("1password", "server-1password"),
    ];
    for (name, mount) in names {
        assert_eq!(parse(&named(name)).servers[0].name, mount);
    }
    for name in ["sse", "ws", "messages", " sse ", "..", "", "%", "файлы", &"x".repeat(64)] {
        let message = faults(&named(name));
        assert!(message.contains("mcp.json:1:19: error: mcpServers."), "{name}: {message}");
        assert!(message.contains("\n  hint: "), "{message}");
    }
    let message =
        faults(r#"{ "mcpServers": { "my-files": { "url": "http://a/" }, "My Files": { "url": "http://a/" } } }"#);
    assert_eq!(
        message,
        "mcp.json:1:55: error: mcpServers.\"My Files\": its mount would be `my-files`, and so would that of `my-files`\n  \
         hint: rename one of the two"
    );
}

#[test]
fn what_becomes_of_tasks_is_a_setting_of_the_server() {
    let config = parse(
        r#"{ "mcpServers": { "docs": { "url": "http://a/" }, "other": { "url": "http://b/" } },
             "rialto": { "servers": { "docs": { "tasks": { "prefer": true, "drive_for_modern": true, "ttl": "5m" } } } } }"#,
    );
    let ttl = std::time::Duration::from_secs(300);
    let said = Tasking { prefer: true, drive_for_modern: true, ttl, ..Tasking::default() };
    assert_eq!(config.servers[0].terms.tasking, said);
    assert_eq!(config.servers[1].terms.tasking, Tasking::default());
}

#[test]
fn what_is_trusted_of_a_server_is_said_beside_it() {
    let with = |settings: &str| {
        format!(
            r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }} }}, "rialto": {{ "servers": {{ "docs": {{ {settings} }} }} }} }}"#
        )
    };
    let terms = &parse(&with(r#""affinity": "example.com/chat", "public_lists": true"#)).servers[0].terms;
    assert_eq!((terms.affinity.as_deref(), terms.public_lists), (Some("example.com/chat"), true));
    let terms = &parse(&with("")).servers[0].terms;
    assert_eq!((terms.affinity.as_deref(), terms.public_lists), (None, false));
    for key in
        ["", "progressToken", "traceparent", "io.modelcontextprotocol/clientInfo", "dev.mcp/x", "rialto/input-key"]
    {
        let message = faults(&with(&format!(r#""affinity": "{key}""#)));
        assert!(message.contains("the protocol's own word"), "{key}: {message}");
    }
    let server = &parse(&with(r#""trust_hints": true, "reissue_idempotent_tools": true"#)).servers[0];
    assert!(server.trust_hints && server.terms.reissue_idempotent_tools);
    let message = faults(&with(r#""reissue_idempotent_tools": true"#));
    assert!(message.contains(r#"say `"trust_hints": true` as well"#), "{message}");
    parse(&with(r#""affinity": "com.example.mcp/chat""#));
    parse(&with(r#""affinity": "chat""#));
}

#[test]
fn sessions_can_be_lent_and_looked_after() {
    let with = |settings: &str| {
        format!(
            r#"{{"mcpServers": {{"a": {{"url": "https://a.example/mcp"}}}}, "rialto": {{"servers": {{"a": {{{settings}}}}}}}}}"#
        )
    };
    let terms = |settings: &str| parse(&with(settings)).servers[0].terms.clone();
    let leased = |n: usize| Share::Leased { at_most: n.try_into().unwrap() };
    assert_eq!((terms("").share, terms("").ping_idle), (Share::Principal, false));
    assert_eq!(terms(r#""sessions": "leased""#).share, leased(1));
    // In any order.
    assert_eq!(terms(r#""max_sessions_per_scope": 3, "sessions": "leased""#).share, leased(3));
    assert!(terms(r#""health": {"ping": true}"#).ping_idle);
    assert!(!terms(r#""health": {}"#).ping_idle);
    for (settings, said) in [
        (r#""sessions": "shared", "max_sessions_per_scope": 2"#, r#"say `"sessions": "leased"` as well"#),
        (r#""max_sessions_per_scope": 2"#, r#"say `"sessions": "leased"` as well"#),
        (r#""sessions": "leased", "max_sessions_per_scope": 0"#, "not a number from 1 to 1000"),
        (r#""sessions": "leased", "max_sessions_per_scope": 1001"#, "not a number from 1 to 1000"),
        (r#""sessions": "leased", "max_sessions_per_scope": 1.5"#, "not a number from 1 to 1000"),
        (r#""sessions": "leased", "max_sessions_per_scope": -1"#, "not a number from 1 to 1000"),
        (r#""sessions": "leased", "max_sessions_per_scope": "two""#, "not a number from 1 to 1000"),
        (r#""sessions": "lease""#, "leased"),
        (r#""health": {"pings": true}"#, "unknown key"),
        (r#""health": true"#, "must be a map"),
        (r#""affinity": 5"#, "must be a string, but is a number"),
    ] {
        let message = faults(&with(settings));
        assert!(message.contains(said), "{settings}: {message}");
    }
}

#[test]
fn a_number_is_one_in_every_format() {
    let yaml = "mcpServers: {a: {url: 'https://a.example/mcp'}}\nrialto: {servers: {a: {sessions: leased, max_sessions_per_scope: 4}}}";
    let toml = "[mcpServers.a]\nurl = 'https://a.example/mcp'\n[rialto.servers.a]\nsessions = 'leased'\nmax_sessions_per_scope = 0x4";
    for (file, text) in [("mcp.yaml", yaml), ("mcp.toml", toml)] {
        let config = parse_as(file, text).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.servers[0].terms.share, Share::Leased { at_most: 4.try_into().unwrap() }, "{file}");
    }
}

#[test]
fn what_is_left_to_the_operator_is_off_unless_it_is_said() {
    let with = |settings: &str| {
        format!(
            r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }} }}, "rialto": {{ "servers": {{ "docs": {{ {settings} }} }} }} }}"#
        )
    };
    let said = |settings: &str| {
        let terms = parse(&with(settings)).servers[0].terms.clone();
        [terms.strict_downlevel, terms.legacy_resource_code, terms.synthetic_progress, terms.pass_request_state]
    };
    assert_eq!(said(""), [false; 4]);
    assert_eq!(said(r#""strict_downlevel": true"#), [true, false, false, false]);
    assert_eq!(said(r#""legacy_resource_code": true"#), [false, true, false, false]);
    assert_eq!(said(r#""synthetic_progress": true"#), [false, false, true, false]);
    // The order of the keys says nothing.
    let passes = r#""mrtr": { "passthrough": true }"#;
    assert_eq!(said(&format!(r#"{passes}, "forward_headers": ["x-key"]"#)), [false, false, false, true]);
    assert_eq!(said(r#""mrtr": { "passthrough": false }"#), [false; 4]);
    assert_eq!(said(r#""mrtr": {}"#), [false; 4]);
    // A header that names a request tells nobody apart.
    for headers in ["", r#", "forward_headers": []"#, r#", "forward_headers": ["traceparent", "x-request-id"]"#] {
        let message = faults(&with(&format!("{passes}{headers}")));
        assert!(
            message.contains("rialto.servers.docs.mrtr.passthrough: the server cannot tell callers apart"),
            "{message}"
        );
        assert!(message.contains("in `forward_headers`"), "{message}");
    }
    // Nor does one that everybody is given, and a command is sent none.
    for server in [r#""url": "http://a/", "headers": { "X-Key": "ours" }"#, r#""command": "x""#] {
        let forwards = format!(r#"{{ "docs": {{ {passes}, "forward_headers": ["x-key"] }} }}"#);
        let text =
            format!(r#"{{ "mcpServers": {{ "docs": {{ {server} }} }}, "rialto": {{ "servers": {forwards} }} }}"#);
        let message = faults(&text);
        assert!(message.contains("the server cannot tell callers apart"), "{message}");
    }
    let message = faults(&with(r#""mrtr": { "pass_through": true }"#));
    assert!(message.contains("did you mean `passthrough`?"), "{message}");
    let message = faults(&with(r#""strict_downlevel": "yes""#));
    assert!(message.contains("rialto.servers.docs.strict_downlevel"), "{message}");
}

#[test]
fn sessions_of_legacy_clients_may_be_insisted_on() {
    let with = |settings: &str| {
        format!(r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }} }}, "rialto": {{ {settings} }} }}"#)
    };
    for (settings, expected) in [
        ("", true),
        (r#""legacy": {}"#, true),
        (r#""legacy": { "tolerate_sessionless": true }"#, true),
        (r#""legacy": { "tolerate_sessionless": false }"#, false),
    ] {
        assert_eq!(parse(&with(settings)).tolerate_sessionless, expected, "{settings}");
    }
    let message = faults(&with(r#""legacy": { "tolerate_sesionless": false }"#));
    assert!(message.contains("did you mean `tolerate_sessionless`?"), "{message}");
}
