//! The routes of a gateway, and which of its doors each one has.
//!
//! Routes of our own reach the router only through the table, so that what the table lists is what there is: the
//! authentication layer reads the doors from it, and the tests sweep it.

use axum::routing::MethodRouter;

/// What a route asks of those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nothing: anybody may come.
    Public,
    /// A key, as a bearer token or an API key.
    Key,
    /// A key; browsers may also bring it as the password of HTTP Basic. For pages that people open, never for what acts.
    Browser,
}

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

/// Which door a path has.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    paths: matchit::Router<Door>,
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
        let mut paths = matchit::Router::new();
        for route in &self.routes {
            // The router took the path, and it reads paths by the same crate.
            let _ = paths.insert(route.path.clone(), route.door);
        }
        (self.router, Doors { paths })
    }
}

// === impl Doors ===

impl Doors {
    /// The door of a path. What is not ours, a custom route or nothing at all, asks for a key.
    #[must_use]
    pub fn of(&self, path: &str) -> Door {
        self.paths.at(path).map_or(Door::Key, |found| *found.value)
    }
}
