//! A server on rmcp, over streamable HTTP and in both eras. What it has is what the fixture server has, so that one
//! list of wants fits both.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use axum::Router;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult, CompletionInfo,
        ContentBlock, ElicitRequest, ElicitRequestParams, ElicitResult, GetPromptRequestParams, GetPromptResponse,
        GetPromptResult, Implementation, InputRequest, InputRequests, InputRequiredResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, Prompt, PromptArgument, PromptMessage, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
        ResourceUpdatedNotificationParam, Role, ServerCapabilities, ServerConfig, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The question is asked under this name.
const KEY: &str = "favorite";
const STATE: &str = "asked once";
const NAMES: [&str; 3] = ["Ada", "Alan", "Grace"];

/// A running server. It ends when this is dropped.
pub(crate) struct RmcpServer {
    pub(crate) url: String,
    _stop: DropGuard,
}

impl RmcpServer {
    pub(crate) async fn start() -> Self {
        let stop = CancellationToken::new();
        let tools = Tools::default();
        let service = StreamableHttpService::new(
            move || Ok(tools.clone()),
            Arc::new(LocalSessionManager::default()),
            StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token()),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let stopped = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, Router::new().route_service("/mcp", service));
            // What still hangs on it is of no interest any more.
            tokio::select! {
                _ = served => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { url, _stop: stop.drop_guard() }
    }
}

/// A client with a session, and a resource that it subscribed to.
type Told = (Peer<RoleServer>, Option<String>);

/// What all sessions and requests share.
#[derive(Clone)]
pub(crate) struct Tools {
    cancelled: Arc<AtomicU64>,
    /// The clients with sessions, and what they subscribed to.
    clients: Arc<Mutex<Vec<Told>>>,
    /// Says that something has changed to whoever listens.
    touched: broadcast::Sender<()>,
}

impl Default for Tools {
    fn default() -> Self {
        Self { cancelled: Arc::default(), clients: Arc::default(), touched: broadcast::Sender::new(16) }
    }
}

fn schema(properties: Value) -> Arc<serde_json::Map<String, Value>> {
    let schema = json!({ "type": "object", "properties": properties });
    Arc::new(schema.as_object().unwrap().clone())
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|revision| !revision.has_initialize())
}

fn question() -> ElicitRequestParams {
    let question = json!({
        "mode": "form",
        "message": "Which color?",
        "requestedSchema": {
            "type": "object",
            "properties": { "color": { "type": "string" } },
            "required": ["color"],
        },
    });
    serde_json::from_value(question).unwrap()
}

fn said(answer: &ElicitResult) -> CallToolResponse {
    let answer = json!([{ "action": answer.action, "content": answer.content }]);
    text(answer.to_string())
}

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

impl Tools {
    async fn ask(
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !is_modern(context) {
            let answer = context.peer.create_elicitation(question()).await;
            return answer.map(|answer| said(&answer)).map_err(|e| ErrorData::internal_error(e.to_string(), None));
        }
        let Some(state) = &request.request_state else {
            let asked = InputRequest::Elicitation(ElicitRequest::new(question()));
            let asked = InputRequests::from([(KEY.to_owned(), asked)]);
            return Ok(InputRequiredResult::new(Some(asked), Some(STATE.to_owned())).into());
        };
        let answer = request.input_responses.as_ref().and_then(|answers| answers.get(KEY));
        match answer.and_then(|answer| serde_json::from_value(answer.clone()).ok()) {
            Some(answer) if state == STATE => Ok(said(&answer)),
            _ => Err(ErrorData::invalid_params("that is not the answer to the question", None)),
        }
    }

    /// Tells everybody that the tools and the one resource have changed.
    async fn touch(&self) {
        let _ = self.touched.send(());
        let clients = self.clients.lock().unwrap().clone();
        for (client, uri) in clients {
            let _ = match uri {
                Some(uri) => client.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await,
                None => client.notify_tool_list_changed().await,
            };
        }
    }

    async fn slow(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let number = |name| request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_u64);
        let (steps, pause) = (number("steps").unwrap_or(3), Duration::from_millis(number("ms").unwrap_or(10)));
        for step in 1..=steps {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = context.ct.cancelled() => {
                    self.cancelled.fetch_add(1, Ordering::SeqCst);
                    return Err(ErrorData::internal_error("cancelled by the client", None));
                }
            }
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, step as f64).with_total(steps as f64);
                let _ = context.peer.notify_progress(progress).await;
            }
        }
        Ok(text(format!("done after {steps} steps")))
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts();
        let capabilities = capabilities.enable_completions().enable_tool_list_changed().enable_resources_subscribe();
        ServerConfig::new(capabilities.build()).with_server_info(Implementation::new("rmcp-server", "3.9"))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let steps = json!({ "steps": { "type": "integer" }, "ms": { "type": "integer" } });
        Ok(ListToolsResult::with_all_items(vec![
            Tool::new("echo", "Says the text again.", schema(json!({ "text": { "type": "string" } }))),
            Tool::new("slow", "Takes that many steps of that many milliseconds.", schema(steps)),
            Tool::new("ask", "Asks for a color.", schema(json!({}))),
            Tool::new("touch", "Announces that everything changed.", schema(json!({}))),
            Tool::new("executions", "How often a call was cancelled.", schema(json!({}))),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match request.name.as_ref() {
            "echo" => {
                let said = request.arguments.as_ref().and_then(|all| all.get("text")).and_then(Value::as_str);
                said.map(text).ok_or_else(|| ErrorData::invalid_params("Missing argument: text", None))
            }
            "touch" => {
                self.touch().await;
                Ok(text("announced"))
            }
            "slow" => self.slow(&request, &context).await,
            "ask" => Self::ask(&request, &context).await,
            "executions" => Ok(text(json!({ "slow.cancelled": self.cancelled.load(Ordering::SeqCst) }).to_string())),
            unknown => Err(ErrorData::invalid_params(format!("Unknown tool: {unknown}"), None)),
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.clients.lock().unwrap().push((context.peer, None));
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.clients.lock().unwrap().push((context.peer, Some(request.uri)));
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.clients.lock().unwrap().retain(|(_, uri)| *uri != Some(request.uri.clone()));
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut touched = self.touched.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                _ = touched.recv() => {
                    // What was not asked for is refused by the sink.
                    let _ = context.sink().notify_tool_list_changed().await;
                    for uri in context.accepted().resource_subscriptions.iter().flatten() {
                        let _ = context.sink().notify_resource_updated(uri).await;
                    }
                }
            }
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("test://text", "text")]))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![ResourceTemplate::new("test://item/{id}", "item")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != "test://text" {
            return Err(ErrorData::resource_not_found("Resource not found", None));
        }
        let contents = ResourceContents::text("first line\nsecond \"line\"", request.uri);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let name = PromptArgument::new("name").with_required(true);
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greet", Some("A greeting."), Some(vec![name]))]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let whom = request.arguments.as_ref().and_then(|all| all.get("name")).and_then(Value::as_str);
        let whom = whom.ok_or_else(|| ErrorData::invalid_params("Missing argument: name", None))?;
        let message = PromptMessage::new_text(Role::User, format!("Please greet {whom}."));
        Ok(GetPromptResult::new(vec![message]).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let begun = request.argument.value.as_str();
        let values = NAMES.iter().filter(|name| name.starts_with(begun)).map(|name| (*name).to_owned()).collect();
        let completion = CompletionInfo::with_pagination(values, None, false);
        completion.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
    }
}
