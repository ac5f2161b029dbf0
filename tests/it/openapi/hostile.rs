//! Tools that are named and described to do harm.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::assert_document;
use crate::{
    rest::app::{App, builder, named, scripted, tool},
    support::mount,
};

/// Tools of a server that nobody should trust.
pub(super) fn hostile_tools() -> Vec<Value> {
    let script = "</script><script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) {{7*7}}";
    let long = "é".repeat(128);
    let names = [
        "../../admin",
        "__proto__",
        "constructor",
        "a b",
        "a.b",
        "a_b",
        "tools/{x}",
        "{x}",
        &long,
        "%2e",
        script,
        "a?b#c",
        "a\u{0}b",
        ".",
        "..",
        "",
    ];
    let schemas = [
        json!({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}),
        json!({"type": "object", "$ref": "http://evil.example/schema"}),
        json!({"type": "object", "$defs": {"a b/c~d": {"$ref": "#/$defs/Missing"}}, "properties": {"a": {"$ref": "#/$defs/a%20b~1c~0d"}}}),
        json!({"type": "object", "discriminator": {"mapping": {"a": "file:///etc/passwd"}}, "xml": 5, "externalDocs": "x"}),
        json!({"type": 5}),
        json!({"$schema": "http://evil.example/dialect", "$id": "http://evil.example/id", "type": "object"}),
        json!({"$dynamicAnchor": "n", "type": "object", "properties": {"a": {"$dynamicRef": "#n"}}}),
        json!({"$dynamicAnchor": "n", "type": "object", "properties": {"b": {"$dynamicRef": "#n"}}}),
        json!({"type": "object", "properties": {"$ref": {"type": "string"}, script: {"description": script, "enum": [script]}}}),
        json!(true),
        json!("text"),
    ];
    let tools = names.iter().enumerate().map(|(n, name)| {
        json!({
            "name": name, "title": script, "description": script,
            "inputSchema": schemas[n % schemas.len()], "outputSchema": schemas[(n + 3) % schemas.len()],
            "annotations": {"title": script}, "icons": [{"src": "http://evil.example/i.svg"}],
        })
    });
    let odd = [json!({"name": "no_words", "title": 5, "description": {"a": 1}}), json!({"no": "name"}), json!(5)];
    let many = schemas.iter().enumerate().map(|(n, schema)| json!({"name": format!("s{n}"), "inputSchema": schema}));
    tools.chain(odd).chain(many.clone()).chain(many).collect()
}

#[tokio::test]
async fn sec_124_hostile_tools_make_no_document_invalid() {
    let say = |call: rialto::hub::Call| async move { mount::says(named(&call)) };
    // Names that would meet in one id: `a` with `b_no_words`, and `a_b` with `no_words`.
    let more: Vec<_> = [tool("b_no_words"), tool("b")].into_iter().chain(hostile_tools()).collect();
    let app = App::serve(
        builder()
            .mount("a", scripted(json!(more), say))
            .mount("a_b", scripted(json!(hostile_tools()), say))
            .mount("rialto", scripted(json!(hostile_tools()), say))
            .build(),
    )
    .await;
    for path in ["/openapi.json", "/api/mounts/a/openapi.json", "/api/mounts/a_b/openapi.json"] {
        let answer = app.get(path).await;
        let document = answer.ok();
        assert_document(&document);
        assert!(!answer.text.contains("\"$ref\":\"file:") && !answer.text.contains("\"$ref\":\"http"), "{path}");
        assert!(!answer.text.contains("\"$id\":") && !answer.text.contains("dynamicRef\":"), "{path}");
    }
    let document = app.get("/openapi.json").await.ok();
    let tag = document["tags"].as_array().unwrap().iter().find(|tag| tag["name"] == "a").unwrap();
    assert_eq!(tag["x-rialto-left-out"], json!([".", "..", ""]));
    // Every path leads to the tool that it describes.
    let mut called = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(name) = item["post"]["x-mcp-tool"].as_str() else { continue };
        if item["post"]["requestBody"]["required"] == true {
            continue;
        }
        let answer = app.post(path, "{}").await;
        // The schema of some of them lets nothing pass, or nothing that is known here.
        assert_eq!(answer.ok()["content"][0]["text"], name, "{path}");
        called += 1;
    }
    assert!(called > 50, "{called}");
}

#[tokio::test]
async fn sec_124_ids_stay_what_they_are_whatever_else_is_there() {
    let say = |call: rialto::hub::Call| async move { mount::says(named(&call)) };
    let names = ["search", "a b", "é", "read.file"];
    let ids = |document: &Value| -> Vec<String> {
        let paths = document["paths"].as_object().unwrap().values();
        let tools =
            paths.filter(|item| item["post"]["tags"] == json!(["m"]) && item["post"].get("x-mcp-tool").is_some());
        tools.map(|item| item["post"]["operationId"].as_str().unwrap().to_owned()).collect()
    };

    let few: Vec<_> = names.iter().map(|name| tool(name)).collect();
    let more: Vec<_> = ["a.b", "a_b", "a-b", "e"].iter().chain(&names).map(|name| tool(name)).collect();
    let first = App::serve(builder().mount("m", scripted(json!(few), say)).build()).await;
    let second =
        App::serve(builder().mount("other", scripted(json!(few), say)).mount("m", scripted(json!(more), say)).build())
            .await;
    let first = ids(&first.get("/openapi.json").await.ok());
    let second = ids(&second.get("/openapi.json").await.ok());
    assert_eq!(first[0], "m_search");
    assert!(first[1].starts_with("m_a_b.") && first[3].starts_with("m_read_file."), "{first:?}");
    assert!(first.iter().all(|id| second.contains(id)), "{first:?} {second:?}");
    assert_eq!(second.iter().collect::<HashSet<_>>().len(), 8);
}
