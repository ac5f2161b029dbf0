//! Routes from the config file, in the program.

use serde_json::{Value, json};

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
                    "headers": { "X-Token": "${file:token}", "Authorization": "Bearer own" },
                    "timeout": "5s",
                    "body_limit": "1KiB",
                },
            },
        },
    });
    let rialto = Rialto::start_file_beside("mcp.json", &file.to_string(), ("token", "a secret\n")).await;
    let (status, sent) = seen(http().get(format!("{}/reports/may?x=1", rialto.base))).await;
    assert_eq!((status, &sent["target"]), (200, &json!("/v2/may?x=1")), "{sent}");
    // The program knows who is connected to it.
    assert_eq!(header(&sent, "x-forwarded-for"), ["127.0.0.1"]);
    let (_, sent) = seen(http().post(format!("{}/files", rialto.base)).bearer_auth("client").body("x")).await;
    assert_eq!(header(&sent, "x-token"), ["a secret"]);
    assert_eq!(header(&sent, "authorization"), ["Bearer own"]);
    let (status, problem) = seen(http().post(format!("{}/files", rialto.base)).body(vec![0; 1025])).await;
    assert_eq!((status, &problem["type"]), (413, &json!("urn:rialto:problem:body-too-large")));
    // The mounts are where they were.
    let ready = seen(http().get(format!("{}/readyz", rialto.base))).await.1;
    assert!(matches!(&ready["mounts"]["docs"], Value::Object(_)), "{ready}");
    assert!(!rialto.log().contains("a secret"));
}
