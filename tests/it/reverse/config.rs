//! Routes from the config file, in the program.

use http::Method;
use rialto::auth::{Key, fresh_key};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{echoing, header, http, seen};
use crate::matrix::process::{Rialto, fixture_command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_serves_the_routes_of_its_file() {
    let server = echoing().await;
    let file = json!({
        "mcpServers": { "docs": fixture_command(&["--revision", "2025-11-25"]) },
        "rialto": {
            "routes": {
                "/reports": format!("{}/v2", server.base),
                "/files": {
                    "url": server.base,
                    "headers": { "X-Token": "${REPORTS_TOKEN}", "Authorization": "Bearer own" },
                    "timeout": "5s",
                    "body_limit": "1KiB",
                },
            },
        },
    });
    fn set(command: &mut Command) -> &mut Command {
        command.args(["--listen", "127.0.0.1:0"]).env("REPORTS_TOKEN", "a secret")
    }
    let text = file.to_string();
    let rialto = Rialto::run_with(Some(("mcp.json", &text)), set).await.unwrap_or_else(|ended| panic!("{ended:?}"));
    let (status, sent) = seen(http().get(format!("{}/reports/may?x=1", rialto.base))).await;
    assert_eq!((status, &sent["target"]), (200, &json!("/v2/may?x=1")), "{sent}");
    // The program knows who is connected to it.
    assert_eq!(header(&sent, "x-forwarded-for"), ["127.0.0.1"]);
    let (_, sent) = seen(http().post(format!("{}/files", rialto.base)).bearer_auth("client").body("x")).await;
    assert_eq!(header(&sent, "x-token"), ["a secret"]);
    assert_eq!(header(&sent, "authorization"), ["Bearer own"]);
    let (status, problem) = seen(http().post(format!("{}/files", rialto.base)).body(vec![0; 1025])).await;
    assert_eq!((status, &problem["type"]), (413, &json!("urn:rialto:problem:too-large")));
    // The mounts are where they were.
    let ready = seen(http().get(format!("{}/readyz", rialto.base))).await.1;
    assert!(matches!(&ready["mounts"]["docs"], Value::Object(_)), "{ready}");
    assert!(!rialto.log().contains("a secret"));
}

/// Routes are behind the same keys as everything else, and a key that opens some mounts only opens no routes unless the file
/// says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_010_routes_are_behind_the_keys() {
    let server = echoing().await;
    let [root, docs, reports] = [fresh_key(), fresh_key(), fresh_key()];
    let hash = |key: &str| Key::new("x", key).unwrap().to_hash();
    let file = json!({
        "mcpServers": { "docs": { "url": "http://127.0.0.1:9/mcp" } },
        "rialto": {
            "routes": { "/reports": server.base, "/files": server.base },
            "auth": { "keys": [
                { "principal": "root", "key": hash(&root) },
                { "principal": "docs", "key": hash(&docs), "mounts": ["docs"] },
                { "principal": "reports", "key": hash(&reports), "mounts": ["docs"], "routes": true },
            ] },
        },
    });
    let rialto = Rialto::start_file("mcp.json", &file.to_string()).await;
    let get = |path: &str| http().get(format!("{}{path}", rialto.base));
    for path in ["/reports", "/reports/", "/reports/a/b", "/files"] {
        assert_eq!(seen(get(path)).await.0, 401, "{path}");
        assert_eq!(seen(get(path).bearer_auth(fresh_key())).await.0, 401, "{path}");
        assert_eq!(seen(get(path).basic_auth("root", Some(&root))).await.0, 401, "{path}");
        assert_eq!(seen(get(path).bearer_auth(&docs)).await.0, 403, "{path}");
        assert_eq!(seen(get(path).bearer_auth(&reports)).await.0, 200, "{path}");
        let (status, sent) = seen(get(path).header("x-api-key", &root)).await;
        assert_eq!(status, 200, "{path}");
        assert!(!sent.to_string().contains(&root), "{sent}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let request = http().request(method.clone(), format!("{}/reports", rialto.base));
        assert_eq!(seen(request).await.0, 401, "{method}");
    }
}
