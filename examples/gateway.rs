//! A whole gateway as a program: MCP servers, routes of its own, a route to a service elsewhere, and middleware around all
//! of it.
//!
//! ```sh
//! cargo run --example gateway -- 127.0.0.1:8080 https://docs.example/mcp uvx mcp-server-time
//! ```
//!
//! The MCP servers are at `/mcp/docs` and `/mcp/time` then, and `/readyz` says what is up.

use std::error::Error;

use axum::{
    Json, Router,
    extract::Request,
    http::HeaderValue,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use rialto::{Proxy, Rialto};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8000/mcp/docs".to_owned());
    let program = arguments.next().unwrap_or_else(|| "uvx".to_owned());
    let mut its_arguments: Vec<_> = arguments.collect();
    if its_arguments.is_empty() {
        its_arguments.push("mcp-server-time".to_owned());
    }

    let stop = CancellationToken::new();
    let routes = Router::new().route("/api/hello", get(async || Json(json!({ "hello": "world" }))));
    let app = Rialto::builder()
        .mount("docs", Proxy::to(url))
        .mount("time", Proxy::command(program).args(its_arguments))
        .routes(routes)
        // Plain HTTP, passed on: `/status/page` here is `/page` there.
        .route_to("/status", "http://127.0.0.1:9000")
        .layer(middleware::from_fn(stamped))
        // Only this machine reaches the address below, so whoever calls is its one user.
        .local()
        .draining(stop.clone())
        .build();

    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    tokio::spawn({
        let stop = stop.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Middleware like any other. It is passed by every request: those of MCP clients, of REST clients and of people.
async fn stamped(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-served-by", HeaderValue::from_static("the gateway example"));
    response
}
