//! The demo's books, in the real program: MCP clients of both eras and REST clients use them at once.

use serde_json::{Value, json};

use crate::{
    matrix::{client::http_client, process::Rialto},
    server_kit::soon,
};

mod asking;
mod client;
mod closing;
mod keys;
mod listening;
mod rest;

/// A sale of 3,680.00 EUR that nobody has paid, which is above the limit.
const LARGE: &str = "2026-0017";

/// A purchase of 874.00 USD that nobody has paid, which is not.
const SMALL: &str = "2026-0034";

/// What a REST request came to.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

/// The demo, and a REST client of it.
struct Demo {
    rialto: Rialto,
    http: reqwest::Client,
}

impl Demo {
    async fn start() -> Self {
        Self { rialto: Rialto::demo().await, http: http_client() }
    }

    fn mcp(&self) -> String {
        self.rialto.mount("finance")
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(self.http.get(self.url(path))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.http.post(self.url(path)).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/finance{path}", self.rialto.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = soon("an answer", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = soon("a body", response.text()).await.unwrap();
        Reply { status, headers, body: serde_json::from_str(&body).unwrap_or(Value::String(body)) }
    }

    /// Whether an invoice is paid, as REST says it.
    async fn is_paid(&self, invoice: &str) -> bool {
        self.get(&format!("/invoices/{invoice}")).await.body["status"] == "paid"
    }

    /// Creates an invoice by REST and gives its number.
    async fn create(&self) -> String {
        let new = json!({
            "kind": "sale", "counterparty": "Nordlicht Optik GmbH", "description": "One laser level", "account": "main",
            "amount_cents": 6_250,
        });
        let created = self.post("/invoices", &new).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.body["id"].as_str().unwrap().to_owned()
    }
}
