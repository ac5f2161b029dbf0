//! One connection of the load, and the operations on it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    cases::{Case, Operation},
    check::{Answer, Checker, echo_text},
    contestants::Target,
    fault::{Doing, Fault, Result, excerpt, require},
    wire::{COUNT_PATH, Era, LEGACY, METHOD_HEADER, MODERN_META, NAME_HEADER, SESSION_HEADER, VERSION_HEADER},
};

/// How long one answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 20;
/// More pages than this are a list without an end.
const MOST_PAGES: usize = 1000;

/// What the connections of one target have in common.
pub(super) struct Shared {
    pub(super) case: Case,
    pub(super) target: Target,
    pub(super) next_id: AtomicU64,
}

/// One connection, and the session on it.
pub(super) struct Client {
    shared: Arc<Shared>,
    checker: Checker,
    /// The headers of an operation's requests.
    headers: HeaderMap,
    connection: Connection,
}

/// A kept-alive connection.
struct Connection {
    target: Target,
    uri: Uri,
    sender: SendRequest<Full<Bytes>>,
}

/// A whole response.
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    answer: Answer,
}

// === impl Client ===

impl Client {
    /// Connects and, in the legacy era, opens a session.
    pub(super) async fn open(shared: Arc<Shared>, checker: Checker) -> Result<Self> {
        let mut client = Self {
            headers: common_headers(shared.target)?,
            connection: Connection::open(shared.target).await?,
            checker,
            shared,
        };
        match client.shared.case.client {
            Era::Legacy => client.initialize().await?,
            Era::Modern => {
                let (method, name) = match client.shared.case.operation {
                    Operation::Echo => ("tools/call", Some("echo")),
                    Operation::Blob { .. } => ("tools/call", Some("blob")),
                    Operation::List => ("tools/list", None),
                };
                client.set(METHOD_HEADER, method);
                if let Some(name) = name {
                    client.set(NAME_HEADER, name);
                }
            }
        }
        let revision = client.shared.case.client.revision();
        client.set(VERSION_HEADER, revision);
        Ok(client)
    }

    fn set(&mut self, name: &'static str, value: &'static str) {
        let name = HeaderName::from_static(name);
        self.headers.insert(name, HeaderValue::from_static(value));
    }

    async fn initialize(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Initialized {
            protocol_version: String,
        }
        let id = self.shared.next_id.fetch_add(1, Relaxed);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"rialto-bench","version":"1"}}}}}}"#
        );
        let headers = self.headers.clone();
        let received = self.connection.exchange(Method::POST, headers, body.into());
        let received = received.await?.require_status(StatusCode::OK, "initialize")?;
        let version = received.answer.with_result(id, |raw| {
            let result: Initialized = serde_json::from_str(raw.get()).doing("the result of initialize")?;
            Ok(result.protocol_version)
        })?;
        require!(version == LEGACY, "initialize agreed on {version} instead of {LEGACY}");
        if let Some(session) = received.headers.get(SESSION_HEADER) {
            let name = HeaderName::from_static(SESSION_HEADER);
            self.headers.insert(name, session.clone());
        }
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let mut headers = self.headers.clone();
        headers.insert(VERSION_HEADER, HeaderValue::from_static(LEGACY));
        let received = self.connection.exchange(Method::POST, headers, body.into());
        let what = "notifications/initialized";
        received.await?.require_status(StatusCode::ACCEPTED, what)?;
        Ok(())
    }

    /// Does one operation, checks what comes back, and tells how long it took
    /// until the last byte was there. A list is followed to its last page.
    pub(super) async fn operate(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let mut cursor: Option<Arc<str>> = None;
        for page in 0..MOST_PAGES {
            let id = self.shared.next_id.fetch_add(1, Relaxed);
            let body = request_body(&self.shared.case, id, cursor.as_deref());
            let headers = self.headers.clone();
            let received = self.connection.exchange(Method::POST, headers, body);
            let received = received.await?.require_status(StatusCode::OK, "a request")?;
            let took = start.elapsed();
            cursor = self.checker.check(page, id, &received.answer)?;
            if cursor.is_none() {
                return Ok(took);
            }
        }
        Err(Fault::new(format!("the list has more than {MOST_PAGES} pages")))
    }

    /// Ends the session, if there is one.
    pub(super) async fn close(mut self) {
        if self.headers.contains_key(SESSION_HEADER) {
            // Servers may refuse it, and nothing is measured any more.
            let _ = self.connection.exchange(Method::DELETE, self.headers, Bytes::new()).await;
        }
    }
}

