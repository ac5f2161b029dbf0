//! The ladder: how a message of one revision looks in another.
//!
//! A [`Plan`] leads from the client's revision to the server's and back. It is made of the rules of the boundaries between
//! the two, each rung seeing both ends; between equal revisions it is empty and nothing is touched.

use crate::jsonrpc::{ErrorObject, Raw, RawObject};

use super::{ClientCapabilities, Method, Revision};

/// The way between a client's revision and a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the client speaks.
    pub client: Revision,
    /// What the server speaks.
    pub server: Revision,
}

/// Who is asking, for the envelope that a modern server needs with each request.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The client's `clientInfo`, as it sent it.
    pub client_info: Option<&'a Raw>,
    /// What the client can do.
    pub capabilities: &'a ClientCapabilities,
    /// The level the client wants log messages from, as a JSON string.
    pub log_level: Option<&'a Raw>,
}

/// What a rule may need to know beside the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Who the server says it is.
    pub server_info: Option<&'a Raw>,
    /// Whether the server is reached over HTTP, where `x-mcp-header` annotations have to be valid.
    pub http: bool,
    /// How long a list of a legacy server may be kept, in milliseconds.
    pub ttl_ms: u64,
    /// The URI that was asked for, for `resources/read`.
    pub uri: Option<&'a str>,
    /// Whether the output schema of the tool was wrapped for this client.
    pub wrapped_output: bool,
}

impl Plan {
    /// The way between two revisions.
    #[must_use]
    pub const fn between(client: Revision, server: Revision) -> Self {
        Self { client, server }
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.client == self.server
    }

    /// Whether the two ends are of different eras.
    #[must_use]
    pub fn crosses_eras(self) -> bool {
        self.client.era() != self.server.era()
    }
}
