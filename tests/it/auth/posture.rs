//! Who may connect, and what the program says about it (SEC-006): the program itself, as people start it.

use std::process::{Output, Stdio};

use rialto::auth::{Key, fresh_key};
use serde_json::{Value, json};

use crate::{
    matrix::{
        client::{Client, MODERN, http_client},
        process::{Ended, Fixture, Rialto, fixture_command, until},
    },
    server_kit::soon,
};

/// All addresses of this machine, and any free port.
const OPEN: &str = "0.0.0.0:0";

async fn start(config: &Value, listen: &str) -> Result<Rialto, Ended> {
    Rialto::run_with(Some(("mcp.json", &config.to_string())), |command| command.args(["--listen", listen])).await
}

#[track_caller]
fn refused(started: Result<Rialto, Ended>, code: i32, words: &[&str]) {
    let Err(ended) = started else { panic!("it was served") };
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert_eq!(ended.out, "", "nothing listens, so nothing is announced");
    for word in words {
        assert!(ended.errors.contains(word), "expected {word:?} in\n{}", ended.errors);
    }
}

#[tokio::test]
async fn sec_006_nobody_else_connects_by_accident() {
    // The demo has no keys, however the address is given.
    let words =
        ["`--listen 0.0.0.0:0`", "there are no keys", "`rialto.auth`", "the demo has no keys", "`rialto serve FILE`"];
    refused(Rialto::run_with(None, |command| command.env("RIALTO_LISTEN", OPEN)).await, 64, &words);
    refused(Rialto::run_with(None, |command| command.args(["--listen", OPEN])).await, 64, &words);

    let servers = json!({ "near": fixture_command(&["--revision", MODERN]) });
    let plain = json!({ "mcpServers": servers });
    refused(start(&plain, OPEN).await, 64, &["`--listen 0.0.0.0:0`", "there are no keys", "\"auth\": \"none\""]);
    // What the file itself asks for is a fault of the file.
    let asking = json!({ "mcpServers": servers, "rialto": { "listen": OPEN } });
    refused(
        start(&asking, "127.0.0.1:0").await,
        78,
        &["mcp.json:1:", "error: rialto.listen: others than this machine"],
    );
    // Strangers get no process that nobody said they share.
    let nobody = json!({ "mcpServers": servers, "rialto": { "auth": "none" } });
    refused(start(&nobody, OPEN).await, 64, &["strangers", "`near` is a process", "`shared`", "`per-request`"]);

    let own = start(&plain, "127.0.0.1:0").await.unwrap();
    assert!(own.announced().contains("\nno keys: only this machine can connect\n"), "{}", own.announced());
    assert_eq!(own.readiness("near").await["status"].as_str().map(str::is_empty), Some(false));
}

