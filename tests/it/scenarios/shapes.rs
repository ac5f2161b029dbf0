//! A modern server's tools as clients of each legacy revision see and use them: schemas, structured results and content that
//! their revision has no words for.

use super::*;
use crate::support::schema::assert_valid;

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];

fn tools() -> Value {
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    let numbers = json!({"$schema": dialect, "type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "number"}}});
    let with =
        |name: &str, output: Value| json!({"name": name, "inputSchema": {"type": "object"}, "outputSchema": output});
    json!([
        with("numbers", numbers),
        with("maybe", json!({"type": ["object", "null"]})),
        with("object", json!({"type": "object", "properties": {"x": true}})),
        {"name": "kinds", "title": "Kinds", "inputSchema": {"type": "object", "properties": {"x": true, "y": false}}},
        {"name": "bare", "inputSchema": {"type": "object"}},
    ])
}

/// What a tool answers with.
fn result_of(name: &str) -> Value {
    match name {
        "numbers" => json!({"structuredContent": [1, 2.5], "content": []}),
        "maybe" => json!({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "own words"}]}),
        "object" => {
            json!({"structuredContent": {"a": 1}, "content": [{"type": "image", "data": "", "mimeType": "i/p"}]})
        }
        "kinds" => json!({"content": [
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav", "annotations": {"priority": 1}},
            {"type": "resource_link", "uri": "a:b", "name": "b", "title": "The B", "annotations": {"audience": ["user"]}},
            {"type": "hologram", "rays": [1]},
            {"type": "text", "text": "last"},
        ]}),
        _ => json!({}),
    }
}

async fn shaped() -> Scripted {
    new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" {
            return listed(&seen, &tools());
        }
        let mut result = result_of(seen.body["params"]["name"].as_str().unwrap());
        result["resultType"] = json!("complete");
        Reply::json(200, &seen.result(result))
    })
    .await
}

fn words(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// What a client of this revision hears of a call.
fn heard(revision: &str, name: &str) -> Value {
    let reads_structured = revision >= "2025-06-18";
    let structured = |value: Value| if reads_structured { json!({"result": value}) } else { value };
    match name {
        "numbers" => json!({"structuredContent": structured(json!([1, 2.5])), "content": [words("[1,2.5]")]}),
        // Its schema was wrapped, so every result of it is.
        "maybe" => json!({"structuredContent": structured(json!({"a": 1})), "content": [words("own words")]}),
        "object" => {
            let image = json!({"type": "image", "data": "", "mimeType": "i/p"});
            json!({"structuredContent": {"a": 1}, "content": [image, words("{\"a\":1}")]})
        }
        "kinds" => {
            let mut content = result_of("kinds")["content"].clone();
            if revision < "2025-03-26" {
                content[0] = json!({"type": "resource", "annotations": {"priority": 1},
                    "resource": {"uri": "audio:///0", "mimeType": "audio/wav", "blob": "AAAA"}});
            }
            if !reads_structured {
                content[1] = json!({"type": "text", "text": "The B: a:b", "annotations": {"audience": ["user"]}});
            }
            if revision < LEGACY {
                content[2] = words("[unsupported content hologram]");
            }
            json!({"content": content})
        }
        _ => json!({"content": []}),
    }
}

#[tokio::test]
async fn era_283_284_285_results_are_told_in_the_words_of_the_clients_revision() {
    let server = shaped().await;
    for revision in REVISIONS {
        for lists_first in [true, false] {
            // Nothing is known of the tools but what the client itself has them listed for.
            let gateway = gateway_at(&server).await;
            let client = legacy(&gateway, revision, json!({})).await;
            if lists_first {
                client.ask(1, "tools/list", json!({})).await;
            }
            for name in ["numbers", "maybe", "object", "kinds", "bare"] {
                let result = client.call(2, name).await.unwrap().json()["result"].clone();
                assert_eq!(result, heard(revision, name), "{revision} {name}");
                // No revision has holograms.
                if (revision, name) != (LEGACY, "kinds") {
                    assert_valid(revision, "CallToolResult", &result);
                }
            }
        }
    }
}

#[tokio::test]
async fn era_284_285_286_454_tools_are_listed_in_the_words_of_the_clients_revision() {
    let server = shaped().await;
    let gateway = gateway_at(&server).await;
    for revision in REVISIONS {
        let client = legacy(&gateway, revision, json!({})).await;
        let list = client.ask(1, "tools/list", json!({})).await.json()["result"].clone();
        assert_valid(revision, "ListToolsResult", &list);
        assert_eq!(list.as_object().unwrap().len(), 1, "{list}");
        let listed = |name: &str| {
            let tools = list["tools"].as_array().unwrap();
            tools.iter().find(|tool| tool["name"] == name).unwrap().clone()
        };
        let names: Vec<_> = list["tools"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
        assert_eq!(names, ["numbers", "maybe", "object", "kinds", "bare"]);
        assert_eq!(listed("kinds")["inputSchema"]["properties"], json!({"x": {}, "y": {"not": {}}}), "{revision}");
        assert_eq!(listed("kinds")["title"], "Kinds", "what describes it is left to every revision");
        let output = |name: &str| listed(name).get("outputSchema").cloned();
        if revision < "2025-06-18" {
            assert!(["numbers", "maybe", "object"].into_iter().all(|name| output(name).is_none()), "{list}");
            continue;
        }
        let numbers = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"result": {"type": "array", "items": {"$ref": "#/properties/result/$defs/n"}, "$defs": {"n": {"type": "number"}}}},
            "required": ["result"]});
        assert_eq!(output("numbers"), Some(numbers.clone()), "{revision}");
        assert_eq!(output("maybe").unwrap()["properties"]["result"], json!({"type": ["object", "null"]}));
        assert_eq!(output("object"), Some(json!({"type": "object", "properties": {"x": {}}})));
        // What the tool answers is what its schema says.
        let result = client.call(2, "numbers").await.unwrap().json()["result"]["structuredContent"].clone();
        assert!(jsonschema::validator_for(&numbers).unwrap().is_valid(&result), "{result}");
    }
}

