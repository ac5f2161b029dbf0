//! What a server lists and says about itself, kept as long as the protocol allows.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    hub::{Caller, Credentials, Description, Fault, Principal},
    jsonrpc::{Raw, RawObject, code},
    protocol::{Method, Revision, headers::ToolHeaders, ladder::Plan, method::notification, tasks::Support},
};

use super::pages::Pages;

/// How many views of one server are kept, the longest unused going first.
const VIEWS: usize = 512;
/// The longest that anything is kept, whatever the server says.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Who sees the same lists: servers may vary them by principal, by what is sent along, by declared capabilities and by revision, and a client's
/// own session may have changed its lists by what was called in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    principal: Principal,
    credentials: Credentials,
    fingerprint: Arc<str>,
    revision: Revision,
    session: Option<u64>,
}

/// Something kept until a time, and only while nothing changed.
struct Kept<T> {
    value: T,
    epoch: u64,
    until: Instant,
}

/// What the gateway needs to know about each tool of a server.
#[derive(Debug, Default)]
pub(super) struct Tools {
    listed: HashMap<String, Tool>,
    /// Those that no client is shown, for their annotations are invalid.
    left_out: HashSet<String>,
}

/// One tool.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    /// The arguments its callers mirror in headers.
    pub(super) headers: Arc<ToolHeaders>,
    /// Whether its output schema was wrapped for the client.
    pub(super) wrapped: bool,
    /// How it may be a task, by the word of a legacy server.
    pub(super) tasks: Support,
    /// Whether running it twice does no more than running it once, by the word of the server.
    pub(super) repeatable: bool,
}

/// Whether a tool is annotated as one that changes nothing, or nothing more when it is called again (2025-11-25,
/// server/tools#tool: `ToolAnnotations`).
fn is_repeatable(tool: &RawObject) -> bool {
    let annotations = tool.get_object("annotations").unwrap_or_default();
    ["readOnlyHint", "idempotentHint"].iter().any(|hint| annotations.get(hint).and_then(Raw::as_bool) == Some(true))
}

impl Tools {
    /// Reads the tools of a list, `server` as the server sent it and `client` as the client sees it.
    pub(super) fn read(plan: Plan, server: &[Raw], client: &[Raw]) -> Self {
        let name = |tool: &RawObject| Some(tool.get("name")?.as_text()?.into_owned());
        let no_headers = Arc::new(ToolHeaders::default());
        let mut tools: HashMap<String, Tool> = client
            .iter()
            .filter_map(|tool| {
                let annotated = memchr::memmem::find(tool.as_bytes(), b"x-mcp-header").is_some();
                let tool = tool.to_object()?;
                let headers = match tool.get("inputSchema").filter(|_| annotated) {
                    Some(schema) => ToolHeaders::read(schema).map_or_else(|_| no_headers.clone(), Arc::new),
                    None => no_headers.clone(),
                };
                Some((name(&tool)?, Tool { headers, wrapped: false, tasks: Support::Forbidden, repeatable: false }))
            })
            .collect();
        for tool in server.iter().filter(|t| memchr::memmem::find(t.as_bytes(), b"outputSchema").is_some()) {
            if let Some(tool) = tool.to_object().filter(|tool| plan.wraps_output(tool))
                && let Some(known) = name(&tool).and_then(|n| tools.get_mut(&n))
            {
                known.wrapped = true;
            }
        }
        for tool in server.iter().filter(|t| memchr::memmem::find(t.as_bytes(), b"taskSupport").is_some()) {
            if let Some(tool) = tool.to_object()
                && let Some(known) = name(&tool).and_then(|n| tools.get_mut(&n))
            {
                known.tasks = Support::of(&tool);
            }
        }
        for tool in server.iter().filter(|t| memchr::memmem::find(t.as_bytes(), b"Hint").is_some()) {
            if let Some(tool) = tool.to_object()
                && let Some(known) = name(&tool).and_then(|n| tools.get_mut(&n))
            {
                known.repeatable = is_repeatable(&tool);
            }
        }
        let left_out = match server.len() > client.len() {
            true => {
                server.iter().filter_map(|tool| name(&tool.to_object()?)).filter(|n| !tools.contains_key(n)).collect()
            }
            false => HashSet::new(),
        };
        Self { listed: tools, left_out }
    }

    /// A tool; `None` for one that the server did not list.
    ///
    /// # Errors
    /// For a tool that was left out of the list. A client cannot know how to call it, and neither can the gateway.
    pub(super) fn find(&self, name: &str) -> Result<Option<&Tool>, Fault> {
        if self.left_out.contains(name) {
            let message = "this tool cannot be called: the `x-mcp-header` annotations of its input schema are invalid";
            return Err(Fault::error(code::INVALID_PARAMS, message));
        }
        Ok(self.listed.get(name))
    }
}

/// One view of a server.
#[derive(Default)]
pub(super) struct View {
    used: Mutex<Option<Instant>>,
    description: Mutex<Option<Kept<Arc<Description>>>>,
    lists: [Mutex<Option<Kept<Arc<Pages>>>>; 4],
    tools: Mutex<Option<(u64, Arc<Tools>)>>,
    /// Held while a list that can be kept is fetched, so that it is fetched once.
    pub(super) fetching: [tokio::sync::Mutex<()>; 4],
}

