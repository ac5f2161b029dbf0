//! A mount that the test plays: calls arrive at the test, and the test answers them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rialto::{
    hub::{
        Answer, BoxFuture, Call, Caller, Description, Fault, Filter, Health, Link, Listening, Mount, Outcome, Question,
        Reason,
    },
    jsonrpc::Notification,
    protocol::{Method, headers::ToolHeaders},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::support::json::{object, raw};

/// A call that has arrived at the server's side.
pub(crate) struct Arrived {
    pub(crate) call: Call,
    done: oneshot::Sender<Result<Outcome, Fault>>,
}

impl Arrived {
    /// Answers with a result.
    pub(crate) fn complete(self, result: &Value) {
        self.end(Ok(Outcome::Complete(raw(result))));
    }

    /// Answers with a text, as a tool does.
    pub(crate) fn say(self, text: &str) {
        self.complete(&json!({"content": [{"type": "text", "text": text}]}));
    }

    /// Answers with a fault.
    pub(crate) fn fail(self, fault: Fault) {
        self.end(Err(fault));
    }

    /// Answers.
    pub(crate) fn end(self, outcome: Result<Outcome, Fault>) {
        let _ = self.done.send(outcome);
    }

    /// Waits until the call was dropped.
    pub(crate) async fn dropped(&mut self) {
        self.done.closed().await;
    }

    /// Whether the call was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.done.is_closed()
    }

    /// The parameters of the call.
    pub(crate) fn params(&self) -> Value {
        self.call.params.to_raw().parse().unwrap()
    }

    /// Tells the client something.
    pub(crate) fn notify(&self, method: &str, params: &Value) {
        self.call.peer.notify(Notification { method: method.into(), params: Some(object(params)) });
    }

    /// Reports progress, under a token of the server's side.
    pub(crate) fn progress(&self, progress: &Value) {
        self.notify("notifications/progress", &json!({"progressToken": "of-the-server", "progress": progress}));
    }

    /// Asks the client; the answer comes from the task. Ending the task drops the question.
    pub(crate) fn ask(&self, method: &str, params: &Value) -> JoinHandle<Answer> {
        let question = Question { method: method.into(), params: Some(object(params)), key: None };
        tokio::spawn(self.call.peer.ask(question))
    }

    /// Asks for a form.
    pub(crate) fn elicit(&self, message: &str) -> JoinHandle<Answer> {
        self.ask("elicitation/create", &form(message))
    }
}

/// The parameters of a form elicitation.
pub(crate) fn form(message: &str) -> Value {
    json!({"message": message, "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}})
}

/// The mount. `tools/call` arrives at the test unless the tool is `echo`; everything else is answered at once.
pub(crate) struct Scripted {
    name: &'static str,
    capabilities: Value,
    server_info: Option<Value>,
    is_down: AtomicBool,
    described: AtomicUsize,
    calls: mpsc::UnboundedSender<Arrived>,
    arriving: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arrived>>,
    notifications: mpsc::UnboundedSender<(Arc<Caller>, Notification)>,
    notified: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Arc<Caller>, Notification)>>,
    seen: Mutex<Vec<(String, Value)>>,
    callers: Mutex<Vec<std::sync::Weak<Caller>>>,
    closed: Arc<watch::Sender<usize>>,
}

impl Scripted {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        Self::with(name, json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {}}), None)
    }

    pub(crate) fn with(name: &'static str, capabilities: Value, server_info: Option<Value>) -> Arc<Self> {
        let (calls, arriving) = mpsc::unbounded_channel();
        let (notifications, notified) = mpsc::unbounded_channel();
        Arc::new(Self {
            name,
            capabilities,
            server_info,
            is_down: AtomicBool::new(false),
            described: AtomicUsize::new(0),
            calls,
            arriving: arriving.into(),
            notifications,
            notified: notified.into(),
            seen: Mutex::default(),
            callers: Mutex::default(),
            closed: Arc::default(),
        })
    }

    /// The next call of a tool.
    pub(crate) async fn next(&self) -> Arrived {
        self.arriving.lock().await.recv().await.unwrap()
    }

    /// The next notification of a client.
    pub(crate) async fn notified(&self) -> (Arc<Caller>, Notification) {
        self.notified.lock().await.recv().await.unwrap()
    }

    /// Lets the server be down.
    pub(crate) fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// How often somebody asked who the server is.
    pub(crate) fn described(&self) -> usize {
        self.described.load(Ordering::SeqCst)
    }

    /// Methods and parameters of all calls so far.
    pub(crate) fn seen(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().clone()
    }

    /// The caller that was described last, while it exists.
    pub(crate) fn last_caller(&self) -> Arc<Caller> {
        self.callers.lock().unwrap().last().and_then(std::sync::Weak::upgrade).unwrap()
    }

    /// Waits until as many scopes of sessions have ended.
    pub(crate) async fn closed(&self, scopes: usize) {
        self.closed.subscribe().wait_for(|n| *n >= scopes).await.unwrap();
    }

    fn answer(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        let result = match &call.method {
            Method::ToolsList => json!({"tools": []}),
            Method::ResourcesList => json!({"resources": []}),
            Method::ResourcesRead => json!({"contents": []}),
            Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
                json!({"_meta": {"from": "the server"}})
            }
            Method::ToolsCall if call.params.get("name").is_some_and(|n| n.is_text("echo")) => {
                let text = String::from_utf8(call.params.to_raw().as_bytes().to_vec()).unwrap();
                json!({"content": [{"type": "text", "text": text}]})
            }
            Method::ToolsCall => {
                let (done, outcome) = oneshot::channel();
                let _ = self.calls.send(Arrived { call, done });
                return Box::pin(async move {
                    outcome.await.unwrap_or_else(|_| Err(Fault::gateway(Reason::Internal, "the test lost the call")))
                });
            }
            Method::Other(name) => json!({"other": name}),
            method => return Box::pin(std::future::ready(Err(Fault::method_not_found(method.as_str())))),
        };
        Box::pin(std::future::ready(Ok(Outcome::Complete(raw(&result)))))
    }
}

impl Mount for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        let seen = (call.method.as_str().to_owned(), call.params.to_raw().parse().unwrap());
        self.seen.lock().unwrap().push(seen);
        self.answer(call)
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.described.fetch_add(1, Ordering::SeqCst);
        self.callers.lock().unwrap().push(Arc::downgrade(caller));
        if caller.scope.is_session() {
            caller.scope.on_close(&self.closed, |closed| closed.send_modify(|n| *n += 1));
        }
        let described = if self.is_down.load(Ordering::SeqCst) {
            Err(Fault::upstream(Reason::ConnectFailed, &Arc::from(self.name), "connection refused"))
        } else {
            Ok(Arc::new(Description {
                server_info: self.server_info.as_ref().map(raw),
                capabilities: object(&self.capabilities),
                instructions: Some(raw(&json!("be kind"))),
                ..Description::default()
            }))
        };
        Box::pin(std::future::ready(described))
    }

    fn tool_headers(&self, _: &Arc<Caller>, _: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        let _ = self.notifications.send((caller.clone(), notification));
    }

    fn attend(&self, _: &Arc<Caller>) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }

    fn listen(&self, _: &Arc<Caller>, _: Filter) -> BoxFuture<Result<Listening, Fault>> {
        Box::pin(std::future::ready(Err(Fault::method_not_found("subscriptions/listen"))))
    }

    fn link(&self) -> Link {
        Link { transport: "none", revision: None }
    }

    fn health(&self) -> Health {
        Health::Up
    }
}
