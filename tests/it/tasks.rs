//! Tasks, in both designs and between them: clients behind real sockets, and a server whose tasks do what the test says.

use std::sync::Arc;

use rialto::{
    downstream::Settings,
    hub::{Gather, Limit},
    mount::{Share, Single, Tasking, Terms},
    seal::Sealer,
    upstream::{
        Connector,
        http::{HttpConnector, HttpSettings, HttpTarget},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    legacy_support::client::{Client as Legacy, Reply},
    support::{
        client::{Sent, modern, tool},
        gateway::Gateway,
        schema::assert_valid,
        wait::soon,
    },
    upstream_http::scripted::Scripted,
};

mod bounds;
mod bridged;
mod composed;
mod driven;
mod ends;
mod extension;
mod nested;
mod passed;
mod peers;
mod piped;
mod server;

use server::{EXTENSION, Speaks, TaskServer, form, said};

const NEWEST: &str = "2025-11-25";
/// The header in which clients send a key of their own along, for the server.
const KEY: &str = "x-api-key";

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Http,
    /// As a child or a server in this process is: by lines.
    Lines,
}

const TRANSPORTS: [Over; 2] = [Over::Http, Over::Lines];

/// A server behind a gateway, at the mounts `docs` and `finance`.
struct Stage {
    server: Arc<TaskServer>,
    gateway: Gateway,
    http: Option<Scripted>,
}

impl Stage {
    async fn of(speaks: Speaks, over: Over) -> Self {
        Self::with(TaskServer::new(speaks), over, Tasking::default(), Share::Principal, Arc::new(Sealer::random()))
            .await
    }

    async fn with(server: TaskServer, over: Over, tasking: Tasking, share: Share, sealer: Arc<Sealer>) -> Self {
        Self::around(Arc::new(server), over, tasking, share, sealer).await
    }

    async fn around(server: Arc<TaskServer>, over: Over, tasking: Tasking, share: Share, sealer: Arc<Sealer>) -> Self {
        let http = match over {
            Over::Http => Some(server.over_http().await),
            Over::Lines => None,
        };
        let mounts = ["docs", "finance"].map(|name| {
            let connector: Arc<dyn Connector> = match &http {
                Some(http) => {
                    let target = HttpTarget { url: http.url().parse().unwrap(), headers: Vec::new() };
                    Arc::new(HttpConnector::new(name.into(), target, HttpSettings::default()).unwrap())
                }
                None => Arc::new(server.over_lines()),
            };
            let forward_headers = vec![http::HeaderName::from_static(KEY)];
            let terms = Terms { tasking, forward_headers, ..share.into() };
            Arc::new(Limit::new(Gather::new(Single::new(name, connector, terms, sealer.clone()), 10)))
        });
        let gateway = Gateway::over(&mounts, Settings { sealer, ..Settings::default() }).await;
        Self { server, gateway, http }
    }

    /// The same server behind a gateway that was started anew.
    async fn restarted(self, over: Over, sealer: Arc<Sealer>) -> Self {
        let Self { server, gateway, http } = self;
        drop((gateway, http));
        Self::around(server, over, Tasking::default(), Share::Principal, sealer).await
    }

    /// The response to a request, however long it takes and on whatever kind of answer it comes.
    async fn response(&self, sent: &Sent) -> Value {
        soon("a response", async { sent.send(&self.gateway).await.response() }).await
    }

    /// A response with a result.
    async fn result(&self, sent: Sent) -> Value {
        let response = soon("a response", sent.response(&self.gateway, 200)).await;
        assert!(response.get("error").is_none(), "{response}");
        response["result"].clone()
    }

    /// How far a task is.
    async fn get(&self, id: &str) -> Value {
        let task = self.result(about("get", id)).await;
        assert_eq!(task["resultType"], "complete", "{task}");
        assert_task(&task, id);
        task
    }

