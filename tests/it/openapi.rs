//! The OpenAPI document and the pages that show it.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use rialto::{Proxy, hub::Outcome};
use serde_json::{Map, Value, json};

use crate::{
    matrix::{
        client::http_client,
        process::{Rialto, until},
    },
    rest::{
        EVERY_MOUNT, Everything,
        app::{Answer, App, answering, builder, get as fetch, named, scripted, tool},
    },
    support::{json::raw, mount},
};

mod custom;
mod hostile;
mod pages;

/// The committed document of the demo.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/demo.json");

/// Fails where a document breaks a rule of OpenAPI 3.1, or of what generators make of it.
#[track_caller]
fn assert_document(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/') && !path.contains([' ', '?', '#']), "{path}");
        let templates: BTreeSet<_> = path.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(["get", "post", "put", "delete", "patch"].contains(&method.as_str()), "{what}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{what} has no id"));
            assert!(ids.insert(id), "{id} twice");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let named: BTreeSet<_> =
                parameters.filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(named, templates, "{what}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(status.len() == 3 && status.parse::<u16>().is_ok(), "{what}: {status}");
                assert!(response["description"].is_string() || response["$ref"].is_string(), "{what}: {status}");
            }
            for text in ["summary", "description"] {
                assert!(operation.get(text).is_none_or(Value::is_string), "{what}: {text}");
            }
        }
    }
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len(), "{tags:?}");
    for (kind, components) in document["components"].as_object().unwrap() {
        for (name, component) in components.as_object().unwrap() {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            assert!(!name.is_empty() && name.chars().all(fits), "{kind} {name}");
            if kind == "schemas" {
                assert!(component.is_object(), "{name}: {component}");
                assert!(jsonschema::meta::is_valid(component), "{name}: {component}");
            }
        }
    }
    assert_references(document, document);
}

/// Every reference leads to something in the document.
#[track_caller]
fn assert_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    // What is data may hold anything.
                    ("const" | "enum" | "default" | "examples" | "example", _) => {}
                    ("$ref", Value::String(reference)) => {
                        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out"));
                        let text = pointer.replace('+', "%2B");
                        let pointer = url::form_urlencoded::parse(text.as_bytes()).next();
                        let pointer = pointer.map(|(decoded, _)| decoded.into_owned()).unwrap_or_default();
                        assert!(document.pointer(&pointer).is_some(), "{reference} leads nowhere");
                    }
                    _ if name.starts_with("x-") => {}
                    _ => assert_references(document, member),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_references(document, item)),
        _ => {}
    }
}

