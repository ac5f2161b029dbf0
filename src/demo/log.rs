//! Log messages for the client: `notifications/message`, sent only to those who asked for them.
//!
//! A legacy client asks once for its session, by `logging/setLevel`; a modern one with each request, in `_meta`.
#![expect(deprecated, reason = "2026-07-28 deprecates logging; it stays until clients have stopped asking for it")]

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use rmcp::{
    RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam, ServerCapabilities},
    service::RequestContext,
};
use serde_json::Value;

use super::kit::is_modern;

/// A severity above every level, for sessions that have not asked.
const SILENT: u8 = u8::MAX;

/// The level that a legacy client has set for its session.
#[derive(Clone)]
pub(super) struct SessionLevel(Arc<AtomicU8>);

impl Default for SessionLevel {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(SILENT)))
    }
}

impl SessionLevel {
    /// Messages of this level and above are sent from now on.
    pub(super) fn set(&self, level: &LoggingLevel) {
        self.0.store(severity(level), Ordering::Relaxed);
    }
}

/// Adds logging to the server's capabilities.
pub(super) fn declare(mut capabilities: ServerCapabilities) -> ServerCapabilities {
    capabilities.logging = Some(Default::default());
    capabilities
}

/// The log of one request.
pub(super) struct Log<'a> {
    context: &'a RequestContext<RoleServer>,
    logger: &'a str,
    lowest: u8,
}

impl<'a> Log<'a> {
    /// A log under the name `logger`, as talkative as the client wants it.
    pub(super) fn new(context: &'a RequestContext<RoleServer>, session: &SessionLevel, logger: &'a str) -> Self {
        let lowest = if is_modern(context) {
            context.meta.log_level().as_ref().map_or(SILENT, severity)
        } else {
            session.0.load(Ordering::Relaxed)
        };
        Self { context, logger, lowest }
    }

    /// Something for whoever looks for a fault.
    pub(super) async fn debug(&self, data: Value) {
        self.send(LoggingLevel::Debug, data).await;
    }

    /// Something that happened as it should.
    pub(super) async fn info(&self, data: Value) {
        self.send(LoggingLevel::Info, data).await;
    }

    async fn send(&self, level: LoggingLevel, data: Value) {
        if severity(&level) < self.lowest {
            return;
        }
        let message = LoggingMessageNotificationParam::new(level, data).with_logger(self.logger);
        // It fails only when the session is over, and then nobody is left to read it.
        let _ = self.context.peer.notify_logging_message(message).await;
    }
}

/// The levels in the order of RFC 5424, the least severe first.
fn severity(level: &LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        _ => 7,
    }
}
