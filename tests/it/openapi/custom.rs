//! What an application says about itself: its routes, its keys, its address.

use axum::{Router, routing::get};
use rialto::{auth::Access, hub::Principal};
use serde_json::json;
use utoipa::OpenApi;

use super::assert_document;
use crate::{
    matrix::client::http_client,
    rest::app::{Answer, App, builder, named, scripted, tool},
    support::mount,
};

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
#[openapi(paths(hello, stolen), components(schemas(Problem)), tags((name = "custom", description = "Of the application"), (name = "docs", description = "The library")))]
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
    let shared = document["tags"].as_array().unwrap().iter().find(|tag| tag["name"] == "docs").unwrap();
    assert_eq!((&shared["description"], &shared["x-rialto-status"]), (&json!("The library"), &json!("up")));
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

/// A key of some mounts finds in the document what it opens, and what is beside the mounts is not among that.
#[tokio::test]
async fn sec_152_who_may_use_no_routes_is_told_of_none() {
    let say = |call: rialto::hub::Call| async move { mount::says(named(&call)) };
    let serve = |access: Access| {
        let app = builder().mount("docs", scripted(json!([tool("a")]), say));
        let app = app.mount("other", scripted(json!([tool("b")]), say));
        let app = app.routes(Router::new().route("/hello", get(hello))).openapi(Custom::openapi());
        App::serve(app.layer(axum::Extension(access)).build())
    };
    let limited = Access::only(Principal::new("ci"), ["docs"]);
    for (access, expected) in [(limited.clone().and_routes(), true), (limited, false)] {
        let app = serve(access).await;
        let document = app.get("/openapi.json").await.ok();
        assert_document(&document);
        assert!(document["paths"].get("/api/mounts/docs/tools/a").is_some());
        assert!(document["paths"].get("/api/mounts/other/tools/b").is_none());
        assert_eq!(document["paths"].get("/hello").is_some(), expected);
        assert_eq!(document.to_string().contains("Of the application"), expected, "{document}");
        let hello = app.get("/hello").await;
        assert_eq!(hello.status == 200, expected);
        if !expected {
            // As the document says of every route that a key opens or does not.
            assert_eq!(hello.header("content-type"), Some("application/problem+json"));
            assert_eq!(hello.json()["type"], "urn:rialto:problem:forbidden");
        }
        // A mount's own document is of the mount alone.
        let own = app.get("/api/mounts/docs/openapi.json").await.ok();
        assert_document(&own);
        assert!(own["components"]["schemas"].as_object().unwrap().keys().all(|name| !name.contains("Hello")), "{own}");
    }
}

/// Whether somebody hears of mounts or not, the answer is what the document says.
#[tokio::test]
async fn readiness_is_documented_for_strangers_too() {
    for app in [builder(), rialto::Rialto::builder()] {
        let app = app.mount("docs", scripted(json!([tool("a")]), |call| async move { mount::says(named(&call)) }));
        let app = App::serve(app.build()).await;
        let document = app.get("/openapi.json").await.ok();
        let responses = &document["paths"]["/readyz"]["get"]["responses"];
        let schema = &responses["200"]["content"]["application/json"]["schema"];
        let ready = app.get("/readyz").await.ok();
        assert!(jsonschema::is_valid(schema, &ready), "{schema} {ready}");
        assert_eq!(
            responses["503"]["content"]["application/json"]["schema"]["properties"]["status"]["const"],
            "stopping"
        );
    }
}
