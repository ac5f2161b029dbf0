//! Every problem: when it comes, and what it says.

use std::{sync::Arc, time::Duration};

use rialto::{
    Limits, Proxy, ServerLimits,
    app::problem::Kind,
    auth::Access,
    downstream::Settings,
    hub::{Fault, GatewayFault, Outcome, Principal, Reason},
    jsonrpc::ErrorObject,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    app::{Answer, App, builder, named, scripted, tool},
    assert_problem,
};
use crate::{
    matrix::client::http_client,
    support::{json::raw, mount, wait::soon},
};

const ECHO: &str = "/api/mounts/docs/tools/echo";

fn echo() -> Proxy {
    scripted(json!([tool("echo")]), |call| async move { mount::says(named(&call)) })
}

fn post(app: &App, path: &str) -> reqwest::RequestBuilder {
    http_client().post(app.url(path))
}

#[tokio::test]
async fn what_is_not_there_is_a_404() {
    let app = App::of(echo()).await;
    let problem = assert_problem(&app.get("/api/mounts/other").await, Kind::UnknownMount);
    assert_eq!(problem["mount"], "other");
    for path in ["/tools", "/resources", "/prompts", "/resources/read?uri=a", "/openapi.json", "/docs"] {
        assert_problem(&app.get(&format!("/api/mounts/other{path}")).await, Kind::UnknownMount);
    }
    let problem = assert_problem(&app.post("/api/mounts/docs/tools/other", "{}").await, Kind::UnknownTool);
    assert_eq!((&problem["mount"], &problem["tool"]), (&json!("docs"), &json!("other")));
    for path in
        ["/api/mounts/docs/", "/api/mounts/docs/tools/", "/api/mounts/docs/nothing", "/api/mounts/docs/tools/a/b"]
    {
        assert_problem(&app.get(path).await, Kind::NotFound);
    }
}

#[tokio::test]
async fn other_methods_are_a_405_that_says_which_there_are() {
    let app = App::of(echo()).await;
    for (method, path, allow) in [
        ("GET", ECHO, "POST"),
        ("HEAD", ECHO, "POST"),
        ("OPTIONS", ECHO, "POST"),
        ("PUT", ECHO, "POST"),
        ("POST", "/api/mounts", "GET,HEAD"),
        ("DELETE", "/api/mounts/docs", "GET,HEAD"),
        ("POST", "/api/mounts/docs/tools", "GET,HEAD"),
        ("PATCH", "/openapi.json", "GET,HEAD"),
        ("TRACE", "/api/mounts/docs/docs", "GET,HEAD"),
    ] {
        let answer = Answer::of(http_client().request(method.parse().unwrap(), app.url(path))).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allow)), "{method} {path}");
        if method != "HEAD" {
            assert_problem(&answer, Kind::MethodNotAllowed);
        }
    }
    // HEAD is GET without its body.
    for path in ["/api/mounts", "/api/mounts/docs/tools", "/openapi.json", "/docs"] {
        let (get, head) = (app.get(path).await, Answer::of(http_client().head(app.url(path))).await);
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        assert_eq!(head.text, "", "{path}");
    }
}

#[tokio::test]
async fn sec_056_bodies_that_are_not_declared_as_json_are_a_415() {
    let app = App::of(echo()).await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "application/json; charset=utf-16",
        "application/ld+json",
        "",
    ] {
        for body in ["{}", ""] {
            let answer = Answer::of(post(&app, ECHO).header("content-type", content_type).body(body)).await;
            assert_problem(&answer, Kind::UnsupportedMediaType);
        }
    }
    for encoding in ["gzip", "br", "identity", "deflate, gzip"] {
        let request = post(&app, ECHO).header("content-type", "application/json").header("content-encoding", encoding);
        assert_problem(&Answer::of(request.body("{}")).await, Kind::UnsupportedMediaType);
    }
    assert_problem(&Answer::of(post(&app, ECHO).body("{}")).await, Kind::UnsupportedMediaType);
    for content_type in
        ["application/json", "Application/JSON;charset=UTF-8", "application/json; charset=\"utf-8\"; x=y"]
    {
        Answer::of(post(&app, ECHO).header("content-type", content_type).body("{}")).await.ok();
    }
    Answer::of(post(&app, ECHO)).await.ok();
}

#[tokio::test]
async fn what_nobody_accepts_is_a_406() {
    let app = App::of(echo()).await;
    for accept in ["text/html", "application/xml, image/*", "application/json;q=0", "*/*;q=0"] {
        let problem = assert_problem(&Answer::of(post(&app, ECHO).header("accept", accept)).await, Kind::NotAcceptable);
        assert!(problem["detail"].as_str().unwrap().contains("application/json"));
        for path in ["/api/mounts", "/api/mounts/docs", "/api/mounts/docs/tools"] {
            let answer = Answer::of(http_client().get(app.url(path)).header("accept", accept)).await;
            assert_problem(&answer, Kind::NotAcceptable);
        }
    }
    let events = Answer::of(http_client().get(app.url("/api/mounts")).header("accept", "text/event-stream")).await;
    assert_problem(&events, Kind::NotAcceptable);
}

