//! Endpoints behind a socket.

use std::{net::SocketAddr, sync::Arc};

use rialto::downstream::Settings;
use tokio::task::JoinSet;

use super::{Client, Scripted};
use crate::support::gateway::Endpoints;

/// A gateway with a few mounts, each at `/mcp/{name}`. Its connections end with it.
pub(crate) struct Gateway {
    address: SocketAddr,
    pub(crate) settings: Settings,
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// One mount, `docs`.
    pub(crate) async fn start() -> (Self, Arc<Scripted>) {
        Self::start_with(Settings::default()).await
    }

    /// One mount, `docs`, with settings.
    pub(crate) async fn start_with(settings: Settings) -> (Self, Arc<Scripted>) {
        let mount = Scripted::new("docs");
        (Self::serve(settings, std::slice::from_ref(&mount)).await, mount)
    }

    /// Several mounts.
    pub(crate) async fn serve(settings: Settings, mounts: &[Arc<Scripted>]) -> Self {
        let (address, tasks) = Endpoints::new(mounts.iter().cloned(), &settings).listen().await;
        Self { address, settings, _tasks: tasks }
    }

    /// Where the socket is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a mount is.
    pub(crate) fn url(&self, mount: &str) -> String {
        format!("http://{}/mcp/{mount}", self.address)
    }

    /// A client of `docs` that has said nothing yet.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.url("docs"))
    }

    /// A client that has finished the handshake and can do everything.
    pub(crate) async fn session(&self, revision: &'static str) -> Client {
        let mut client = self.client();
        client.handshake(revision).await;
        client
    }
}
