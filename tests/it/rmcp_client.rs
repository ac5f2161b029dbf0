//! The Rust SDK, rmcp, on both sides: its client in each of its lifecycles, and a server written with it.

use rmcp::{
    model::{
        CancelledNotificationParam, ClientRequest, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
    },
    service::PeerRequestOptions,
};
use serde_json::{Value, json};

use crate::{
    matrix::{
        client::http_client,
        process::{Fixture, Rialto, fixture_command, until},
    },
    server_kit::soon,
};

mod changes;
pub(crate) mod peer;
pub(crate) mod server;

use peer::{Client, Lifecycle, Seen, call};
use server::RmcpServer;

/// What a client wants of a server.
struct Wants {
    mount: &'static str,
    tools: &'static [&'static str],
    /// A tool, its arguments, and what its answer has in it.
    call: (&'static str, Value, &'static str),
    /// A resource, what it has in it, and a template.
    resource: (&'static str, &'static str, &'static str),
    /// A prompt with its arguments, and what it has in it.
    prompt: (&'static str, Value, &'static str),
    /// An argument of the prompt, what is typed, and what that may become.
    completion: (&'static str, &'static str, &'static str),
    /// A tool that reports progress, its arguments, how often it reports, and arguments with which it takes long.
    slow: (&'static str, Value, usize, Value),
    /// The server tells how often a slow call was cancelled.
    tells: bool,
    /// A tool that asks, the answer, and what the tool makes of it.
    ask: (&'static str, Value, &'static str),
}

/// The documentation that Rialto serves itself.
fn docs() -> Wants {
    Wants {
        mount: "docs",
        tools: &["search", "list_pages", "read_page", "index_pages", "recommend"],
        call: ("search", json!({ "query": "revision" }), "snippet"),
        resource: ("rialto://docs/eras", "# ", "rialto://docs/{page}"),
        prompt: ("explain", json!({ "topic": "eras" }), "Explain"),
        completion: ("topic", "er", "eras"),
        slow: ("index_pages", json!({ "pause_ms": 1 }), 10, json!({ "pause_ms": 1000 })),
        tells: false,
        ask: ("recommend", json!({ "role": "operator" }), "operator"),
    }
}

/// The fixture server and the one in this test, which has the same things.
fn fixture(mount: &'static str) -> Wants {
    Wants {
        mount,
        tools: &["echo", "slow", "ask", "executions"],
        call: ("echo", json!({ "text": "Grüße, 世界 🌉" }), "Grüße, 世界 🌉"),
        resource: ("test://text", "first line", "test://item/{id}"),
        prompt: ("greet", json!({ "name": "Ada" }), "greet Ada"),
        completion: ("name", "A", "Alan"),
        slow: ("slow", json!({ "steps": 4, "ms": 20 }), 4, json!({ "steps": 1000, "ms": 20 })),
        tells: true,
        ask: ("ask", json!({ "color": "teal" }), "teal"),
    }
}

/// Connects, uses everything, and leaves.
async fn use_all(rialto: &Rialto, lifecycle: Lifecycle, wants: &Wants) {
    let at = format!("{lifecycle:?} at {}", wants.mount);
    let mut client = Client::connect(&rialto.mount(wants.mount), lifecycle, wants.ask.1.clone()).await;
    let negotiated = client.service.peer_info().expect("the server said who it is").protocol_version.clone();
    let expected = if lifecycle.is_modern() { ProtocolVersion::V_2026_07_28 } else { ProtocolVersion::V_2025_11_25 };
    assert_eq!(negotiated, expected, "{at}");

    lists(&client, wants, &at).await;
    let (tool, arguments, has) = &wants.call;
    let said = client.said(tool, arguments).await;
    assert!(said.contains(has), "{at}: {said}");
    let unknown = Box::pin(client.service.call_tool(call("no_such_tool", &json!({}))));
    let unknown = soon("an unknown tool", unknown).await;
    assert!(unknown.is_err(), "{at}: {unknown:?}");
    contents(&client, wants, &at).await;

    progress(&mut client, wants, &at).await;
    cancellation(&mut client, wants, &at).await;

    let (tool, _, has) = &wants.ask;
    let said = client.said(tool, &json!({})).await;
    assert!(said.contains(has), "{at}: {said}");
    let asked = loop {
        if let Seen::Asked(message) = client.next_seen().await {
            break message;
        }
    };
    assert!(!asked.is_empty(), "{at}");

    let sessions = client.sessions.lock().unwrap().len();
    assert_eq!(sessions, usize::from(!lifecycle.is_modern()), "{at}");
    client.close().await;
}

async fn lists(client: &Client, wants: &Wants, at: &str) {
    let tools = soon("tools/list", client.service.list_all_tools()).await.unwrap();
    for name in wants.tools {
        assert!(tools.iter().any(|tool| tool.name == *name), "{at}: `{name}` is not in {tools:?}");
    }
    let resources = soon("resources/list", client.service.list_all_resources()).await.unwrap();
    assert!(resources.iter().any(|r| r.uri == wants.resource.0), "{at}: {resources:?}");
    let templates = soon("resources/templates/list", client.service.list_all_resource_templates()).await.unwrap();
    assert!(templates.iter().any(|t| t.uri_template == wants.resource.2), "{at}: {templates:?}");
    let prompts = soon("prompts/list", client.service.list_all_prompts()).await.unwrap();
    assert!(prompts.iter().any(|p| p.name == wants.prompt.0), "{at}: {prompts:?}");
}

async fn contents(client: &Client, wants: &Wants, at: &str) {
    let (uri, has, _) = wants.resource;
    let read = Box::pin(client.service.read_resource(ReadResourceRequestParams::new(uri)));
    let read = soon("resources/read", read).await;
    let read = serde_json::to_value(read.unwrap()).unwrap();
    let text = read["contents"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains(has), "{at}: {read}");

    let (name, arguments, has) = &wants.prompt;
    let request = GetPromptRequestParams::new(*name).with_arguments(arguments.as_object().unwrap().clone());
    let prompt = soon("prompts/get", Box::pin(client.service.get_prompt(request))).await.unwrap();
    let prompt = serde_json::to_string(&prompt).unwrap();
    assert!(prompt.contains(has), "{at}: {prompt}");

    let (argument, typed, becomes) = wants.completion;
    let values = soon("completion", client.service.complete_prompt_simple(*name, argument, typed)).await.unwrap();
    assert!(values.iter().any(|value| value == becomes), "{at}: {values:?}");
}

/// The client adds a progress token to every call by itself. It handles each notification in a task of its own, so that
/// the order in which they are seen says nothing, and some may be seen after the result.
async fn progress(client: &mut Client, wants: &Wants, at: &str) {
    let (tool, arguments, wanted, _) = &wants.slow;
    client.said(tool, arguments).await;
    let mut steps = Vec::new();
    while steps.len() < *wanted {
        match client.next_seen().await {
            Seen::Progress(step) => steps.push(step),
            other => panic!("{at}: nothing else was to be seen: {other:?}"),
        }
    }
    steps.sort_by(f64::total_cmp);
    assert!(steps.windows(2).all(|w| w[0] < w[1]), "{at}: {steps:?}");
}

/// How often a slow call was cancelled.
async fn cancelled(client: &Client) -> u64 {
    let said = client.said("executions", &json!({})).await;
    let counts: Value = serde_json::from_str(&said).unwrap();
    counts["slow.cancelled"].as_u64().unwrap_or(0)
}

async fn cancellation(client: &mut Client, wants: &Wants, at: &str) {
    let before = if wants.tells { cancelled(client).await } else { 0 };
    let (tool, _, _, long) = &wants.slow;
    let request = ClientRequest::CallToolRequest(rmcp::model::CallToolRequest::new(call(tool, long)));
    let sent = client.service.send_cancellable_request(request, PeerRequestOptions::no_options());
    let running = soon("the call is sent", sent).await.unwrap();
    let seen = client.next_seen().await;
    assert!(matches!(seen, Seen::Progress(_)), "{at}: {seen:?}");
    let enough = CancelledNotificationParam::new(Some(running.id.clone()), Some("enough".to_owned()));
    soon("the cancellation is sent", client.service.notify_cancelled(enough)).await.unwrap();
    if wants.tells {
        let client = &*client;
        until("the server stops", || async { cancelled(client).await == before + 1 }).await;
    }
    // The session goes on.
    client.said(wants.call.0, &wants.call.1).await;
}

/// Rialto in front of servers of both eras, over HTTP and as children, and of one on rmcp.
struct World {
    rialto: Rialto,
    _fixtures: [Fixture; 2],
    _server: RmcpServer,
}

const MOUNTS: [&str; 5] = ["legacy", "modern", "legacy-child", "modern-child", "rmcp"];

impl World {
    async fn start() -> Self {
        let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
        let modern = Fixture::start(&["--revision", "2026-07-28"]).await;
        let server = RmcpServer::start().await;
        let rialto = Rialto::start(&json!({
            "legacy": legacy.entry(),
            "modern": modern.entry(),
            "legacy-child": fixture_command(&["--revision", "2025-11-25"]),
            "modern-child": fixture_command(&["--revision", "2026-07-28"]),
            "rmcp": { "url": server.url },
        }))
        .await;
        Self { rialto, _fixtures: [legacy, modern], _server: server }
    }
}

async fn use_every_server(lifecycles: &[Lifecycle]) {
    let demo = Rialto::demo().await;
    let world = World::start().await;
    for lifecycle in lifecycles {
        use_all(&demo, *lifecycle, &docs()).await;
        for mount in MOUNTS {
            use_all(&world.rialto, *lifecycle, &fixture(mount)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_091_the_legacy_client_of_rmcp_uses_every_server() {
    use_every_server(&[Lifecycle::Initialize]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_091_the_legacy_client_of_rmcp_opens_a_lost_session_anew() {
    let world = World::start().await;
    for mount in MOUNTS {
        let url = world.rialto.mount(mount);
        let client = Client::connect(&url, Lifecycle::Initialize, json!({ "color": "teal" })).await;
        assert_eq!(client.said("echo", &json!({ "text": "before" })).await, "before");

        // Somebody ends the session, and the client does not know.
        let lost = client.sessions.lock().unwrap().first().expect("a session").to_string();
        let ended = http_client().delete(&url).header("mcp-session-id", &lost).send().await.unwrap();
        assert!(ended.status().is_success(), "{mount}: {}", ended.status());

        assert_eq!(client.said("echo", &json!({ "text": "after" })).await, "after");
        assert!(client.said("ask", &json!({})).await.contains("teal"), "{mount}");
        let sessions = client.sessions.lock().unwrap().clone();
        assert!(sessions.len() == 2 && sessions[0] != sessions[1], "{mount}: {sessions:?}");
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_092_the_modern_client_of_rmcp_uses_every_server() {
    use_every_server(&[Lifecycle::Discover, Lifecycle::Auto]).await;
}
