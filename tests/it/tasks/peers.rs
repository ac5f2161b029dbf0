//! Tasks of servers and clients by other makers: rmcp, which has the extension, on both sides.

use std::sync::Arc;

use rialto::{hub::Limit, upstream::in_process::InProcessConnector};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities, ClientConfig,
        ContentBlock, CreateTaskResult, ElicitRequest, GetTaskParams, GetTaskResult, Implementation, InputRequest,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, TaskPayload,
        TaskStatus, Tool, UpdateTaskParams,
    },
    service::RequestContext,
    task_manager::{TaskManager, TaskOptions},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};

use super::*;

/// A server whose tool asks who is there, as a task.
#[derive(Clone, Default)]
struct Greeter {
    tasks: TaskManager,
}

impl ServerHandler for Greeter {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("greeter", "1"))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(json!({"type": "object"}).as_object().unwrap().clone());
        Ok(ListToolsResult::with_all_items(vec![Tool::new("greet", "Greets", schema)]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let options = TaskOptions::new().with_poll_interval_ms(20);
        let task = self.tasks.spawn(options, |task| {
            Box::pin(async move {
                let question: ElicitRequest = serde_json::from_value(form("who is there")).unwrap();
                let answer = task.request_input("who", InputRequest::Elicitation(question)).await?;
                let text = format!("hello {}", answer["content"]["name"]);
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
            })
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}

/// A client that knows tasks, and looks at them itself.
struct Patient;

impl ClientHandler for Patient {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::builder().enable_tasks().build();
        capabilities.elicitation = Some(rmcp::model::ElicitationCapability::new().with_form(Default::default()));
        ClientConfig::new(capabilities, Implementation::new("patient", "1"))
    }
}

/// A gateway in front of the server, which runs in this process.
async fn behind(connector: Arc<dyn Connector>) -> Gateway {
    let sealer = Arc::new(Sealer::random());
    let single = Single::new("docs", connector, Share::Principal, sealer.clone());
    let mount = Arc::new(Limit::new(Gather::new(single, 10)));
    Gateway::over(&[mount], Settings { sealer, ..Settings::default() }).await
}

fn greeter() -> Arc<dyn Connector> {
    let server = Greeter::default();
    Arc::new(InProcessConnector::new("docs", move |io| {
        let server = server.clone();
        async move {
            if let Ok(running) = Box::pin(server.serve(io)).await {
                let _ = running.waiting().await;
            }
        }
    }))
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}/mcp/docs", gateway.address().unwrap())
}

/// Uses a tool that asks, as rmcp's client does.
async fn use_a_task(url: &str, tool: &'static str) -> String {
    let transport = StreamableHttpClientTransport::with_client(
        crate::matrix::client::http_client(),
        StreamableHttpClientTransportConfig::with_uri(url),
    );
    let mode = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let client = soon("rmcp connects", Box::pin(Patient.serve_with_lifecycle(transport, mode))).await.unwrap();
    assert!(client.peer_info().unwrap().capabilities.supports_tasks());
    let called = soon("a task", Box::pin(client.call_tool_once(CallToolRequestParams::new(tool)))).await.unwrap();
    let CallToolResponse::Task(created) = called else { panic!("{called:?}") };
    let id = created.task.task_id;
    let result = soon("its end", async {
        loop {
            let shown = Box::pin(client.get_task(GetTaskParams::new(&*id))).await.unwrap();
            assert_eq!(shown.task.task.task_id, id);
            match shown.task.payload {
                TaskPayload::InputRequired { input_requests } => {
                    let answers = input_requests.keys().map(|key| (key.clone(), accept("rmcp"))).collect();
                    Box::pin(client.update_task(UpdateTaskParams::new(&*id, answers))).await.unwrap();
                }
                TaskPayload::Completed { result } => break result,
                payload => assert_eq!(payload.status(), TaskStatus::Working),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    Box::pin(client.cancel_task(CancelTaskParams::new(&*id))).await.unwrap();
    let unknown = Box::pin(client.get_task(GetTaskParams::new("unknown"))).await;
    assert!(unknown.is_err(), "{unknown:?}");
    soon("the client stops", client.cancel()).await.unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn era_335_337_rmcp_uses_a_task_of_rmcp() {
    let gateway = behind(greeter()).await;
    assert_eq!(use_a_task(&url(&gateway), "greet").await, "hello \"rmcp\"");
}

#[tokio::test]
async fn era_341_343_rmcp_uses_a_task_of_an_older_server() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    let server = stage.server.clone();
    let serving = tokio::spawn(async move {
        let raw = server.task(1).await;
        server.ask(&raw, "x", form("who is there"));
        let answer = server.answer(&raw, "x").await;
        server.complete(&raw, &format!("hello {}", answer["content"]["name"]));
    });
    assert_eq!(use_a_task(&stage.url(), "must").await, "hello \"rmcp\"");
    serving.await.unwrap();
}

#[tokio::test]
async fn era_348_351_469_clients_of_the_handshake_use_a_task_of_rmcp() {
    let gateway = behind(greeter()).await;
    // As a task, where the client asks for one.
    let mut client = Legacy::new(url(&gateway));
    client.handshake(NEWEST).await;
    let task = created(&client, 1, "greet", json!({"ttl": 60_000})).await;
    let id = task["taskId"].as_str().unwrap();
    let mut events = soon("a stream", waiting(&client, 2, id)).await.unwrap().events();
    let question = soon("a question", events.expect()).await;
    assert_eq!(question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
    client.answer(&question, accept("Ada")).await;
    let result = soon("a result", events.expect()).await;
    assert_eq!(result["result"]["content"][0]["text"], "hello \"Ada\"", "{result}");
    assert_eq!(shown(&client, 3, id).await["status"], "completed");
    // Seen through by the gateway, where it does not.
    for revision in ["2025-06-18", NEWEST] {
        let mut client = Legacy::new(url(&gateway));
        client.handshake(revision).await;
        let mut events = soon("a stream", client.call(1, "greet")).await.unwrap().events();
        let question = soon("a question", events.expect()).await;
        client.answer(&question, accept("Ada")).await;
        let result = soon("a result", events.expect()).await;
        assert_eq!(result["result"]["content"][0]["text"], "hello \"Ada\"", "{result}");
    }
}
