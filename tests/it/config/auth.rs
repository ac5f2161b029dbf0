//! Who may come in: `rialto.auth`, and what is said about it when it is wrong (SEC-045).

use rialto::{
    auth::{Auth, fresh_key},
    config::{Authentication, Config},
};

use super::{faults, parse, parse_as};

const ONE: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const TWO: &str = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

/// A file with two servers, one of them with a title, and this `auth`.
fn text(auth: &str) -> String {
    format!(
        r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }}, "My Files": {{ "command": "x" }},
                  "off": {{ "url": "http://b/", "disabled": true }} }},
  "rialto": {{ "auth": {auth} }} }}"#
    )
}

fn auth(config: &Config) -> &Auth {
    match &config.authentication {
        Authentication::Keys(auth) => auth,
        other => panic!("no keys: {other:?}"),
    }
}

#[test]
fn keys_are_hashes_or_come_from_elsewhere() {
    let key = fresh_key();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), format!("{key}\n")).unwrap();
    let file = folder.path().join("mcp.json");
    let text = text(&format!(
        r#"{{ "keys": [
            {{ "principal": "ci", "key": "{ONE}", "mounts": ["docs", "my-files", "off"] }},
            {{ "principal": "ci", "key": "{TWO}" }},
            {{ "principal": "alice", "key": "${{file:key}}", "mounts": ["My Files"] }},
            {{ "principal": "bob", "key": "${{VARIABLE}}" }} ] }}"#
    ));
    let variable = fresh_key();
    let config = Config::parse(&text, &file, &|name| (name == "VARIABLE").then(|| format!("{variable}\n").into()));
    let config = config.unwrap();
    let auth = auth(&config);
    assert_eq!((auth.count(), auth.principals()), (4, 3));
    let alice = auth.find(key.as_bytes()).unwrap();
    assert_eq!(alice.principal().as_str(), "alice");
    assert!(alice.may_use("my-files") && !alice.may_use("docs"));
    let bob = auth.find(variable.as_bytes()).unwrap();
    assert!(bob.may_use("docs") && bob.may_use("my-files"));
    // `sha256sum` of this text is the first hash.
    let ci = auth.find(b"test").unwrap();
    assert!(ci.may_use("docs") && ci.may_use("my-files") && !ci.may_use("other"));
    assert_eq!(config.warnings, [] as [String; 0]);
    assert!(!format!("{config:?}").contains(&key[8..]), "{config:?}");
    assert!(!format!("{config:?}").contains(&ONE[8..]), "{config:?}");
}

