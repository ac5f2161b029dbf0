//! A server that cannot be reached in any way this version knows.

use std::sync::Arc;

use crate::hub::{BoxFuture, Fault, Health, Reason};

use super::{Connector, Opening, Session, Sharing};

/// Stands for a server whose transport is not built: always down, with the reason.
#[derive(Clone, Debug)]
pub struct Unavailable {
    name: Arc<str>,
    reason: String,
}

impl Unavailable {
    /// A server that is down because of `reason`.
    #[must_use]
    pub fn new(name: Arc<str>, reason: String) -> Self {
        Self { name, reason }
    }

    fn fault(&self) -> Fault {
        Fault::upstream(Reason::ConnectFailed, &self.name, self.reason.clone())
    }
}

impl Connector for Unavailable {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn sharing(&self) -> BoxFuture<Result<Sharing, Fault>> {
        Box::pin(std::future::ready(Err(self.fault())))
    }

    fn known_sharing(&self) -> Option<Sharing> {
        None
    }

    fn open(&self, _: Opening) -> BoxFuture<Result<Arc<dyn Session>, Fault>> {
        Box::pin(std::future::ready(Err(self.fault())))
    }

    fn health(&self) -> Health {
        Health::Down(self.reason.clone())
    }

    fn transport(&self) -> &'static str {
        "none"
    }
}
