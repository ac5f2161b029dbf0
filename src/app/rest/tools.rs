//! The tools of a mount as a principal sees them, kept for a moment.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::time::Instant;

use crate::{
    app::schema::Schema,
    hub::{Fault, Principal},
    jsonrpc::{Raw, RawObject},
    protocol::Method,
};

use super::{
    Rest, Visit,
    ask::{Listed, Session},
    faults::{self, Wish},
};
use crate::app::problem::Problem;

/// How long a list is kept. Servers whose lists change, or that do not say for how long they hold, are asked once in this
/// time, however many calls come; what a server or a hook allows is decided anew with every call.
const KEPT: Duration = Duration::from_secs(2);
/// How many lists are kept, the oldest going first, and how many bytes.
const LISTS: usize = 1_024;
const BYTES: usize = 64 << 20;

/// The tools of a mount.
#[derive(Debug)]
pub(in crate::app) struct Catalog {
    tools: Vec<Tool>,
    by_name: HashMap<String, usize>,
    fetched: Instant,
    bytes: usize,
    /// What the list says, in short.
    digest: [u8; 32],
}

/// One tool.
#[derive(Debug)]
pub(in crate::app) struct Tool {
    /// Its name.
    pub(in crate::app) name: String,
    /// All of it, as it was listed.
    pub(in crate::app) object: RawObject,
    schema: OnceLock<Option<Arc<Schema>>>,
}

/// The lists of late.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Kept>);

type Key = (String, Principal);

#[derive(Debug, Default)]
struct Kept {
    lists: HashMap<Key, Arc<Catalog>>,
    order: VecDeque<Key>,
    bytes: usize,
}

// === impl Catalog ===

impl Catalog {
    fn read(listed: Listed) -> Self {
        let mut tools = Vec::with_capacity(listed.items.len());
        let mut by_name = HashMap::with_capacity(listed.items.len());
        let mut digest = Context::new(&SHA256);
        let mut bytes = 0;
        for item in listed.items {
            let Some(object) = item.to_object() else { continue };
            let Some(name) = object.get("name").and_then(Raw::as_text).map(std::borrow::Cow::into_owned) else {
                continue;
            };
            // Of two tools with one name nobody can tell which would run. The first is the one that is described.
            if by_name.contains_key(&name) {
                continue;
            }
            bytes += item.as_bytes().len();
            digest.update(item.as_bytes());
            digest.update(b"\n");
            by_name.insert(name.clone(), tools.len());
            tools.push(Tool { name, object, schema: OnceLock::new() });
        }
        let mut own = [0; 32];
        own.copy_from_slice(digest.finish().as_ref());
        Self { tools, by_name, fetched: Instant::now(), bytes, digest: own }
    }

    /// The tools, in the order of the list.
    pub(in crate::app) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// What the list says, in short: equal for equal lists.
    pub(in crate::app) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn find(&self, name: &str) -> Option<&Tool> {
        self.by_name.get(name).map(|at| &self.tools[*at])
    }
}

// === impl Cache ===

impl Cache {
    fn get(&self, key: &Key) -> Option<Arc<Catalog>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lists.get(key).filter(|list| list.fetched.elapsed() < KEPT).cloned()
    }

    fn keep(&self, key: Key, list: &Arc<Catalog>) {
        if list.bytes > BYTES / 4 {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = kept.lists.insert(key.clone(), list.clone()) {
            kept.bytes -= before.bytes;
        } else {
            kept.order.push_back(key);
        }
        kept.bytes += list.bytes;
        while kept.order.len() > LISTS || kept.bytes > BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.lists.remove(&oldest) {
                kept.bytes -= gone.bytes;
            }
        }
    }
}

// === impl Rest ===

impl Rest {
    /// The tools of a mount as the caller of a session sees them.
    pub(in crate::app) async fn catalog(&self, session: &Session) -> Result<Arc<Catalog>, Fault> {
        if let Some(kept) = self.0.tools.get(&key(session)).filter(|_| !session.is_special()) {
            return Ok(kept);
        }
        self.fresh_catalog(session).await
    }

    async fn fresh_catalog(&self, session: &Session) -> Result<Arc<Catalog>, Fault> {
        let catalog = Arc::new(Catalog::read(session.list(Method::ToolsList).await?));
        if !session.is_special() {
            self.0.tools.keep(key(session), &catalog);
        }
        Ok(catalog)
    }

    /// The schema that the arguments of a tool have to match; `None` where it declares none.
    ///
    /// # Errors
    /// There is no such tool, or nobody can tell.
    pub(super) async fn tool_schema(
        &self,
        visit: &Visit,
        session: &Session,
        name: &str,
    ) -> Result<Option<Arc<Schema>>, Problem> {
        let failed = |fault: Fault| visit.problem(&fault, Wish::Mount);
        let mut catalog = self.catalog(session).await.map_err(failed)?;
        if catalog.find(name).is_none() {
            // It may have come meanwhile.
            catalog = self.fresh_catalog(session).await.map_err(failed)?;
        }
        let Some(tool) = catalog.find(name) else { return Err(faults::unknown_tool(visit.entry.name(), name)) };
        let schema = tool.schema.get_or_init(|| tool.object.get("inputSchema").map(|text| self.0.schemas.schema(text)));
        Ok(schema.clone())
    }
}

fn key(session: &Session) -> Key {
    (session.mount.name().to_owned(), session.caller.principal.clone())
}