#[test]
fn nobody_is_asked_if_it_is_said() {
    assert!(matches!(parse(&text(r#""none""#)).authentication, Authentication::Nobody));
    assert!(matches!(parse(r#"{ "mcpServers": {} }"#).authentication, Authentication::Unsaid));
}

#[test]
fn a_key_in_clear_is_worth_a_warning_that_does_not_repeat_it() {
    let key = fresh_key();
    let config = parse(&text(&format!(r#"{{ "keys": [{{ "principal": "ci", "key": "{key}" }}] }}"#)));
    assert!(auth(&config).find(key.as_bytes()).is_some());
    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert!(warning.starts_with("mcp.json:3:"), "{warning}");
    assert!(
        warning
            .contains("rialto.auth.keys[0].key: the key itself stands in this file\n  hint: write its hash, `sha256:")
    );
    assert!(!warning.contains(&key), "{warning}");
}

#[test]
fn sec_045_keys_are_checked_and_never_shown() {
    let key = |key: &str| format!(r#"{{ "keys": [{{ "principal": "ci", "key": {key} }}] }}"#);
    let with = |more: &str| format!(r#"{{ "keys": [{{ "principal": "ci", "key": "{ONE}"{more} }}] }}"#);
    let principal = |name: &str| format!(r#"{{ "keys": [{{ "principal": {name}, "key": "{ONE}" }}] }}"#);
    let cases = [
        (key(r#""""#), "rialto.auth.keys[0].key: the key is empty\n  hint: make one with `rialto key`"),
        (key(r#""${EMPTY}""#), "keys[0].key: the key is empty"),
        (key(r#""\n""#), "keys[0].key: the key is empty"),
        (key(r#""${UNSET}""#), "keys[0].key: the environment variable `UNSET` is not set"),
        (key(r#""${file:absent}""#), "keys[0].key: cannot take the file `absent`"),
        (key(r#""CANARY-short""#), "keys[0].key: the key is shorter than 16 bytes"),
        (key(r#""${TOKEN}""#), "keys[0].key: the key is shorter than 16 bytes"),
        (key(r#""CANARY with some spaces""#), "keys[0].key: the key has characters that an `Authorization: Bearer`"),
        (key(r#""${SHELL_WORDS}""#), "keys[0].key: the key has characters"),
        (key(r#""change-me-change-me""#), "keys[0].key: the key is one that everybody knows"),
        (key(r#""${SEAL}""#), "keys[0].key: the key is one that everybody knows"),
        (key(r#""sha256:CANARY""#), "keys[0].key: not the hash of a key\n  hint: write `sha256:` and 64 hex"),
        (key(&format!(r#""sha256:{}""#, "0".repeat(64))), "keys[0].key: the key is one that everybody knows"),
        (key("17"), "keys[0].key: must be a string, but is a number\n  hint: put it in quotes"),
        (principal(r#""""#), "keys[0].principal: not a name for a principal"),
        (principal(r#"" ""#), "keys[0].principal: not a name"),
        (principal(r#""a\u0000b""#), "keys[0].principal: not a name"),
        (principal("true"), "keys[0].principal: must be a string"),
        (r#"{ "keys": [{ "key": "x" }] }"#.to_owned(), "keys[0]: `principal` is missing"),
        (r#"{ "keys": [{ "principal": "ci" }] }"#.to_owned(), "keys[0]: `key` is missing"),
        (r#"{ "keys": ["x"] }"#.to_owned(), "keys[0]: must be a map, but is a string"),
        (r#"{ "keys": {} }"#.to_owned(), "rialto.auth.keys: must be a list, but is a map"),
        (r#"{ "keys": [] }"#.to_owned(), "rialto.auth.keys: there are no keys in it"),
        ("{}".to_owned(), "rialto.auth: there are no keys in it"),
        ("[]".to_owned(), "rialto.auth: must be a map with `keys`, or \"none\", but is a list"),
        (r#""off""#.to_owned(), "rialto.auth: not a known value: `off`\n  hint: valid here: `none`"),
        (r#"{ "keyz": [] }"#.to_owned(), "rialto.auth.keyz: unknown key\n  hint: did you mean `keys`?"),
        (with(r#", "mount": ["docs"]"#), "keys[0].mount: unknown key\n  hint: did you mean `mounts`?"),
        (
            with(r#", "mounts": ["dosc"]"#),
            "keys[0].mounts[0]: there is no mount of this name\n  hint: did you mean `docs`?",
        ),
        (with(r#", "mounts": []"#), "keys[0].mounts: it names no mount, so the key would open nothing"),
        (with(r#", "mounts": "docs""#), "keys[0].mounts: must be a list, but is a string"),
        (
            format!(
                r#"{{ "keys": [{{ "principal": "a", "key": "{ONE}" }}, {{ "principal": "b", "key": "{ONE}" }}] }}"#
            ),
            "rialto.auth.keys[1]: this key is there already",
        ),
    ];
    for (auth, expected) in cases {
        let message = faults(&text(&auth));
        assert!(message.contains(expected), "{auth}: {message}");
        assert!(message.contains("mcp.json:3:"), "{message}");
        assert!(!message.contains("CANARY"), "{message}");
    }
}

#[test]
fn keys_of_some_mounts_open_custom_routes_only_if_it_is_said() {
    let key = |name: &str, more: &str| {
        let config = parse(&text(&format!(r#"{{ "keys": [{{ "principal": "{name}", "key": "{ONE}"{more} }}] }}"#)));
        let access = auth(&config).find(b"test").unwrap().clone();
        (access.may_use("docs"), access.may_use("my-files"), access.may_use_routes())
    };
    assert_eq!(key("all", ""), (true, true, true));
    assert_eq!(key("mounts only", r#", "routes": false"#), (true, true, false));
    assert_eq!(key("one", r#", "mounts": ["docs"]"#), (true, false, false));
    assert_eq!(key("one and routes", r#", "mounts": ["docs"], "routes": true"#), (true, false, true));
}

#[test]
fn every_fault_of_the_keys_is_told_at_once() {
    let message = parse_as(
        "keys.yaml",
        "mcpServers: { docs: { url: 'http://a/' } }\nrialto:\n  listen: 0.0.0.0:80\n  auth:\n    keys:\n      - principal: ''\n        key: sha256:x\n      - key: short\n        principal: ci\n        mounts: [dogs]\n",
    );
    assert_eq!(
        message.unwrap_err().to_string(),
        "keys.yaml:6:20: error: rialto.auth.keys[0].principal: not a name for a principal
  hint: write up to 128 printable characters, without space at either end
keys.yaml:7:14: error: rialto.auth.keys[0].key: not the hash of a key
  hint: write `sha256:` and 64 hexadecimal digits, as `rialto key` or `sha256sum` print them
keys.yaml:8:14: error: rialto.auth.keys[1].key: the key is shorter than 16 bytes
  hint: make one with `rialto key`
keys.yaml:10:18: error: rialto.auth.keys[1].mounts[0]: there is no mount of this name
  hint: did you mean `docs`?"
    );
}
