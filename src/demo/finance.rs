//! `finance`: the books of a small company, kept once and shown twice.
//!
//! ```text
//! REST clients, people in Swagger UI ──► rest ─┐
//!                                             ├─► ledger ──► changes ──► whoever subscribed
//! MCP clients of both eras ──► Rialto ──► mcp ─┘
//! ```
//!
//! The [`Ledger`] knows nothing of HTTP or MCP. [`rest`] makes ordinary axum routes of it, [`mcp`] an MCP server; the types
//! in [`model`] carry the schemas for both. What one face does the other one sees, because there is only one ledger.

use std::sync::Arc;

use axum::Router;
use rmcp::{ServiceExt, model::Tool, service::ServerInitializeError};
use tokio::io::DuplexStream;

use super::{kit::ServeError, seal::StateSeal};

mod calendar;
mod changes;
mod closing;
mod ledger;
mod mcp;
mod model;
mod refusal;
mod rest;
mod seed;
mod sums;
mod text;

#[cfg(test)]
mod tests;

use calendar::Clock;
use ledger::Ledger;

/// The company. Clones are the same company.
#[derive(Clone)]
pub(crate) struct Finance(Arc<Company>);

/// What all sessions share.
struct Company {
    ledger: Ledger,
    tools: Vec<Tool>,
    seal: StateSeal,
}

impl Finance {
    /// The company as it is when the demo starts.
    pub(crate) fn new() -> Self {
        Self::with_clock(calendar::system_clock())
    }

    fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Company { ledger: Ledger::new(clock), tools: mcp::definitions(), seal: StateSeal::new() }))
    }

    /// The routes under `/api/finance`, and their OpenAPI document.
    pub(crate) fn router(&self) -> (Router, utoipa::openapi::OpenApi) {
        rest::router(self.0.ledger.clone())
    }

    /// Serves one MCP session on `io`, in whichever era the client begins, until the stream ends.
    ///
    /// A client that leaves before it has said anything has done nothing wrong, so that is not an error.
    ///
    /// # Errors
    ///
    /// The first message was neither `initialize` nor a request of the modern era, or the stream broke meanwhile.
    pub(crate) async fn serve(self, io: DuplexStream) -> Result<(), ServeError> {
        let session = mcp::Session::new(self.0);
        let announcing = session.clone();
        // Boxed, because the future of an opening session is large and whoever holds ours should not pay for it.
        let running = match Box::pin(session.serve(io)).await {
            Ok(running) => running,
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(ServeError::Opening(Box::new(error))),
        };
        let peer = running.peer().clone();
        tokio::select! {
            ended = running.waiting() => ended.map(drop).map_err(ServeError::Crashed),
            never = announcing.announce_to_legacy(peer) => match never {},
        }
    }
}
