//! The OpenAPI document and the pages that show it.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use axum::{Router, routing::get};
use rialto::{Proxy, app::problem::Kind, hub::Outcome};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    matrix::{
        client::http_client,
        process::{Rialto, until},
    },
    rest::{
        EVERY_MOUNT, Everything,
        app::{Answer, App, answering, builder, get as fetch, named, scripted, tool},
        assert_problem,
    },
    support::{json::raw, mount},
};

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

fn hostile_tools() -> Vec<Value> {
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
        assert_eq!(first.header("vary"), Some("Authorization, X-Api-Key"));
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

/// Says hello
#[utoipa::path(get, path = "/hello", responses((status = 200, description = "A greeting", body = String)), tag = "custom")]
async fn hello() -> &'static str {
    "hello"
}

/// Something that wants a name of Rialto's
#[utoipa::path(get, path = "/api/mounts", operation_id = "stolen", responses((status = 200, description = "Mine")))]
#[expect(dead_code, reason = "only its documentation is wanted")]
async fn stolen() {}

#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Problem {
    mine: String,
}

#[derive(OpenApi)]
#[openapi(paths(hello, stolen), components(schemas(Problem)), tags((name = "custom", description = "Of the application")))]
struct Custom;

#[tokio::test]
async fn custom_routes_stand_beside_the_others() {
    let app = builder()
        .mount("docs", scripted(json!([tool("a")]), |call| async move { mount::says(named(&call)) }))
        .routes(Router::new().route("/hello", get(hello)))
        .openapi(Custom::openapi());
    let app = App::serve(app.build()).await;
    let document = app.get("/openapi.json").await.ok();
    assert_document(&document);
    assert_eq!(document["paths"]["/hello"]["get"]["summary"], "Says hello");
    assert_eq!(document["paths"]["/api/mounts"]["get"]["operationId"], "rialto.listMounts");
    assert!(document["components"]["schemas"]["Problem"]["properties"]["mine"].is_null());
    assert!(document["tags"].as_array().unwrap().iter().any(|tag| tag["description"] == "Of the application"));
    assert_eq!(document.get("security"), None);
    assert_eq!(document["components"].get("securitySchemes"), None);
    assert!(!document.to_string().contains("Unauthenticated"));
    assert_eq!(app.get("/hello").await.text, "hello");
    let own = app.get("/api/mounts/docs/openapi.json").await.ok();
    assert!(own["paths"].get("/hello").is_none());
}

#[tokio::test]
async fn keys_are_documented_where_they_are_asked_for() {
    let app = builder()
        .mount("docs", scripted(json!([tool("a")]), |call| async move { mount::says(named(&call)) }))
        .openapi(Custom::openapi())
        .asks_for_keys();
    let app = App::serve(app.build()).await;
    let document = app.get("/openapi.json").await.ok();
    assert_document(&document);
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["bearer"]["type"]), (&json!("bearer"), &json!("http")));
    assert_eq!((&schemes["apiKey"]["name"], &schemes["apiKey"]["in"]), (&json!("X-Api-Key"), &json!("header")));
    assert_eq!(document["security"], json!([{"bearer": []}, {"apiKey": []}]));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (_, operation) in item.as_object().unwrap() {
            let public = path == "/healthz" || path == "/readyz";
            assert_eq!(operation.get("security").is_some(), public, "{path}");
            assert_eq!(operation["responses"].get("401").is_some(), !public, "{path}");
        }
    }
}

#[tokio::test]
async fn sec_058_the_servers_of_a_document_come_from_the_configuration_alone() {
    let say = |call: rialto::hub::Call| async move { mount::says(named(&call)) };
    let plain = App::of(scripted(json!([]), say)).await;
    let public = builder().mount("docs", scripted(json!([]), say)).public_url("https://gw.example".parse().unwrap());
    let public = App::serve(public.build()).await;
    for (app, first) in [(&plain, "/"), (&public, "https://gw.example")] {
        let request = http_client().get(app.url("/openapi.json"));
        let request = request
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "ftp")
            .header("forwarded", "host=evil.example");
        let answer = Answer::of(request).await;
        assert_eq!(answer.ok()["servers"][0]["url"], first);
        assert!(!answer.text.contains("evil.example") && !answer.text.contains("127.0.0.1"));
    }
}

#[tokio::test]
async fn sec_119_pages_run_no_script_but_their_own_and_ask_nobody_else() {
    let title = "<script>alert(1)</script>\" onload=\"alert(1)";
    let proxy = scripted(json!(hostile_tools()), |call| async move { mount::says(named(&call)) }).title(title);
    let app = App::serve(builder().mount("docs", proxy).build()).await;
    let mut files = HashSet::new();
    for path in ["/docs", "/docs/", "/api/mounts/docs/docs", "/api/mounts/docs/docs/"] {
        let page = app.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let policy: Vec<_> = page.header("content-security-policy").unwrap().split("; ").collect();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(&directive), "{directive}: {policy:?}");
        }
        assert!(policy.iter().all(|d| d.starts_with("style-src") || !d.contains("unsafe")), "{policy:?}");
        assert!(
            !page.text.contains("alert(1)</script>")
                && !page.text.contains("http://")
                && !page.text.contains("https://"),
            "{}",
            page.text
        );
        // No script but those with an address, and nothing in the attributes of elements.
        assert_eq!(page.text.matches("<script").count(), page.text.matches("<script src=\"").count());
        assert!(!page.text.contains(" onload=\"") && !page.text.contains("javascript:"));
        let base = reqwest::Url::parse(&app.url(path)).unwrap();
        for part in page
            .text
            .split(['"'])
            .skip(1)
            .step_by(2)
            .filter(|part| part.contains("assets/") || part.ends_with("openapi.json"))
        {
            let url = base.join(part).unwrap();
            let answer = fetch(url.as_str()).await;
            assert_eq!(answer.status, 200, "{path}: {url}");
            if part.contains("assets/") {
                files.insert(url.to_string());
            } else {
                assert_document(&answer.json());
                let name = if path.starts_with("/docs") { "/openapi.json" } else { "/api/mounts/docs/openapi.json" };
                assert_eq!(url.path(), name, "{path}");
            }
        }
    }
    assert_eq!(files.len(), 5, "{files:?}");
    for file in &files {
        let answer = fetch(file).await;
        assert_eq!(answer.header("cache-control"), Some("private, max-age=31536000, immutable"), "{file}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let tag = answer.header("etag").unwrap();
        let again = Answer::of(http_client().get(file).header("if-none-match", tag)).await;
        assert_eq!((again.status.as_u16(), &*again.text), (304, ""));
        let (rest, name) = file.rsplit_once('/').unwrap();
        let other = format!("{}/0000/{name}", rest.rsplit_once('/').unwrap().0);
        assert_problem(&fetch(&other).await, Kind::NotFound);
        assert_problem(&fetch(&format!("{rest}/oauth2-redirect.html")).await, Kind::NotFound);
        assert_problem(&fetch(&format!("{rest}/..%2f..%2fCargo.toml")).await, Kind::NotFound);
    }
    let document = app.get("/openapi.json").await;
    assert_eq!(
        (document.header("content-type"), document.header("x-content-type-options")),
        (Some("application/json"), Some("nosniff"))
    );
    let public = builder().mount("docs", Proxy::to("no url")).public_url("https://gw.example".parse().unwrap());
    let page = App::serve(public.build()).await.get("/docs").await;
    assert!(page.header("content-security-policy").unwrap().contains("connect-src 'self' https://gw.example;"));
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
