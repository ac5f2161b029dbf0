//! Where it listens: on loopback, or wherever it is said who may come in (SEC-006).

use rialto::config::{Config, ListenError, parse_listen};

use super::{parse, parse_as};

/// A key's hash, of a key that nobody knows.
const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The inside of a file with a program and a server elsewhere, and these settings of ours.
fn config(settings: &str) -> Result<Config, String> {
    let text = format!(
        r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }}, "files": {{ "command": "x" }} }},
  "rialto": {{ {settings} }} }}"#
    );
    parse_as("mcp.json", &text).map_err(|faults| faults.to_string())
}

fn keys() -> String {
    format!(r#""auth": {{ "keys": [{{ "principal": "ci", "key": "{HASH}" }}] }}"#)
}

const OPEN: [&str; 5] = ["0.0.0.0:8000", "[::]:8000", "192.168.1.5:80", "[::ffff:0.0.0.0]:80", "[::ffff:10.0.0.1]:80"];

#[test]
fn the_default_is_loopback() {
    let config = parse(r#"{ "mcpServers": {} }"#);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert!(config.is_local());
}

#[test]
fn sec_006_nothing_else_than_loopback_is_listened_on_unless_it_is_said_who_may_come() {
    for open in OPEN {
        let message = config(&format!(r#""listen": "{open}""#)).unwrap_err();
        let expected = "error: rialto.listen: others than this machine could connect, and there are no keys\n  \
             hint: add keys with `rialto.auth` (`rialto key` makes one), let everybody in with `\"auth\": \"none\"`, \
             or listen on `127.0.0.1`";
        assert!(message.contains(expected), "{message}");

        let keyed = config(&format!(r#"{}, "listen": "{open}""#, keys())).unwrap();
        assert!(!keyed.is_local());
    }
    for own in ["127.0.0.1:0", "127.0.0.2:80", "[::1]:8000", "[::ffff:127.0.0.1]:80"] {
        assert!(config(&format!(r#""listen": "{own}""#)).unwrap().is_local(), "{own}");
    }
    for broken in ["", "8000", ":8000", "localhost:8000", "127.0.0.1", "127.0.0.1:99999", "127.1:80"] {
        assert_eq!(parse_listen(broken), Err(ListenError::NotAnAddress), "{broken}");
    }
}

#[test]
fn sec_006_a_command_line_obeys_the_same_rules() {
    for open in OPEN {
        let mut silent = config("").unwrap();
        assert_eq!(silent.listen_on(open), Err(ListenError::Open), "{open}");
        assert!(silent.is_local(), "a refused address changes nothing");
        let mut keyed = config(&keys()).unwrap();
        assert_eq!(keyed.listen_on(open), Ok(()), "{open}");
        assert!(!keyed.is_local());
        let mut nobody = config(r#""auth": "none""#).unwrap();
        assert_eq!(nobody.listen_on(open), Err(ListenError::Strangers(vec!["files".into()])), "{open}");
    }
    let mut demo = Config::default();
    assert_eq!(demo.listen_on("0.0.0.0:8000"), Err(ListenError::Open));
    assert_eq!(demo.listen_on("127.0.0.1:1"), Ok(()));
    assert_eq!(demo.listen_on("nonsense"), Err(ListenError::NotAnAddress));
}

#[test]
fn strangers_share_a_process_only_if_it_is_said() {
    let open = r#""auth": "none", "listen": "0.0.0.0:80""#;
    for settings in [open.to_owned(), format!(r#"{open}, "servers": {{ "files": {{ "sessions": "principal" }} }}"#)] {
        let message = config(&settings).unwrap_err();
        let expected = "rialto.listen: without keys all callers are strangers, and `files` is a process\n  \
             hint: say with `rialto.servers.….sessions` whether they share it (`shared`) or each request gets one \
             (`per-request`), or add keys with `rialto.auth`";
        assert!(message.contains(expected), "{message}");
    }
    for sessions in ["shared", "per-request"] {
        let settings = format!(r#"{open}, "servers": {{ "files": {{ "sessions": "{sessions}" }} }}"#);
        assert!(config(&settings).is_ok(), "{sessions}");
    }
}
