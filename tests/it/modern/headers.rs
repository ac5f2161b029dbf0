//! The headers that mirror the body.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use crate::support::{
    client::{Sent, modern, tool},
    gateway::Gateway,
    mount::{Scripted, with_tasks},
};

#[tokio::test]
async fn era_174_175_179_sec_061_headers_have_to_say_what_the_body_says() {
    let (gateway, mount) = Gateway::plain().await;
    let call = || tool("search", json!({})).id("seven");
    let read = || modern("resources/read", json!({"uri": "docs://a"}));
    let cases: Vec<(&str, Sent)> = vec![
        ("ERA-174", call().without("mcp-protocol-version")),
        ("no method", call().without("mcp-method")),
        ("no name", call().without("mcp-name")),
        ("no uri", read().without("mcp-name")),
        ("another method", call().header("mcp-method", "tools/list")),
        ("another name", call().header("mcp-name", "delete")),
        ("another uri", read().header("mcp-name", "docs://b")),
        ("another version", call().header("mcp-protocol-version", "2025-11-25")),
        ("ERA-175", call().header("mcp-method", "TOOLS/CALL")),
        ("another case", call().header("mcp-name", "Search")),
        ("ERA-179", call().another("mcp-method", "tools/call")),
        ("two names", call().another("mcp-name", "search")),
        ("two versions", call().another("mcp-protocol-version", "2026-07-28")),
        ("an empty name", call().header("mcp-name", "")),
        ("ERA-177", call().header("mcp-name", "=?base64?c2VhcmNo")),
        ("no padding", call().header("mcp-name", "=?base64?c2VhcmNoeA?=")),
        ("no alphabet", call().header("mcp-name", "=?base64?c2V*cmNo?=")),
        ("capitals", call().header("mcp-name", "=?BASE64?c2VhcmNo?=")),
        ("a name that is not there", modern("tools/call", json!({})).header("mcp-name", "search")),
    ];
    for (what, sent) in cases {
        let response = sent.response(&gateway, 400).await;
        assert_eq!(response["error"]["code"], -32020, "{what}: {response}");
        assert_eq!(response["id"], sent.body()["id"], "{what}");
    }
    modern("tools/call", json!({"arguments": {}})).error(&gateway, 200, -32602).await;
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_175_176_177_178_ways_to_spell_a_header() {
    let (gateway, mount) = Gateway::plain().await;
    let accepted = [
        ("search", "search"),
        ("search", " \t search\t "),
        ("search", "=?base64?c2VhcmNo?="),
        ("übersicht", "=?base64?w7xiZXJzaWNodA==?="),
        // A name that looks encoded is encoded once more.
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
    ];
    for (name, header) in accepted {
        tool("x", json!({})).param("name", json!(name)).header("MCP-NAME", header).response(&gateway, 200).await;
        assert_eq!(mount.last().params["name"], name);
    }
    let literal = tool("x", json!({})).param("name", json!("=?base64?eA==?=")).header("mcp-name", "=?base64?eA==?=");
    literal.error(&gateway, 400, -32020).await;
    // Some clients name what has no name, or send it along with every method.
    for method in ["tools/list", "completion/complete", "acme/do"] {
        modern(method, json!({"name": "x"})).header("mcp-name", "whatever").response(&gateway, 200).await;
    }
    // Nobody has to send the name of a task.
    let mount = Arc::new(Scripted::plain().with(with_tasks));
    let gateway = Gateway::start(&[&mount]).await;
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let task = modern("tasks/get", json!({"taskId": "t"})).capabilities(tasks);
    task.response(&gateway, 200).await;
    task.header("mcp-name", "other").error(&gateway, 400, -32020).await;
}

fn annotated() -> Scripted {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "where": {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}},
        "free": {"type": "string"}
    }});
    Scripted::plain().with(|m| m.tools = HashMap::from([("weather", schema)]))
}

#[tokio::test]
async fn era_180_182_arguments_have_to_be_mirrored() {
    let mount = Arc::new(annotated());
    let gateway = Gateway::start(&[&mount]).await;
    let refused: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (json!({"region": "eu"}), vec![]),
        (json!({}), vec![("mcp-param-region", "eu")]),
        (json!({"region": null}), vec![("mcp-param-region", "eu")]),
        (json!({"region": "eu"}), vec![("mcp-param-region", "us")]),
        (json!({"region": "eu"}), vec![("mcp-param-region", "EU")]),
        (json!({"where": {"city": "Oslo"}}), vec![]),
        (json!({"where": {"city": "Oslo"}}), vec![("mcp-param-city", "Rome")]),
        (json!({"count": 42}), vec![("mcp-param-count", "43")]),
        (json!({"dry": true}), vec![("mcp-param-dry", "false")]),
        (json!({"region": "é"}), vec![("mcp-param-region", "=?base64?w6k?=")]),
    ];
    for (arguments, headers) in refused {
        let sent = headers.iter().fold(tool("weather", arguments), |sent, (name, value)| sent.header(name, value));
        sent.error(&gateway, 400, -32020).await;
    }
    assert_eq!(mount.counts().begun, 0);
}

#[tokio::test]
async fn era_181_182_183_ways_to_mirror_an_argument() {
    let mount = Arc::new(annotated());
    let gateway = Gateway::start(&[&mount]).await;
    let accepted: Vec<(Value, &str, &str)> = vec![
        (json!({"region": "eu"}), "mcp-param-region", "eu"),
        (json!({"region": "42"}), "mcp-param-region", "42"),
        (json!({"region": " eu"}), "mcp-param-region", "=?base64?IGV1?="),
        (json!({"region": "a\nb"}), "mcp-param-region", "=?base64?YQpi?="),
        (json!({"region": "é"}), "mcp-param-region", "=?base64?w6k=?="),
        (json!({"region": ""}), "mcp-param-region", ""),
        (json!({"count": 42}), "mcp-param-count", "42"),
        (json!({"count": 42}), "mcp-param-count", "42.0"),
        (json!({"dry": true}), "mcp-param-dry", "true"),
        (json!({"where": {"city": "Oslo"}}), "mcp-param-city", "Oslo"),
        // What is not annotated is nobody's business here.
        (json!({"free": "x"}), "mcp-param-other", "y"),
    ];
    for (arguments, name, value) in accepted {
        tool("weather", arguments).header(name, value).response(&gateway, 200).await;
    }
    tool("unknown", json!({"region": "eu"})).response(&gateway, 200).await;
}

#[tokio::test]
async fn a_tool_whose_headers_cannot_be_known_is_not_called() {
    let mount = Arc::new(annotated().with(|m| m.down = true));
    let gateway = Gateway::start(&[&mount]).await;
    let error = tool("weather", json!({})).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "connect_failed");
    assert_eq!(mount.counts().begun, 0);
}
