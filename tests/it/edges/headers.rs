//! `x-mcp-header`: which tools are listed, and who mirrors arguments in headers.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::*;

/// The annotation of one property.
fn region(name: &str) -> Value {
    json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": name}}})
}

fn tool(name: &str, schema: Value) -> Value {
    json!({"name": name, "inputSchema": schema})
}

/// Tools whose annotations no client may follow.
fn invalid_tools() -> Vec<Value> {
    let annotated = |kind: &str, name: &str| json!({"type": kind, "x-mcp-header": name});
    let root = |properties: Value| json!({"type": "object", "properties": properties});
    let chain = json!({"type": "array", "items": {"type": "object", "properties": {"b": annotated("string", "B")}}});
    let many: Value = (0..10_000)
        .map(|n| (format!("p{n}"), annotated("string", &format!("H{n}"))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    vec![
        tool("twice", root(json!({"a": annotated("string", "Region"), "b": annotated("string", "rEGION")}))),
        tool("number", root(json!({"a": annotated("number", "A")}))),
        tool("array", root(json!({"a": annotated("array", "A")}))),
        tool("object", root(json!({"a": annotated("object", "A")}))),
        tool("items", root(json!({"a": {"type": "array", "items": annotated("string", "A")}}))),
        tool("below_items", root(json!({"a": chain}))),
        tool("one_of", json!({"type": "object", "oneOf": [root(json!({"a": annotated("string", "A")}))]})),
        tool(
            "defs",
            json!({"type": "object", "$defs": {"a": annotated("string", "A")}, "properties": {"a": {"$ref": "#/$defs/a"}}}),
        ),
        tool("empty", root(json!({"a": annotated("string", "")}))),
        tool("space", root(json!({"a": annotated("string", "a b")}))),
        tool("break", root(json!({"a": annotated("string", "X\r\nY: 1")}))),
        tool("colon", root(json!({"a": annotated("string", "X: 1")}))),
        tool("no_text", root(json!({"a": {"type": "string", "x-mcp-header": 7}}))),
        tool("root", json!({"type": "object", "x-mcp-header": "Root"})),
        tool("many", root(many)),
    ]
}

/// Tools whose annotations are odd, and right.
fn valid_tools() -> Vec<Value> {
    vec![
        plain_tool("plain"),
        tool("authorization", region("Authorization")),
        tool(
            "nested",
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {
            "b": {"type": "string", "x-mcp-header": "Deep"}}}}}),
        ),
    ]
}

fn names(list: &Value) -> Vec<String> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn era_184_sec_069_tools_with_hostile_annotations_are_left_out_and_not_called() {
    let tools = [valid_tools(), invalid_tools()].concat();
    let server = server(Speaks::Modern, json!(tools), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway(&server).await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY, MODERN] {
        let client = client(&rialto, revision).await;
        let listed = client.request("tools/list", json!({})).await.result();
        assert_eq!(names(&listed), ["plain", "authorization", "nested"], "{revision}");
        for invalid in invalid_tools() {
            let name = invalid["name"].as_str().unwrap();
            let error = client.call(name, json!({"a": "x"})).await.error();
            assert_eq!(error["code"], -32602, "{revision} {name}: {error}");
        }
    }
    assert!(calls(&server).is_empty());
    for invalid in invalid_tools() {
        assert!(rialto.log().contains(invalid["name"].as_str().unwrap()), "{invalid}:\n{}", rialto.log());
    }
    // The prefix keeps an annotation from meaning a header of HTTP.
    let client = client(&rialto, LEGACY).await;
    client.call("authorization", json!({"region": "Bearer x"})).await.result();
    let call = calls(&server).pop().unwrap();
    assert_eq!(call.header("mcp-param-authorization"), Some("Bearer x"));
    assert_eq!(call.header("authorization"), None);
}

