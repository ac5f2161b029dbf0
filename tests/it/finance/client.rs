//! The client of rmcp, with somebody to ask, a model, and ears.

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationCapability, Implementation, ProgressNotificationParam, ProtocolVersion,
        ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RequestContext, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{matrix::client::http_client, server_kit::soon};

/// How the client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

pub(super) const BOTH_ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// What the user does with a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Agrees,
    Declines,
    Closes,
    /// The client cannot show forms.
    Away,
}

/// What the client was told besides results.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Progress(f64),
    Asked(String),
    ListChanged,
    Updated(String),
}

pub(super) struct Handler {
    user: User,
    /// What the client's model writes, if it has one.
    model: Option<&'static str>,
    seen: UnboundedSender<Seen>,
}

impl Handler {
    fn saw(&self, seen: Seen) {
        // The test may have seen enough and dropped the other end.
        let _ = self.seen.send(seen);
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.user != User::Away {
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(Default::default()));
        }
        capabilities.sampling = self.model.map(|_| Default::default());
        ClientConfig::new(capabilities, Implementation::new("finance-client", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let question = serde_json::to_value(&request).unwrap();
        self.saw(Seen::Asked(question["message"].as_str().unwrap_or_default().to_owned()));
        Ok(match self.user {
            User::Agrees => ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "confirm": true })),
            User::Declines => ElicitResult::new(ElicitationAction::Decline),
            User::Closes | User::Away => ElicitResult::new(ElicitationAction::Cancel),
        })
    }

    #[expect(deprecated, reason = "2026-07-28 deprecates sampling, but has it")]
    async fn create_message(
        &self,
        params: rmcp::model::CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<rmcp::model::CreateMessageResult, ErrorData> {
        self.saw(Seen::Asked(serde_json::to_string(&params.messages).unwrap()));
        let text = self.model.ok_or_else(|| ErrorData::internal_error("no model", None))?;
        let message = rmcp::model::SamplingMessage::assistant_text(text);
        Ok(rmcp::model::CreateMessageResult::new(message, "test-model".to_owned()))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.saw(Seen::Progress(params.progress));
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
}

/// A connected client.
pub(super) struct Client {
    pub(super) service: RunningService<RoleClient, Handler>,
    seen: UnboundedReceiver<Seen>,
}

impl Client {
    pub(super) async fn connect(url: &str, era: Era, user: User) -> Self {
        Self::with_model(url, era, user, None).await
    }

    pub(super) async fn with_model(url: &str, era: Era, user: User, model: Option<&'static str>) -> Self {
        let (sender, seen) = unbounded_channel();
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(http_client(), config);
        let handler = Handler { user, model, seen: sender };
        let mode = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        };
        // Boxed, here and below, because the futures of the SDK are large.
        let service = soon("the client connects", Box::pin(handler.serve_with_lifecycle(transport, mode))).await;
        Self { service: service.unwrap_or_else(|e| panic!("{era:?} at {url}: {e}")), seen }
    }

    pub(super) async fn call(&self, name: &str, arguments: Value) -> CallToolResult {
        let result = soon(name, Box::pin(self.service.call_tool(call(name, &arguments)))).await;
        result.unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Calls a tool and gives its structured content.
    pub(super) async fn structured(&self, name: &str, arguments: Value) -> Value {
        let result = self.call(name, arguments).await;
        assert_ne!(result.is_error, Some(true), "{name}: {result:?}");
        result.structured_content.expect("structured content")
    }

    /// Calls a tool that refuses, and gives its reason.
    pub(super) async fn refused(&self, name: &str, arguments: Value) -> String {
        let result = self.call(name, arguments).await;
        assert_eq!(result.is_error, Some(true), "{name}: {result:?}");
        result.content.first().and_then(|block| block.as_text()).expect("a text").text.clone()
    }

    pub(super) async fn next_seen(&mut self) -> Seen {
        soon("something is seen", self.seen.recv()).await.expect("the client is there")
    }

    /// Whether nothing more was seen so far.
    pub(super) fn has_seen_all(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }

    pub(super) async fn close(self) {
        soon("the client stops", self.service.cancel()).await.unwrap();
    }
}

pub(super) fn call(name: &str, arguments: &Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().expect("arguments are an object").clone();
    CallToolRequestParams::new(name.to_owned()).with_arguments(arguments)
}
