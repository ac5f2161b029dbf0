//! The way of a client that starts its server itself: standard input and output of a `rialto stdio` of its own.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{
    client::{Answerer, Seen},
    wire,
};
use crate::server_kit::soon;

/// How long clients wait for the end of a server whose input they have closed, before they use force.
const PATIENCE: Duration = Duration::from_secs(4);
/// Where the id of a subscription stands in what is said on it.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A `rialto stdio`, and everything that is said on its pipes.
pub(crate) struct Pipe {
    child: Child,
    shared: Arc<Shared>,
    /// `None` closes its standard input.
    lines: Option<UnboundedSender<String>>,
    reading: JoinHandle<()>,
    errors: JoinHandle<String>,
}

struct Shared {
    revision: &'static str,
    answerer: Answerer,
    /// How often the client was asked something.
    asked: AtomicUsize,
    /// The ids that wait for something, as they are written.
    waiting: Mutex<HashMap<String, Waiting>>,
    outside: Arc<Mutex<Vec<Value>>>,
    /// What was wrong with what was heard.
    faults: Mutex<Vec<String>>,
}

struct Waiting {
    to: UnboundedSender<String>,
    listens: bool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Deals with a line; says what is to be answered.
    fn heard(&self, line: &str) -> Option<String> {
        let seen: Seen<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        match (seen.method, seen.id.map(|id| id.get())) {
            (None, Some(id)) => {
                let waiting = self.waiting().remove(id);
                let waiting = waiting.unwrap_or_else(|| panic!("an answer that nobody waits for: {line}"));
                let _ = waiting.to.send(line.to_owned());
                None
            }
            (None, None) => panic!("an answer without an id: {line}"),
            (Some(question), Some(id)) => {
                wire::check_event(self.revision, line);
                self.asked.fetch_add(1, Ordering::SeqCst);
                let whole: Value = serde_json::from_str(line).unwrap();
                let answer = (self.answerer)(&question, &whole["params"]);
                Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{answer}}}"#))
            }
            (Some(_), None) => {
                wire::check_event(self.revision, line);
                let whole: Value = serde_json::from_str(line).unwrap();
                let subscription = whole["params"]["_meta"].get(SUBSCRIPTION).map(Value::to_string);
                // What is said on a subscription belongs to it; anything else may belong to any request that runs.
                for (id, waiting) in self.waiting().iter() {
                    if waiting.listens == subscription.is_some() && subscription.as_ref().is_none_or(|s| s == id) {
                        let _ = waiting.to.send(line.to_owned());
                    }
                }
                self.outside.lock().unwrap().push(whole);
                None
            }
        }
    }

    async fn read(self: Arc<Self>, out: ChildStdout, answers: UnboundedSender<String>) {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match catch_unwind(AssertUnwindSafe(|| self.heard(&line))) {
                Ok(Some(answer)) => drop(answers.send(answer)),
                Ok(None) => {}
                Err(panic) => {
                    let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                    self.faults.lock().unwrap().push(words);
                }
            }
        }
        self.waiting().clear();
    }
}

impl Pipe {
    /// Starts `rialto stdio FILE --mount NAME`.
    pub(crate) fn start(
        file: &Path,
        mount: &str,
        revision: &'static str,
        answerer: Answerer,
        outside: Arc<Mutex<Vec<Value>>>,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
        command.arg("stdio").arg(file).args(["--mount", mount]).env_remove("RIALTO_LISTEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (mut input, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut said = child.stderr.take().unwrap();
        let (lines, mut sent) = unbounded_channel::<String>();
        tokio::spawn(async move {
            while let Some(line) = sent.recv().await {
                if input.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let errors = tokio::spawn(async move {
            let mut text = String::new();
            let _ = said.read_to_string(&mut text).await;
            text
        });
        let (asked, waiting, faults) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { revision, answerer, asked, waiting, outside, faults });
        // Weak, so that nothing but the client keeps its standard input open.
        let (answers, mut answered) = unbounded_channel();
        let back = lines.downgrade();
        tokio::spawn(async move {
            while let Some(answer) = answered.recv().await {
                if let Some(lines) = back.upgrade() {
                    let _ = lines.send(answer);
                }
            }
        });
        let reading = tokio::spawn(shared.clone().read(out, answers));
        Self { child, shared, lines: Some(lines), reading, errors }
    }

    /// Writes a line.
    pub(crate) fn send(&self, line: &str) {
        assert!(!line.contains('\n'));
        let _ = self.lines.as_ref().expect("an open pipe").send(line.to_owned());
    }

    /// Sends a request; what comes for it comes here, the response last.
    pub(crate) fn request(&self, id: &str, line: &str) -> UnboundedReceiver<String> {
        self.enter(id, line, false)
    }

    fn enter(&self, id: &str, line: &str, listens: bool) -> UnboundedReceiver<String> {
        let (to, from) = unbounded_channel();
        let before = self.shared.waiting().insert(id.to_owned(), Waiting { to, listens });
        assert!(before.is_none(), "two requests with the id {id}");
        self.send(line);
        from
    }

    /// How often the client was asked something.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Opens a subscription.
    pub(crate) fn listen(&self, id: &str, line: &str) -> Subscription {
        let events = self.enter(id, line, true);
        Subscription { id: id.to_owned(), events, lines: self.lines.clone().unwrap(), shared: self.shared.clone() }
    }

    /// Fails when anything that was heard was wrong.
    #[track_caller]
    pub(crate) fn check(&self) {
        let faults = self.shared.faults.lock().unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// Closes its end and waits for the end of the process, which must not take so long that clients use force.
    pub(crate) async fn close(mut self) {
        let began = Instant::now();
        drop(self.lines.take());
        let status = soon("the end of `rialto stdio`", self.child.wait()).await.unwrap();
        let took = began.elapsed();
        soon("the end of its output", &mut self.reading).await.unwrap();
        let errors = soon("the end of its words", self.errors).await.unwrap();
        assert!(status.success() && took < PATIENCE, "{status} after {took:?}\n{errors}");
        let faults = self.shared.faults.lock().unwrap();
        assert!(faults.is_empty(), "{}\n{errors}", faults.join("\n"));
    }
}

/// What is said on a subscription. Dropping it cancels it.
pub(crate) struct Subscription {
    id: String,
    events: UnboundedReceiver<String>,
    lines: UnboundedSender<String>,
    shared: Arc<Shared>,
}

impl Subscription {
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.events.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.shared.waiting().remove(&self.id).is_some() {
            let id = &self.id;
            let method = "notifications/cancelled";
            let _ =
                self.lines.send(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"requestId":{id}}}}}"#));
        }
    }
}
