//! A mount that speaks to its server what its client speaks to it.

use std::sync::Arc;

use http::HeaderName;

use crate::{
    hub::{
        BoxFuture, Call, Caller, Counts, Description, Fault, Filter, Health, Holding, Link, Listening, Mount, Outcome,
    },
    jsonrpc::Notification,
    protocol::headers::ToolHeaders,
};

use super::Single;

/// In front of a server of both eras: modern callers reach it in the modern era, legacy callers in the legacy one. Cloning
/// shares it.
#[derive(Clone, Debug)]
pub struct Matching {
    modern: Single,
    legacy: Single,
}

impl Matching {
    /// Two mounts of one server, one an era.
    #[must_use]
    pub fn new(modern: Single, legacy: Single) -> Self {
        let legacy = legacy.counting_with(&modern);
        Self { modern, legacy }
    }

    fn of(&self, caller: &Caller) -> &Single {
        if caller.revision.is_modern() { &self.modern } else { &self.legacy }
    }
}

impl Mount for Matching {
    fn name(&self) -> &str {
        self.modern.name()
    }

    fn forwards(&self) -> &[HeaderName] {
        self.modern.forwards()
    }

    fn passes_state(&self, caller: &Arc<Caller>) -> bool {
        self.of(caller).passes_state(caller)
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        self.of(&call.caller).call(call)
    }

    fn describe(&self, caller: &Arc<Caller>) -> BoxFuture<Result<Arc<Description>, Fault>> {
        self.of(caller).describe(caller)
    }

    fn tool_headers(&self, caller: &Arc<Caller>, tool: &str) -> BoxFuture<Result<Option<Arc<ToolHeaders>>, Fault>> {
        self.of(caller).tool_headers(caller, tool)
    }

    fn notify(&self, caller: &Arc<Caller>, notification: Notification) {
        self.of(caller).notify(caller, notification);
    }

    fn attend(&self, caller: &Arc<Caller>) -> BoxFuture<()> {
        self.of(caller).attend(caller)
    }

    fn listen(&self, caller: &Arc<Caller>, filter: Filter) -> BoxFuture<Result<Listening, Fault>> {
        self.of(caller).listen(caller, filter)
    }

    fn health(&self) -> Health {
        match (self.modern.health(), self.legacy.health()) {
            (Health::Unknown, other) | (other, Health::Unknown) | (other, _) => other,
        }
    }

    fn link(&self) -> Link {
        let modern = self.modern.link();
        Link { revision: modern.revision.or(self.legacy.link().revision), ..modern }
    }
    fn counts(&self) -> Option<&Arc<Counts>> {
        self.modern.counts()
    }

    fn holding(&self) -> Holding {
        self.modern.holding() + self.legacy.holding()
    }
}
