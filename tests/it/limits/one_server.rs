//! The limits of a config reach the program, and those of one server that server alone.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    matrix::{
        client::{Client, MODERN, http_client},
        process::Rialto,
    },
    upstream_http::{
        discovered,
        scripted::{Reply, Scripted},
    },
};

#[tokio::test]
async fn a_server_is_given_up_by_its_own_limits_and_its_neighbour_by_the_general_ones() {
    let slow = Scripted::start(|seen| async move {
        match seen.method() {
            "server/discover" => discovered(&seen),
            "tools/list" => {
                let tools = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
                let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"});
                Reply::json(200, &seen.result(list))
            }
            _ => {
                sleep(Duration::from_millis(700)).await;
                let content = json!([{"type": "text", "text": "ran"}]);
                Reply::json(200, &seen.result(json!({"resultType": "complete", "content": content})))
            }
        }
    })
    .await;
    let config = json!({
        "mcpServers": { "hasty": { "url": slow.url() }, "calm": { "url": slow.url() } },
        "rialto": {
            "limits": { "silence": "30s", "body": "2KiB" },
            "servers": { "hasty": { "limits": { "silence": "200ms" } } },
        },
    });
    let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
    let hasty = Client::connect(&rialto.mount("hasty"), MODERN).await;
    assert_eq!(hasty.call("t", json!({})).await.error()["data"]["reason"], "timeout");
    let calm = Client::connect(&rialto.mount("calm"), MODERN).await;
    assert_eq!(calm.call("t", json!({})).await.said(), "ran");

    // Over REST as well, where the body has the general bound.
    let post = async |mount: &str, body: String| {
        let url = format!("{}/api/mounts/{mount}/tools/t", rialto.base);
        http_client().post(url).header("content-type", "application/json").body(body).send().await.unwrap().status()
    };
    assert_eq!(post("hasty", "{}".to_owned()).await, 504);
    assert_eq!(post("calm", "{}".to_owned()).await, 200);
    assert_eq!(post("calm", json!({"a": "x".repeat(2048)}).to_string()).await, 413);
}