#[tokio::test]
async fn bodies_that_are_no_clear_json_are_a_400() {
    let app = App::of(echo()).await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for body in [
        "{",
        "nope",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"\\u0062\":2}}",
        "{} {}",
        "{'a':1}",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
        &deep,
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{\"a\":\"\u{1}\"}",
    ] {
        let problem = assert_problem(&app.post(ECHO, body).await, Kind::MalformedJson);
        assert!(problem["detail"].as_str().unwrap().starts_with("the body is refused: "), "{problem}");
    }
    let answer =
        Answer::of(post(&app, ECHO).header("content-type", "application/json").body(vec![b'"', 0xff, b'"'])).await;
    assert_problem(&answer, Kind::MalformedJson);
    for body in ["[]", "null", "\"text\"", "5", "true"] {
        let problem = assert_problem(&app.post(ECHO, body).await, Kind::InvalidArguments);
        assert_eq!(problem["errors"], json!([{"pointer": "", "detail": "the arguments must be a JSON object"}]));
    }
    for query in ["", "?uri=", "?uri=a&uri=b", "?other=a", "?uri=%FF", "?uri=a%C3"] {
        assert_problem(&app.get(&format!("/api/mounts/docs/resources/read{query}")).await, Kind::InvalidRequest);
    }
}

#[tokio::test]
async fn sec_052_053_bodies_that_are_too_large_or_too_slow_are_refused_and_the_connection_ends() {
    let limits = Limits { body: 1000, body_time: Duration::from_millis(300), ..Limits::default() };
    let settings = Settings::from(limits);
    let app = App::serve(builder().settings(settings).mount("docs", echo()).build()).await;
    let large = json!({"text": "x".repeat(1000)}).to_string();
    let answer = app.post(ECHO, large.clone()).await;
    assert_eq!(answer.header("connection"), Some("close"));
    assert_problem(&answer, Kind::TooLarge);
    let chunks = futures_util::stream::iter(vec![Ok::<_, std::io::Error>(large)]);
    let chunked = post(&app, ECHO).header("content-type", "application/json").body(reqwest::Body::wrap_stream(chunks));
    assert_problem(&Answer::of(chunked).await, Kind::TooLarge);

    let address = app.base.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {ECHO} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the end of the connection", slow.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(Kind::RequestTimeout.urn()) && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn mounts_that_are_closed_to_somebody_are_a_403() {
    let router = builder()
        .mount("docs", echo())
        .mount("other", echo())
        .layer(axum::Extension(Access::only(Principal::new("ci"), ["other"])));
    let app = App::serve(router.build()).await;
    let mounts = app.get("/api/mounts").await.ok();
    assert_eq!(mounts["mounts"].as_array().unwrap().len(), 1, "{mounts}");
    for path in ["", "/tools", "/resources", "/prompts", "/resources/read?uri=a", "/openapi.json", "/docs"] {
        let problem = assert_problem(&app.get(&format!("/api/mounts/docs{path}")).await, Kind::Forbidden);
        assert_eq!(problem["mount"], "docs");
    }
    for path in ["/tools/echo", "/prompts/a"] {
        assert_problem(&app.post(&format!("/api/mounts/docs{path}"), "{}").await, Kind::Forbidden);
    }
    app.post("/api/mounts/other/tools/echo", "{}").await.ok();
    let document = app.get("/openapi.json").await.ok();
    assert!(!document.to_string().contains("/api/mounts/docs"), "{document}");
}

#[tokio::test]
async fn faults_on_the_way_have_a_status_of_their_own() {
    let all = [
        (Reason::ConnectFailed, Kind::UpstreamUnreachable),
        (Reason::TlsFailed, Kind::UpstreamUnreachable),
        (Reason::UpstreamExited, Kind::UpstreamUnreachable),
        (Reason::UpstreamAuth, Kind::UpstreamUnreachable),
        (Reason::UpstreamVersion, Kind::UpstreamUnreachable),
        (Reason::StreamLost, Kind::UpstreamFailed),
        (Reason::SessionLost, Kind::UpstreamFailed),
        (Reason::SuspensionLost, Kind::UpstreamFailed),
        (Reason::UpstreamProtocol, Kind::UpstreamFailed),
        (Reason::UpstreamHttp, Kind::UpstreamFailed),
        (Reason::UpstreamHeaderMismatch, Kind::UpstreamFailed),
        (Reason::InputRoundsExceeded, Kind::UpstreamFailed),
        (Reason::Limit, Kind::UpstreamFailed),
        (Reason::Timeout, Kind::UpstreamTimeout),
        (Reason::Busy, Kind::Busy),
        (Reason::Policy, Kind::Refused),
        (Reason::Internal, Kind::Internal),
    ];
    let tools: Vec<_> = all.iter().map(|(reason, _)| tool(reason.as_str())).collect();
    let app = App::of(scripted(json!(tools), move |call| async move {
        let (reason, _) = all.into_iter().find(|(reason, _)| reason.as_str() == named(&call)).unwrap();
        let retry_after = (reason == Reason::UpstreamHttp).then_some(Duration::from_millis(6_500));
        let fault =
            GatewayFault { upstream: Some("there".into()), retry_after, ..GatewayFault::new(reason, "it broke") };
        Err::<Outcome, _>(Fault::Gateway(fault))
    }))
    .await;
    for (reason, kind) in all {
        let answer = app.post(&format!("/api/mounts/docs/tools/{}", reason.as_str()), "").await;
        let problem = assert_problem(&answer, kind);
        assert_eq!((&problem["reason"], &problem["upstream"]), (&json!(reason.as_str()), &json!("there")));
        assert_eq!(problem["retryable"], reason.is_retryable());
        assert_eq!(problem["detail"], "upstream `there`: it broke");
        let expected = match reason {
            Reason::Busy => Some("1"),
            Reason::UpstreamHttp => Some("7"),
            _ => None,
        };
        assert_eq!(answer.header("retry-after"), expected, "{reason:?}");
    }
}

#[tokio::test]
async fn errors_of_servers_are_passed_on() {
    let app = App::of(scripted(json!([tool("any")]), |call| async move {
        let code: i64 = call.params.get_object("arguments").unwrap().get("code").unwrap().parse().unwrap();
        let data = raw(&json!({"n": [1, {"b": 1, "a": 2}]}));
        Err::<Outcome, _>(Fault::Answered(ErrorObject::new(code, "no such luck").with_data(data)))
    }))
    .await;
    for (code, kind) in [
        (-32602, Kind::InvalidArguments),
        (-32603, Kind::UpstreamError),
        (-32601, Kind::UpstreamError),
        (-32000, Kind::UpstreamError),
        (7, Kind::UpstreamError),
        (-32021, Kind::InputRequired),
        (-32042, Kind::InputRequired),
    ] {
        let problem =
            assert_problem(&app.post("/api/mounts/docs/tools/any", json!({"code": code}).to_string()).await, kind);
        assert_eq!(
            problem["error"],
            json!({"code": code, "message": "no such luck", "data": {"n": [1, {"b": 1, "a": 2}]}})
        );
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_504() {
    let limits =
        ServerLimits { silence: Duration::from_millis(200), call: Duration::from_secs(5), ..ServerLimits::default() };
    let proxy = scripted(json!([tool("silent")]), |_| std::future::pending());
    let app = App::serve(builder().settings(Limits::from(limits).into()).mount("docs", proxy).build()).await;
    let problem = assert_problem(&app.post("/api/mounts/docs/tools/silent", "").await, Kind::UpstreamTimeout);
    assert_eq!(problem["retryable"], false);
}

#[tokio::test]
async fn a_task_that_nobody_could_follow_is_a_502() {
    let app = App::of(scripted(json!([tool("task")]), |_| async {
        Ok(Outcome::Task(raw(&json!({"resultType": "task", "task": {"taskId": "1"}}))))
    }))
    .await;
    assert_problem(&app.post("/api/mounts/docs/tools/task", "").await, Kind::UpstreamFailed);
}

#[tokio::test]
async fn problems_of_one_caller_stay_with_that_caller() {
    let served = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = served.clone();
    let app = App::of(scripted(json!([tool("echo"), tool("lost")]), move |call| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            match &*named(&call) {
                "echo" => mount::says("fine"),
                _ => Err(Fault::gateway(Reason::StreamLost, "gone")),
            }
        }
    }))
    .await;
    let lost = (0..20).map(|_| app.post("/api/mounts/docs/tools/lost", "{}"));
    let fine = (0..20).map(|_| app.post(ECHO, "{}"));
    let (lost, fine) = tokio::join!(futures_util::future::join_all(lost), futures_util::future::join_all(fine));
    lost.iter().for_each(|answer| drop(assert_problem(answer, Kind::UpstreamFailed)));
    fine.iter().for_each(|answer| drop(answer.ok()));
    assert_eq!(served.load(std::sync::atomic::Ordering::SeqCst), 40);
}
