//! Policies in front of an MCP server: what a call may be, what its answer may say, how long each takes.
//!
//! ```sh
//! cargo run --example hooks -- 127.0.0.1:8080 https://files.example/mcp
//! ```
//!
//! The hooks see the calls of clients of every revision, and the raw JSON of the messages.

use std::{
    error::Error,
    task::{Context, Poll},
    time::Instant,
};

use axum::Router;
use rialto::{
    Proxy,
    hub::{BoxFuture, Call, Fault, Forwarded, Forwarding, Outcome, Verdict},
    jsonrpc::Raw,
    protocol::Method,
};
use tokio::net::TcpListener;
use tower::{Layer, Service};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8000/mcp/docs".to_owned());

    let proxy = Proxy::to(url)
        // The first is the outermost: it sees a call first and its answer last.
        .layer(Timing)
        .before_forward(look_before)
        .after_forward(look_after)
        .local();
    let app = Router::new().nest_service("/mcp/files", proxy.into_service());

    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Sees each call before it is forwarded, and changes, answers or refuses it.
async fn look_before(forwarding: Forwarding) -> Result<Verdict, Fault> {
    let mut call = forwarding.call;
    match call.tool().as_deref() {
        // Refused with an error of the protocol: the client is wrong to call this at all.
        Some("delete") => return Err(Fault::refused("nothing is deleted through this gateway")),
        // Refused with the result of a tool: the model reads it, and tries something else.
        Some("slow") => return Ok(Verdict::Answer(Outcome::tool_error("use something that takes less time"))),
        // Answered here: the server never hears of it.
        Some("whoami") => return Ok(Verdict::Answer(Outcome::text(call.caller.principal.as_str()))),
        // Changed on its way.
        Some("echo") => {
            let mut arguments = call.arguments();
            if let Some(text) = arguments.get("text").and_then(Raw::as_text) {
                let text = text.replace("password", "********");
                arguments.set("text", Raw::from(&*text));
                call.set_arguments(&arguments);
            }
        }
        _ => {}
    }
    Ok(Verdict::Forward(call))
}

/// Sees how each call ended, and says how it ends for the client.
async fn look_after(mut forwarded: Forwarded) -> Result<Outcome, Fault> {
    // A tool that is refused is not offered either.
    if forwarded.method == Method::ToolsList
        && let Ok(outcome) = &mut forwarded.outcome
    {
        outcome.edit(|result| {
            let tools = result.get("tools").and_then(Raw::to_array).unwrap_or_default();
            let is_offered = |tool: &Raw| {
                let name = tool.to_object().and_then(|tool| tool.get("name").cloned());
                !name.is_some_and(|name| name.is_text("delete") || name.is_text("slow"))
            };
            let offered: Vec<_> = tools.into_iter().filter(is_offered).collect();
            result.set("tools", Raw::array(&offered));
        });
    }
    forwarded.outcome
}

/// A tower layer like any other, over calls in place of HTTP requests.
#[derive(Clone)]
struct Timing;

/// A service that says how long each call took.
#[derive(Clone)]
struct Timed<S>(S);

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, below: S) -> Timed<S> {
        Timed(below)
    }
}

impl<S> Service<Call> for Timed<S>
where
    S: Service<Call, Response = Outcome, Error = Fault>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let what = call.tool().map_or_else(|| call.method.to_string(), |tool| format!("the tool `{tool}`"));
        let running = self.0.call(call);
        Box::pin(async move {
            let begun = Instant::now();
            let outcome = running.await;
            eprintln!("{what} took {:?}", begun.elapsed());
            outcome
        })
    }
}
