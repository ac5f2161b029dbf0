//! What the servers offer, as far as it can be known without waiting for them.
//!
//! A page asks each server that is up, waits a moment, and shows what it knows by then. A server that takes longer is not
//! asked again for each page: its answer is put on the shelf whenever it comes, and the next page finds it there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    downstream::Scopes,
    hub::{
        Answering, Attempt, Call, Caller, Credentials, Description, Fault, Health, Life, LifeLimits, Mount, Outcome,
        Principal, Scope, SilentPeer,
    },
    jsonrpc::{Raw, RawObject},
    protocol::{ClientCapabilities, Method, Revision},
};

use super::super::gateway::Entry;

/// How long a page waits for servers, all of them together.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long an inventory is shown before the server is asked again.
const FRESH: Duration = Duration::from_secs(10);
/// How long a server has to answer before it counts as having said nothing.
const LIMIT: Duration = Duration::from_secs(10);
/// How many inventories are kept, one for each mount and principal that looked. All are forgotten when there are more: they
/// are asked for again.
const KEPT: usize = 1024;

/// What a server offers to somebody.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    /// What the server calls itself, for people where it says so.
    pub(super) name: Option<String>,
    /// Its own version.
    pub(super) version: Option<String>,
    /// Families with how many of each there are. A family that the server does not offer is left out.
    pub(super) counts: Vec<(&'static str, Count)>,
}

/// How many of something there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(usize),
    /// The list goes on after so many.
    MoreThan(usize),
}

/// The inventories of late.
pub(super) struct Shelf {
    scopes: Arc<Scopes>,
    kept: Mutex<HashMap<(String, Principal), Kept>>,
}

struct Kept {
    asked: Instant,
    found: Option<Inventory>,
}

impl Shelf {
    pub(super) fn new(scopes: Arc<Scopes>) -> Arc<Self> {
        Arc::new(Self { scopes, kept: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Principal), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each of these mounts offers to `principal`, where it is known or found out at once.
    pub(super) async fn look(
        self: &Arc<Self>,
        entries: &[Arc<Entry>],
        principal: &Principal,
    ) -> Vec<Option<Inventory>> {
        let until = Instant::now() + PATIENCE;
        let mut asked = Vec::new();
        for entry in entries {
            if entry.mount().health() == Health::Up && self.is_wanted(entry.name(), principal) {
                asked.push(self.ask(entry.mount().clone(), principal));
            }
        }
        for asking in asked {
            // It goes on without us.
            let _ = timeout_at(until, asking).await;
        }
        let kept = self.lock();
        let of = |entry: &Arc<Entry>| kept.get(&(entry.name().to_owned(), principal.clone()))?.found.clone();
        entries.iter().map(of).collect()
    }

    /// Whether a mount has to be asked; whoever is told so asks it.
    fn is_wanted(&self, mount: &str, principal: &Principal) -> bool {
        let mut kept = self.lock();
        let now = Instant::now();
        if kept.len() >= KEPT {
            kept.clear();
        }
        let kept = kept.entry((mount.to_owned(), principal.clone()));
        match kept {
            std::collections::hash_map::Entry::Occupied(mut kept) => {
                let is_stale = now.duration_since(kept.get().asked) >= FRESH;
                if is_stale {
                    kept.get_mut().asked = now;
                }
                is_stale
            }
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Kept { asked: now, found: None });
                true
            }
        }
    }

    fn ask(self: &Arc<Self>, mount: Arc<dyn Mount>, principal: &Principal) -> tokio::task::JoinHandle<()> {
        let (shelf, principal) = (self.clone(), principal.clone());
        let caller = Arc::new(plain(&principal, self.scopes.of(&principal)));
        tokio::spawn(async move {
            let found = timeout(LIMIT, inventory(&mount, &caller)).await;
            if let Ok(Ok(found)) = found
                && let Some(kept) = shelf.lock().get_mut(&(mount.name().to_owned(), principal))
            {
                kept.found = Some(found);
            }
        })
    }
}

/// A client that declares nothing. It shares the sessions of its principal, so that looking at a page starts no child that
/// would not run anyway.
fn plain(principal: &Principal, scope: Arc<Scope>) -> Caller {
    Caller {
        principal: principal.clone(),
        scope,
        credentials: Credentials::default(),
        revision: Revision::NEWEST_MODERN,
        client_info: None,
        capabilities: ClientCapabilities::default(),
        fingerprint: "".into(),
        log_level: None,
        answers: Answering::Retry,
    }
}

/// Asks a server who it is and what it lists.
async fn inventory(mount: &Arc<dyn Mount>, caller: &Arc<Caller>) -> Result<Inventory, Fault> {
    let description = mount.describe(caller).await?;
    let (name, version) = identity(&description);
    let mut counts = Vec::new();
    for (family, method) in
        [("tools", Method::ToolsList), ("resources", Method::ResourcesList), ("prompts", Method::PromptsList)]
    {
        if method.family().is_some_and(|family| description.offers(family))
            && let Ok(count) = count(mount, caller, method).await
        {
            counts.push((family, count));
        }
    }
    Ok(Inventory { name, version, counts })
}

fn identity(description: &Description) -> (Option<String>, Option<String>) {
    let info = description.server_info.as_ref().and_then(Raw::to_object).unwrap_or_default();
    let text = |name: &str| Some(info.get(name)?.as_text()?.into_owned()).filter(|text| !text.trim().is_empty());
    (text("title").or_else(|| text("name")), text("version"))
}

/// How many items the first page of a list has.
async fn count(mount: &Arc<dyn Mount>, caller: &Arc<Caller>, method: Method) -> Result<Count, Fault> {
    let member = method.list_member().unwrap_or_default();
    let outcome = mount
        .call(Call {
            caller: caller.clone(),
            method,
            params: RawObject::new(),
            attempt: Attempt::First,
            peer: Arc::new(SilentPeer),
            headers: Vec::new(),
            life: Life::new(LifeLimits { silent: LIMIT, total: LIMIT }),
        })
        .await?;
    let Outcome::Complete(result) = outcome else { return Ok(Count::Exactly(0)) };
    let result = result.to_object().unwrap_or_default();
    let items = result.get(member).and_then(Raw::to_array).map_or(0, |items| items.len());
    Ok(match result.get("nextCursor").is_some_and(|cursor| !cursor.is_null()) {
        true => Count::MoreThan(items),
        false => Count::Exactly(items),
    })
}
