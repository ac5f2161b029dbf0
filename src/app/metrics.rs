//! `/metrics`: what was counted, for those who may know.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Extensions, StatusCode, header};

use crate::{
    auth::{Access, Unidentified},
    downstream::Settings,
    telemetry::{Gauges, Metrics, MountGauges, OPENMETRICS},
};

use super::{
    gateway::Gateway,
    table::{Door, Table},
};

/// Where they are.
pub(super) const PATH: &str = "/metrics";

/// What a scrape looks at, apart from what was counted.
#[derive(Clone)]
pub(super) struct Scraped {
    pub(super) gateway: Gateway,
    pub(super) settings: Settings,
    pub(super) unidentified: Unidentified,
}

impl Scraped {
    /// Adds the route.
    pub(super) fn add_routes(self, table: &mut Table, metrics: Arc<Metrics>) {
        table.add(Door::Key, PATH, get(scrape).with_state((metrics, self)));
    }

    fn gauges(&self, access: &Access) -> Gauges {
        let sessions = self.settings.sessions.by_mount();
        let mounts = self.gateway.open_to(access).map(|entry| MountGauges {
            name: entry.name().to_owned(),
            health: entry.mount().health(),
            sessions: sessions.get(entry.name()).copied().unwrap_or_default(),
            holding: entry.mount().holding(),
            counts: entry.mount().counts().cloned(),
        });
        Gauges {
            mounts: mounts.collect(),
            is_whole: access.is_to_all(),
            parked: self.settings.held.parked(),
            subscriptions: self.settings.held.listens(),
        }
    }
}

async fn scrape(State((metrics, scraped)): State<(Arc<Metrics>, Scraped)>, extensions: Extensions) -> Response {
    let access = Access::of(&extensions, scraped.unidentified);
    match metrics.scrape(scraped.gauges(&access)) {
        Ok(text) => {
            let headers = [(header::CONTENT_TYPE, OPENMETRICS), (header::CACHE_CONTROL, "no-store")];
            (headers, text).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n").into_response(),
    }
}
