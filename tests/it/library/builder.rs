//! Whole applications, put together by the builder.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::{
    Router,
    extract::{Path, Request},
    middleware::{self, Next},
    response::Response,
    routing::{any, get, post},
};
use http::{HeaderValue, StatusCode};
use rialto::{
    Proxy, Rialto,
    app::{Assembled, Builder},
    config::RoutePath,
};
use serde_json::{Value, json};

use super::{ERAS, Served, answer, connect, in_process, serve, tool_by_hand};
use crate::matrix::client::http_client;

/// A layer that notes on the answer that it was passed.
fn noting(builder: Builder, name: &'static str) -> Builder {
    builder.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let mut response: Response = next.run(request).await;
        response.headers_mut().append("passed", HeaderValue::from_static(name));
        response
    }))
}

fn custom() -> Router {
    Router::new()
        .route("/hello/{name}", get(async |Path(name): Path<String>| format!("hello {name}")))
        .route("/hello", post(async |body: String| body))
}

async fn status_and_text(url: &str) -> (u16, String, Vec<String>) {
    let response = http_client().get(url).send().await.unwrap();
    let passed = response.headers().get_all("passed").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    (response.status().as_u16(), response.text().await.unwrap(), passed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mounts_routes_and_layers_go_together_in_any_order() {
    let fallback = || Router::new().fallback(async || (StatusCode::IM_A_TEAPOT, "mine"));
    let one = Rialto::builder().mount("one", in_process()).mount("two", in_process()).routes(custom());
    let one = noting(noting(one, "outer"), "inner").routes(fallback());
    let other = noting(noting(Rialto::builder().routes(fallback()), "outer"), "inner").mount("two", in_process());
    let other = other.routes(custom()).mount("one", in_process());

    for app in [one.build(), other.build()] {
        let served = serve(app).await;
        for mount in ["/mcp/one", "/mcp/two", "/mcp/one/", "/mcp/two/"] {
            for era in ERAS {
                let client = connect(&served.at(mount), era).await;
                assert_eq!(client.said("echo", &json!({ "text": mount })).await, mount);
                client.close().await;
            }
        }
        // What a request passes first is what an answer passes last. A fallback is behind the layers like everything else.
        let passed = vec!["inner".to_owned(), "outer".to_owned()];
        let hello = status_and_text(&served.at("/hello/ada")).await;
        assert_eq!(hello, (200, "hello ada".to_owned(), passed.clone()));
        assert_eq!(status_and_text(&served.at("/nowhere")).await, (418, "mine".to_owned(), passed.clone()));
        assert_eq!(status_and_text(&served.at("/hello")).await.0, 405);
        let (status, _, all) = status_and_text(&served.at("/mcp/absent")).await;
        assert_eq!((status, all), (404, passed.clone()));
        assert_eq!(status_and_text(&served.at("/mcp/one/x")).await.0, 404);
        assert_eq!(status_and_text(&served.at("/readyz")).await.2, passed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_application_is_nested_in_another() {
    let built = || Rialto::builder().mount("docs", in_process()).routes(custom()).build();
    let once = Router::new().nest("/gw", built()).route("/hello", get(async || "the host's"));
    let twice = Router::new().nest("/deep", Router::new().nest("/gw", built())).fallback(async || "the host's");
    for (prefix, app) in [("/gw", once), ("/deep/gw", twice)] {
        let served = serve(app).await;
        for mount in ["/mcp/docs", "/mcp/docs/"] {
            for era in ERAS {
                let client = connect(&served.at(&format!("{prefix}{mount}")), era).await;
                assert_eq!(client.said("echo", &json!({ "text": mount })).await, mount);
                client.close().await;
            }
        }
        let (status, said, _) = status_and_text(&served.at(&format!("{prefix}/hello/ada"))).await;
        assert_eq!((status, said.as_str()), (200, "hello ada"), "{prefix}");
        assert_eq!(status_and_text(&served.at(&format!("{prefix}/healthz"))).await.1, "ok\n");
        assert_eq!(status_and_text(&served.at("/hello")).await.1, "the host's");
        every_link_leads_somewhere(&served, prefix).await;
    }
}

/// What is said of paths holds below the path of the host: on the page, in the list of mounts and in the documents.
async fn every_link_leads_somewhere(served: &Served, prefix: &str) {
    let json = async |path: &str| -> Value {
        let text = status_and_text(&served.at(&format!("{prefix}{path}"))).await.1;
        serde_json::from_str(&text).expect("JSON")
    };
    let mut links: Vec<String> = Vec::new();
    let (status, page, _) = status_and_text(&served.at(prefix)).await;
    assert_eq!(status, 200, "{prefix}");
    let values = ["href=\"", "src=\""].into_iter().flat_map(|mark| page.split(mark).skip(1));
    links.extend(
        values.filter_map(|rest| rest.split('"').next()).filter(|link| link.starts_with('/')).map(str::to_owned),
    );
    assert!(page.contains(&served.at(&format!("{prefix}/mcp/docs"))), "{page}");
    assert!(links.len() > 7, "{links:?}");
    let listed = json("/api/mounts").await;
    let of_mount = listed["mounts"][0]["links"].as_object().expect("links").clone();
    assert_eq!(of_mount["mcp"], json!(format!("{prefix}/mcp/docs")));
    links.extend(
        of_mount.iter().filter(|(name, _)| *name != "mcp").filter_map(|(_, link)| link.as_str().map(str::to_owned)),
    );
    for link in links {
        assert_eq!(status_and_text(&served.at(&link)).await.0, 200, "{link}");
    }
    for document in ["/openapi.json", "/api/mounts/docs/openapi.json"] {
        assert_eq!(json(document).await["servers"][0]["url"], json!(prefix), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_below_a_path_is_linked_there() {
    let public = "https://gw.example/tools".parse().expect("a URL");
    let app = Rialto::builder().mount("docs", in_process()).public_url(public).build();
    let served = serve(app).await;
    let (_, page, _) = status_and_text(&served.at("/")).await;
    assert!(page.contains("https://gw.example/tools/mcp/docs") && page.contains("href=\"/tools/docs\""), "{page}");
    let (_, listed, _) = status_and_text(&served.at("/api/mounts")).await;
    assert!(listed.contains("\"/tools/api/mounts/docs/tools\""), "{listed}");
}

/// What a program is told that cannot be built.
fn panic_of(build: impl FnOnce() -> Router) -> String {
    let panic = catch_unwind(AssertUnwindSafe(build)).expect_err("it was built");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("words")
}

#[test]
fn what_cannot_be_built_says_why() {
    let docs = || Proxy::to("https://docs.example/mcp");
    let with = |routes: Router| move || Rialto::builder().mount("docs", docs()).routes(routes).build();
    let ok = async || "";
    let route_to = |path: &'static str| move || Rialto::builder().route_to(path, "http://127.0.0.1:9000").build();
    let cases: Vec<(String, &str)> = vec![
        (
            panic_of(|| Rialto::builder().mount("my docs", docs()).build()),
            "`my docs` cannot be the name of a mount: use letters, digits, `_` and `-`, a letter first",
        ),
        (panic_of(|| Rialto::builder().mount("sse", docs()).build()), "`sse` cannot be the name of a mount"),
        (
            panic_of(|| Rialto::builder().mount("docs", docs()).mount("docs", docs()).build()),
            "two mounts are called `docs`",
        ),
        (panic_of(with(Router::new().route("/healthz", get(ok)))), "Handler for `GET /healthz` already exists"),
        // A method that Rialto does not have at its path is Rialto's all the same.
        (panic_of(with(Router::new().route("/healthz", post(ok)))), "Handler for `POST /healthz` already exists"),
        (panic_of(with(Router::new().route("/readyz", any(ok)))), "Cannot merge two `MethodRouter`s"),
        (panic_of(with(Router::new().route("/mcp/docs", post(ok)))), "Handler for `POST /mcp/docs` already exists"),
        (panic_of(with(Router::new().nest_service("/mcp/docs", docs().into_service()))), "/mcp/docs"),
        (panic_of(with(Router::new().route("/mcp/{*rest}", get(ok)))), "/mcp/{*rest}"),
        (
            panic_of(|| {
                let one = || Router::new().fallback(async || "");
                Rialto::builder().routes(one()).routes(one()).build()
            }),
            "Cannot merge two `Router`s that both have a fallback",
        ),
        (panic_of(route_to("reports")), "the route `reports`: does not begin with `/`; write the path as `/reports`"),
        (panic_of(route_to("/mcp/docs")), "overlaps with `/mcp`, a path of Rialto's own; choose another path"),
        (
            panic_of(|| Rialto::builder().route_to("/a", "http://h").route_to("/a", "http://h").build()),
            "two routes are at `/a`",
        ),
        (
            panic_of(|| {
                Rialto::builder().route_to("/a", "http://h").routes(Router::new().route("/a", get(ok))).build()
            }),
            "Handler for `GET /a` already exists",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message:?} should have {expected:?} in it");
    }
}

#[test]
fn no_route_to_a_server_can_be_at_a_path_of_ours() {
    let Assembled { routes, .. } = Rialto::builder().mount("docs", Proxy::to("https://docs.example/mcp")).assemble();
    assert!(!routes.is_empty());
    for route in routes {
        let fixed = route.path.split("/{").next().unwrap();
        assert!(fixed.parse::<RoutePath>().is_err(), "{} is not kept from routes to servers elsewhere", route.path);
    }
}

#[tokio::test]
async fn a_builder_of_nothing_builds() {
    let served = serve(Rialto::builder().build()).await;
    assert_eq!(status_and_text(&served.at("/readyz")).await.0, 200);
    let (status, _) = answer(tool_by_hand(&served.at("/mcp/docs"), "echo", json!({}))).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_may_have_a_page_of_its_own() {
    let own = Router::new().route("/", get(async || "our page"));
    let app = Rialto::builder().mount("docs", in_process()).page(false).routes(own).build();
    let served = serve(app).await;
    let (status, text, _) = status_and_text(&served.at("/")).await;
    assert_eq!((status, &*text), (200, "our page"));
    let (status, ..) = status_and_text(&served.at("/docs")).await;
    assert_eq!(status, 200, "the rest is as it was");
}