    /// Asks again and again until the task has this status.
    async fn until(&self, id: &str, status: &str) -> Value {
        soon(status, async {
            loop {
                let task = self.get(id).await;
                if task["status"] == status {
                    return task;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/mcp/docs", self.gateway.address().unwrap())
    }

    /// A client of 2025-11-25 that can do everything.
    async fn legacy(&self) -> Legacy {
        self.legacy_of(NEWEST, "alice").await
    }

    async fn legacy_of(&self, revision: &'static str, principal: &str) -> Legacy {
        let mut client = Legacy::new(self.url()).named(principal);
        client.handshake(revision).await;
        client
    }
}

/// A modern client that knows tasks and fills in forms.
fn able() -> Value {
    json!({"extensions": {EXTENSION: {}}, "elicitation": {"form": {}}})
}

/// A call by a modern client that knows tasks.
fn call(name: &str) -> Sent {
    tool(name, json!({})).capabilities(able())
}

/// A request of such a client about a task.
fn about(what: &str, id: &str) -> Sent {
    modern(&format!("tasks/{what}"), json!({"taskId": id})).capabilities(able()).header("mcp-name", id)
}

fn update(id: &str, answers: Value) -> Sent {
    about("update", id).param("inputResponses", answers)
}

/// What a form is answered with.
fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// Fails unless this is a task in the words of the extension.
#[track_caller]
fn assert_task(task: &Value, id: &str) {
    assert_eq!(task["taskId"], id, "{task}");
    let is_time = |name: &str| task[name].as_str().is_some_and(|t| t.contains('T') && t.ends_with('Z'));
    assert!(is_time("createdAt") && is_time("lastUpdatedAt"), "{task}");
    assert!(task.get("ttlMs").is_some_and(|ttl| ttl.is_null() || ttl.is_u64()), "{task}");
    assert!(task.get("pollIntervalMs").is_none_or(Value::is_u64), "{task}");
    for foreign in ["ttl", "pollInterval", "task"] {
        assert!(task.get(foreign).is_none(), "{task}");
    }
    let details = [("input_required", "inputRequests"), ("completed", "result"), ("failed", "error")];
    for (status, detail) in details {
        assert_eq!(task["status"] == status && task["resultType"] != "task", task.get(detail).is_some(), "{task}");
    }
    assert!(!task.to_string().contains("related-task"), "{task}");
}

/// The answer to a request of a legacy client, which comes at once.
async fn ask(client: &Legacy, id: i64, method: &str, params: Value) -> Value {
    let reply = soon(method, client.ask(id, method, params)).await;
    whole(reply).await
}

/// The response of an answer, whole or at the end of a stream.
async fn whole(reply: Reply) -> Value {
    match reply.headers.get("content-type").is_some_and(|t| t == "text/event-stream") {
        true => reply.events().rest().await.pop().unwrap(),
        false => reply.json(),
    }
}

/// Calls a tool as a task and gives the task.
async fn created(client: &Legacy, id: i64, name: &str, task: Value) -> Value {
    let answer = ask(client, id, "tools/call", json!({"name": name, "arguments": {}, "task": task})).await;
    assert_valid(NEWEST, "CreateTaskResult", &answer["result"]);
    assert_eq!(answer["result"]["task"]["status"], "working", "{answer}");
    assert!(answer["result"].get("resultType").is_none(), "{answer}");
    answer["result"]["task"].clone()
}

/// The task as `tasks/get` shows it.
async fn shown(client: &Legacy, id: i64, task: &str) -> Value {
    let answer = ask(client, id, "tasks/get", json!({"taskId": task})).await;
    assert_valid(NEWEST, "GetTaskResult", &answer["result"]);
    assert_eq!(answer["result"]["taskId"], task, "{answer}");
    answer["result"].clone()
}

/// Waits for the result in the background.
fn waiting(client: &Legacy, id: i64, task: &str) -> JoinHandle<Reply> {
    client.start(id, "tasks/result", json!({"taskId": task}))
}

/// The result that a wait brought.
async fn brought(waiting: JoinHandle<Reply>, task: &str) -> Value {
    let answer = soon("a result", async { whole(waiting.await.unwrap()).await }).await;
    assert_valid(NEWEST, "CallToolResult", &answer["result"]);
    assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], task, "{answer}");
    answer["result"].clone()
}

/// Fails unless the answer says that there is no such task.
#[track_caller]
fn assert_unknown(error: &Value) {
    assert_eq!(*error, json!({"code": -32602, "message": "Failed to retrieve task: Task not found"}));
}
