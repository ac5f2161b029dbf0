//! What a gateway tells its operators about itself: metrics, and one log line for each request.
//!
//! Everything is counted in plain atomics that were found before the request came: counting takes no lock, formats nothing
//! and looks up no label. Words are made of it when somebody asks, see [`Metrics::scrape`].
//!
//! Label values come from closed sets (SEC-153): mounts from the configuration, methods from the protocol, routes from the
//! router, outcomes from here. Nothing that a client or a server says becomes a label.

mod access;
mod calls;
mod histogram;
mod requests;
mod scrape;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use access::Note;
pub use calls::{CallSeries, Measured};
pub use requests::{Ended, Place, RequestSeries};
pub use scrape::{Gauges, MountGauges, OPENMETRICS};

/// The metrics of one gateway. There is nothing global: two gateways in one process count for themselves.
#[derive(Debug)]
pub struct Metrics {
    /// When the gateway was put together, after 1970.
    started: Duration,
    /// The calls of each mount, in the order of the configuration.
    calls: Vec<Arc<CallSeries>>,
    /// The HTTP requests.
    requests: Arc<RequestSeries>,
}

impl Metrics {
    /// Metrics of these calls and requests.
    #[must_use]
    pub fn new(calls: Vec<Arc<CallSeries>>, requests: Arc<RequestSeries>) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self { started, calls, requests })
    }
}
