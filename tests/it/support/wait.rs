//! Waiting for what a test expects, but not for ever.

use std::time::Duration;

/// How long anything in these tests may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for something that should happen soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// The same for a test that waits for one thing alone.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    soon("the only thing that this test waits for", future).await
}
