//! The page at `/`: what is mounted, what is up, and how to connect.
//!
//! It is one HTML page and one style sheet of our own: no script, nothing inline, nothing from elsewhere, so that its policy
//! can forbid all of it. Whatever servers and configuration say is written as text, see `view`.

mod assets;
mod inventory;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use crate::{
    auth::{Access, Unidentified},
    downstream::Settings,
    hub::Principal,
};

use self::{
    assets::etag,
    inventory::Shelf,
    view::{Home, Links, Visitor},
};

use super::{
    gateway::Gateway,
    place::Place,
    table::{Door, Table},
};

/// What a page may load: our style sheet, our icon, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'self'";

/// The pages of an application.
#[derive(Clone)]
pub(super) struct Pages {
    shelf: Arc<Shelf>,
    gateway: Gateway,
    unidentified: Unidentified,
    place: Place,
}

impl Pages {
    pub(super) fn new(gateway: &Gateway, settings: &Settings, unidentified: Unidentified, place: &Place) -> Self {
        Self {
            shelf: Shelf::new(settings.scopes.clone()),
            gateway: gateway.clone(),
            unidentified,
            place: place.clone(),
        }
    }

    /// Adds the routes. They link to those that are there already, and to `more`.
    pub(super) fn add_routes(self, table: &mut Table, more: Option<&str>) {
        let links = Links::among(table.routes().iter().map(|route| &*route.path).chain(more));
        table.add(Door::Browser, "/", get(home).with_state((self, Arc::new(links))));
        // Open to everybody: they are the same in every gateway, and the page that asks for a key may want them.
        assets::add_routes(table);
    }
}

async fn home(State((pages, links)): State<(Pages, Arc<Links>)>, parts: Parts) -> Response {
    let access = Access::of(&parts.extensions, pages.unidentified);
    let is_known = parts.extensions.get::<Access>().is_some() || parts.extensions.get::<Principal>().is_some();
    let entries: Vec<_> = pages.gateway.open_to(&access).cloned().collect();
    let inventories = pages.shelf.look(&entries, access.principal()).await;
    let base = pages.place.base(&parts);
    let below = pages.place.prefix(&parts);
    let visitor = Visitor::new(&access, is_known);
    let home = Home::new(&base, below, &visitor, &links, entries.iter().map(|entry| &**entry).zip(&inventories));
    match home.render() {
        Ok(text) => page(text, &parts.headers),
        Err(error) => {
            tracing::error!(%error, "the page could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n").into_response()
        }
    }
}

/// A page as an answer: to be looked at again each time, and sent again only when it changed.
fn page(text: String, request: &HeaderMap) -> Response {
    let tag = etag(text.as_bytes());
    let is_current = request.get(header::IF_NONE_MATCH).is_some_and(|known| assets::matches(known, &tag));
    let mut response = if is_current {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "host"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, tag);
    response
}
