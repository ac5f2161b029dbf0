//! Subscriptions across the eras: clients of each in front of servers of each, over HTTP and over a pipe.

use std::{sync::Arc, time::Duration};

use rialto::{
    downstream::Settings,
    mount::{Share, Single, Terms},
    seal::Sealer,
};
use serde_json::{Value, json};

use crate::support::{
    client::{Sent, Streaming, modern},
    gateway::Gateway,
    wait::within,
};

mod bounds;
mod client;
mod credentials;
mod isolation;
mod legacy_server;
mod losses;
mod modern_server;
mod polling;
pub(crate) mod server;

use client::Legacy;
use server::{Server, Speaks, Through};

/// Where the id of a listen stands in what is said on it.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const UPDATED: &str = "notifications/resources/updated";
const TOOLS: &str = "notifications/tools/list_changed";
/// The header in which clients send a key of their own along, for the server.
const KEY: &str = "x-api-key";
const EVERY_WAY: [Through; 2] = [Through::Http, Through::Pipe];

/// A gateway in front of a server, at the mount `docs`, without a socket towards its clients.
async fn gateway(server: &Server, through: Through) -> Gateway {
    shared_gateway(server, through, Share::Principal).await
}

async fn shared_gateway(server: &Server, through: Through, share: Share) -> Gateway {
    gateway_passing(server, through, share, &[]).await
}

/// One that lets these headers of clients pass to the server.
async fn gateway_passing(server: &Server, through: Through, share: Share, names: &[&'static str]) -> Gateway {
    let sealer = Arc::new(Sealer::random());
    let forward_headers = names.iter().map(|name| http::HeaderName::from_static(name)).collect();
    let terms = Terms { forward_headers, ..share.into() };
    let mount = Single::new("docs", server.connector(through).await, terms, sealer.clone());
    Gateway::with(&[&Arc::new(mount)], Settings { sealer, ..Settings::default() })
}

fn listen(filter: Value) -> Sent {
    modern("subscriptions/listen", json!({"notifications": filter}))
}

/// Opens a subscription to resources and returns it with what is honoured.
async fn listen_to(gateway: &Gateway, request: Sent) -> (Streaming, Value) {
    let mut stream = within(request.open(gateway)).await;
    assert!(stream.is_stream(), "{:?}", within(stream.whole()).await);
    let first = within(stream.next()).await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    (stream, first["params"]["notifications"].clone())
}

fn to(uris: &[&str]) -> Sent {
    listen(json!({"resourceSubscriptions": uris}))
}

/// The next event: its method, its URI, and the id of the subscription.
async fn next(stream: &mut Streaming) -> (String, Value, Value) {
    let event = within(stream.next()).await.expect("an event");
    let (params, method) = (&event["params"], event["method"].as_str().expect("a notification").to_owned());
    (method, params["uri"].clone(), params["_meta"][SUBSCRIPTION].clone())
}

fn updated(uri: &str, id: impl Into<Value>) -> (String, Value, Value) {
    (UPDATED.into(), json!(uri), id.into())
}

fn uri(uri: &str) -> Value {
    json!({"uri": uri})
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    crate::support::wait::soon(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
