//! A proxy that is no mount of a gateway, but stands in somebody's application.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::{Layer, util::BoxCloneSyncService};
use url::Url;

use crate::{
    auth::Unidentified,
    config::{HostName, is_mount_name},
    downstream::Settings,
    hub::Principal,
};

use super::{
    super::{
        gateway::{Entry, Mcp},
        guard::Guard,
    },
    NAMES, Process, Proxy,
    root::AtRoot,
};

/// What concerns a proxy that is no mount of a gateway.
pub(super) struct Alone {
    name: String,
    hosts: Vec<HostName>,
    any_host: bool,
    public_url: Option<Url>,
    settings: Settings,
    draining: Option<CancellationToken>,
}

// === impl Alone ===

impl Default for Alone {
    fn default() -> Self {
        Self {
            name: "mcp".to_owned(),
            hosts: Vec::new(),
            any_host: false,
            public_url: None,
            settings: Settings::default(),
            draining: None,
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// Names under which requests may come, besides `localhost` and the loopback addresses: what guards against pages that
    /// rebind a name of theirs to this machine.
    ///
    /// Only for [`into_router`](Self::into_router) and [`into_service`](Self::into_service); a mount is guarded by
    /// [`Rialto`](crate::Rialto) as a whole.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = HostName>) -> Self {
        self.alone.hosts.extend(hosts);
        self
    }

    /// The address that clients see, where something in front of the application gives it another one: pages that were loaded
    /// from there may call this proxy. It has no path.
    pub fn public_url(mut self, url: Url) -> Self {
        self.alone.public_url = Some(url);
        self
    }

    /// Leaves checking `Host` and `Origin` to the application around this proxy.
    pub fn any_host(mut self) -> Self {
        self.alone.any_host = true;
        self
    }

    /// The name by which [`Access`](crate::auth::Access) lists it and hooks see it; `mcp` unless said.
    ///
    /// This and the next two are, like the last three, only for [`into_router`](Self::into_router) and [`into_service`](Self::into_service); a
    /// mount has its name, its settings and its end from [`Rialto`](crate::Rialto).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.alone.name = name.into();
        self
    }

    /// Limits, keys and lifetimes, in place of the usual ones. Proxies that share them need names of their own, for that is
    /// what tells the handles that one gave out from those of another.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.alone.settings = settings;
        self
    }

    /// Fires when the application stops: open streams end then.
    pub fn draining(mut self, token: CancellationToken) -> Self {
        self.alone.draining = Some(token);
        self
    }

    /// The proxy as an axum router, to be nested at any path of an application with any state. It answers there, and says 404
    /// to everything below.
    ///
    /// # Panics
    /// When its [`name`](Self::name) cannot be that of a mount.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let service = self.into_service();
        // As routes and not as a fallback: axum forgets fallbacks of routers that are nested more than once.
        Router::new().route_service("/", service.clone()).route_service("/{*below}", service)
    }

    /// The proxy as a tower service, for `nest_service`. It answers with and without a slash at the end of the path, and says
    /// 404 to everything below.
    ///
    /// # Panics
    /// When its [`name`](Self::name) cannot be that of a mount.
    #[must_use]
    pub fn into_service(self) -> BoxCloneSyncService<Request<Body>, Response<Body>, Infallible> {
        let guard = (!self.alone.any_host).then(|| {
            let listener = SocketAddr::from(([127, 0, 0, 1], 0));
            Guard::new(listener, &self.alone.hosts, self.alone.public_url.as_ref()).in_program()
        });
        let mcp = AtRoot(Mcp(Arc::new(self.into_entry())));
        match guard {
            Some(guard) => BoxCloneSyncService::new(guard.layer(mcp)),
            None => BoxCloneSyncService::new(mcp),
        }
    }

    /// Serves one client over standard input and output, until it closes its end or the application stops: the program is a
    /// stdio server then, which clients start themselves. Nothing else may be printed to standard output meanwhile.
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// rialto::Proxy::to("https://docs.example/mcp").serve_stdio().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the streams fail. A client that is gone is no error.
    ///
    /// # Panics
    /// When its [`name`](Self::name) cannot be that of a mount.
    pub async fn serve_stdio(self) -> io::Result<()> {
        self.serve_lines(tokio::io::stdin(), tokio::io::stdout()).await
    }

    /// The same over any pair of byte streams: one JSON-RPC message a line. The client counts as the user of this machine
    /// ([`Principal::local`]), and shares upstream sessions with nobody.
    ///
    /// # Errors
    /// When the streams fail. A client that is gone is no error.
    ///
    /// # Panics
    /// When its [`name`](Self::name) cannot be that of a mount.
    pub async fn serve_lines<R, W>(self, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        self.into_entry().endpoint().serve_lines(reader, writer, &Principal::local()).await
    }

    fn into_entry(mut self) -> Entry {
        let draining = self.alone.draining.take();
        let settings = std::mem::take(&mut self.alone.settings);
        let settings = Settings { draining: draining.unwrap_or(settings.draining), ..settings };
        let name = std::mem::take(&mut self.alone.name);
        assert!(is_mount_name(&name), "`{name}` cannot be the name of a proxy: {NAMES}");
        let mounted = self.into_mounted(&name, Unidentified::Anonymous, &settings.sealer, &Process::default());
        Entry::new(mounted, &settings)
    }
}
