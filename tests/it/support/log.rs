//! Reading what is logged on one thread, while other tests run on others.

use std::sync::Once;

use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::registry;

/// Lets `subscriber` hear what this thread logs, for as long as the guard is kept.
///
/// Whether anybody listens to a line of the program is remembered for the whole process, by the first thread that comes to
/// it. So that no thread without a subscriber decides this for all, every thread has one that takes everything and keeps
/// nothing.
pub(crate) fn listen(subscriber: impl tracing::Subscriber + Send + Sync) -> DefaultGuard {
    static EVERYWHERE: Once = Once::new();
    EVERYWHERE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(registry());
    });
    set_default(subscriber)
}
