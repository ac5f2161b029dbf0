//! `${…}` (SEC-073).

use std::path::Path;

use rialto::config::{Config, Kind};

use super::{entry, entry_faults, environment, faults, parse_as};

/// What one argument of a command becomes.
fn expanded(text: &str) -> String {
    let arg = serde_json::Value::String(text.to_owned());
    let config = entry(&format!(r#""command": "x", "args": [{arg}]"#));
    match &config.servers[0].kind {
        Kind::Command { args, .. } => args[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sec_073_values_are_expanded_once_and_taken_literally() {
    let cases = [
        ("plain", "plain"),
        ("${TOKEN}", "CANARY_token"),
        ("a${TOKEN}b${HOST}c", "aCANARY_tokenbdocs.examplec"),
        ("${UNSET:-fallback}", "fallback"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${EMPTY}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${TOKEN:-fallback}", "CANARY_token"),
        ("${REFERENCE}", "${TOKEN}"),
        ("${SHELL_WORDS}", "$(id); `id` \"quoted\" 'single'\n- yaml: true\n"),
        ("$${TOKEN}", "${TOKEN}"),
        ("$$${TOKEN}", "$${TOKEN}"),
        ("$TOKEN $ $$ $(id) {TOKEN}", "$TOKEN $ $$ $(id) {TOKEN}"),
        ("}${TOKEN}}", "}CANARY_token}"),
    ];
    for (text, expected) in cases {
        assert_eq!(expanded(text), expected, "{text}");
    }
}

#[test]
fn sec_073_a_value_cannot_change_the_shape_of_the_file() {
    let yaml =
        "mcpServers:\n  docs:\n    command: x\n    args: [\"${SHELL_WORDS}\"]\n    env: { A: \"${SHELL_WORDS}\" }\n";
    let config = parse_as("c.yaml", yaml).unwrap();
    let Kind::Command { args, env, .. } = &config.servers[0].kind else { unreachable!() };
    assert_eq!((args.len(), env.len()), (1, 1));
    assert_eq!(args[0], env[0].1);
}

#[test]
fn sec_073_what_cannot_be_expanded_names_the_key() {
    let cases = [
        ("${UNSET}", "`UNSET` is not set", "write `${UNSET:-default}`"),
        ("${TOKEN", "`${` without its `}`", "`$${`"),
        ("${}", "not a reference that Rialto knows", "`${file:PATH}`"),
        ("${1A}", "not a reference that Rialto knows", "`${VAR}`"),
        ("${A B}", "not a reference that Rialto knows", "`${VAR}`"),
        ("${env:TOKEN}", "not a reference that Rialto knows", "write `${TOKEN}`"),
        ("${input:key}", "not a reference that Rialto knows", "asks for nothing"),
        ("${UNSET:-${TOKEN}}", "the default of `UNSET` holds a reference", "plain text"),
        ("${file:nowhere.txt}", "cannot take the file `nowhere.txt`", "small text file"),
        ("${file:}", "cannot take the file", "small text file"),
    ];
    for (text, what, hint) in cases {
        let message = entry_faults(&format!(r#""command": "x", "args": ["{text}"]"#));
        assert!(message.contains("error: mcpServers.docs.args[0]: "), "{message}");
        assert!(message.contains(what), "{text}: {message}");
        assert!(message.contains(hint), "{text}: {message}");
        assert!(!message.contains("CANARY"), "{message}");
    }
}

#[test]
fn sec_073_names_and_commands_are_not_expanded() {
    let command = entry_faults(r#""command": "${TOKEN}""#);
    assert!(command.contains("mcpServers.docs.command: references are not expanded in `command`"), "{command}");
    let name = faults(r#"{ "mcpServers": { "${HOST}": { "url": "http://a/" } } }"#);
    assert!(name.contains("references are not expanded in names"), "{name}");
    let variable = entry_faults(r#""command": "x", "env": { "${TOKEN}": "a" }"#);
    assert!(variable.contains("not the name of an environment variable"), "{variable}");
    let header = entry_faults(r#""url": "http://a/", "headers": { "${TOKEN}": "a" }"#);
    assert!(header.contains("not the name of a header"), "{header}");
}

#[test]
fn a_value_from_elsewhere_is_never_shown() {
    let cases = [
        r#""url": "${TOKEN}""#,
        r#""url": "http://${SHELL_WORDS}/""#,
        r#""url": "http://user:${TOKEN}@a/""#,
        r#""url": "http://a/", "headers": { "x": "${TOKEN}${SHELL_WORDS}" }"#,
    ];
    for fields in cases {
        let message = entry_faults(fields);
        assert!(!message.contains("CANARY") && !message.contains("yaml"), "{message}");
    }
    let settings = super::settings_faults(
        r#""listen": "${TOKEN}", "hosts": ["*${TOKEN}"], "public_url": "${TOKEN}", "seal_keys": ["${TOKEN}"],
           "servers": { "docs": { "era": "${TOKEN}", "start_timeout": "${TOKEN}", "forward_headers": ["${TOKEN} x"] } }"#,
    );
    assert_eq!(settings.matches("error: ").count(), 7, "{settings}");
    assert!(!settings.contains("CANARY"), "{settings}");
}

#[test]
fn files_are_found_beside_the_config() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    write("secret", b"from a file\r\n");
    write("binary", b"\xff\xfe");
    write("long", &vec![b'x'; 65 * 1024]);
    let file = directory.path().join("mcp.json");
    let load = |reference: &str| {
        let text = format!(r#"{{ "mcpServers": {{ "a": {{ "command": "x", "args": ["{reference}"] }} }} }}"#);
        std::fs::write(&file, text).unwrap();
        Config::load(&file, &environment)
    };
    let config = load("<${file:secret}>").unwrap();
    let Kind::Command { args, .. } = &config.servers[0].kind else { unreachable!() };
    assert_eq!(args[0], "<from a file>");

    let absolute = directory.path().join("secret");
    assert!(load(&format!("${{file:{}}}", absolute.display())).is_ok());
    for (reference, why) in [
        ("${file:binary}", "not UTF-8"),
        ("${file:long}", "longer than 64 KiB"),
        ("${file:.}", "not a regular file"),
        ("${file:/dev/zero}", "not a regular file"),
        ("${file:absent}", "No such file"),
    ] {
        let message = load(reference).unwrap_err().to_string();
        assert!(message.contains(why), "{reference}: {message}");
        assert!(message.starts_with(&format!("{}:1:", file.display())), "{message}");
    }
}

#[test]
fn files_are_bounded_and_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.json");
    let load = || Config::load(Path::new(&file), &environment).unwrap_err().to_string();
    assert!(load().contains("cannot read the file: No such file"), "{}", load());
    std::fs::write(&file, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(load().contains("longer than 1048576 bytes"), "{}", load());
    std::fs::write(&file, b"{\n\n\xff}").unwrap();
    assert!(load().contains("not UTF-8 text: see line 3"), "{}", load());
}
