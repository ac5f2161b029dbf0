//! The client of rmcp, with somebody who answers its questions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use http::{HeaderName, HeaderValue};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientJsonRpcMessage,
        ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, Implementation,
        ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RequestContext, RunningService},
    transport::{
        StreamableHttpClientTransport,
        common::client_side_sse::BoxedSseResponse,
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError, StreamableHttpPostResponse,
        },
    },
};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{matrix::client::http_client, server_kit::soon};

/// How the client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Initialize,
    Discover,
    Auto,
}

impl Lifecycle {
    pub(crate) fn is_modern(self) -> bool {
        self != Self::Initialize
    }

    fn mode(self) -> ClientLifecycleMode {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        match self {
            Self::Initialize => ClientLifecycleMode::Initialize,
            Self::Discover => ClientLifecycleMode::Discover { preferred_versions },
            Self::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        }
    }
}

/// What the client was told besides results.
#[derive(Debug)]
pub(crate) enum Seen {
    Progress(f64),
    Asked(String),
    /// A resource has changed.
    Updated(String),
    /// The tools have changed.
    Tools,
}

/// Answers every question with the same content.
pub(crate) struct Answering {
    answer: Value,
    seen: UnboundedSender<Seen>,
}

impl Answering {
    fn saw(&self, seen: Seen) {
        // The test may have seen enough and dropped the other end.
        let _ = self.seen.send(seen);
    }
}

impl ClientHandler for Answering {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(ElicitationCapability::new().with_form(Default::default()));
        ClientConfig::new(capabilities, Implementation::new("rmcp-client", "3.9"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let question = serde_json::to_value(&request).unwrap();
        self.saw(Seen::Asked(question["message"].as_str().unwrap_or_default().to_owned()));
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(self.answer.clone()))
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.saw(Seen::Updated(params.uri));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::Tools);
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::Progress(params.progress));
    }
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, Answering>,
    pub(crate) seen: UnboundedReceiver<Seen>,
    /// The ids of the sessions that it used, in order.
    pub(crate) sessions: Sessions,
}

impl Client {
    pub(crate) async fn connect(url: &str, lifecycle: Lifecycle, answer: Value) -> Self {
        Self::connect_as(None, url, lifecycle, answer).await
    }

    /// Connects as somebody with this bearer token.
    pub(crate) async fn connect_as(token: Option<&str>, url: &str, lifecycle: Lifecycle, answer: Value) -> Self {
        let (sender, seen) = unbounded_channel();
        let sessions = Sessions::default();
        let http = Noting { http: http_client(), sessions: sessions.clone() };
        let mut config = StreamableHttpClientTransportConfig::with_uri(url);
        if let Some(token) = token {
            config = config.auth_header(token);
        }
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let client = Answering { answer, seen: sender };
        // Boxed, here and below, because the futures of the SDK are large.
        let service = Box::pin(client.serve_with_lifecycle(transport, lifecycle.mode()));
        let service = soon("the client connects", service).await;
        Self { service: service.unwrap_or_else(|e| panic!("{lifecycle:?} at {url}: {e}")), seen, sessions }
    }

    /// Connects over a pipe, as a client does that starts its servers itself.
    pub(crate) async fn connect_over(pipe: DuplexStream, lifecycle: Lifecycle, answer: Value) -> Self {
        let (sender, seen) = unbounded_channel();
        let client = Answering { answer, seen: sender };
        let service = Box::pin(client.serve_with_lifecycle(pipe, lifecycle.mode()));
        let service = soon("the client connects", service).await;
        let service = service.unwrap_or_else(|e| panic!("{lifecycle:?} over a pipe: {e}"));
        Self { service, seen, sessions: Sessions::default() }
    }

    pub(crate) async fn call(&self, name: &str, arguments: &Value) -> CallToolResult {
        let result = soon(name, Box::pin(self.service.call_tool(call(name, arguments)))).await;
        result.unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Calls a tool and gives the text of its answer.
    pub(crate) async fn said(&self, name: &str, arguments: &Value) -> String {
        let result = self.call(name, arguments).await;
        assert_ne!(result.is_error, Some(true), "{name}: {result:?}");
        result.content.first().and_then(|block| block.as_text()).expect("a text").text.clone()
    }

    pub(crate) async fn next_seen(&mut self) -> Seen {
        soon("something is seen", self.seen.recv()).await.expect("the client is there")
    }

    pub(crate) async fn close(self) {
        soon("the client stops", self.service.cancel()).await.unwrap();
    }
}

pub(crate) fn call(name: &str, arguments: &Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().expect("arguments are an object").clone();
    CallToolRequestParams::new(name.to_owned()).with_arguments(arguments)
}

pub(crate) type Sessions = Arc<Mutex<Vec<Arc<str>>>>;

/// The HTTP client of the SDK, with a note of each session that it uses: the SDK tells nobody.
#[derive(Clone)]
struct Noting {
    http: reqwest::Client,
    sessions: Sessions,
}

impl Noting {
    fn note(&self, session: Option<&Arc<str>>) {
        let mut sessions = self.sessions.lock().unwrap();
        if let Some(session) = session
            && sessions.last() != Some(session)
        {
            sessions.push(session.clone());
        }
    }
}

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl StreamableHttpClient for Noting {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.note(session.as_ref());
        self.http.post_message(uri, message, session, auth, headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.http.delete_session(uri, session, auth, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<BoxedSseResponse, Failure> {
        self.http.get_stream(uri, session, last_event, auth, headers).await
    }
}