/// The body of an operation's request.
fn request_body(case: &Case, id: u64, cursor: Option<&str>) -> Bytes {
    let mut params = match case.client {
        Era::Legacy => String::new(),
        Era::Modern => MODERN_META.to_owned(),
    };
    let mut add = |members: &str| {
        if !params.is_empty() {
            params.push(',');
        }
        params.push_str(members);
    };
    let method = match case.operation {
        Operation::Echo => {
            let text = echo_text(id);
            add(&format!(r#""name":"echo","arguments":{{"text":"{text}"}}"#));
            "tools/call"
        }
        Operation::Blob { kib } => {
            add(&format!(r#""name":"blob","arguments":{{"kib":{kib}}}"#));
            "tools/call"
        }
        Operation::List => {
            if let Some(cursor) = cursor {
                add(&format!(r#""cursor":{}"#, serde_json::Value::from(cursor)));
            }
            "tools/list"
        }
    };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#).into()
}

/// Asks the upstream how many messages it has been sent.
///
/// # Errors
///
/// When it does not say.
pub(crate) async fn messages_received(upstream: SocketAddr) -> Result<u64> {
    let target = Target { address: upstream, path: COUNT_PATH, key: None };
    let mut connection = Connection::open(target).await?;
    let received = connection.exchange(Method::GET, common_headers(target)?, Bytes::new());
    let received = received.await?.require_status(StatusCode::OK, "the upstream's count")?;
    let text = String::from_utf8_lossy(&received.answer.body).into_owned();
    text.parse().doing(format_args!("the upstream's count {text:?}"))
}

// === impl Connection ===

impl Connection {
    async fn open(target: Target) -> Result<Self> {
        Ok(Self {
            uri: target.path.parse().doing("the path of the target")?,
            sender: connect(target.address).await?,
            target,
        })
    }

    /// Sends a request and reads the whole response.
    async fn exchange(&mut self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Received> {
        match timeout(ANSWER_PATIENCE, self.exchange_at_ease(method, headers, body)).await {
            Ok(received) => received,
            Err(_) => Err(Fault::new(format!("no answer within {} seconds", ANSWER_PATIENCE.as_secs()))),
        }
    }

    async fn exchange_at_ease(&mut self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Received> {
        if self.sender.ready().await.is_err() {
            // The other side may close a connection between two requests.
            self.sender = connect(self.target.address).await?;
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        let response = self.sender.send_request(request).await.doing("sending a request")?;
        let (head, body) = response.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE);
        let sse = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = match Limited::new(body, LONGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(Fault::new(format!("reading an answer: {error}"))),
        };
        Ok(Received { status: head.status, headers: head.headers, answer: Answer { sse, body } })
    }
}

impl Received {
    fn require_status(self, wanted: StatusCode, what: &str) -> Result<Self> {
        let body = &self.answer.body;
        require!(self.status == wanted, "{what} was answered with the status {}: {}", self.status, excerpt(body));
        Ok(self)
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let doing = format_args!("connecting to {address}").to_string();
    let socket = TcpStream::connect(address).await.doing(&doing)?;
    socket.set_nodelay(true).doing(&doing)?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.doing(&doing)?;
    // What ends the connection shows at the next request.
    tokio::spawn(connection);
    Ok(sender)
}

/// The headers of every request to a target.
fn common_headers(target: Target) -> Result<HeaderMap> {
    let host = HeaderValue::try_from(target.address.to_string()).doing("the header Host")?;
    let mut headers = HeaderMap::from_iter([
        (header::HOST, host),
        (header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    if let Some(key) = target.key {
        let value = HeaderValue::try_from(format!("Bearer {key}")).doing("the header Authorization")?;
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}
