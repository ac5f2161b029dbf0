//! The OpenAPI 3.1 document: everything that can be called over REST, the tools of every mount included.
//!
//! The fixed part is written once. What servers list is added to it as plain JSON, since a tool's schema is JSON Schema and
//! loses nothing that way. Documents are kept by what they say: a request costs the lists and a look-up, and builds a
//! document only where no recent one says the same.

mod fixed;
mod names;
mod operations;
mod refs;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{Context, SHA256};
use axum::{body::Body, extract::State, response::IntoResponse, routing::get};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use url::Url;

use crate::jsonrpc::{Raw, RawObject};

use self::operations::{Operations, Setting};
use super::{
    gateway::Entry,
    place::nested_below,
    problem::{Kind, Problem},
    rest::{Catalog, Named, Rest, Visit, described, guarded, status},
    table::{Door, Table},
};

pub(super) use self::{fixed::About, names::hex};

/// How many documents and parts of documents are kept, the oldest going first, and how many bytes of each.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 32 << 20;
/// How many texts name what is wrong with a mount, in a document; longer ones are cut.
const REASON: usize = 300;

/// Makes documents. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Documents(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rest: Rest,
    /// What does not depend on servers, with the routes of the application and without.
    fixed: Value,
    own: Value,
    public_url: Option<Url>,
    asks_for_keys: bool,
    /// The ids of the operations in the fixed part.
    taken: Vec<String>,
    parts: Kept<Arc<Operations>>,
    documents: Kept<Document>,
}

/// A document, ready to be sent.
#[derive(Clone, Debug)]
struct Document {
    text: Bytes,
    tag: HeaderValue,
}

type Digest = [u8; 32];

/// What was made of late, by what it says.
#[derive(Debug)]
struct Kept<T>(Mutex<VecDeque<(Digest, T, usize)>>);

/// What a document is about.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// Mounts, and the routes of the application around them.
    Everything,
    /// Mounts, and the routes of Rialto's own.
    Mounts,
    /// One mount alone.
    Mount,
}

/// What one mount adds to a document.
struct Part {
    name: String,
    title: Option<String>,
    status: &'static str,
    reason: Option<String>,
    tools: Option<Arc<Catalog>>,
}

// === impl Documents ===

impl Documents {
    /// Documents of what `rest` serves and of what the application says about itself.
    pub(super) fn new(rest: Rest, about: &About) -> Self {
        let (fixed, own) = (fixed::document(about, &about.custom), fixed::document(about, &[]));
        let taken = fixed::operation_ids(&fixed).map(str::to_owned).collect();
        let (parts, documents) = (Kept::default(), Kept::default());
        let (public_url, asks_for_keys) = (about.public_url.clone(), about.asks_for_keys);
        Self(Arc::new(Shared { rest, fixed, own, public_url, asks_for_keys, taken, parts, documents }))
    }

    /// Adds its routes.
    pub(super) fn add_routes(&self, table: &mut Table) {
        let whole = guarded(get(whole)).with_state(self.clone());
        table.add(Door::Browser, "/openapi.json", whole);
        let one = guarded(get(of_mount)).with_state(self.clone());
        table.add(Door::Browser, "/api/mounts/{mount}/openapi.json", one);
    }

