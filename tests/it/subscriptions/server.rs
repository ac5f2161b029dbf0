//! A server of either era that does with subscriptions what the protocol says, and remembers it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rialto::upstream::{
    Connector,
    http::{HttpConnector, HttpSettings, HttpTarget},
    in_process::InProcessConnector,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::{Notify, mpsc, watch},
};

use crate::{
    support::wait::soon,
    upstream_http::scripted::{self, Piece, Reply, Scripted, Seen},
};

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Legacy,
    Modern,
}

/// How it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Http,
    Pipe,
}

/// What goes to the client beside answers.
enum Line {
    Say(Value),
    Cut,
}

/// A way to the client: a legacy session, or a modern listen.
struct Way {
    session: String,
    /// The id and the filter of a listen.
    listen: Option<(Value, Value)>,
    to: mpsc::UnboundedSender<Line>,
}

/// How the server behaves. Changed while it runs.
pub(crate) struct Manners {
    pub(crate) capabilities: Value,
    /// URIs with this in them are refused, or not honoured.
    pub(crate) refuses: &'static str,
    /// URIs with this in them are never answered.
    pub(crate) ignores: &'static str,
    /// Nothing that is listed is honoured.
    pub(crate) honours_no_lists: bool,
    /// Over HTTP, everything that comes without [`KEY`](super::KEY) is refused, and what is said depends on it.
    pub(crate) wants_key: bool,
    /// The names of its tools.
    pub(crate) tools: Vec<&'static str>,
}

impl Manners {
    fn lists(&self) -> Vec<Value> {
        self.tools.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect()
    }
}

struct State {
    speaks: Mutex<Speaks>,
    manners: Mutex<Manners>,
    seen: Mutex<Vec<(String, Value)>>,
    ways: Mutex<BTreeMap<u64, Way>>,
    sessions: Mutex<BTreeSet<String>>,
    next: AtomicU64,
    /// Every process ends.
    crash: Notify,
    /// The process of this session ends.
    ended: watch::Sender<String>,
    http: tokio::sync::OnceCell<Scripted>,
}

#[derive(Clone)]
pub(crate) struct Server(Arc<State>);

impl Server {
    pub(crate) fn new(speaks: Speaks) -> Self {
        let lists = json!({"listChanged": true});
        let manners = Manners {
            capabilities: json!({"tools": lists, "prompts": lists, "resources": {"listChanged": true, "subscribe": true}}),
            refuses: "refused",
            ignores: "ignored",
            honours_no_lists: false,
            wants_key: false,
            tools: Vec::new(),
        };
        Self(Arc::new(State {
            speaks: Mutex::new(speaks),
            manners: Mutex::new(manners),
            seen: Mutex::default(),
            ways: Mutex::default(),
            sessions: Mutex::default(),
            next: AtomicU64::new(0),
            crash: Notify::new(),
            ended: watch::Sender::default(),
            http: tokio::sync::OnceCell::new(),
        }))
    }

    fn speaks(&self) -> Speaks {
        *self.0.speaks.lock().unwrap()
    }

    /// It is replaced by a server that speaks the other era.
    pub(crate) fn becomes(&self, speaks: Speaks) {
        *self.0.speaks.lock().unwrap() = speaks;
        self.crashes();
    }

