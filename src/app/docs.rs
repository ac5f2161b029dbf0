//! Swagger UI, to read the OpenAPI document and to try it out: for the gateway at `/docs`, for a mount below its path.
//!
//! Everything a page needs comes from here. What it shows comes from servers that nobody vouches for, so a page may run no
//! script but ours and talk to nobody else, whatever a description says (Content Security Policy Level 3): there is no
//! inline script, and no `unsafe-inline` or `unsafe-eval` for one.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use askama::Template;
use aws_lc_rs::digest::{Context, SHA256};
use axum::{body::Body, extract::State, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use url::Url;

use super::{
    openapi::{hex, is_known},
    problem::{Kind, Problem},
    rest::{Named, Rest, guarded},
    table::{Door, Table},
};

/// The files of Swagger UI that pages use. It has more, and those are not served.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// A file of the pages.
struct Asset {
    name: &'static str,
    content_type: HeaderValue,
    bytes: Bytes,
}

/// The files, and a stamp that changes with them.
struct Assets {
    stamp: String,
    files: Vec<Asset>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::load);

/// One page.
#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'a> {
    title: &'a str,
    /// The way to the files, ending in a slash.
    assets: &'a str,
    /// The way to the document.
    document: &'a str,
}

/// What the pages share.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    rest: Rest,
    policy: HeaderValue,
}

// === impl Assets ===

impl Assets {
    fn load() -> Self {
        let config = Arc::new(utoipa_swagger_ui::Config::default());
        let mut files = Vec::new();
        for name in FILES {
            let Ok(Some(file)) = utoipa_swagger_ui::serve(name, config.clone()) else { continue };
            let bytes = match file.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            };
            files.push(Asset { name, content_type: content_type(name), bytes });
        }
        let own: [(&'static str, &'static str); 2] =
            [("start.js", include_str!("docs/start.js")), ("start.css", include_str!("docs/start.css"))];
        for (name, text) in own {
            files.push(Asset { name, content_type: content_type(name), bytes: Bytes::from_static(text.as_bytes()) });
        }
        let mut digest = Context::new(&SHA256);
        for file in &files {
            digest.update(file.name.as_bytes());
            digest.update(&file.bytes);
        }
        Self { stamp: hex(digest.finish().as_ref())[..16].to_owned(), files }
    }
}

fn content_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "image/png",
    })
}

// === impl Pages ===

impl Pages {
    /// Pages that may talk to this host, and to `public_url`, where the document says that requests go.
    pub(super) fn new(rest: Rest, public_url: Option<&Url>) -> Self {
        let public = public_url.map(|url| format!(" {}", url.origin().ascii_serialization())).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self'{public}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { rest, policy }
    }

    /// Adds their routes.
    pub(super) fn add_routes(&self, table: &mut Table) {
        let page = |assets: &'static str, document: &'static str| {
            let show = move |State(pages): State<Self>| async move { pages.show("Rialto", assets, document) };
            guarded(get(show)).with_state(self.clone())
        };
        table.add(Door::Browser, "/docs", page("docs/assets/", "openapi.json"));
        table.add(Door::Browser, "/docs/", page("assets/", "../openapi.json"));
        table.add(Door::Browser, "/docs/assets/{stamp}/{file}", guarded(get(asset)));
        let page = |assets: &'static str, document: &'static str| {
            let show = move |State(pages): State<Self>, Named(mount): Named<String>, parts: Parts| async move {
                match pages.rest.enter(&mount, &parts.extensions) {
                    Ok(visit) => pages.show(visit.entry.title().unwrap_or(&mount), assets, document),
                    Err(problem) => problem.into_response(),
                }
            };
            guarded(get(show)).with_state(self.clone())
        };
        table.add(Door::Browser, "/api/mounts/{mount}/docs", page("../../../docs/assets/", "openapi.json"));
        table.add(Door::Browser, "/api/mounts/{mount}/docs/", page("../../../../docs/assets/", "../openapi.json"));
    }

    fn show(&self, title: &str, assets: &str, document: &str) -> Response<Body> {
        let assets = format!("{assets}{}/", ASSETS.stamp);
        let Ok(text) = (Page { title, assets: &assets, document }).render() else {
            return Problem::new(Kind::Internal, "the page could not be written").into_response();
        };
        let mut response = Response::new(Body::from(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A file of the pages. Its path holds the stamp of all files, so whoever has it need never ask again.
async fn asset(Named((stamp, name)): Named<(String, String)>, headers: HeaderMap) -> Response<Body> {
    let assets = &*ASSETS;
    let Some(file) = assets.files.iter().find(|file| file.name == name && assets.stamp == stamp) else {
        return Problem::new(Kind::NotFound, "there is no such file; reload the page").into_response();
    };
    let tag = HeaderValue::try_from(format!("\"{stamp}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"-\""));
    let mut response = Response::new(Body::empty());
    match is_known(&headers, &tag) {
        true => *response.status_mut() = StatusCode::NOT_MODIFIED,
        false => {
            *response.body_mut() = Body::from(file.bytes.clone());
            response.headers_mut().insert(header::CONTENT_TYPE, file.content_type.clone());
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_the_pages_use_is_there() {
        let names: Vec<_> = ASSETS.files.iter().map(|file| file.name).collect();
        assert_eq!(names, ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js", "start.css"]);
        assert!(ASSETS.files.iter().all(|file| !file.bytes.is_empty()));
        let page = Page { title: "</title><script>alert(1)</script>", assets: "a/", document: "openapi.json" };
        let text = page.render().unwrap();
        assert!(!text.contains("<script>"), "{text}");
        for name in names {
            assert!(text.contains(&format!("a/{name}\"")), "{name} is not used: {text}");
        }
    }
}
