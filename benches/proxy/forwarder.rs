//! The role `forwarder`: the plainest proxy that axum and reqwest make.
//!
//! It streams bodies both ways, drops the headers that belong to one hop, and
//! understands nothing of what it carries. It is what Rialto is compared with:
//! the difference between the two is the price of knowing MCP.

use std::{io::Write, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    serve::ListenerExt,
};
use clap::Parser;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;

use crate::fault::{Doing, Result};

/// What the forwarder is told on its command line.
#[derive(Parser, Debug)]
#[command(name = "forwarder")]
pub(crate) struct Options {
    /// Where to forward to.
    #[arg(long)]
    upstream: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Clone)]
struct Forwarder {
    client: reqwest::Client,
    /// Scheme and authority, without a slash at the end.
    origin: Arc<str>,
}

/// Serves on a free port of 127.0.0.1 and prints the address, until killed.
///
/// # Errors
///
/// When the client cannot be built or no port can be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build()
        .doing("starting the runtime")?;
    runtime.block_on(serve(options.upstream))
}

async fn serve(upstream: SocketAddr) -> Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .doing("building the client")?;
    let origin = format!("http://{upstream}").into();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.doing("listening")?;
    let address = listener.local_addr().doing("listening")?;
    writeln!(std::io::stdout(), "forwarder on http://{address}").doing("printing the address")?;
    let listener = listener.tap_io(|socket| {
        // Without it the figures are worse, not wrong.
        let _ = socket.set_nodelay(true);
    });
    let app = Router::new().fallback(forward).with_state(Forwarder { client, origin });
    axum::serve(listener, app).await.doing("serving")
}

async fn forward(State(forwarder): State<Forwarder>, request: Request) -> std::result::Result<Response, StatusCode> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = [&forwarder.origin, path].concat();
    drop_hop_headers(&mut head.headers);
    head.headers.remove(header::HOST);
    let mut outgoing = forwarder.client.request(head.method, url).headers(head.headers);
    if !body.is_end_stream() {
        // The length stays known: the header Content-Length goes along.
        outgoing = outgoing.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let answer = outgoing.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (mut head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    drop_hop_headers(&mut head.headers);
    Ok(Response::from_parts(head, Body::new(body)))
}

/// Removes the headers that speak of one connection only (RFC 9110, section 7.6.1).
fn drop_hop_headers(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}