/// `UPDATE=1 cargo test --test it the_committed_document` writes it anew.
#[tokio::test]
async fn the_committed_document_of_the_demo_is_what_the_demo_serves() {
    let rialto = Rialto::demo().await;
    let served = fetch(&format!("{}/openapi.json", rialto.base)).await.ok();
    assert_document(&served);
    let text = format!("{served:#}\n");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(Path::new(COMMITTED).parent().unwrap()).unwrap();
        std::fs::write(COMMITTED, &text).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == text,
        "openapi/demo.json is not what the demo serves; look at what changed with \
         `UPDATE=1 cargo test --test it the_committed_document && git diff openapi`"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_of_every_kind_of_server_is_an_operation() {
    let everything = Everything::start().await;
    let document = fetch(&format!("{}/openapi.json", everything.rialto.base)).await.ok();
    assert_document(&document);
    for (mount, ..) in EVERY_MOUNT {
        let paths: Vec<_> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|p| p.starts_with(&format!("/api/mounts/{mount}/")))
            .collect();
        assert_eq!(paths.len(), 250, "{mount}");
        let add = &document["paths"][format!("/api/mounts/{mount}/tools/add")]["post"];
        assert_eq!(add["operationId"], format!("{mount}_add"));
        assert_eq!(add["tags"], json!([mount]));
        assert_eq!(add["requestBody"]["required"], true);
        let input = &document["components"]["schemas"][format!("{mount}.add.input")];
        assert_eq!(input["properties"]["a"], json!({"type": "number"}));
        let answer = &add["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let expected = if mount == "old" { "ToolContent".to_owned() } else { format!("{mount}.add.output") };
        assert_eq!(*answer, format!("#/components/schemas/{expected}"), "{mount}");
        let own = fetch(&everything.url(mount, "/openapi.json")).await.ok();
        assert_document(&own);
        assert!(
            own["paths"].as_object().unwrap().keys().all(|p| p.starts_with(&format!("/api/mounts/{mount}"))),
            "{mount}"
        );
        assert_eq!(
            own["paths"][format!("/api/mounts/{mount}/tools/add")],
            document["paths"][format!("/api/mounts/{mount}/tools/add")]
        );
        assert_eq!(
            own["paths"][format!("/api/mounts/{mount}/resources/read")]["get"]["parameters"].as_array().unwrap().len(),
            1
        );
    }
}

#[tokio::test]
async fn schemas_are_in_the_document_without_loss() {
    let input = r##"{"type":"object","properties":{"n":{"maximum":123456789012345678901234567890.50},"tags":{"uniqueItems":true,"contains":{"const":{"a":1}},"minContains":2}},"patternProperties":{"^x-":{"not":{}}},"if":{"required":["n"]},"then":{"dependentSchemas":{"n":{"maxProperties":3}}},"unevaluatedProperties":false,"dependentRequired":{"a":["b"]},"x-vendor":{"zebra":1.0,"apple":"\u0041"}}"##;
    let text = format!(
        r#"{{"resultType":"complete","tools":[{{"name":"odd","inputSchema":{input},"outputSchema":{{"type":["array","null"],"prefixItems":[true,false]}}}}]}}"#
    );
    let list = rialto::jsonrpc::Raw::scan(text.into(), rialto::jsonrpc::scan::ScanLimits::ANSWER).unwrap();
    let app = App::of(answering(move |_| {
        let list = list.clone();
        async move { Ok(Outcome::Complete(list)) }
    }))
    .await;
    let answer = app.get("/openapi.json").await;
    assert_document(&answer.ok());
    assert!(answer.text.contains(&format!("\"docs.odd.input\":{input}")), "{}", answer.text);
    assert!(answer.text.contains(r#""docs.odd.output":{"type":["array","null"],"prefixItems":[true,false]}"#));
}

#[tokio::test]
async fn a_mount_that_is_down_is_noted_and_fails_nothing() {
    let app = App::serve(
        builder()
            .mount("gone", Proxy::to("http://127.0.0.1:1/mcp"))
            .mount("here", scripted(json!([tool("a")]), |call| async move { mount::says(named(&call)) }))
            .build(),
    )
    .await;
    let document = app.get("/openapi.json").await.ok();
    assert_document(&document);
    let tag = |name: &str| document["tags"].as_array().unwrap().iter().find(|tag| tag["name"] == name).unwrap().clone();
    assert_eq!(tag("gone")["x-rialto-status"], "down");
    assert!(tag("gone")["description"].as_str().unwrap().contains("It is down: "), "{}", tag("gone"));
    assert_eq!(tag("here")["x-rialto-status"], "up");
    assert!(document["paths"]["/api/mounts/here/tools/a"].is_object());
    assert_document(&app.get("/api/mounts/gone/openapi.json").await.ok());
}

#[tokio::test]
async fn a_document_that_is_known_is_not_sent_again() {
    let stage = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let shown = stage.clone();
    let app = App::of(answering(move |_| {
        let name = format!("tool_{}", shown.load(std::sync::atomic::Ordering::SeqCst));
        async move { Ok(Outcome::Complete(raw(&json!({"resultType": "complete", "tools": [tool(&name)]})))) }
    }))
    .await;
    for path in ["/openapi.json", "/api/mounts/docs/openapi.json"] {
        let first = app.get(path).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        assert_eq!(first.header("vary"), Some("authorization, x-api-key"));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = Answer::of(http_client().get(app.url(path)).header("if-none-match", known)).await;
            assert_eq!((again.status.as_u16(), &*again.text, again.header("etag")), (304, "", Some(&*tag)));
        }
        let other = Answer::of(http_client().get(app.url(path)).header("if-none-match", "\"other\"")).await;
        assert_eq!(other.ok(), first.ok());
        stage.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        until("the new list", || async {
            let now = Answer::of(http_client().get(app.url(path)).header("if-none-match", &tag)).await;
            now.status == 200 && now.header("etag") != Some(&tag)
        })
        .await;
    }
}

/// Thousands of tools, and many who ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lists_are_written_once() {
    let tools: Vec<_> = (0..5_000)
        .map(|n| {
            let properties: Map<String, Value> = (0..10).map(|p| (format!("p{p}"), json!({"$ref": "#/$defs/D"}))).collect();
            json!({"name": format!("tool_{n}"), "inputSchema": {"type": "object", "$defs": {"D": {"type": "string"}}, "properties": properties}})
        })
        .collect();
    let app = App::of(scripted(json!(tools), |call| async move { mount::says(named(&call)) })).await;
    let first = std::time::Instant::now();
    let document = app.get("/openapi.json").await;
    let first = first.elapsed();
    assert_eq!(document.ok()["paths"].as_object().unwrap().len(), 5_000 + 10);
    let tag = document.header("etag").unwrap();
    let asked = std::time::Instant::now();
    let all = (0..50).map(|_| Answer::of(http_client().get(app.url("/openapi.json")).header("if-none-match", tag)));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 304);
    }
    let asked = asked.elapsed();
    assert!(asked < first * 50 / 2, "50 requests took {asked:?}, the first {first:?}");
}