    /// The document about these mounts, for an application that is nested below this path of another.
    async fn document(&self, visits: Vec<Visit>, about: Extent, nested: &str) -> Result<Document, Problem> {
        let parts = join_all(visits.iter().map(|visit| self.part(visit))).await;
        let digest = digest(&parts, about, nested);
        if let Some(known) = self.0.documents.get(&digest) {
            return Ok(known);
        }
        let (own, nested) = (self.clone(), nested.to_owned());
        // Lists may be long, and others wait for this thread.
        let made = tokio::task::spawn_blocking(move || {
            let text = own.write(&parts, about, &nested);
            let tag = format!("\"{}\"", &hex(aws_lc_rs::digest::digest(&SHA256, &text).as_ref())[..32]);
            let tag = HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"-\""));
            Document { text, tag }
        });
        let failed = |_| Problem::new(Kind::Internal, "the document could not be written");
        let document = made.await.map_err(failed)?;
        self.0.documents.keep(digest, &document, document.text.len());
        Ok(document)
    }

    async fn part(&self, visit: &Visit) -> Part {
        let entry: &Entry = &visit.entry;
        let session = self.0.rest.session(visit, &HeaderMap::new(), false);
        let found = described(&**entry.mount(), self.0.rest.catalog(&session)).await;
        let (status, reason, tools) = match found {
            Ok(tools) => ("up", None, Some(tools)),
            Err(reason) => ("down", Some(status(entry).1.unwrap_or(reason).chars().take(REASON).collect()), None),
        };
        Part { name: entry.name().to_owned(), title: entry.title().map(str::to_owned), status, reason, tools }
    }

    fn write(&self, parts: &[Part], about: Extent, nested: &str) -> Bytes {
        let shared = &*self.0;
        let fixed = match (about, parts) {
            (Extent::Mount, [part]) => {
                Raw::of(&fixed::of_mount(&shared.own, &part.name, part.title.as_deref().unwrap_or(&part.name)))
            }
            (Extent::Everything, _) => Raw::of(&shared.fixed),
            (Extent::Mounts | Extent::Mount, _) => Raw::of(&shared.own),
        };
        let mut document = fixed.to_object().unwrap_or_default();
        let mut components = document.get_object("components").unwrap_or_default();
        let mut paths = Collected::of(document.get_object("paths"));
        let mut schemas = Collected::of(components.get_object("schemas"));
        let mut tags = document.get("tags").and_then(Raw::to_array).unwrap_or_default();
        for part in parts {
            let operations = part.tools.as_ref().map(|tools| self.operations(&part.name, tools));
            if let Some(operations) = &operations {
                paths.extend(&operations.paths);
                schemas.extend(&operations.schemas);
            }
            let own = tag(part, operations.as_deref());
            // The routes of the application may stand under the same name.
            let mut known = tags.iter_mut().filter_map(|tag| Some((tag.to_object()?, tag)));
            match known.find(|(known, _)| known.get("name").is_some_and(|name| name.is_text(&part.name))) {
                Some((mut known, tag)) => {
                    for (name, value) in own.iter().filter(|(name, _)| name.starts_with("x-")) {
                        known.set(&name, value.clone());
                    }
                    *tag = known.to_raw();
                }
                None => tags.push(own.to_raw()),
            }
        }
        components.set("schemas", schemas.into_raw());
        document.set("servers", Raw::of(&fixed::servers(shared.public_url.as_ref(), nested)));
        document.set("paths", paths.into_raw());
        document.set("components", components.to_raw());
        document.set("tags", Raw::array(&tags));
        document.to_raw().bytes()
    }

    fn operations(&self, mount: &str, tools: &Catalog) -> Arc<Operations> {
        let mut context = Context::new(&SHA256);
        context.update(tools.digest());
        context.update(mount.as_bytes());
        let digest = finish(context);
        if let Some(known) = self.0.parts.get(&digest) {
            return known;
        }
        let mounts: Vec<&str> = self.0.rest.gateway().entries().iter().map(|entry| entry.name()).collect();
        let setting = Setting { mount, mounts: &mounts, taken: &self.0.taken, asks_for_keys: self.0.asks_for_keys };
        let operations = Arc::new(operations::of_catalog(tools, &setting));
        self.0.parts.keep(digest, &operations, operations.bytes);
        operations
    }
}

