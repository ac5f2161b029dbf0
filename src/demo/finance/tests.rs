//! The books as REST clients and MCP clients see them, on a day that the test chooses.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::Value;
use tower::ServiceExt;

use super::{Finance, calendar::Date};
use crate::demo::tests::{Era, Form, Session, within};

mod asking;
mod books;
mod calling;
mod listening;
mod reading;
mod rest;

/// The company on 2026-11-20, and a way to change the day.
struct Fixture {
    finance: Finance,
    today: Arc<Mutex<Date>>,
    router: Router,
    /// The OpenAPI document of the routes.
    document: Value,
}

/// What a REST request came to.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl Fixture {
    fn new() -> Self {
        let today = Arc::new(Mutex::new(Date::new(2026, 11, 20)));
        let clock = today.clone();
        let finance = Finance::with_clock(Arc::new(move || *clock.lock().expect("no panic")));
        let (router, document) = finance.router();
        let document = serde_json::to_value(document).expect("a document is JSON");
        Self { finance, today, router, document }
    }

    fn set_today(&self, day: Date) {
        *self.today.lock().expect("no panic") = day;
    }

    async fn open(&self, era: Era, form: Form) -> Session {
        self.open_with(era, form, None).await
    }

    async fn open_with(&self, era: Era, form: Form, model: Option<&'static str>) -> Session {
        let finance = self.finance.clone();
        Session::with(era.revision(), form, model, move |io| finance.serve(io)).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    /// Sends a request below `/api/finance`, and checks that the OpenAPI document knows the answer.
    async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let uri = format!("/api/finance{path}");
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        let body = match body {
            Some((kind, bytes)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Body::from(bytes)
            }
            None => Body::empty(),
        };
        let request = request.body(body).expect("a request");
        let response = within(self.router.clone().oneshot(request)).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        let bytes = within(axum::body::to_bytes(body, usize::MAX)).await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(format!("{bytes:?}")));
        let reply = Reply { status: parts.status, headers: parts.headers, body };
        self.check(&method, &uri, &reply);
        reply
    }

    fn check(&self, method: &Method, uri: &str, reply: &Reply) {
        let path = uri.split('?').next().unwrap_or_default();
        let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !reply.status.is_success() {
            assert_eq!(kind, "application/problem+json", "{method} {uri}: {reply:?}");
            assert_eq!(reply.body["status"], reply.status.as_u16(), "{method} {uri}");
            assert!(reply.body["type"].as_str().is_some_and(|t| t.starts_with("urn:finance:problem:")));
        }
        let paths = self.document["paths"].as_object().expect("paths");
        let operation = paths
            .iter()
            .find(|(template, _)| fits(template, path))
            .and_then(|(_, item)| item.get(method.as_str().to_lowercase()));
        // What the document does not have is not found, or not allowed.
        let Some(operation) = operation else {
            assert!([404, 405].contains(&reply.status.as_u16()), "{method} {uri}: {reply:?}");
            return;
        };
        let documented = &operation["responses"][reply.status.as_str()];
        assert!(documented.is_object(), "{method} {uri} answers {}, which is not documented", reply.status);
        let schema = &documented["content"][kind]["schema"];
        assert!(schema.is_object(), "{method} {uri} answers {} as {kind}, which is not documented", reply.status);
        let mut schema = schema.clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        if let Err(error) = validator.validate(&reply.body) {
            panic!("{method} {uri}: {error} in {}", reply.body);
        }
        for name in documented["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(reply.headers.contains_key(name), "{method} {uri} has no `{name}`");
        }
    }
}

/// Whether a path fits the path of an operation.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
}
