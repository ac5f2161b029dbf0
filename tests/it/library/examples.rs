//! The programs in `examples/`, each run as a process and used by a client.

use std::process::Stdio;

use rmcp::ServiceError;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::{Client, ERAS, answer, connect, tool_by_hand};
use crate::{
    matrix::{
        client::http_client,
        process::{Fixture, fixture_path},
    },
    rmcp_client::peer::call,
    support::wait::soon,
};

/// A running example. It is killed when this is dropped.
struct Example {
    base: String,
    says: Lines<BufReader<ChildStderr>>,
    child: Child,
}

impl Example {
    async fn run(name: &str, arguments: &[&str]) -> Self {
        // Cargo builds the examples beside the fixture server, for `cargo test` builds all of them.
        let path = fixture_path().with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
        let mut command = Command::new(path);
        command.arg("127.0.0.1:0").args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut says = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = soon(name, says.next_line()).await.unwrap().expect("a first line");
        let base = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{name} says {line}")).to_owned();
        Self { base, says, child }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let response = http_client().get(self.at(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Asks it to stop, and waits until it has.
    async fn stops(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = soon("the end of the example", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_nest_runs() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let example = Example::run("nest", &[&fixture.url]).await;
    let url = example.at("/tools/docs");
    for era in ERAS {
        let client = Client::connect_as(Some("ada-s-token"), &url, era, json!({})).await;
        assert_eq!(client.said("echo", &json!({ "text": "hi" })).await, "hi");
        client.close().await;
    }
    let echo = || tool_by_hand(&url, "echo", json!({ "text": "hi" }));
    assert_eq!(answer(echo()).await.0, 401);
    assert_eq!(answer(echo().bearer_auth("made-up")).await.0, 401);
    let closed = answer(echo().bearer_auth("alan-s-token")).await;
    assert_eq!(closed, (403, json!({ "error": "access_denied" })));
    let hello = http_client().get(example.at("/")).bearer_auth("alan-s-token").send().await.unwrap();
    assert_eq!(hello.text().await.unwrap(), "hello alan\n");

    // A client that holds its stream open does not keep the program from stopping.
    let client = Client::connect_as(Some("ada-s-token"), &url, ERAS[0], json!({})).await;
    example.stops().await;
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_gateway_runs() {
    let fixture = Fixture::start(&["--revision", "2026-07-28"]).await;
    let program = fixture_path();
    let program = program.to_str().unwrap();
    let arguments = [fixture.url.as_str(), program, "--transport", "stdio", "--revision", "2025-06-18"];
    let example = Example::run("gateway", &arguments).await;
    for mount in ["/mcp/docs", "/mcp/time/"] {
        for era in ERAS {
            let client = connect(&example.at(mount), era).await;
            assert_eq!(client.said("echo", &json!({ "text": mount })).await, mount);
            client.close().await;
        }
    }
    let response = http_client().get(example.at("/api/hello")).send().await.unwrap();
    assert_eq!(response.headers()["x-served-by"], "the gateway example");
    assert_eq!(response.text().await.unwrap(), r#"{"hello":"world"}"#);
    let (status, ready) = example.text("/readyz").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, &ready["mounts"]["docs"]["status"]), (200, &json!("up")));
    let client = connect(&example.at("/mcp/docs"), ERAS[0]).await;
    example.stops().await;
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_hooks_runs() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let mut example = Example::run("hooks", &[&fixture.url]).await;
    for era in ERAS {
        let client = connect(&example.at("/mcp/files"), era).await;
        let said = client.said("echo", &json!({ "text": "my password is" })).await;
        assert_eq!(said, "my ******** is", "{era:?}");
        assert_eq!(client.said("whoami", &json!({})).await, "local");
        assert_eq!(client.call("slow", &json!({})).await.is_error, Some(true));
        let refused = Box::pin(client.service.call_tool(call("delete", &json!({})))).await;
        let Err(ServiceError::McpError(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.message, "nothing is deleted through this gateway");
        let tools = soon("the list", client.service.list_all_tools()).await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == "echo") && tools.iter().all(|tool| tool.name != "slow"));
        client.close().await;
        loop {
            let line = soon("the log", example.says.next_line()).await.unwrap().expect("a line");
            if line.starts_with("the tool `echo` took ") {
                break;
            }
        }
    }
    assert_eq!(fixture.status().await["executions"], json!({ "echo": 2 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_process_runs() {
    let example = Example::run("in_process", &[]).await;
    for (n, era) in ERAS.into_iter().enumerate() {
        let client = connect(&example.at("/mcp/notes"), era).await;
        let said = client.said("write", &json!({ "text": format!("note {n}") })).await;
        assert_eq!(said, format!("there are {} notes now", n + 1));
        client.close().await;
    }
    assert_eq!(example.text("/notes").await, (200, "note 0\nnote 1".to_owned()));
}