/// The tag under which a mount's operations stand, with its status: a mount that is down leaves nothing else behind.
fn tag(part: &Part, operations: Option<&Operations>) -> RawObject {
    let mcp = format!("`/mcp/{}`", part.name);
    let name = part.title.as_deref().unwrap_or("An MCP server");
    let description = match &part.reason {
        Some(reason) => format!("{name}, for MCP clients at {mcp}. It is down: {reason}"),
        None => format!("{name}, for MCP clients at {mcp}."),
    };
    let mut tag = json!({"name": part.name, "description": description, "x-rialto-status": part.status});
    let left_out = operations.map(|o| &*o.left_out).unwrap_or_default();
    if !left_out.is_empty() {
        tag["x-rialto-left-out"] = json!(left_out);
    }
    Raw::of(&tag).to_object().unwrap_or_default()
}

/// Members that are put together, each name once: the first that brings one keeps it.
#[derive(Default)]
struct Collected {
    names: HashSet<String>,
    members: Vec<(String, Raw)>,
}

impl Collected {
    fn of(object: Option<RawObject>) -> Self {
        let mut own = Self::default();
        let object = object.unwrap_or_default();
        own.extend(object.iter().map(|(name, raw)| (name.into_owned(), raw.clone())).collect::<Vec<_>>().iter());
        own
    }

    fn extend<'a>(&mut self, members: impl IntoIterator<Item = &'a (String, Raw)>) {
        for (name, raw) in members {
            if self.names.insert(name.clone()) {
                self.members.push((name.clone(), raw.clone()));
            }
        }
    }

    fn into_raw(self) -> Raw {
        self.members.into_iter().collect::<RawObject>().to_raw()
    }
}

/// What a document of these parts says, in short.
fn digest(parts: &[Part], about: Extent, nested: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[about as u8]);
    context.update(json!(nested).to_string().as_bytes());
    for part in parts {
        let facts = json!([part.name, part.status, part.reason, part.tools.as_ref().map(|tools| hex(tools.digest()))]);
        context.update(facts.to_string().as_bytes());
    }
    finish(context)
}

fn finish(context: Context) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

// === impl Kept ===

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Kept<T> {
    fn get(&self, digest: &Digest) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, ..)| known == digest).map(|(_, value, _)| value.clone())
    }

    fn keep(&self, digest: Digest, value: &T, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|(known, ..)| *known == digest) {
            return;
        }
        kept.push_back((digest, value.clone(), bytes));
        while kept.len() > 1 && (kept.len() > KEPT || kept.iter().map(|(.., bytes)| bytes).sum::<usize>() > KEPT_BYTES)
        {
            kept.pop_front();
        }
    }
}

async fn whole(State(documents): State<Documents>, parts: Parts) -> Response<Body> {
    let rest = &documents.0.rest;
    let access = rest.access(&parts.extensions);
    let names: Vec<_> = rest.gateway().open_to(&access).map(|entry| entry.name().to_owned()).collect();
    let visits = names.iter().filter_map(|name| rest.enter(name, &parts.extensions).ok()).collect();
    // Who may not use the routes of the application hears nothing of them either.
    let about = if access.may_use_routes() { Extent::Everything } else { Extent::Mounts };
    answer(documents.document(visits, about, nested_below(&parts)).await, &parts.headers)
}

async fn of_mount(State(documents): State<Documents>, Named(mount): Named<String>, parts: Parts) -> Response<Body> {
    let document = match documents.0.rest.enter(&mount, &parts.extensions) {
        Ok(visit) => documents.document(vec![visit], Extent::Mount, nested_below(&parts)).await,
        Err(problem) => Err(problem),
    };
    answer(document, &parts.headers)
}

fn answer(document: Result<Document, Problem>, headers: &HeaderMap) -> Response<Body> {
    let document = match document {
        Ok(document) => document,
        Err(problem) => return problem.into_response(),
    };
    let mut response = match is_known(headers, &document.tag) {
        true => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        false => {
            let mut response = Response::new(Body::from(document.text));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, document.tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// Whether the client has what would be sent (RFC 9110, section 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