#[tokio::test]
async fn era_185_470_annotations_that_bind_nobody_are_mended() {
    let tools = json!([tool(
        "number",
        json!({"type": "object", "properties": {
        "a": {"type": "number", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "B"}}})
    )]);
    let server = server(Speaks::Legacy, tools.clone(), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway(&server).await;
    let old = client(&rialto, LEGACY).await;
    let listed = old.request("tools/list", json!({})).await.result();
    assert_eq!(listed["tools"], tools, "nobody mirrors anything for a legacy client");
    assert_eq!(old.call("number", json!({"a": 1.5, "b": "x"})).await.said(), "ran");

    let new = client(&rialto, MODERN).await;
    let listed = new.request("tools/list", json!({})).await.result();
    let properties = &listed["tools"][0]["inputSchema"]["properties"];
    assert_eq!(*properties, json!({"a": {"type": "number"}, "b": {"type": "string", "x-mcp-header": "B"}}));
    let mirrored = [("mcp-param-b", "x".to_owned())];
    assert_eq!(call_with(&new, "number", r#"{"a":1.5,"b":"x"}"#, &mirrored).await.said(), "ran");
    for call in calls(&server) {
        assert!(call.headers.keys().all(|name| !name.as_str().starts_with("mcp-param-")), "{:?}", call.headers);
    }
}

/// A server that wants `region` mirrored under the name of the moment, and counts what it runs.
async fn choosy(name: Arc<Mutex<&'static str>>) -> Scripted {
    Scripted::start(move |seen| {
        let name = *name.lock().unwrap();
        async move {
            match seen.method() {
                "server/discover" => discovered(&seen),
                "tools/list" => {
                    let tools = match name {
                        "" => json!([plain_tool("where")]),
                        name => json!([tool("where", region(name))]),
                    };
                    Reply::json(200, &seen.result(Speaks::Modern.tools(&tools)))
                }
                _ => {
                    let header = format!("mcp-param-{}", name.to_lowercase());
                    let wanted = seen.body["params"]["arguments"]["region"].as_str();
                    if name.is_empty() || seen.header(&header) == wanted {
                        says(&seen, "ran")
                    } else {
                        Reply::json(400, &seen.error(-32020, "Header mismatch"))
                    }
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn era_188_arguments_of_legacy_clients_are_mirrored_for_them() {
    let server = choosy(Arc::new(Mutex::new("Region"))).await;
    let rialto = gateway(&server).await;
    for revision in ["2024-11-05", LEGACY] {
        let client = client(&rialto, revision).await;
        assert_eq!(client.call("where", json!({"region": "eu"})).await.said(), "ran");
        assert_eq!(client.call("where", json!({})).await.said(), "ran");
    }
    assert_eq!(calls(&server).len(), 4, "nothing was sent twice");
}

#[tokio::test]
async fn era_186_a_server_that_changes_its_annotations_is_asked_again_once() {
    for revision in CLIENTS {
        for (before, after) in [("", "Region"), ("Region", "Zone")] {
            let name = Arc::new(Mutex::new(before));
            let server = choosy(name.clone()).await;
            let rialto = gateway(&server).await;
            let client = client(&rialto, revision).await;
            let header = format!("mcp-param-{before}");
            let mirrored = [(&*header, "eu".to_owned())];
            let mirrored = if before.is_empty() { &[][..] } else { &mirrored };
            call_with(&client, "where", r#"{"region":"eu"}"#, mirrored).await.result();
            *name.lock().unwrap() = after;
            let (lists, ran) = (server.count("tools/list"), calls(&server).len());
            let reply = call_with(&client, "where", r#"{"region":"eu"}"#, mirrored).await;
            assert_eq!(reply.said(), "ran", "{revision} {before:?}");
            // The one that was refused, and the one that ran.
            assert_eq!((server.count("tools/list"), calls(&server).len()), (lists + 1, ran + 2), "{revision}");
        }
    }
}

#[tokio::test]
async fn era_187_a_server_that_disputes_every_header_is_named() {
    let tools = json!([plain_tool("t")]);
    let server = server(Speaks::Modern, tools, |seen| async move {
        Reply::json(400, &seen.error(-32020, "Header mismatch: Mcp-Method"))
    })
    .await;
    let rialto = gateway(&server).await;
    for revision in CLIENTS {
        let client = client(&rialto, revision).await;
        let before = calls(&server).len();
        let reply = client.call("t", json!({})).await;
        assert_eq!(reply.status, 200);
        let error = reply.error();
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("upstream_header_mismatch")));
        assert_eq!(calls(&server).len(), before + 2, "{revision}: once more after a look at the list, and no more");
    }
}

#[tokio::test]
async fn era_190_headers_that_nobody_knows_pass_and_known_ones_are_written_anew() {
    let many: Vec<_> = (0..40).map(|n| (format!("mcp-param-many-{n}"), "x".to_owned())).collect();
    for speaks in SERVERS {
        let tools = json!([tool("where", region("Region"))]);
        let server = server(speaks, tools, |seen| async move { says(&seen, "ran") }).await;
        let rialto = gateway(&server).await;
        let client = client(&rialto, MODERN).await;
        let sent = [
            // The same value in its other form.
            ("mcp-param-region", "=?base64?ZXU=?=".to_owned()),
            ("mcp-param-foo", "bar".to_owned()),
            ("mcp-param-odd", "ü".to_owned()),
        ];
        // Written by hand: the client would encode all of it once more.
        let mut request = modern_call(&rialto.mount("docs"), "where");
        for (name, value) in &sent {
            request = request.header(*name, reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let params = json!({"_meta": envelope(), "name": "where", "arguments": {"region": "eu"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        assert_eq!(answered(request, body).await.1["result"]["content"][0]["text"], "ran");
        let call = calls(&server).pop().unwrap();
        let modern = speaks == Speaks::Modern;
        assert_eq!(call.header("mcp-param-region"), modern.then_some("eu"), "{speaks:?}");
        assert_eq!(call.header("mcp-param-foo"), modern.then_some("bar"), "{speaks:?}");
        assert_eq!(call.headers.get("mcp-param-odd"), None, "no valid value");
        assert_eq!(call.headers.get_all("mcp-param-region").iter().count(), usize::from(modern));

        let many: Vec<_> = many.iter().map(|(name, value)| (&**name, value.clone())).collect();
        call_with(&client, "other", "{}", &many).await.result();
        let call = calls(&server).pop().unwrap();
        let passed = call.headers.keys().filter(|name| name.as_str().starts_with("mcp-param-")).count();
        assert_eq!(passed, if modern { 32 } else { 0 }, "{speaks:?}");
    }
}

#[tokio::test]
async fn a_tool_that_comes_back_without_its_fault_can_be_called_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let server = Scripted::start(move |seen| {
        let schema =
            if is_broken.load(Ordering::SeqCst) { json!({"type": "object", "x-mcp-header": "A"}) } else { region("A") };
        async move {
            match seen.method() {
                "server/discover" => discovered(&seen),
                "tools/list" => {
                    let mut list = Speaks::Modern.tools(&json!([tool("t", schema)]));
                    list["ttlMs"] = json!(0);
                    Reply::json(200, &seen.result(list))
                }
                _ => says(&seen, "ran"),
            }
        }
    })
    .await;
    let rialto = gateway(&server).await;
    let client = client(&rialto, LEGACY).await;
    assert_eq!(client.call("t", json!({})).await.error()["code"], -32602);
    broken.store(false, Ordering::SeqCst);
    assert_eq!(names(&client.request("tools/list", json!({})).await.result()), ["t"]);
    assert_eq!(client.call("t", json!({})).await.said(), "ran");
}
