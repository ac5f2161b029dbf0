//! What becomes of the routes of an application before they are behind its middleware.

use std::{any::Any, collections::BTreeSet};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{MethodFilter, any_service, on},
};

use http::StatusCode;

use crate::{
    app::{
        gateway::not_your_route,
        observe::Custom,
        problem::{Kind, Problem},
        reverse::{Reverse, Surroundings},
        table::{Door, Route, Table},
    },
    auth::{Access, Unidentified},
    config::RoutePath,
    hub::words,
};

/// Adds the routes to servers elsewhere.
///
/// # Panics
/// When a path cannot be that of a route, or is there twice.
pub(super) fn add_reverse(table: &mut Table, routes: Vec<(String, Reverse)>, surroundings: &Surroundings) {
    let mut taken = BTreeSet::new();
    for (path, server) in routes {
        let path = path.parse::<RoutePath>().unwrap_or_else(|error| panic!("the route `{path}`: {error}"));
        assert!(taken.insert(path.clone()), "two routes are at `{path}`");
        let service = any_service(server.into_route(path.clone(), surroundings.clone()));
        for end in ["", "/", "/{*below}"] {
            table.add(Door::Key, &format!("{path}{end}"), service.clone());
        }
    }
}

/// Lets only those pass to custom routes and a custom fallback who may use routes. Where there is no route, there is none for
/// them either.
pub(super) async fn for_routes(State(unidentified): State<Unidentified>, request: Request, next: Next) -> Response {
    if Access::of(request.extensions(), unidentified).may_use_routes() {
        return next.run(request).await;
    }
    match request.extensions().get::<MatchedPath>() {
        Some(_) => not_your_route().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Marks an answer as that of a custom route.
pub(super) fn mark_custom(mut response: Response) -> Response {
    response.extensions_mut().insert(Custom);
    response
}

/// Panics when a custom route is at a path of ours, whatever its method. Merging alone would let a custom `POST` join a `GET`
/// of ours, and pass through its door.
pub(super) fn claim(routes: &[Route], custom: &Router) {
    let every = [
        MethodFilter::CONNECT,
        MethodFilter::DELETE,
        MethodFilter::HEAD,
        MethodFilter::OPTIONS,
        MethodFilter::PATCH,
        MethodFilter::POST,
        MethodFilter::PUT,
        MethodFilter::TRACE,
    ];
    let every = every.into_iter().fold(MethodFilter::GET, MethodFilter::or);
    let claimed = routes.iter().fold(Router::new(), |claimed: Router, route| {
        claimed.route(&route.path, on(every, async || {}).fallback(async || {}))
    });
    let _ = claimed.merge(custom.clone().reset_fallback());
}

/// The answer of a handler or a layer that panicked. Its words are for the log.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a panic in a handler: {}", words(&*panic));
    let words = "the gateway failed while it handled this; its log says more";
    Problem::new(Kind::Internal, words).into_response()
}
