//! Swagger UI.

use std::collections::HashSet;

use rialto::{Proxy, app::problem::Kind};
use serde_json::json;

use super::{assert_document, hostile::hostile_tools};
use crate::{
    matrix::client::http_client,
    rest::{
        app::{Answer, App, builder, get as fetch, named, scripted},
        assert_problem,
    },
    support::mount,
};

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
        assert!(policy.iter().all(|directive| !directive.contains("unsafe")), "{policy:?}");
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