    pub(crate) fn manners(&self) -> MutexGuard<'_, Manners> {
        self.0.manners.lock().unwrap()
    }

    /// What the gateway reaches it by.
    pub(crate) async fn connector(&self, through: Through) -> Arc<dyn Connector> {
        match through {
            Through::Pipe => {
                let server = self.clone();
                Arc::new(InProcessConnector::new("docs", move |stream| server.clone().talk(stream)))
            }
            Through::Http => {
                let server = self.clone();
                let start = || async {
                    Scripted::start(move |seen| {
                        let server = server.clone();
                        async move { server.answer(seen) }
                    })
                    .await
                };
                let url = self.0.http.get_or_init(start).await.url().parse().unwrap();
                let settings = HttpSettings { backoff: Duration::from_millis(20), ..HttpSettings::default() };
                let target = HttpTarget { url, headers: Vec::new() };
                Arc::new(HttpConnector::new("docs".into(), target, settings).unwrap())
            }
        }
    }

    // === what it saw ===

    /// Everything that came over HTTP.
    pub(crate) fn arrived(&self) -> Vec<Seen> {
        self.0.http.get().map(Scripted::seen).unwrap_or_default()
    }

    /// The parameters of everything it was sent by this method: `GET` and `DELETE` are methods too.
    pub(crate) fn seen(&self, method: &str) -> Vec<Value> {
        let seen = self.0.seen.lock().unwrap();
        seen.iter().filter(|(_, m)| m["method"] == method).map(|(_, m)| m["params"].clone()).collect()
    }

    /// The sessions in which it was sent something by this method.
    pub(crate) fn sessions_of(&self, method: &str) -> Vec<String> {
        let seen = self.0.seen.lock().unwrap();
        seen.iter().filter(|(_, m)| m["method"] == method).map(|(session, _)| session.clone()).collect()
    }

    /// The URIs of everything it was sent by this method, in order.
    pub(crate) fn uris(&self, method: &str) -> Vec<String> {
        self.seen(method).iter().map(|params| params["uri"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn sees(&self, method: &str, times: usize) {
        let counted = async {
            while self.seen(method).len() < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(&format!("{times} × {method}"), counted).await;
    }

    /// The filters of the listens that are open.
    pub(crate) fn listens(&self) -> Vec<Value> {
        let ways = self.0.ways.lock().unwrap();
        ways.values().filter_map(|way| Some(way.listen.as_ref()?.1.clone())).collect()
    }

    /// The URIs of the listens that are open and name any.
    pub(crate) fn listened_to(&self) -> Vec<Value> {
        let mut named: Vec<_> = self.listens().iter().map(|f| f["resourceSubscriptions"].clone()).collect();
        named.retain(|uris| !uris.is_null());
        named
    }

    /// How many sessions it can speak in, or listens are open.
    pub(crate) fn ways(&self) -> usize {
        self.0.ways.lock().unwrap().len()
    }

    pub(crate) async fn has_ways(&self, count: usize) {
        super::until(&format!("{count} ways"), || self.ways() == count).await;
    }

    // === what it does ===

    /// Says something wherever it belongs.
    pub(crate) fn says(&self, method: &str, params: Value) {
        self.says_in(None, method, &params);
    }

    /// Says something in one session only.
    pub(crate) fn says_in(&self, session: Option<&str>, method: &str, params: &Value) {
        for way in self.0.ways.lock().unwrap().values() {
            if session.is_some_and(|session| session != way.session) {
                continue;
            }
            let mut said = json!({"jsonrpc": "2.0", "method": method});
            if !params.is_null() {
                said["params"] = params.clone();
            }
            if let Some((id, filter)) = &way.listen {
                if !wants(filter, method, params) {
                    continue;
                }
                said["params"]["_meta"][super::SUBSCRIPTION] = id.clone();
            }
            let _ = way.to.send(Line::Say(said));
        }
    }

    /// A resource has changed, and only the listen that was opened first among those for resources says so.
    pub(crate) fn updates_first(&self, uri: &str) {
        let ways = self.0.ways.lock().unwrap();
        let mut listens = ways.values().filter_map(|way| Some((way, way.listen.as_ref()?)));
        let (way, (id, _)) = listens.find(|(_, (_, filter))| !filter["resourceSubscriptions"].is_null()).unwrap();
        let params = json!({"uri": uri, "_meta": {super::SUBSCRIPTION: id}});
        let _ = way.to.send(Line::Say(json!({"jsonrpc": "2.0", "method": super::UPDATED, "params": params})));
    }

    /// A resource has changed: whoever subscribed to it, or to what it is a part of, is told.
    pub(crate) fn updates(&self, uri: &str) {
        match self.speaks() {
            Speaks::Modern => self.says(super::UPDATED, super::uri(uri)),
            Speaks::Legacy => {
                let subscribed =
                    self.sessions_of("resources/subscribe").into_iter().zip(self.uris("resources/subscribe"));
                let told: BTreeSet<_> =
                    subscribed.filter(|(_, named)| uri.starts_with(named)).map(|(s, _)| s).collect();
                for session in told {
                    self.says_in(Some(&session), super::UPDATED, &super::uri(uri));
                }
            }
        }
    }

    /// Every stream breaks.
    pub(crate) fn cuts(&self) {
        for way in std::mem::take(&mut *self.0.ways.lock().unwrap()).into_values() {
            let _ = way.to.send(Line::Cut);
        }
    }

    /// Every listen ends as the protocol has it.
    pub(crate) fn ends(&self) {
        for way in std::mem::take(&mut *self.0.ways.lock().unwrap()).into_values() {
            let (id, _) = way.listen.expect("a listen");
            let meta = json!({super::SUBSCRIPTION: id});
            let result = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": meta}});
            let _ = way.to.send(Line::Say(result));
            let _ = way.to.send(Line::Cut);
        }
    }

    /// It forgets every session, and ends where it is a process.
    pub(crate) fn crashes(&self) {
        self.0.sessions.lock().unwrap().clear();
        self.0.crash.notify_waiters();
        self.cuts();
    }

    /// The process of one session ends.
    pub(crate) fn ends_session(&self, session: &str) {
        self.0.ended.send_replace(session.to_owned());
    }

    // === how it answers ===

    fn hears(&self, session: &str, message: &Value) {
        self.0.seen.lock().unwrap().push((session.to_owned(), message.clone()));
    }

    fn opens(&self, session: &str, listen: Option<(Value, Value)>) -> (u64, mpsc::UnboundedReceiver<Line>) {
        let (to, lines) = mpsc::unbounded_channel();
        let number = self.0.next.fetch_add(1, Ordering::SeqCst);
        self.0.ways.lock().unwrap().insert(number, Way { session: session.to_owned(), listen, to });
        (number, lines)
    }

    fn closes(&self, number: u64) {
        self.0.ways.lock().unwrap().remove(&number);
    }

    /// What a listen is acknowledged with.
    fn acknowledges(&self, message: &Value) -> (Value, Value) {
        let manners = self.manners();
        let mut honoured = message["params"]["notifications"].clone();
        if let Some(uris) = honoured["resourceSubscriptions"].as_array_mut() {
            uris.retain(|uri| !uri.as_str().unwrap().contains(manners.refuses));
            if uris.is_empty() {
                honoured.as_object_mut().unwrap().remove("resourceSubscriptions");
            }
        }
        if manners.honours_no_lists {
            honoured.as_object_mut().unwrap().retain(|key, _| !key.ends_with("ListChanged"));
        }
        if honoured["resourceSubscriptions"].is_null() {
            honoured.as_object_mut().unwrap().remove("resourceSubscriptions");
        }
        let id = message["id"].clone();
        let acknowledgement = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {"notifications": honoured, "_meta": {super::SUBSCRIPTION: id}}});
        (acknowledgement, honoured)
    }

    /// The answer to a request; `None` for one that is never answered.
    fn responds(&self, message: &Value, session: &str) -> Option<Value> {
        let manners = self.manners();
        let (method, params) = (message["method"].as_str().unwrap(), &message["params"]);
        let error = |code: i64| json!({"error": {"code": code, "message": "no\n\u{1b}[1mWARN all is well"}});
        let complete = |mut result: Value| {
            if self.speaks() == Speaks::Modern {
                result["resultType"] = json!("complete");
            }
            json!({ "result": result })
        };
        let mut answer = match (self.speaks(), method) {
            (Speaks::Modern, "server/discover") => complete(json!({
                "supportedVersions": ["2026-07-28"], "ttlMs": 60_000, "cacheScope": "public",
                "capabilities": manners.capabilities})),
            (Speaks::Legacy, "initialize") => complete(json!({
                "protocolVersion": "2025-11-25", "capabilities": manners.capabilities,
                "serverInfo": {"name": "s", "version": "1"}})),
            (Speaks::Legacy, "resources/subscribe" | "resources/unsubscribe") => {
                let uri = params["uri"].as_str().unwrap();
                if uri.contains(manners.ignores) {
                    return None;
                }
                if uri.contains(manners.refuses) { error(-32002) } else { complete(json!({})) }
            }
            (Speaks::Modern, "tools/list") => {
                complete(json!({"tools": manners.lists(), "ttlMs": 60_000, "cacheScope": "private"}))
            }
            (Speaks::Legacy, "tools/list") => complete(json!({"tools": manners.lists()})),
            (_, "tools/call") => complete(json!({"content": [{"type": "text", "text": session}]})),
            (_, "logging/setLevel" | "ping") => complete(json!({})),
            _ => error(-32601),
        };
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = message["id"].clone();
        Some(answer)
    }

    // === over HTTP ===

    fn answer(&self, seen: Seen) -> Reply {
        let key = seen.header(super::KEY).filter(|_| self.manners().wants_key);
        if key.is_none() && self.manners().wants_key {
            return Reply::empty(401);
        }
        let named = seen.header("mcp-session-id");
        // A modern server knows its clients by nothing else.
        let session = named.or(key.filter(|_| self.speaks() == Speaks::Modern)).unwrap_or_default().to_owned();
        let mut message = seen.body.clone();
        if message.is_null() {
            message = json!({"method": seen.verb.as_str()});
        }
        self.hears(&session, &message);
        let method = message["method"].as_str().unwrap_or_default();
        let is_known = named.is_none() || self.0.sessions.lock().unwrap().contains(&session);
        match (seen.verb.as_str(), method) {
            ("DELETE", _) => Reply::empty(204),
            _ if !is_known => Reply::empty(404),
            ("GET", _) => self.streams(&session, None),
            (_, "server/discover") if self.speaks() == Speaks::Legacy => Reply::empty(404),
            (_, "initialize") if self.speaks() == Speaks::Legacy => {
                let session = format!("s{}", self.0.next.fetch_add(1, Ordering::SeqCst));
                self.0.sessions.lock().unwrap().insert(session.clone());
                let greeting = marked(self.responds(&message, &session).unwrap(), key);
                Reply::json(200, &greeting).with("mcp-session-id", &session)
            }
            _ if self.speaks() == Speaks::Legacy && session.is_empty() => Reply::json(
                400,
                &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "no session"}}),
            ),
            (_, "subscriptions/listen") if self.speaks() == Speaks::Modern => self.streams(&session, Some(&message)),
            _ if message.get("id").is_none() => Reply::empty(202),
            _ => match self.responds(&message, &session) {
                Some(answer) => Reply::json(200, &marked(answer, key)),
                None => {
                    let (reply, pieces) = Reply::events();
                    tokio::spawn(async move { pieces.closed().await });
                    reply
                }
            },
        }
    }

    fn streams(&self, session: &str, listen: Option<&Value>) -> Reply {
        let (reply, pieces) = Reply::events();
        let acknowledged = listen.map(|message| self.acknowledges(message));
        let way = acknowledged
            .as_ref()
            .map(|(ack, honoured)| (ack["params"]["_meta"][super::SUBSCRIPTION].clone(), honoured.clone()));
        let (number, mut lines) = self.opens(session, way);
        let server = self.clone();
        tokio::spawn(async move {
            if let Some((acknowledgement, _)) = acknowledged {
                scripted::send(&pieces, &acknowledgement).await;
            }
            loop {
                tokio::select! {
                    () = pieces.closed() => break,
                    line = lines.recv() => match line {
                        Some(Line::Say(message)) => scripted::send(&pieces, &message).await,
                        Some(Line::Cut) | None => {
                            let _ = pieces.send(Piece::Cut).await;
                            break;
                        }
                    },
                }
            }
            server.closes(number);
        });
        reply
    }

    // === over a pipe ===

    async fn talk(self, stream: DuplexStream) {
        let session = format!("p{}", self.0.next.fetch_add(1, Ordering::SeqCst));
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader).lines();
        let crash = self.0.crash.notified();
        tokio::pin!(crash);
        let mut ended = self.0.ended.subscribe();
        let (says, mut said) = mpsc::unbounded_channel::<Value>();
        let mut listens = BTreeMap::new();
        let standing = (self.speaks() == Speaks::Legacy).then(|| self.carry(&session, None, &says));
        loop {
            let line = tokio::select! {
                () = &mut crash => break,
                _ = async { drop(ended.wait_for(|ended| *ended == session).await) } => break,
                message = said.recv() => {
                    let message = message.expect("a sender is here");
                    if writer.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                        break;
                    }
                    continue;
                }
                line = reader.next_line() => line,
            };
            let Ok(Some(line)) = line else { break };
            let message: Value = serde_json::from_str(&line).unwrap();
            self.hears(&session, &message);
            match message["method"].as_str() {
                Some("subscriptions/listen") if self.speaks() == Speaks::Modern => {
                    let (acknowledgement, honoured) = self.acknowledges(&message);
                    let _ = says.send(acknowledgement);
                    let id = message["id"].clone();
                    listens.insert(id.to_string(), self.carry(&session, Some((id, honoured)), &says));
                }
                Some("notifications/cancelled") => {
                    if let Some(number) = listens.remove(&message["params"]["requestId"].to_string()) {
                        self.closes(number);
                    }
                }
                Some(_) if message.get("id").is_some() => {
                    if let Some(answer) = self.responds(&message, &session) {
                        let _ = says.send(answer);
                    }
                }
                _ => {}
            }
        }
        for number in listens.into_values().chain(standing) {
            self.closes(number);
        }
    }

    fn carry(&self, session: &str, listen: Option<(Value, Value)>, says: &mpsc::UnboundedSender<Value>) -> u64 {
        let (number, mut lines) = self.opens(session, listen);
        let says = says.clone();
        tokio::spawn(async move {
            while let Some(Line::Say(message)) = lines.recv().await {
                if says.send(message).is_err() {
                    return;
                }
            }
        });
        number
    }
}

/// An answer of a server that says something else for each key.
fn marked(mut answer: Value, key: Option<&str>) -> Value {
    let Some(key) = key else { return answer };
    let result = &mut answer["result"];
    if !result["tools"].is_null() {
        result["tools"] = json!([{"name": key, "inputSchema": {"type": "object"}}]);
    }
    if !result["capabilities"].is_null() {
        result["instructions"] = json!(key);
    }
    answer
}

/// Whether a listen is told.
fn wants(filter: &Value, method: &str, params: &Value) -> bool {
    match method.strip_prefix("notifications/").and_then(|m| m.strip_suffix("/list_changed")) {
        Some(kind) => filter[format!("{kind}ListChanged")] == true,
        None => {
            let uris = filter["resourceSubscriptions"].as_array();
            let uri = params["uri"].as_str().unwrap_or_default();
            uris.is_some_and(|named| named.iter().any(|named| uri.starts_with(named.as_str().unwrap())))
        }
    }
}
