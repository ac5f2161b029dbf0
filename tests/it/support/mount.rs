//! A mount that does as the test says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::future::ready;
use rialto::{
    hub::{
        Answer, Attempt, BoxFuture, Call, Caller, Description, Fault, Filter, Health, Link, Listening, Mount, Outcome,
        Question,
    },
    jsonrpc::{Notification, Raw},
    protocol::{Method, headers::ToolHeaders},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::json::{object, raw, value};

type Handler = Box<dyn Fn(Call) -> BoxFuture<Result<Outcome, Fault>> + Send + Sync>;
type Listener = Box<dyn Fn(Filter) -> Result<Listening, Fault> + Send + Sync>;

/// One call, as the mount saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) params: Value,
    /// `None` on a first leg; else the answers, and the state.
    pub(crate) answers: Option<(Value, Option<Value>)>,
    pub(crate) caller: Arc<Caller>,
}

/// A mount that does as the test says, and remembers what it was asked.
pub(crate) struct Scripted {
    pub(crate) name: &'static str,
    pub(crate) capabilities: Value,
    pub(crate) server_info: Value,
    /// Tool to input schema.
    pub(crate) tools: HashMap<&'static str, Value>,
    /// Whether the server cannot be reached.
    pub(crate) down: bool,
    handler: Handler,
    listener: Listener,
    seen: Mutex<Vec<Seen>>,
    counts: watch::Sender<Counts>,
}

/// What has happened at a mount.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) begun: usize,
    pub(crate) finished: usize,
    /// Calls that were dropped before they were done.
    pub(crate) dropped: usize,
    pub(crate) notified: usize,
}

impl Scripted {
    /// A mount that answers calls with `handler`.
    pub(crate) fn new<F>(handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
    {
        Self {
            name: "docs",
            capabilities: json!({"tools": {}, "prompts": {}, "resources": {}, "logging": {}}),
            server_info: json!({"name": "scripted", "version": "1"}),
            tools: HashMap::new(),
            down: false,
            handler: Box::new(move |call| Box::pin(handler(call))),
            listener: Box::new(|_| Err(Fault::method_not_found("subscriptions/listen"))),
            seen: Mutex::default(),
            counts: watch::Sender::default(),
        }
    }

    /// A mount that answers every call with an empty result of its method.
    pub(crate) fn plain() -> Self {
        Self::new(|call| async move { Ok(Outcome::Complete(raw(&empty(&call.method)))) })
    }

    /// The same with something changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Answers `subscriptions/listen`: honours what `honours` makes of the filter, and hands the test the sending end.
    pub(crate) fn listening(
        mut self,
        honours: impl Fn(Value) -> Value + Send + Sync + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<mpsc::Sender<Notification>>) {
        let (opened, opens) = mpsc::unbounded_channel();
        self.listener = Box::new(move |Filter(filter)| {
            let (sender, events) = mpsc::channel(16);
            opened.send(sender).unwrap();
            Ok(Listening { honoured: Filter(object(&honours(value(&filter.to_raw())))), events })
        });
        (self, opens)
    }

    /// The calls until now.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The call that was the last to begin.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a call")
    }

    /// What has happened until now.
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until it has happened.
    pub(crate) async fn until(&self, happened: impl FnMut(&Counts) -> bool) {
        self.counts.subscribe().wait_for(happened).await.unwrap();
    }
}

