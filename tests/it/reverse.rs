//! Plain HTTP routes to servers elsewhere: what passes, what does not, and what is said when nothing does.

mod bodies;
mod config;
mod failures;
mod headers;
mod paths;

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    response::{IntoResponse, Response},
};
use rialto::{Proxy, Reverse, Rialto};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    library::{Served, serve},
    matrix::client::http_client,
    support::wait::within,
};

/// A server that says what it was sent, as JSON: the method, the target, the headers and the body.
async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let headers: Vec<_> = head.headers.iter().map(|(n, v)| json!([n.as_str(), v.to_str().unwrap_or("?")])).collect();
    let said = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    ([("x-from", "the server")], said.to_string()).into_response()
}

/// The server that says what it was sent, whatever is asked.
async fn echoing() -> Served {
    serve(Router::new().fallback(echo)).await
}

/// Rialto with one route, `/reports`, and a mount beside it.
async fn gateway(server: impl Into<Reverse>) -> Served {
    let docs = Proxy::to("http://127.0.0.1:9/mcp");
    serve(Rialto::builder().mount("docs", docs).route_to("/reports", server).build()).await
}

/// What the server was sent, and the status of the answer.
async fn seen(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = within(request.send()).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The values of a header that the server was sent.
fn header(seen: &Value, name: &str) -> Vec<String> {
    let headers = seen["headers"].as_array().unwrap();
    let named = headers.iter().filter(|header| header[0] == name);
    named.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

/// Sends text on a connection of its own, and reads until the other side closes.
async fn exchange(base: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset instead of an end loses nothing that was read before it.
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends `GET target` as it stands, with these header lines, and gives the status and what the server was sent.
async fn get_raw(base: &str, target: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    let answer = exchange(base, &request).await;
    let status = answer["HTTP/1.1 ".len()..][..3].parse().unwrap();
    (status, answer)
}

/// A server that answers every connection with the same bytes, once it has read a request head, and then closes it.
async fn saying(answer: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (base, serving)
}

fn http() -> reqwest::Client {
    http_client()
}
