//! Which address a path leads to.

use axum::{Router, http::StatusCode, response::IntoResponse, routing::any};
use rialto::{Reverse, Rialto};
use serde_json::json;

use super::{echo, echoing, exchange, gateway, get_raw, http, seen};
use crate::library::serve;

#[tokio::test]
async fn what_is_below_a_route_is_below_its_address() {
    let server = echoing().await;
    let cases = [
        ("", "/reports", "/"),
        ("", "/reports/", "/"),
        ("", "/reports/a/b?x=1&y=%2F", "/a/b?x=1&y=%2F"),
        ("/v2/all", "/reports", "/v2/all"),
        ("/v2/all", "/reports/", "/v2/all/"),
        ("/v2/all", "/reports?x=/../y", "/v2/all?x=/../y"),
        ("/v2/all", "/reports/a%20b/gr%C3%BC%C3%9Fe", "/v2/all/a%20b/gr%C3%BC%C3%9Fe"),
        ("/v2/all/", "/reports", "/v2/all/"),
        ("/v2/all/", "/reports/a", "/v2/all/a"),
        ("/v2", "/reports/a..b/...", "/v2/a..b/..."),
    ];
    for (path, asked, sent) in cases {
        let gateway = gateway(Reverse::to(format!("{}{path}", server.base))).await;
        let (status, seen) = seen(http().get(gateway.at(asked))).await;
        assert_eq!((status, &seen["target"]), (200, &json!(sent)), "{path} {asked}");
    }
}

#[tokio::test]
async fn sec_057_a_path_that_can_be_read_in_two_ways_is_not_passed_on() {
    let server = serve(Router::new().route("/v2/{*rest}", any(echo)).fallback(async || StatusCode::IM_A_TEAPOT)).await;
    let gateway = gateway(Reverse::to(format!("{}/v2", server.base))).await;
    let (status, _) = get_raw(&gateway.base, "/reports/a", "").await;
    assert_eq!(status, 200);
    for game in [
        "/reports/..",
        "/reports/../admin",
        "/reports/a/../../../admin",
        "/reports/./a",
        "/reports/%2e%2e/admin",
        "/reports/.%2E/admin",
        "/reports/%252e%252e/admin",
        "/reports/..%2fadmin",
        "/reports/..%252fadmin",
        "/reports/..;/admin",
        "/reports/..\\admin",
        "/reports/%5c..%5cadmin",
        "/reports/a%00b",
        "/reports/a%0d%0ax:1",
        "/reports/%c0%ae%c0%ae%2fadmin",
    ] {
        let (status, answer) = get_raw(&gateway.base, game, "").await;
        assert_eq!(status, 400, "{game}: {answer}");
        assert!(answer.contains("urn:rialto:problem:invalid-request"), "{game}: {answer}");
    }
    // These are no paths of the route at all.
    for other in ["/reportsx", "/REPORTS", "//reports", "/./reports", "/report%73", "/x/../reports"] {
        assert_eq!(get_raw(&gateway.base, other, "").await.0, 404, "{other}");
    }
}

#[tokio::test]
async fn the_longest_route_is_the_one_that_is_taken() {
    let server = echoing().await;
    let at = |path: &str| Reverse::to(format!("{}{path}", server.base));
    let app = Rialto::builder().route_to("/a", at("/one")).route_to("/a/b", at("/two")).route_to("/ab", at("/three"));
    let served = serve(app.build()).await;
    for (asked, sent) in [
        ("/a", "/one"),
        ("/a/x/b", "/one/x/b"),
        ("/a/bc", "/one/bc"),
        ("/a/b", "/two"),
        ("/a/b/c", "/two/c"),
        ("/ab/c", "/three/c"),
    ] {
        assert_eq!(seen(http().get(served.at(asked))).await.1["target"], sent, "{asked}");
    }
}

#[tokio::test]
async fn sec_078_redirects_are_not_followed_and_lead_back_through_the_route() {
    let target = echoing().await;
    let elsewhere = format!("{}/secret", target.base);
    let redirect = async |uri: http::Uri| {
        let to = uri.query().unwrap_or_default().to_owned();
        (StatusCode::FOUND, [("location", to)]).into_response()
    };
    let server = serve(Router::new().fallback(redirect)).await;
    let app = Rialto::builder().route_to("/reports", Reverse::to(format!("{}/v2", server.base))).build();
    let app = Router::new().nest("/gw", app);
    let gateway = serve(app).await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (given, expected) in [
        (format!("{}/v2/login", server.base), "/gw/reports/login"),
        ("/v2/login".to_owned(), "/gw/reports/login"),
        ("/v2".to_owned(), "/gw/reports"),
        ("/other".to_owned(), "/other"),
        ("login".to_owned(), "login"),
        (elsewhere.clone(), elsewhere.as_str()),
    ] {
        let response = client.get(gateway.at(&format!("/gw/reports/a?{given}"))).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 302, "{given}");
        assert_eq!(response.headers()["location"], expected, "{given}");
    }
}

#[tokio::test]
async fn methods_of_the_connection_are_not_passed_on() {
    let server = echoing().await;
    let gateway = gateway(server.base.as_str()).await;
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let request = format!("{method} /reports/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = exchange(&gateway.base, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        let is_named = answer.contains(&format!(r#""method":"{method}""#));
        assert_eq!(is_named, method != "HEAD", "{answer}");
    }
    let trace = "TRACE /reports/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = exchange(&gateway.base, trace).await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
}
