//! A list cut into pages, with cursors that only their owner can use.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    hub::{Credentials, Fault},
    jsonrpc::{Raw, RawObject, code},
    seal::{Purpose, Sealer, random_token},
};

/// How long the pages behind a cursor are kept.
const KEPT: Duration = Duration::from_secs(300);
/// How many lists are kept for cursors. Where there are as many, whoever has the most of them gives up its oldest: nobody pushes
/// out the lists of one that has less than an equal part.
const SNAPSHOTS: usize = 64;

/// What a cursor says once it is opened.
#[derive(Serialize, Deserialize)]
struct Place {
    snapshot: String,
    page: usize,
}

/// The pages of one list, each a result of its own in the shape of the caller's revision.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) pages: Vec<RawObject>,
    /// What their cursors know them by.
    id: String,
    /// Until when the list holds.
    until: Instant,
}

impl Pages {
    /// One of the pages, the first being 0. Where its revision has it say how long it holds, it says how long that still is.
    pub(super) fn page(&self, number: usize) -> Option<RawObject> {
        let mut page = self.pages.get(number)?.clone();
        if page.has("ttlMs") {
            let left = self.until.saturating_duration_since(Instant::now());
            page.set("ttlMs", Raw::of(&u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
        }
        Some(page)
    }
}

struct Snapshot {
    /// On whose account it is.
    principal: String,
    owner: String,
    credentials: Credentials,
    pages: Arc<Pages>,
    expires: Instant,
}

/// The lists whose cursors are out.
pub(super) struct Snapshots {
    /// The most items on a page.
    items: usize,
    /// The most bytes of items on a page, unless a single item is larger.
    bytes: usize,
    kept: Mutex<VecDeque<Snapshot>>,
}

/// Whose list it is: cursors are bound to all of it.
pub(super) struct Owner<'a> {
    pub(super) sealer: &'a Sealer,
    pub(super) principal: &'a str,
    pub(super) mount: &'a str,
    /// Method, capabilities and revision: a cursor of one view opens no other.
    pub(super) view: String,
    /// What its requests send along.
    pub(super) credentials: &'a Credentials,
}

impl Snapshots {
    /// None yet. No page has more than so many items and bytes, unless a single item is larger.
    pub(super) fn new(items: usize, bytes: usize) -> Self {
        Self { items, bytes, kept: Mutex::default() }
    }

    /// Cuts `items` into pages around `frame`, a list result whose items and cursor are replaced and which holds until then.
    /// Where there is more than one page they are kept for the cursors.
    pub(super) fn cut(
        &self,
        owner: &Owner<'_>,
        (frame, until): (&RawObject, Instant),
        member: &str,
        items: &[Raw],
    ) -> Arc<Pages> {
        let mut parts: Vec<&[Raw]> = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, item) in items.iter().enumerate() {
            let size = item.as_bytes().len();
            if at > start && (at - start >= self.items || bytes + size > self.bytes) {
                parts.push(&items[start..at]);
                (start, bytes) = (at, 0);
            }
            bytes += size;
        }
        parts.push(&items[start..]);

        let id = random_token::<16>();
        let last = parts.len() - 1;
        let pages = parts
            .iter()
            .enumerate()
            .map(|(n, part)| {
                let mut page = frame.clone();
                page.set(member, Raw::array(part));
                page.remove("nextCursor");
                if n < last {
                    let place = Raw::of(&Place { snapshot: id.clone(), page: n + 1 });
                    let cursor = owner.sealer.seal(Purpose::Cursor, owner.principal, owner.mount, place.as_bytes());
                    page.set("nextCursor", Raw::from(&*cursor));
                }
                page
            })
            .collect();
        let pages = Arc::new(Pages { pages, id, until });
        self.keep(owner, &pages);
        pages
    }

    /// Keeps the pages of a list whose first page is handed out, where there are more than that: its cursors are good for as
    /// long as those of any other, though the list may have been fetched long ago.
    pub(super) fn keep(&self, owner: &Owner<'_>, pages: &Arc<Pages>) {
        if pages.pages.len() < 2 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|s| s.expires > now && s.pages.id != pages.id);
        if kept.len() >= SNAPSHOTS {
            give_up(&mut kept, owner.principal);
        }
        let (principal, credentials, expires) = (owner.principal.to_owned(), owner.credentials.clone(), now + KEPT);
        kept.push_back(Snapshot { principal, owner: owner.view.clone(), credentials, pages: pages.clone(), expires });
    }

    /// The page that a cursor stands for.
    pub(super) fn at(&self, owner: &Owner<'_>, cursor: &Raw) -> Result<RawObject, Fault> {
        let invalid = || Fault::error(code::INVALID_PARAMS, "invalid or expired cursor");
        let cursor = cursor.as_text().ok_or_else(invalid)?;
        let opened =
            owner.sealer.open(Purpose::Cursor, owner.principal, owner.mount, &cursor).map_err(|_| invalid())?;
        let place: Place = serde_json::from_slice(&opened).map_err(|_| invalid())?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = kept
            .iter()
            .find(|s| s.pages.id == place.snapshot && s.owner == owner.view && s.credentials == *owner.credentials)
            .filter(|s| s.expires > Instant::now())
            .ok_or_else(invalid)?;
        snapshot.pages.page(place.page).ok_or_else(invalid)
    }
}

/// Makes room for one more list of `principal`: the oldest goes of whoever has the most, the new one counted as one that its
/// owner has already.
fn give_up(kept: &mut VecDeque<Snapshot>, principal: &str) {
    let mut counts = HashMap::from([(principal, 1_usize)]);
    for snapshot in kept.iter() {
        *counts.entry(&*snapshot.principal).or_default() += 1;
    }
    let most = counts.values().copied().max();
    let oldest = kept.iter().position(|snapshot| counts.get(&*snapshot.principal).copied() == most);
    kept.remove(oldest.unwrap_or_default());
}
