//! The routes of a gateway, and which of its doors each one has.
//!
//! Routes of our own reach the router only through the table, so that what the table lists is what there is: the
//! authentication layer reads the doors from it, and the tests sweep it.

use axum::routing::MethodRouter;

pub use crate::auth::{Door, Doors};

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its path, as axum writes it: `/api/mounts/{mount}`.
    pub path: String,
    /// Its door.
    pub door: Door,
}

/// Routes with their doors, on the way to a router.
#[derive(Debug, Default)]
pub struct Table {
    router: axum::Router,
    routes: Vec<Route>,
}

// === impl Table ===

impl Table {
    /// Adds a route.
    ///
    /// # Panics
    /// When there is a route for this path already: two routes of ours on one path are a defect.
    pub fn add(&mut self, door: Door, path: &str, handlers: MethodRouter) {
        self.router = std::mem::take(&mut self.router).route(path, handlers);
        self.routes.push(Route { path: path.to_owned(), door });
    }

    /// The routes so far.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The router, and the doors of its paths.
    pub fn into_parts(self) -> (axum::Router, Doors) {
        let doors = Doors::new(self.routes.iter().map(|route| (route.path.as_str(), route.door)));
        (self.router, doors)
    }
}
