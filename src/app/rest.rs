//! Every mount over plain HTTP and JSON: what is mounted, what it offers, and calling it without speaking MCP.
//!
//! A REST request becomes the same [`Call`](crate::hub::Call) that an MCP request becomes, of a client of the newest
//! revision that can be asked nothing, and passes the same layers, hooks and limits on its way. What servers list and
//! answer is passed on as it came; what goes wrong is said as a [`Problem`](super::problem::Problem).

mod accept;
mod ask;
mod audience;
mod body;
mod call;
mod events;
mod faults;
mod lists;
mod mounts;
mod reply;
mod tools;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use http::{Extensions, HeaderMap, request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    auth::{Access, Unidentified},
    downstream::Settings,
    hub::Principal,
    jsonrpc::Raw,
};

use super::{
    gateway::{Closed, Entry, Gateway},
    place::Place,
    problem::{Kind, Problem},
    schema::Schemas,
    table::{Door, Table},
};

pub(super) use self::{
    ask::{Session, described},
    call::{__path_call_tool, __path_get_prompt, call_tool, get_prompt},
    lists::{
        __path_list_prompts, __path_list_resources, __path_list_tools, __path_read_resource, list_prompts,
        list_resources, list_tools, read_resource,
    },
    mounts::{__path_describe_mount, __path_list_mounts, describe_mount, list_mounts, status},
    tools::{Catalog, Tool},
};

/// What the handlers share. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Rest(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gateway: Gateway,
    unidentified: Unidentified,
    settings: Settings,
    place: Place,
    schemas: Schemas,
    tools: tools::Cache,
}

/// Somebody at a mount that is open to them.
pub(super) struct Visit {
    pub(super) entry: Arc<Entry>,
    pub(super) principal: Principal,
}

// === impl Rest ===

impl Rest {
    /// The REST face of a gateway. Requests that are about no mount and that nobody authenticated come from `unidentified`.
    pub(super) fn new(gateway: Gateway, unidentified: Unidentified, settings: Settings, place: Place) -> Self {
        let (schemas, tools) = (Schemas::default(), tools::Cache::default());
        Self(Arc::new(Shared { gateway, unidentified, settings, place, schemas, tools }))
    }

    /// The mounts.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// Adds its routes.
    pub(super) fn add_routes(&self, table: &mut Table) {
        let mut add = |path: &str, methods: MethodRouter<Self>| {
            table.add(Door::Key, path, guarded(methods).with_state(self.clone()));
        };
        add("/api/mounts", get(list_mounts));
        add("/api/mounts/{mount}", get(describe_mount));
        add("/api/mounts/{mount}/tools", get(list_tools));
        add("/api/mounts/{mount}/resources", get(list_resources));
        add("/api/mounts/{mount}/resources/read", get(read_resource));
        add("/api/mounts/{mount}/prompts", get(list_prompts));
        add("/api/mounts/{mount}/tools/{tool}", post(call_tool));
        add("/api/mounts/{mount}/prompts/{prompt}", post(get_prompt));
        for path in ["/api/mounts/", "/api/mounts/{mount}/", "/api/mounts/{mount}/{*path}"] {
            table.add(Door::Key, path, any(nothing));
        }
    }

    /// What comes before a path of ours for the sender of a request.
    pub(super) fn prefix<'a>(&'a self, request: &'a Parts) -> &'a str {
        self.0.place.prefix(request)
    }

    /// Who sends a request that is about no single mount.
    pub(super) fn access(&self, extensions: &Extensions) -> Access {
        Access::of(extensions, self.0.unidentified)
    }

    /// Opens a mount to the sender of a request.
    ///
    /// # Errors
    /// There is no such mount, or it is closed to the sender.
    pub(super) fn enter(&self, name: &str, extensions: &Extensions) -> Result<Visit, Problem> {
        let known = self.0.gateway.entries().iter().find(|entry| entry.name() == name);
        let unidentified = known.map_or(self.0.unidentified, |entry| entry.unidentified());
        let access = Access::of(extensions, unidentified);
        match self.0.gateway.open(name, &access) {
            Ok(entry) => Ok(Visit { entry: entry.clone(), principal: access.principal().clone() }),
            Err(closed) => Err(turned_away(closed, name)),
        }
    }

    /// A session in which the sender of a request uses a mount.
    pub(super) fn session(&self, visit: &Visit, headers: &HeaderMap, events: bool) -> Session {
        Session::new(&self.0.settings, visit, headers, events)
    }
}

fn turned_away(closed: Closed, name: &str) -> Problem {
    let problem = match closed {
        Closed::Unknown => {
            Problem::new(Kind::UnknownMount, "there is no mount of this name; /api/mounts lists those there are")
        }
        Closed::Forbidden => Problem::new(Kind::Forbidden, "your key does not open this mount"),
    };
    problem.with("mount", Raw::from(name))
}

/// Answers what the route has no method for, too, as a problem; axum adds `Allow`.
pub(super) fn guarded<S: Clone + Send + Sync + 'static>(methods: MethodRouter<S>) -> MethodRouter<S> {
    methods.fallback(async || Problem::new(Kind::MethodNotAllowed, "this route has other methods, see `Allow`"))
}

async fn nothing() -> Problem {
    Problem::new(Kind::NotFound, "there is nothing at this path; /openapi.json describes what there is")
}

/// Parts of the path, decoded once.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(named)) = Path::from_request_parts(parts, state).await else {
            return Err(Problem::new(Kind::NotFound, "the path is no UTF-8 once it is decoded, so it names nothing"));
        };
        Ok(Self(named))
    }
}

/// An answer or a problem.
type Answered = Result<Response<Body>, Problem>;

/// The answer of a handler.
fn answer(answered: Answered) -> Response<Body> {
    answered.unwrap_or_else(IntoResponse::into_response)
}