/// The number of a list among the four.
pub(super) fn list_index(method: &Method) -> usize {
    match method {
        Method::ToolsList => 0,
        Method::PromptsList => 1,
        Method::ResourcesList => 2,
        _ => 3,
    }
}

/// The views of one server.
#[derive(Default)]
pub(super) struct Catalog {
    views: Mutex<HashMap<Key, Arc<View>>>,
    /// Raised with each change: tools, prompts, resources.
    epochs: [AtomicU64; 3],
    /// What the server was last known to speak.
    spoken: Mutex<Option<Revision>>,
}

impl Catalog {
    /// The view of a caller, of its own where its session is open. What is `public` is the same for all principals.
    pub(super) fn view(self: &Arc<Self>, caller: &Caller, own_session: bool, public: bool) -> Arc<View> {
        let is_own = own_session && caller.scope.is_session() || caller.scope.is_part();
        let session = is_own.then(|| caller.scope.id());
        let key = Key {
            principal: if public { Principal::anonymous() } else { caller.principal.clone() },
            credentials: caller.credentials.clone(),
            fingerprint: caller.fingerprint.clone(),
            revision: caller.revision,
            session,
        };
        let mut views = lock(&self.views);
        let now = Instant::now();
        if let Some(view) = views.get(&key) {
            *lock(&view.used) = Some(now);
            return view.clone();
        }
        if views.len() >= VIEWS
            && let Some(oldest) = views.iter().min_by_key(|(_, v)| *lock(&v.used)).map(|(k, _)| k.clone())
        {
            views.remove(&oldest);
        }
        let view = Arc::new(View { used: Mutex::new(Some(now)), ..View::default() });
        views.insert(key.clone(), view.clone());
        if let Some(session) = session {
            caller.scope.on_close(self, move |catalog| {
                lock(&catalog.views).retain(|key, _| key.session != Some(session));
            });
        }
        view
    }

    /// Notes what the server speaks. What it said in the other era was translated for that one, and is forgotten.
    pub(super) fn speaks(&self, revision: Revision) {
        let before = lock(&self.spoken).replace(revision);
        if before.is_some_and(|before| before.era() != revision.era()) {
            lock(&self.views).clear();
            for epoch in &self.epochs {
                epoch.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// What the server was last known to speak.
    pub(super) fn spoken(&self) -> Option<Revision> {
        *lock(&self.spoken)
    }

    /// Which epoch a list belongs to now. Taken before it is fetched, so that a change meanwhile makes it stale.
    pub(super) fn epoch(&self, method: &Method) -> u64 {
        self.epochs[list_index(method).min(2)].load(Ordering::Acquire)
    }

    /// Whether any list is kept that a change would make stale.
    pub(super) fn keeps_lists(&self) -> bool {
        let (views, now) = (lock(&self.views), Instant::now());
        let holds = |list: &Mutex<Option<Kept<Arc<Pages>>>>| lock(list).as_ref().is_some_and(|kept| kept.until > now);
        views.values().any(|view| view.lists.iter().any(holds))
    }

    /// The server announced a change: what is kept of that family is stale.
    pub(super) fn changed(&self, announcement: &str) {
        let family = match announcement {
            notification::TOOLS_CHANGED => 0,
            notification::PROMPTS_CHANGED => 1,
            _ => 2,
        };
        self.epochs[family].fetch_add(1, Ordering::AcqRel);
    }
}

impl View {
    /// A list that is fresh.
    pub(super) fn list(&self, method: &Method, epoch: u64) -> Option<Arc<Pages>> {
        let list = lock(&self.lists[list_index(method)]);
        list.as_ref().filter(|k| k.epoch == epoch && k.until > Instant::now()).map(|k| k.value.clone())
    }

    /// Keeps a list.
    pub(super) fn keep_list(&self, method: &Method, epoch: u64, pages: &Arc<Pages>, ttl: Duration) {
        let kept =
            (!ttl.is_zero()).then(|| Kept { value: pages.clone(), epoch, until: Instant::now() + ttl.min(LONGEST) });
        *lock(&self.lists[list_index(method)]) = kept;
    }

    /// The tools as they were last listed, unless they changed since.
    pub(super) fn tools(&self, epoch: u64) -> Option<Arc<Tools>> {
        lock(&self.tools).as_ref().filter(|(own, _)| *own == epoch).map(|(_, tools)| tools.clone())
    }

    /// Keeps what is known about the tools.
    pub(super) fn keep_tools(&self, epoch: u64, tools: Arc<Tools>) {
        *lock(&self.tools) = Some((epoch, tools));
    }

    /// Forgets the tools: the server disputes what we know of them.
    pub(super) fn forget_tools(&self) {
        *lock(&self.tools) = None;
        *lock(&self.lists[0]) = None;
    }

    /// The description, while it is fresh.
    pub(super) fn description(&self) -> Option<Arc<Description>> {
        let description = lock(&self.description);
        description.as_ref().filter(|k| k.until > Instant::now()).map(|k| k.value.clone())
    }

    /// Keeps the description.
    pub(super) fn keep_description(&self, description: &Arc<Description>, ttl: Duration) {
        let until = Instant::now() + ttl.min(LONGEST);
        *lock(&self.description) = Some(Kept { value: description.clone(), epoch: 0, until });
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