/// The mount offers the extension that brings tasks.
pub(crate) fn with_tasks(mount: &mut Scripted) {
    mount.capabilities["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
}

/// A result of a method without anything in it.
pub(crate) fn empty(method: &Method) -> Value {
    match method.as_str() {
        "tools/call" => json!({"resultType": "complete", "content": []}),
        "prompts/get" => json!({"resultType": "complete", "messages": []}),
        "resources/read" => json!({"resultType": "complete", "contents": [], "ttlMs": 0, "cacheScope": "private"}),
        "tools/list" => json!({"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"}),
        _ => json!({"resultType": "complete"}),
    }
}

/// A tool's result that says `text`.
pub(crate) fn says(text: impl std::fmt::Display) -> Result<Outcome, Fault> {
    let content = json!([{"type": "text", "text": text.to_string()}]);
    Ok(Outcome::Complete(raw(&json!({"resultType": "complete", "content": content}))))
}

/// Whatever the method, a result that can be told from others by `text`.
pub(crate) fn marked(method: &Method, text: &str) -> Result<Outcome, Fault> {
    let mut result = empty(method);
    result["_meta"] = json!({"example.com/mark": text});
    Ok(Outcome::Complete(raw(&result)))
}

/// Asks the client as a legacy server would in the middle of a call.
pub(crate) async fn ask(call: &Call, method: &str, params: Value) -> Answer {
    let _asking = call.life.asking();
    let params = (!params.is_null()).then(|| object(&params));
    call.peer.ask(Question { method: method.to_owned(), params, key: None }).await
}

/// Asks for a form.
pub(crate) async fn elicit(call: &Call, message: &str) -> Answer {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    ask(call, "elicitation/create", json!({"mode": "form", "message": message, "requestedSchema": schema})).await
}

/// An answer in short.
pub(crate) fn told(answer: &Answer) -> String {
    match answer {
        Ok(answer) => value(&answer.to_raw()).to_string(),
        Err(refusal) => format!("{refusal:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
    }
}

/// Reports progress.
pub(crate) fn progress(call: &Call, value: impl Into<Value>) {
    notify(call, "notifications/progress", json!({"progressToken": "of-the-server", "progress": value.into()}));
}

/// Writes a log message.
pub(crate) fn log(call: &Call, level: &str, data: &str) {
    notify(call, "notifications/message", json!({"level": level, "data": data}));
}

/// Tells the client something.
pub(crate) fn notify(call: &Call, method: &str, params: Value) {
    call.peer.notify(notification(method, params));
}

/// A notification.
pub(crate) fn notification(method: &str, params: Value) -> Notification {
    Notification { method: method.to_owned(), params: (!params.is_null()).then(|| object(&params)) }
}

/// Counts a call that is dropped early.
struct Watched(watch::Sender<Counts>, bool);

impl Drop for Watched {
    fn drop(&mut self) {
        let finished = self.1;
        self.0.send_modify(|counts| if finished { counts.finished += 1 } else { counts.dropped += 1 });
    }
}

impl Mount for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        let answers = match &call.attempt {
            Attempt::First => None,
            Attempt::Answers { responses, state } => {
                Some((value(&responses.to_raw()), state.as_ref().map(|state| value(state.value()))))
            }
        };
        self.seen.lock().unwrap().push(Seen {
            params: value(&call.params.to_raw()),
            answers,
            caller: call.caller.clone(),
        });
        self.counts.send_modify(|counts| counts.begun += 1);
        let watched = Watched(self.counts.clone(), false);
        let answered = (self.handler)(call);
        Box::pin(async move {
            // All of it, not only the flag.
            let mut watched = watched;
            let outcome = answered.await;
            watched.1 = true;
            outcome
        })
    }

    fn describe(&self, _: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        Box::pin(ready(Ok(Arc::new(Description {
            server_info: Some(raw(&self.server_info)),
            capabilities: object(&self.capabilities),
            instructions: Some(Raw::from("Ask it nicely.")),
            ..Description::default()
        }))))
    }

    fn tool_headers(&self, _: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        let found = match self.down {
            true => Err(Fault::gateway(rialto::hub::Reason::ConnectFailed, "no connection")),
            false => Ok(self.tools.get(tool).map(|schema| Arc::new(ToolHeaders::read(&raw(schema)).unwrap()))),
        };
        Box::pin(ready(found))
    }

    fn notify(&self, _: &Arc<Caller>, _: Notification) {
        self.counts.send_modify(|counts| counts.notified += 1);
    }

    fn attend(&self, _: &Arc<Caller>) -> BoxFuture<()> {
        Box::pin(ready(()))
    }

    fn listen(&self, _: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        Box::pin(ready((self.listener)(filter)))
    }

    fn link(&self) -> Link {
        Link { transport: "none", revision: None }
    }

    fn health(&self) -> Health {
        Health::Up
    }
}
