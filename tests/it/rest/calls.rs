//! Calling tools and filling in prompts.

use futures_util::future::join_all;
use rialto::{
    app::problem::Kind,
    hub::{Attempt, Fault, Outcome, RequestState},
    jsonrpc::{Raw, RawObject},
    protocol::Method,
};
use serde_json::{Value, json};

use super::{
    EVERY_MOUNT, Everything,
    app::{Answer, App, answering, named, post, scripted, tool},
    assert_problem,
};
use crate::{
    matrix::client::http_client,
    support::{
        json::{object, raw, value},
        mount,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_every_kind_of_server_are_called() {
    let everything = Everything::start().await;
    join_all(EVERY_MOUNT.map(|(mount, ..)| used(&everything, mount))).await;
}

async fn used(everything: &Everything, mount: &str) {
    let url = |tool: &str| everything.url(mount, &format!("/tools/{tool}"));
    let said = post(&url("echo"), r#"{"text": "naïve \ud83d\ude00"}"#).await.ok();
    assert_eq!(said, json!({"content": [{"type": "text", "text": "naïve 😀"}]}), "{mount}");
    let sum = post(&url("add"), r#"{"a": 1, "b": 41}"#).await.ok();
    match mount {
        "old" => assert_eq!(sum["content"][0]["text"], r#"{"sum":42}"#, "{mount}"),
        _ => assert_eq!(sum, json!({"sum": 42}), "{mount}"),
    }
    let failed = assert_problem(&post(&url("fail"), "{}").await, Kind::ToolError);
    assert_eq!(failed["detail"], "it failed, as it always does", "{mount}");
    assert_eq!(failed["content"], json!([{"type": "text", "text": "it failed, as it always does"}]), "{mount}");
    // No body at all is no arguments.
    let counted = Answer::of(http_client().post(url("counter"))).await.ok();
    assert_eq!(counted["content"][0]["text"], "1", "{mount}");
    let wrong = assert_problem(&post(&url("add"), r#"{"a": "1"}"#).await, Kind::InvalidArguments);
    let pointers: Vec<_> = wrong["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert!(pointers.contains(&"/a") && pointers.contains(&""), "{mount}: {wrong}");
    assert_problem(&post(&url("nothing_like_it"), "{}").await, Kind::UnknownTool);
    // Found on the third page.
    assert_problem(&post(&url("tool_00249"), "{}").await, Kind::InvalidArguments);

    let odd = post(&url("unknown_fields"), "").await;
    assert_eq!(odd.ok()["content"][0]["vendor"], json!({"b": 1, "a": 2}), "{mount}");
    assert!(odd.text.contains(r#""vendor":{"b":1,"a":2},"text":"kept \u00e9\/é""#), "{mount}: {}", odd.text);

    // What was wrong never reached the server, and nothing came twice.
    let ran: Value =
        serde_json::from_str(post(&url("executions"), "{}").await.ok()["content"][0]["text"].as_str().unwrap())
            .unwrap();
    assert_eq!((&ran["add"], &ran["fail"], &ran["counter"]), (&json!(1), &json!(1), &json!(1)), "{mount}: {ran}");
    let whoami = post(&url("whoami"), "{}").await.ok();
    let whoami: Value = serde_json::from_str(whoami["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(whoami["violations"], json!([]), "{mount}");
}

#[tokio::test]
async fn a_modern_tool_with_mirrored_arguments_needs_no_headers_over_rest() {
    let everything = Everything::start().await;
    let answer = post(&everything.url("new-http", "/tools/weather"), r#"{"city": "Zürich", "days": 3}"#).await.ok();
    assert_eq!(answer["content"][0]["text"], "rain in Zürich for 3 days");
}

#[tokio::test]
async fn arguments_and_results_keep_every_byte() {
    let app = App::of(scripted(json!([tool("mirror"), tool("plain")]), |call| async move {
        let arguments = call.params.get("arguments").unwrap().clone();
        let mut result = RawObject::from([("resultType", Raw::from("complete")), ("content", Raw::array(&[]))]);
        match &*named(&call) {
            "mirror" => result.set("structuredContent", arguments),
            _ => {
                let block = RawObject::from([("type", Raw::from("vendor")), ("kept", arguments)]);
                result.set("content", Raw::array(&[block.to_raw()]));
            }
        }
        Ok(Outcome::Complete(result.to_raw()))
    }))
    .await;
    let odd =
        r#"{"zebra":[1.0,-0.0,1E400,123456789012345678901234567890],"apple":{"n":0.10},"é\u00e9":"\ud83d\ude00\/"}"#;
    assert_eq!(app.post("/api/mounts/docs/tools/mirror", format!("\n {odd} \t")).await.text, odd);
    let plain = app.post("/api/mounts/docs/tools/plain", odd).await;
    assert_eq!(plain.text, format!(r#"{{"content":[{{"type":"vendor","kept":{odd}}}]}}"#));
    for body in ["", "{}", " {} "] {
        assert_eq!(app.post("/api/mounts/docs/tools/mirror", body).await.text, "{}");
    }
}

#[tokio::test]
async fn structured_results_may_be_any_value() {
    let values = [json!([1, 2]), json!("text"), json!(0), json!(false), json!({})];
    let names: Vec<_> = (0..values.len()).map(|n| tool(&n.to_string())).collect();
    let shown = values.clone();
    let app = App::of(scripted(json!(names), move |call| {
        let structured = shown[named(&call).parse::<usize>().unwrap()].clone();
        async move {
            let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "x"}], "structuredContent": structured});
            Ok(Outcome::Complete(raw(&result)))
        }
    }))
    .await;
    for (n, expected) in values.iter().enumerate() {
        assert_eq!(app.post(&format!("/api/mounts/docs/tools/{n}"), "{}").await.ok(), *expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_get_their_own_answers() {
    let everything = Everything::start().await;
    let calls = (0..200).map(|n| {
        let (mount, ..) = EVERY_MOUNT[n % 4];
        let url = everything.url(mount, "/tools/echo");
        async move {
            let said = post(&url, json!({"text": format!("number {n}")}).to_string()).await.ok();
            assert_eq!(said["content"][0]["text"], format!("number {n}"));
        }
    });
    join_all(calls).await;
}

#[tokio::test]
async fn large_arguments_and_results_pass() {
    let app = App::of(scripted(json!([tool("mirror")]), |call| async move {
        let arguments = call.params.get("arguments").unwrap().clone();
        let result = RawObject::from([("resultType", Raw::from("complete")), ("structuredContent", arguments)]);
        Ok(Outcome::Complete(result.to_raw()))
    }))
    .await;
    let large = json!({"text": "é".repeat(1_900_000)}).to_string();
    assert_eq!(app.post("/api/mounts/docs/tools/mirror", large.clone()).await.text, large);
}

#[tokio::test]
async fn questions_cannot_be_asked_and_that_is_said() {
    let names = ["asks", "ignores", "needs", "missing", "later", "forever"];
    let app = App::of(scripted(json!(names.map(tool)), |call| async move {
        match &*named(&call) {
            // In the middle of the call, as legacy servers do; without an answer it fails.
            "asks" => {
                let told = mount::told(&mount::elicit(&call, "Which color?").await);
                let content = json!([{"type": "text", "text": told}]);
                Ok(Outcome::Complete(raw(&json!({"resultType": "complete", "content": content, "isError": true}))))
            }
            // The same, going on without one.
            "ignores" => mount::says(mount::told(&mount::elicit(&call, "Which color?").await)),
            "needs" => Ok(Outcome::NeedsInput {
                requests: object(&json!({"q": {"method": "elicitation/create", "params": {"message": "Which?"}}})),
                state: None,
            }),
            "missing" => Err(Fault::error(-32021, "elicitation is required")),
            // Not now, says the server; it wants the call again.
            "later" => match &call.attempt {
                Attempt::First => Ok(Outcome::NeedsInput {
                    requests: RawObject::new(),
                    state: Some(RequestState::Sealed(Raw::from("s"))),
                }),
                Attempt::Answers { responses, state } => {
                    mount::says(format!("{} {}", responses.len(), value(state.as_ref().unwrap().value())))
                }
            },
            _ => Ok(Outcome::NeedsInput { requests: RawObject::new(), state: None }),
        }
    }))
    .await;
    let url = |tool: &str| format!("/api/mounts/docs/tools/{tool}");
    let asks = assert_problem(&app.post(&url("asks"), "{}").await, Kind::InputRequired);
    assert_eq!(asks["content"][0]["text"], "Undeclared");
    assert_eq!(app.post(&url("ignores"), "{}").await.ok()["content"][0]["text"], "Undeclared");
    let needs = assert_problem(&app.post(&url("needs"), "{}").await, Kind::InputRequired);
    assert_eq!(needs["inputRequests"]["q"]["params"]["message"], "Which?");
    let missing = assert_problem(&app.post(&url("missing"), "{}").await, Kind::InputRequired);
    assert_eq!(missing["error"]["code"], -32021);
    assert_eq!(app.post(&url("later"), "{}").await.ok()["content"][0]["text"], "0 \"s\"");
    assert_problem(&app.post(&url("forever"), "{}").await, Kind::InputRequired);
}

/// The demo's own tool asks, in the modern way.
#[tokio::test]
async fn the_demos_question_is_a_problem_and_its_tools_work() {
    let rialto = crate::matrix::process::Rialto::demo().await;
    let url = |tool: &str| format!("{}/api/mounts/docs/tools/{tool}", rialto.base);
    assert!(post(&url("search"), r#"{"query": "session"}"#).await.ok()["total"].as_u64().unwrap() > 0);
    let asked = post(&url("recommend"), "{}").await;
    assert!(asked.status == 200 || assert_problem(&asked, Kind::InputRequired).is_object());
}

#[tokio::test]
async fn prompts_are_checked_before_the_server_hears_of_them() {
    let app = App::of(answering(|call| async move {
        let result = match call.method {
            Method::PromptsList => json!({"resultType": "complete", "prompts": [
                {"name": "explain", "arguments": [{"name": "topic", "required": true}, {"name": "tone"}]},
                {"name": "a/b c"},
            ]}),
            _ => {
                assert_eq!(call.method, Method::PromptsGet);
                let said = value(&call.params.get("arguments").unwrap().clone()).to_string();
                json!({"resultType": "complete", "description": "d", "vendor": 1,
                    "messages": [{"role": "user", "content": {"type": "text", "text": said}}]})
            }
        };
        Ok(Outcome::Complete(raw(&result)))
    }))
    .await;
    let url = "/api/mounts/docs/prompts/explain";
    let filled = app.post(url, r#"{"topic": "eras"}"#).await.ok();
    assert_eq!(filled["messages"][0]["content"]["text"], r#"{"topic":"eras"}"#);
    assert_eq!((&filled["vendor"], filled.get("resultType")), (&json!(1), None));
    let wrong = assert_problem(&app.post(url, r#"{"tone": 5, "a/b~": null}"#).await, Kind::InvalidArguments);
    assert_eq!(
        wrong["errors"],
        json!([
            {"pointer": "/tone", "detail": "the arguments of a prompt are strings"},
            {"pointer": "/a~1b~0", "detail": "the arguments of a prompt are strings"},
            {"pointer": "", "detail": "\"topic\" is a required argument"},
        ])
    );
    app.post("/api/mounts/docs/prompts/a%2Fb%20c", "").await.ok();
    let unknown = assert_problem(&app.post("/api/mounts/docs/prompts/other", "").await, Kind::UnknownPrompt);
    assert_eq!((&unknown["mount"], &unknown["prompt"]), (&json!("docs"), &json!("other")));
}

/// What cannot be checked here goes to the server as it is.
#[tokio::test]
async fn sec_147_148_schemas_that_cannot_be_checked_leave_the_call_to_the_server() {
    let recorder = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let remote = format!("http://{}/schema.json", recorder.local_addr().unwrap());
    let all: serde_json::Map<String, Value> =
        (0..30_000).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
    let tools = json!([
        {"name": "remote", "inputSchema": {"type": "object", "properties": {"a": {"$ref": remote}}}},
        {"name": "dialect", "inputSchema": {"$schema": remote, "type": "object"}},
        {"name": "file", "inputSchema": {"type": "object", "allOf": [{"$ref": "file:///etc/passwd"}]}},
        {"name": "large", "inputSchema": {"type": "object", "properties": all}},
        {"name": "invalid", "inputSchema": {"type": 5}},
        {"name": "none"},
    ]);
    let app = App::of(scripted(tools, |call| async move { mount::says(named(&call)) })).await;
    for name in ["remote", "dialect", "file", "large", "invalid", "none"] {
        let said = app.post(&format!("/api/mounts/docs/tools/{name}"), r#"{"a": 1, "p1": 2}"#).await.ok();
        assert_eq!(said["content"][0]["text"], name);
    }
    app.get("/openapi.json").await.ok();
    app.get("/api/mounts/docs/tools").await.ok();
    let came = tokio::time::timeout(std::time::Duration::from_millis(200), recorder.accept()).await;
    assert!(came.is_err(), "somebody asked for a schema");
}

/// A tool that comes while the list is kept is found, and one whose schema changed is checked by the new one soon.
#[tokio::test]
async fn lists_are_kept_for_a_moment_only() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let (lists, stage) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, shown) = (lists.clone(), stage.clone());
    let app = App::of(answering(move |call| {
        let stage = shown.load(Ordering::SeqCst);
        let lists = counted.clone();
        async move {
            if call.method == Method::ToolsList {
                lists.fetch_add(1, Ordering::SeqCst);
                let tools = if stage == 0 { json!([tool("a")]) } else { json!([tool("a"), tool("b")]) };
                return Ok(Outcome::Complete(raw(&json!({"resultType": "complete", "tools": tools}))));
            }
            mount::says(named(&call))
        }
    }))
    .await;
    let calls = (0..20).map(|_| app.post("/api/mounts/docs/tools/a", "{}"));
    for call in calls {
        call.await.ok();
    }
    assert!(lists.load(Ordering::SeqCst) < 10, "{lists:?} lists for 20 calls");
    stage.store(1, Ordering::SeqCst);
    assert_eq!(app.post("/api/mounts/docs/tools/b", "{}").await.ok()["content"][0]["text"], "b");
}
