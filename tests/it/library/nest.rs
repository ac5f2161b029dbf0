//! Proxies nested in somebody's axum application.

use axum::{Router, routing::get};
use rialto::Proxy;
use serde_json::json;

use super::{ERAS, answer, by_hand, command, connect, in_process, serve, tool_by_hand};
use crate::{
    matrix::{client::http_client, process::Fixture},
    support::wait::within,
};

/// Where a nested proxy is, in the applications of [`applications`].
const PATH: &str = "/mcp/docs";

/// A proxy in an application with other routes before and after it and a fallback of its own, in each way that axum has to
/// put it there; and whether axum then passes a slash at the end.
fn applications(proxy: impl Fn() -> Proxy) -> Vec<(&'static str, String, bool, Router)> {
    let before = || Router::new().route("/mcp/{other}", get(async || "another")).route("/hello", get(async || "hello"));
    let after = |app: Router| {
        app.route("/mcp/docsx", get(async || "a sibling")).fallback(async || (http::StatusCode::IM_A_TEAPOT, "nobody"))
    };
    let router = || before().nest(PATH, proxy().into_router());
    let service = || before().nest_service(PATH, proxy().into_service());
    let deep = |app: Router| Router::new().nest("/a", Router::new().route("/x", get(async || "x")).nest("/b", app));
    vec![
        ("nest", PATH.to_owned(), false, after(router())),
        ("nest_service", PATH.to_owned(), true, after(service())),
        ("nest first", PATH.to_owned(), false, after(Router::new().nest(PATH, proxy().into_router()))),
        ("nest, twice deep", format!("/a/b{PATH}"), false, after(deep(router()))),
        ("nest_service, twice deep", format!("/a/b{PATH}"), true, after(deep(service()))),
        ("with a state", PATH.to_owned(), false, after(Router::new().nest(PATH, proxy().into_router()).with_state(7))),
    ]
}

async fn every_client_uses(proxy: impl Fn() -> Proxy) {
    for (way, path, with_slash, app) in applications(proxy) {
        let served = serve(app).await;
        let mut urls = vec![served.at(&path)];
        if with_slash {
            urls.push(served.at(&format!("{path}/")));
        }
        for url in urls {
            for era in ERAS {
                let client = connect(&url, era).await;
                assert_eq!(client.said("echo", &json!({ "text": way })).await, way, "{url} {era:?}");
                let asked = client.said("ask", &json!({})).await;
                assert!(asked.contains("teal"), "{way} {era:?}: {asked}");
                client.close().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_elsewhere_is_nested() {
    let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
    let modern = Fixture::start(&["--revision", "2026-07-28"]).await;
    for fixture in [&legacy, &modern] {
        every_client_uses(|| Proxy::to(&fixture.url)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_process_is_nested() {
    every_client_uses(|| command("dual").local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_the_process_is_nested() {
    every_client_uses(in_process).await;
}

#[tokio::test]
async fn a_nested_proxy_answers_at_its_path_and_nowhere_below() {
    for (way, path, with_slash, app) in applications(in_process) {
        let served = serve(app).await;
        let http = http_client();
        let said = tool_by_hand(&served.at(&path), "echo", json!({ "text": "hi" }));
        let (status, at_path) = answer(said).await;
        assert_eq!((status, &at_path["result"]["content"][0]["text"]), (200, &json!("hi")), "{way}");

        // The same answer, not a redirect to one.
        let said = tool_by_hand(&served.at(&format!("{path}/")), "echo", json!({ "text": "hi" }));
        let (status, with) = answer(said).await;
        if with_slash {
            assert_eq!((status, with), (200, at_path), "{way}");
        } else {
            assert_eq!((status, with), (418, json!("nobody")), "{way}");
        }

        for below in ["/x", "/x/", "/sse", "//", "/..", "/%2e%2e", "/x?y"] {
            let url = served.at(&format!("{path}{below}"));
            // By hand, since the client would tidy the path up.
            let status = raw_status(&served.base, &format!("{path}{below}")).await;
            assert_eq!(status, 404, "{way} {url}");
            let (status, _) = answer(by_hand(&served.at(&format!("{path}/x")), "tools/list", json!({}))).await;
            assert_eq!(status, 404, "{way} {url}");
        }
        if way == "nest" || way == "nest_service" {
            for (other, says) in [("/hello", "hello"), ("/mcp/other", "another"), ("/mcp/docsx", "a sibling")] {
                let text = http.get(served.at(other)).send().await.unwrap().text().await.unwrap();
                assert_eq!(text, says, "{way}");
            }
        }
        assert_eq!(http.get(served.at("/nowhere")).send().await.unwrap().status().as_u16(), 418, "{way}");
    }
}

/// The status of a `GET` whose target is written as it stands.
async fn raw_status(base: &str, target: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let authority = base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

#[test]
#[should_panic(expected = "`my docs` cannot be the name of a proxy: use letters, digits, `_` and `-`, a letter first")]
fn a_proxy_has_a_name_that_a_mount_could_have() {
    let _ = Proxy::to("https://docs.example/mcp").name("my docs").into_service();
}

#[tokio::test]
async fn an_address_that_is_none_makes_a_proxy_that_says_so() {
    let served = serve(Router::new().nest("/mcp/docs", Proxy::to("not a url").into_router())).await;
    let (_, answer) = answer(tool_by_hand(&served.at("/mcp/docs"), "echo", json!({}))).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("its address is not a URL"), "{answer}");
}
