//! MCP proxies inside an axum application that knows its own users.
//!
//! ```sh
//! cargo run --example nest -- 127.0.0.1:8080 https://docs.example/mcp
//! ```
//!
//! Then point an MCP client at `http://127.0.0.1:8080/tools/docs`, with `Authorization: Bearer ada-s-token`.

use std::error::Error;

use axum::{
    Extension, Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use rialto::{Proxy, auth::Access, hub::Principal};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The users of this application, with their tokens and the proxies they may use. Yours are in a database.
const USERS: [(&str, &str, &[&str]); 2] =
    [("ada", "ada-s-token", &["docs", "time"]), ("alan", "alan-s-token", &["time"])];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8000/mcp/docs".to_owned());

    // Ends the streams of MCP clients, which have no end of their own, when the application stops.
    let stop = CancellationToken::new();

    // Two proxies, each with the name by which `authenticate` lists it. A nested service answers with and without a slash at
    // the end of its path.
    let docs = Proxy::to(url).name("docs").draining(stop.clone());
    let time = Proxy::command("uvx").args(["mcp-server-time"]).name("time").draining(stop.clone());

    let app = Router::new()
        .route("/", get(async |Extension(user): Extension<Principal>| format!("hello {}\n", user.as_str())))
        .nest_service("/tools/docs", docs.into_service())
        .nest_service("/tools/time", time.into_service())
        // One layer around everything: who may call a route may call a proxy, and the other way round.
        .layer(middleware::from_fn(authenticate));

    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    tokio::spawn({
        let stop = stop.clone();
        async move {
            // Where signals cannot be had, the program just goes on.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Finds out who is calling, and tells the proxies by what they look for in a request: an `Access`.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
    // A real application compares digests, in constant time.
    let (name, _, proxies) = USERS.iter().find(|user| user.1 == token).ok_or(StatusCode::UNAUTHORIZED)?;

    let user = Principal::new(name);
    request.extensions_mut().insert(Access::only(user.clone(), proxies.iter().copied()));
    request.extensions_mut().insert(user);
    Ok(next.run(request).await)
}