#[tokio::test]
async fn prompts_are_told_in_the_words_of_the_clients_revision() {
    let audio = json!({"type": "audio", "data": "AAAA", "mimeType": "audio/wav"});
    let sent = audio.clone();
    let server = new(json!({"prompts": {}}), move |seen| {
        let messages = json!([
            {"role": "user", "content": words("first")},
            {"role": "user", "content": sent},
            {"role": "assistant", "content": {"type": "resource_link", "uri": "a:b", "name": "b"}},
        ]);
        async move { Reply::json(200, &seen.result(json!({"resultType": "complete", "messages": messages}))) }
    })
    .await;
    let gateway = gateway_at(&server).await;
    for revision in REVISIONS {
        let client = legacy(&gateway, revision, json!({})).await;
        let result = client.ask(1, "prompts/get", json!({"name": "p"})).await.json()["result"].clone();
        assert_valid(revision, "GetPromptResult", &result);
        let sound = match revision {
            "2024-11-05" => {
                json!({"type": "resource", "resource": {"uri": "audio:///1", "mimeType": "audio/wav", "blob": "AAAA"}})
            }
            _ => audio.clone(),
        };
        let link = match revision {
            "2024-11-05" | "2025-03-26" => words("b: a:b"),
            _ => json!({"type": "resource_link", "uri": "a:b", "name": "b"}),
        };
        let expected = json!({"messages": [
            {"role": "user", "content": words("first")},
            {"role": "user", "content": sound},
            {"role": "assistant", "content": link},
        ]});
        assert_eq!(result, expected, "{revision}");
    }
}

#[tokio::test]
async fn era_262_a_modern_server_is_told_of_a_client_what_its_revision_has_words_for() {
    let server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" {
            return listed(&seen, &tools());
        }
        says(&seen, &seen.body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].to_string())
    })
    .await;
    let gateway = gateway_at(&server).await;
    let declared = json!({"roots": {"listChanged": true}, "sampling": {}, "elicitation": {"form": {}, "url": {}},
        "experimental": {"x": {}}, "tasks": {"list": {}}, "acme": {"n": 1}});
    for (revision, elicitation) in [
        ("2024-11-05", None),
        ("2025-03-26", None),
        // Forms are all that it has, and it has no name for them.
        ("2025-06-18", Some(json!({}))),
        (LEGACY, Some(json!({"form": {}, "url": {}}))),
    ] {
        let client = legacy(&gateway, revision, declared.clone()).await;
        let told: Value = serde_json::from_str(&said(&client.call(1, "t").await.unwrap().json())).unwrap();
        let mut expected = json!({"roots": {}, "sampling": {}, "experimental": {"x": {}}, "acme": {"n": 1}});
        if let Some(elicitation) = elicitation {
            expected["elicitation"] = elicitation;
        }
        assert_eq!(told, expected, "{revision}");
    }
}

#[tokio::test]
async fn who_the_client_is_is_told_to_a_modern_server_where_the_schema_has_words_for_it() {
    let server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" {
            return listed(&seen, &tools());
        }
        assert_valid(MODERN, "ClientRequest", &seen.body);
        says(&seen, &seen.body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"].to_string())
    })
    .await;
    let gateway = gateway_at(&server).await;
    let whole = json!({"name": "c", "version": "1", "x": {"y": 1}});
    for (info, told) in [
        (whole.clone(), whole),
        (json!({"name": "c"}), Value::Null),
        (json!({"name": "c", "version": 1}), Value::Null),
        (json!({}), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let client = Client::new(gateway.url("docs"));
        let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info});
        let hello = client.ask(0, "initialize", params).await;
        let client = client.with_session(Some(&hello.session()));
        let heard: Value = serde_json::from_str(&said(&client.call(1, "t").await.unwrap().json())).unwrap();
        assert_eq!(heard, told, "{info}");
    }
}
