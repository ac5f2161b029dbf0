//! The servers of the demo as a client sees them, over an in-memory stream and in both eras. Here are the client and the
//! tests of the documentation server; those of the books are with them.

use std::{collections::HashMap, time::Duration};

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientCapabilities, ClientConfig,
        ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData, Implementation,
        ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RequestContext, RunningService, ServiceError},
};
use serde_json::Value;
use tokio::{
    io::DuplexStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{Docs, ServeError};

mod asking;
mod calling;
mod pages;
mod reading;

/// Nothing here waits for anything but the other end of a pipe in memory.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

pub(super) const BOTH_ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

impl Era {
    pub(super) fn revision(self) -> ProtocolVersion {
        match self {
            Self::Legacy => ProtocolVersion::V_2025_11_25,
            Self::Modern => ProtocolVersion::V_2026_07_28,
        }
    }
}

/// What the client does when it is asked.
#[derive(Clone)]
pub(super) enum Form {
    /// It does not have the capability.
    Missing,
    /// It fills in the form with this.
    Accept(Value),
    Decline,
    Close,
    /// It says that it cannot.
    Fail,
    /// It shows the form, and nobody ever answers.
    Ignore,
}

/// What the client saw besides results.
#[derive(Debug)]
pub(super) enum Seen {
    Progress(ProgressNotificationParam),
    Log { level: String, logger: Option<String>, data: Value },
    Asked(Value),
    Withdrawn,
    ListChanged,
    Updated(String),
}

pub(super) struct TestClient {
    form: Form,
    /// What its model writes, if it has one.
    model: Option<&'static str>,
    seen: UnboundedSender<Seen>,
    revision: ProtocolVersion,
}

impl TestClient {
    fn saw(&self, seen: Seen) {
        // The test may have seen enough and dropped the other end.
        let _ = self.seen.send(seen);
    }
}

impl ClientHandler for TestClient {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if !matches!(self.form, Form::Missing) {
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(Default::default()));
        }
        capabilities.sampling = self.model.map(|_| Default::default());
        ClientConfig::new(capabilities, Implementation::new("test-client", "1.0.0"))
            .with_protocol_version(self.revision.clone())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let question = serde_json::to_value(&request).expect("a question is JSON");
        self.saw(Seen::Asked(question));
        match &self.form {
            Form::Accept(content) => Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content.clone())),
            Form::Decline => Ok(ElicitResult::new(ElicitationAction::Decline)),
            Form::Close => Ok(ElicitResult::new(ElicitationAction::Cancel)),
            Form::Missing | Form::Fail => Err(ErrorData::internal_error("no screen", None)),
            Form::Ignore => std::future::pending().await,
        }
    }

    #[expect(deprecated, reason = "2026-07-28 deprecates sampling, but has it")]
    async fn create_message(
        &self,
        params: rmcp::model::CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<rmcp::model::CreateMessageResult, ErrorData> {
        self.saw(Seen::Asked(serde_json::to_value(&params).expect("a question is JSON")));
        let text = self.model.ok_or_else(|| ErrorData::internal_error("no model", None))?;
        let message = rmcp::model::SamplingMessage::assistant_text(text);
        Ok(rmcp::model::CreateMessageResult::new(message, "test-model".to_owned()))
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::ListChanged);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.saw(Seen::Updated(params.uri));
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::Progress(params));
    }

    #[expect(deprecated, reason = "2026-07-28 deprecates logging, but has it")]
    async fn on_logging_message(
        &self,
        params: rmcp::model::LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let level = serde_json::to_value(params.level).expect("a level is JSON");
        self.saw(Seen::Log {
            level: level.as_str().expect("a level is a text").to_owned(),
            logger: params.logger,
            data: params.data,
        });
    }

    async fn on_cancelled(&self, _params: CancelledNotificationParam, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::Withdrawn);
    }
}

/// A client connected to a server.
pub(super) struct Session {
    pub(super) client: RunningService<RoleClient, TestClient>,
    server: JoinHandle<Result<(), ServeError>>,
    pub(super) seen: UnboundedReceiver<Seen>,
}

impl Session {
    /// A client of the documentation server.
    async fn open(era: Era, form: Form) -> Self {
        Self::open_at(era.revision(), form).await
    }

    async fn open_at(revision: ProtocolVersion, form: Form) -> Self {
        Self::with(revision, form, None, Docs::serve).await
    }

    /// A client of whatever `serve` serves.
    pub(super) async fn with<F>(
        revision: ProtocolVersion,
        form: Form,
        model: Option<&'static str>,
        serve: impl FnOnce(DuplexStream) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = tokio::spawn(serve(far));
        let (sender, seen) = unbounded_channel();
        let client = TestClient { form, model, seen: sender, revision: revision.clone() };
        let lifecycle = if revision.has_initialize() {
            ClientLifecycleMode::Initialize
        } else {
            ClientLifecycleMode::Discover { preferred_versions: vec![revision] }
        };
        let client = client.serve_with_lifecycle(near, lifecycle);
        Self { client: within(client).await.expect("the client connects"), server, seen }
    }

    /// Calls a tool and answers its questions.
    pub(super) async fn call(&self, name: &'static str, arguments: Value) -> CallToolResult {
        let result = within(self.client.call_tool(call(name, arguments))).await;
        result.expect("the call succeeds")
    }

    /// The next thing the client saw besides a result.
    pub(super) async fn next_seen(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the client is there")
    }

    /// Ends the session, and sees the server end as it should.
    pub(super) async fn close(self) {
        within(self.client.cancel()).await.expect("the client stops");
        let served = within(self.server).await.expect("the server stops");
        served.expect("the session ends without an error");
    }
}

pub(super) fn call(name: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    CallToolRequestParams::new(name).with_arguments(arguments)
}

/// The structured content of a result that is not an error.
pub(super) fn structured(result: CallToolResult) -> Value {
    assert_ne!(result.is_error, Some(true), "{result:?}");
    result.structured_content.expect("the tool has structured content")
}

/// The text of a result that is an error for the model.
pub(super) fn refused(result: &CallToolResult) -> &str {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    text(result)
}

/// The first text of a result.
pub(super) fn text(result: &CallToolResult) -> &str {
    let first = result.content.first().and_then(|block| block.as_text());
    &first.expect("the result has a text").text
}

/// The code and message of an error that came over the wire.
pub(super) fn error_of<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> (i32, String) {
    match result {
        Err(ServiceError::McpError(error)) => (error.code.0, error.message.into_owned()),
        other => panic!("expected an error from the server, got {other:?}"),
    }
}

pub(super) fn context(arguments: &[(&str, &str)]) -> rmcp::model::CompletionContext {
    let pairs = arguments.iter();
    let pairs: HashMap<_, _> = pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    rmcp::model::CompletionContext::with_arguments(pairs)
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.expect("it happens in time")
}

#[tokio::test]
async fn a_client_that_leaves_at_once_is_no_error() {
    let (near, far) = tokio::io::duplex(1024);
    drop(near);
    within(Docs::serve(far)).await.expect("nothing went wrong");
}

#[tokio::test]
async fn a_notification_cannot_open_a_session() {
    use tokio::io::AsyncWriteExt;
    let (mut near, far) = tokio::io::duplex(1024);
    let line = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";
    near.write_all(line).await.expect("the pipe is open");
    let error = within(Docs::serve(far)).await.expect_err("it is refused");
    assert!(matches!(error, ServeError::Opening(_)), "{error}");
}
