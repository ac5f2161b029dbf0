//! Rialto, an MCP gateway: any MCP client reaches any MCP server, whatever protocol revision and transport each side
//! speaks.
//!
//! It is a program that reads a config file, and this library, for those who would rather write axum applications.
//!
//! # In an application of yours
//!
//! A [`Proxy`] stands in front of one server: elsewhere, as a child process, or in this process. Nest it wherever you like:
//!
//! ```
//! use axum::{Router, routing::get};
//! use rialto::Proxy;
//!
//! # fn app() -> Router {
//! Router::new()
//!     .route("/hello", get(async || "hello"))
//!     .nest_service("/mcp/docs", Proxy::to("https://docs.example/mcp").into_service())
//!     .nest_service("/mcp/time", Proxy::command("uvx").args(["mcp-server-time"]).into_service())
//! # }
//! ```
//!
//! Your middleware says who is calling, by an [`auth::Access`] or a [`hub::Principal`] in the request's extensions; callers
//! that nobody knows share nothing with each other. See [`Proxy`] for that, and for how such an application stops.
//!
//! # On standard input and output
//!
//! [`Proxy::serve_stdio`] makes a program one that clients start themselves, as `rialto stdio` is, and [`Proxy::serve_lines`]
//! serves one client on any pair of byte streams, of either era or of both at once.
//!
//! # As an application
//!
//! [`Rialto::builder`] makes a whole one, with mounts at `/mcp/{name}`, health at `/readyz`, routes of your own and plain
//! HTTP routes to servers elsewhere, all behind one guard and one set of middleware. It is an axum [`Router`](axum::Router):
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use rialto::{Proxy, Rialto};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let app: Router = Rialto::builder()
//!         .mount("docs", Proxy::to("https://docs.example/mcp"))
//!         .routes(Router::new().route("/hello", get(async || "hello")))
//!         .route_to("/reports", "http://127.0.0.1:9000/reports")
//!         .local()
//!         .build();
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     axum::serve(listener, app).await
//! }
//! ```
//!
//! # Hooks and layers
//!
//! Each proxy takes hooks and tower layers of its own. They see every call with its principal, its mount and its raw
//! message, whatever the client speaks, and may change, answer or refuse it:
//!
//! ```
//! use rialto::{Proxy, hub::{Fault, Forwarded, Forwarding, Outcome, Verdict}};
//!
//! let proxy = Proxy::to("https://files.example/mcp")
//!     .before_forward(async |forwarding: Forwarding| match forwarding.call.tool().as_deref() {
//!         Some("delete") => Err(Fault::refused("nothing is deleted here")),
//!         Some("format") => Ok(Verdict::Answer(Outcome::tool_error("use `delete` instead"))),
//!         _ => Ok(Verdict::Forward(forwarding.call)),
//!     })
//!     .after_forward(async |forwarded: Forwarded| {
//!         if let Err(fault) = &forwarded.outcome {
//!             eprintln!("{} at {}: {fault}", forwarded.method, forwarded.mount);
//!         }
//!         forwarded.outcome
//!     });
//! # let _ = proxy;
//! ```
//!
//! See [`hub::CallService`] for how to write a layer, and `examples/` in the repository for whole programs.
//!
//! # Bird's view
//!
//! ```text
//! wire → downstream → Call ─┬─ Limit → Gather → mount (catalog, sessions, ladder) → upstream → wire
//!                           └─ Peer ◄───────────── notify / ask ──────────────────────┘
//! ```
//!
//! A [downstream] endpoint turns what a client sends into a [`Call`](hub::Call) and plays the
//! [`Peer`](hub::Peer), the client as a server sees it while the call runs: it can be notified, and it can be asked. A
//! [mount] finds or opens a [session](upstream::Session) with its server, leads the message along the
//! [ladder](protocol::ladder) between the two revisions, and returns an [`Outcome`](hub::Outcome). Nothing in between knows
//! what either end speaks, so that every pair of client and server works by two adapters, not by a bridge of its own.
//!
//! Two mechanisms carry everything that the two eras of the protocol do differently. *Behaviour* goes through the peer: a
//! legacy server asks in the middle of a call, a modern one answers that it needs input; a legacy client answers on the
//! spot, a modern one by sending the call again. *Shape* goes through the ladder: one rung for each pair of neighbouring
//! revisions, and an empty plan where both ends speak the same.
//!
//! # Code map
//!
//! | room | what it holds |
//! |---|---|
//! | [`jsonrpc`] | the envelope over raw JSON; knows nothing of MCP |
//! | [`protocol`] | revisions, methods, capabilities, mirrored headers, the ladder |
//! | [`hub`] | `Call`, `Outcome`, `Peer`, `Mount`, and the layers every call passes; knows no transport and no revision |
//! | [`downstream`] | one endpoint per mount: both eras over streamable HTTP and on a connection (stdio), sessions, parked calls |
//! | [`upstream`] | servers over streamable HTTP, as child processes, in this process; probing, supervision |
//! | [`mount`] | what stands between the two: pooled sessions, the catalog, pages, tasks, translation |
//! | [`seal`] | handles that clients keep for us |
//! | [`config`] | the config file |
//! | [`telemetry`] | metrics, and what the access log says |
//! | [`auth`] | who is calling, and which mounts they may use |
//! | [`app`] | the axum application: mounts, REST and its OpenAPI document, custom routes, listener and guard |
//!
//! Dependencies point one way: `jsonrpc ← protocol ← hub ← {downstream, upstream, mount} ← app ← cli`. `downstream` and
//! `upstream` do not know each other.
//!
//! # Invariants
//!
//! - Messages are never parsed into closed models on the way through: unknown members, key order and the spelling of
//!   numbers survive, byte for byte where both ends speak the same revision.
//! - A running call is a future with exactly one owner: the HTTP answer, the parking lot, a legacy session, or a connection. Dropping it
//!   abandons the call, and the upstream session that holds it tells the server, before anything newer.
//! - A request that may have run is never sent a second time.
//! - Layers return [`Fault`](hub::Fault)s; they become words on the wire at one place per edge.
//! - What a client keeps for us (session ids, request states, cursors, task ids) is sealed and bound to its principal, mount and
//!   purpose.
//! - Every queue, body, wait, session and parked call has a bound.
//! - There is no `unsafe` here, and the library's public face names no type of the SDK that the demo is written with.

pub mod app;
pub mod auth;
pub mod config;
pub mod downstream;
pub mod hub;
pub mod jsonrpc;
mod limits;
pub mod mount;
pub mod protocol;
pub mod seal;
pub mod telemetry;
pub mod upstream;

pub use app::{Proxy, Reverse, Rialto};
pub use limits::{Limits, ServerLimits};
