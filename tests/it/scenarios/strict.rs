//! Legacy clients that do not ignore what they do not know, and those that look for the codes of their own era.

use std::sync::Mutex;

use super::{
    answers::{ask, needs},
    old::{Arrived, Like, Old, text},
    *,
};
use crate::support::schema::defined;

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];

fn icons() -> Value {
    json!([{"src": "https://icons.example/a.png"}])
}

/// A tool with everything that has ever described one.
fn described() -> Value {
    json!({"name": "t", "title": "T", "description": "d", "icons": icons(), "inputSchema": {"type": "object"},
        "outputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}, "_meta": {"k": 1}, "x-own": 1})
}

fn sampling() -> Value {
    let content = json!({"type": "text", "text": "?", "_meta": {"k": 1},
        "annotations": {"priority": 1, "lastModified": "2025-01-01T00:00:00Z"}});
    json!({"messages": [{"role": "user", "content": content, "_meta": {"k": 1}}], "maxTokens": 1})
}

fn content() -> Value {
    json!([{"type": "text", "text": "done", "_meta": {"k": 1}}])
}

fn progress(token: &Value) -> Value {
    json!({"progressToken": token, "progress": 1, "message": "half way"})
}

/// A modern server that describes everything, reports on its tool, and asks in it.
async fn rich() -> Scripted {
    Scripted::start(|seen| async move {
        let complete = |members: Value| {
            let mut result = json!({"resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"});
            result.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            seen.result(result)
        };
        match seen.method() {
            "server/discover" => {
                let somebody = json!({"name": "new", "version": "1", "title": "New", "description": "d",
                    "websiteUrl": "https://a.example", "icons": icons()});
                Reply::json(
                    200,
                    &complete(json!({"supportedVersions": [MODERN],
                        "capabilities": {"tools": {}, "completions": {}, "extensions": {"example.com/x": {}}},
                        "_meta": {"io.modelcontextprotocol/serverInfo": somebody}})),
                )
            }
            "tools/list" => Reply::json(200, &complete(json!({"tools": [described()]}))),
            _ if seen.body["params"].get("inputResponses").is_none() => {
                needs(&seen, json!({"s": ask("sampling/createMessage", sampling())}), Value::Null)
            }
            _ => {
                let params = progress(&seen.body["params"]["_meta"]["progressToken"]);
                let said = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                let result = json!({"resultType": "complete", "content": content(), "structuredContent": {}});
                Reply::messages(&[said, seen.result(result)])
            }
        }
    })
    .await
}

/// A legacy one.
async fn rich_and_old() -> Old {
    let capabilities = json!({"tools": {}, "completions": {}});
    let like = Like { capabilities, tools: json!([described()]), ..Like::default() };
    Old::start(like, |call: Arrived| async move {
        call.say("notifications/progress", progress(&call.seen.body["params"]["_meta"]["progressToken"])).await;
        call.ask("sampling/createMessage", sampling()).await;
        text("done").map(|mut result| {
            result["content"] = content();
            result["structuredContent"] = json!({});
            result
        })
    })
    .await
}

/// What a client of this revision is sent that its revision does not define.
async fn too_much(gateway: &Gateway, revision: &'static str) -> Vec<String> {
    let more = Mutex::new(Vec::new());
    let check = |definition: &str, message: &Value| {
        if defined(revision, definition, message) != *message {
            more.lock().unwrap().push(format!("{definition}: {message}"));
        }
    };
    let mut client = Client::new(gateway.url("docs"));
    let hello = client.open(revision, json!({"sampling": {}})).await;
    check("InitializeResult", &hello["result"]);
    client.tell("notifications/initialized", json!({})).await;
    let mut list = client.ask(1, "tools/list", json!({})).await.json()["result"].clone();
    // Nobody took out what is the server's own.
    assert_eq!(list["tools"][0].as_object_mut().unwrap().remove("x-own"), Some(json!(1)));
    check("ListToolsResult", &list);
    let params = json!({"name": "t", "arguments": {}, "_meta": {"progressToken": 5}});
    let reply = client.ask(2, "tools/call", params).await;
    let answer = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "a"}});
    let talk = converse(&client, reply, |_| Ok(answer.clone())).await;
    let bare = |message: &Value| json!({"method": message["method"], "params": message["params"]});
    assert_eq!((talk.questions.len(), talk.notifications.len()), (1, 1), "{revision}");
    check("CreateMessageRequest", &bare(&talk.questions[0]));
    check("ProgressNotification", &bare(&talk.notifications[0]));
    assert_eq!(said(&talk.response), "done");
    check("CallToolResult", &talk.response["result"]);
    more.into_inner().unwrap()
}

#[tokio::test]
async fn strict_clients_are_sent_what_their_revision_defines_and_nothing_else() {
    let (old, new) = (rich_and_old().await, rich().await);
    for server in [&old.scripted, &new] {
        for strict in [true, false] {
            let settings = Settings::default();
            let terms = Terms { strict_downlevel: strict, ..Terms::default() };
            let mount = mount(at(&server.url(), quick()), terms, &settings);
            let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
            for revision in REVISIONS {
                // Without the schemas nothing is known to be too much.
                let is_known = defined("2024-11-05", "Tool", &described()) != described();
                let expected = !strict && is_known && (revision != LEGACY || server.port == new.port);
                let more = too_much(&gateway, revision).await;
                assert_eq!(!more.is_empty(), expected, "{revision} {strict} {more:#?}");
            }
        }
    }
}

#[tokio::test]
async fn era_411_legacy_clients_hear_of_a_missing_resource_in_the_code_that_the_operator_chose() {
    let server = new(json!({"resources": {}}), |seen| async move {
        let mut error = seen.error(-32602, "Resource not found");
        let uri = &seen.body["params"]["uri"];
        error["error"]["data"] = json!({ "uri": if uri == "a://other" { json!("a://b") } else { uri.clone() } });
        Reply::json(200, &error)
    })
    .await;
    for (chosen, code) in [(true, -32002), (false, -32602)] {
        let settings = Settings::default();
        let terms = Terms { legacy_resource_code: chosen, ..Terms::default() };
        let mount = mount(at(&server.url(), quick()), terms, &settings);
        let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
        for revision in REVISIONS {
            let client = legacy(&gateway, revision, json!({})).await;
            let read =
                async |uri: &str| client.ask(1, "resources/read", json!({ "uri": uri })).await.json()["error"].clone();
            let error = json!({"code": code, "message": "Resource not found", "data": {"uri": "a://b"}});
            assert_eq!(read("a://b").await, error, "{revision}");
            assert_eq!(read("a://other").await["code"], -32602, "{revision}");
        }
        modern("resources/read", json!({"uri": "a://b"})).error(&gateway, 200, -32602).await;
    }
}