#[tokio::test]
async fn sec_006_with_keys_others_connect_and_are_asked_for_them() {
    let (ann, bob) = (fresh_key(), fresh_key());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bob"), format!("{bob}\n")).unwrap();
    let keys = json!([
        { "principal": "ann", "key": Key::new("ann", &ann).unwrap().to_hash() },
        { "principal": "ann", "key": "${NEW_KEY_OF_ANN}" },
        { "principal": "bob", "key": format!("${{file:{}}}", folder.path().join("bob").display()), "mounts": ["near"] },
    ]);
    let config = json!({
        "mcpServers": {
            "near": fixture_command(&["--revision", "2025-11-25"]),
            "other": fixture_command(&["--revision", MODERN]),
        },
        "rialto": { "hosts": ["127.0.0.1"], "auth": { "keys": keys } },
    });
    let newer = fresh_key();
    let rialto = Rialto::run_with(Some(("mcp.json", &config.to_string())), |command| {
        command.args(["--listen", OPEN]).env("NEW_KEY_OF_ANN", &newer)
    })
    .await
    .unwrap();
    assert!(rialto.announced().contains("\n3 keys of 2 principals\n"), "{}", rialto.announced());

    for key in [&ann, &newer, &bob] {
        for revision in ["2025-06-18", MODERN] {
            let client = Client::connect_as(&rialto.mount("near"), revision, key).await;
            assert_eq!(client.call("echo", json!({ "text": "in" })).await.said(), "in", "{revision}");
            client.close().await;
        }
    }
    let post = |mount: &str, key: &str| {
        let request = http_client().post(rialto.mount(mount)).bearer_auth(key);
        async move { request.body("{}").send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post("other", &bob).await, 403);
    assert_eq!(post("near", "CANARY-not-a-key-of-ours").await, 401);
    assert_eq!(post("near", &ann[..ann.len() - 1]).await, 401);
    until("the wrong key in the log", || async { rialto.log().contains("a key that is none of ours") }).await;
    for secret in ["CANARY", &ann[..12], &bob, &newer] {
        assert!(!rialto.log().contains(secret), "{}", rialto.log());
    }
    // No session goes from one principal to another.
    let hers = Client::connect_as(&rialto.mount("near"), "2025-11-25", &ann).await;
    let stolen = http_client().get(rialto.mount("near")).header("accept", "text/event-stream");
    let stolen = stolen.header("mcp-session-id", hers.session().unwrap());
    assert_eq!(stolen.try_clone().unwrap().send().await.unwrap().status(), 401);
    assert_eq!(stolen.bearer_auth(&bob).send().await.unwrap().status(), 404);
}

/// Strangers share nothing: every request of theirs has a session of its own at the server.
#[tokio::test]
async fn strangers_are_strangers_to_each_other() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let config = json!({
        "mcpServers": { "far": fixture.entry() },
        "rialto": { "hosts": ["127.0.0.1"], "auth": "none" },
    });
    let rialto = start(&config, OPEN).await.unwrap();
    assert!(
        rialto.announced().contains("\nno keys: anybody who can connect may use everything\n"),
        "{}",
        rialto.announced()
    );
    let count = |client: Client| async move { client.call("counter", json!({})).await.said() };
    let first = Client::connect(&rialto.mount("far"), MODERN).await;
    assert_eq!(first.call("counter", json!({})).await.said(), "1");
    assert_eq!(first.call("counter", json!({})).await.said(), "1", "a call of a stranger shares with the one before");
    assert_eq!(count(Client::connect(&rialto.mount("far"), MODERN).await).await, "1");
    // They hear that it is ready, and nothing of the servers.
    let ready = http_client().get(format!("{}/readyz", rialto.base)).send().await.unwrap().text().await.unwrap();
    assert_eq!(ready, r#"{"status":"ready"}"#);

    // The same file on loopback serves the one user of this machine.
    let local = start(&config, "127.0.0.1:0").await.unwrap();
    assert!(local.announced().contains("only this machine can connect"), "{}", local.announced());
    let client = Client::connect(&local.mount("far"), MODERN).await;
    assert_eq!(client.call("counter", json!({})).await.said(), "1");
    assert_eq!(client.call("counter", json!({})).await.said(), "2");
}

async fn key(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.arg("key").args(arguments).stdin(Stdio::null());
    soon("a key", command.output()).await.unwrap()
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_taken_by_the_config() {
    let made = key(&["--principal", "an \"odd\" name"]).await;
    assert!(made.status.success(), "{made:?}");
    let out = String::from_utf8(made.stdout).unwrap();
    let [secret, entry] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
    let entry: Value = serde_json::from_str(entry).unwrap();
    assert_eq!(entry["principal"], "an \"odd\" name");
    assert_eq!(entry["key"], Key::new("x", secret).unwrap().to_hash());
    assert!(!String::from_utf8(made.stderr).unwrap().contains(secret), "what is said about it is not the key");
    assert_ne!(key(&[]).await.stdout, key(&[]).await.stdout);

    let config = json!({
        "mcpServers": { "near": fixture_command(&["--revision", MODERN]) },
        "rialto": { "auth": { "keys": [entry] } },
    });
    let rialto = start(&config, "127.0.0.1:0").await.unwrap();
    assert!(rialto.announced().contains("\n1 key of 1 principal\n"), "{}", rialto.announced());
    let client = Client::connect_as(&rialto.mount("near"), MODERN, secret).await;
    assert_eq!(client.call("echo", json!({ "text": "in" })).await.said(), "in");

    let bad = key(&["--principal", ""]).await;
    assert_eq!(bad.status.code(), Some(64), "{bad:?}");
    assert!(bad.stdout.is_empty() && String::from_utf8(bad.stderr).unwrap().contains("`--principal`"));
}
