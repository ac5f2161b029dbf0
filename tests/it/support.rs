//! What several suites use: a mount that does as the test says, clients that send what the test says, and the official schemas.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod json;
pub(crate) mod mount;
pub(crate) mod schema;

use std::time::Duration;

/// Longer than anything in the tests takes, so that one that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits for something that should happen soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
