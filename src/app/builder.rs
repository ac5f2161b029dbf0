//! The whole application: mounts, custom routes and everything Rialto adds, behind one set of middleware.

mod routes;

use std::{any::Any, collections::BTreeSet, convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::Route,
};
use tokio_util::sync::CancellationToken;
use tower::{
    Layer, Service,
    layer::layer_fn,
    util::{MapResponseLayer, option_layer},
};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

use crate::{
    auth::{Auth, Authenticate, Unidentified},
    config::{HostName, is_mount_name},
    downstream::Settings,
    telemetry::{CallSeries, Metrics, RequestSeries},
};

use self::routes::{add_reverse, claim, for_routes, mark_custom, panicked};
use super::{
    assemble, docs,
    gateway::{Gateway, Mounted},
    guard::Guard,
    headers::hardened,
    metrics::{self, Scraped},
    observe::Observe,
    openapi::{About, Documents},
    pages::Pages,
    place::Place,
    proxy::{NAMES, Process, Proxy},
    rest::Rest,
    reverse::{Reverse, Surroundings},
    table::{Route as Listed, Table},
};

/// The gateway as a library: see [`Rialto::builder`].
#[derive(Debug)]
pub struct Rialto;

/// Puts an application together. See [`Rialto::builder`].
#[must_use]
pub struct Builder {
    mounts: Vec<(String, Proxy)>,
    routes: Router,
    reverse: Vec<(String, Reverse)>,
    layers: Vec<Box<dyn FnOnce(Router) -> Router + Send>>,
    auth: Option<Auth>,
    unidentified: Unidentified,
    listener: SocketAddr,
    hosts: Vec<HostName>,
    any_host: bool,
    public_url: Option<Url>,
    openapi: Vec<utoipa::openapi::OpenApi>,
    asks_for_keys: bool,
    settings: Settings,
    draining: Option<CancellationToken>,
    /// What the program `rialto` shares with the mounts; a library has nothing.
    process: Option<Process>,
    metrics: bool,
    page: bool,
}

/// An application that was put together.
#[derive(Debug)]
pub struct Assembled {
    /// Serves everything.
    pub router: Router,
    /// The mounts.
    pub gateway: Gateway,
    /// The routes of Rialto's own with their doors. Custom routes are not among them; each of those asks for a key.
    pub routes: Vec<Listed>,
}

// === impl Rialto ===

impl Rialto {
    /// Begins an application: MCP proxies as mounts, custom routes beside them, one set of middleware around all of it.
    ///
    /// ```no_run
    /// use axum::{Router, routing::get};
    /// use rialto::{Proxy, Rialto};
    ///
    /// #[tokio::main]
    /// async fn main() -> std::io::Result<()> {
    ///     let app: Router = Rialto::builder()
    ///         .mount("docs", Proxy::to("https://docs.example/mcp"))
    ///         .mount("time", Proxy::command("uvx").args(["mcp-server-time"]))
    ///         .routes(Router::new().route("/hello", get(async || "hello")))
    ///         .local()
    ///         .build();
    ///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    ///     axum::serve(listener, app).await
    /// }
    /// ```
    pub fn builder() -> Builder {
        Builder {
            mounts: Vec::new(),
            routes: Router::new(),
            reverse: Vec::new(),
            layers: Vec::new(),
            auth: None,
            unidentified: Unidentified::Anonymous,
            listener: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: Vec::new(),
            any_host: false,
            public_url: None,
            openapi: Vec::new(),
            asks_for_keys: false,
            settings: Settings::default(),
            draining: None,
            process: None,
            metrics: true,
            page: true,
        }
    }
}

// === impl Builder ===

impl Builder {
    /// Mounts a proxy at `/mcp/{name}`. The order of mounts does not matter, nor does a slash at the end of the path.
    ///
    /// A name is made of letters, digits, `_` and `-`, and starts with a letter.
    pub fn mount(mut self, name: impl Into<String>, proxy: Proxy) -> Self {
        self.mounts.push((name.into(), proxy));
        self
    }

    /// Adds routes of your own, behind the same middleware. May be called several times; one of the routers may have a
    /// fallback, which answers what nothing else does. Paths under `/mcp/` are for mounts.
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = std::mem::take(&mut self.routes).merge(routes);
        self
    }

    /// Adds a plain HTTP route to a server elsewhere, behind the same middleware: requests for `path` and everything below
    /// it are passed on. A caller whose [`Access`](crate::auth::Access) is to some mounts only may not use it, unless it is
    /// to [routes](crate::auth::Access::and_routes) as well.
    ///
    /// ```
    /// use rialto::Rialto;
    ///
    /// let app = Rialto::builder().route_to("/reports", "http://127.0.0.1:9000/v2/reports").build();
    /// # let _ = app;
    /// ```
    ///
    /// Neither credentials for Rialto nor headers of the connection are passed on; `Forwarded` and the `X-Forwarded` headers
    /// are Rialto's own. A path that could be read in more than one way is refused. Redirects are not followed: those that
    /// lead below the server's address are turned into ones that lead below `path`.
    pub fn route_to(mut self, path: impl Into<String>, server: impl Into<Reverse>) -> Self {
        self.reverse.push((path.into(), server.into()));
        self
    }

    /// Puts a tower layer around every route, those of the mounts included: middleware of your own, such as one that
    /// authenticates and puts an [`Access`](crate::auth::Access) into the request's extensions. Layers are passed in the
    /// order in which they were added.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |router| router.layer(layer)));
        self
    }

    /// Asks every request for one of these keys: those to mounts, to custom routes and to paths that do not exist alike, and
    /// before any [`layer`](Self::layer). Open to all are `/healthz`, `/readyz`, and
    /// the icon and style sheet of the page at `/`. Credentials are taken out of the request,
    /// and an [`Access`](crate::auth::Access) is put into its extensions.
    ///
    /// Without this nobody is asked for anything: that is for applications that only this machine reaches, and for those that
    /// authenticate by middleware of their own.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Counts requests that nobody authenticated as those of one user, the user of this machine, instead of as strangers to
    /// each other. For applications that only this machine reaches.
    pub fn local(mut self) -> Self {
        self.unidentified = Unidentified::Local;
        self
    }

    /// The address that the application is served on; 127.0.0.1 unless said. Requests to loopback names are let in only
    /// where it is a loopback address.
    pub fn listener(mut self, address: SocketAddr) -> Self {
        self.listener = address;
        self
    }

    /// Names under which requests may come, besides the loopback ones.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = HostName>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Leaves checking `Host` and `Origin` to an application around this one.
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// The address that clients see, where a reverse proxy stands in front. It has no path.
    pub fn public_url(mut self, url: Url) -> Self {
        self.public_url = Some(url);
        self
    }

    /// Adds the documentation of custom routes to `/openapi.json` and to the pages at `/docs`: paths, components and tags.
    /// What Rialto documents itself stays as it is. May be called several times.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use rialto::Rialto;
    /// use utoipa::OpenApi;
    ///
    /// /// Says hello
    /// #[utoipa::path(get, path = "/hello", responses((status = 200, description = "A greeting", body = String)))]
    /// async fn hello() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// #[derive(OpenApi)]
    /// #[openapi(paths(hello))]
    /// struct Documented;
    ///
    /// let app = Rialto::builder()
    ///     .routes(Router::new().route("/hello", get(hello)))
    ///     .openapi(Documented::openapi());
    /// # let _: Router = app.build();
    /// ```
    pub fn openapi(mut self, document: utoipa::openapi::OpenApi) -> Self {
        self.openapi.push(document);
        self
    }

    /// Says in the documentation that every route but the public ones asks for a key, as a bearer token or in `X-Api-Key`:
    /// for applications with a [layer](Self::layer) that does ask.
    pub fn asks_for_keys(mut self) -> Self {
        self.asks_for_keys = true;
        self
    }

    /// Limits, keys and lifetimes of the endpoints, in place of the usual ones.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Fires when the application stops: open streams end then, so that a graceful shutdown comes to its end.
    ///
    /// ```no_run
    /// use rialto::Rialto;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// let stop = CancellationToken::new();
    /// let app = Rialto::builder().draining(stop.clone()).build();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    /// axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
    /// # }
    /// ```
    pub fn draining(mut self, token: CancellationToken) -> Self {
        self.draining = Some(token);
        self
    }

    /// Whether calls and requests are counted and told of at `/metrics`. They are unless said.
    pub fn metrics(mut self, metrics: bool) -> Self {
        self.metrics = metrics;
        self
    }

    /// Whether there is a page at `/` that says what is mounted. There is, unless said: an application with a page of its own at
    /// `/` does without ours.
    pub fn page(mut self, page: bool) -> Self {
        self.page = page;
        self
    }

    /// What the mounts share with the process, in the program `rialto`.
    pub(super) fn process(mut self, process: Process) -> Self {
        self.process = Some(process);
        self
    }

    /// The application as an axum router.
    ///
    /// Inside a tokio runtime, servers are looked after from now on, so that what is down shows as down.
    ///
    /// It may be served as it is, or nested in another application, as deep as you like.
    ///
    /// # Panics
    /// When two mounts have one name, when a name cannot be part of a path, or when a custom route is already one of Rialto's.
    pub fn build(self) -> Router {
        let draining = self.draining.clone().unwrap_or_else(|| self.settings.draining.clone());
        let assembled = self.assemble();
        if tokio::runtime::Handle::try_current().is_ok() {
            assemble::watch(&assembled.gateway, &draining);
        }
        assembled.router
    }

    /// The same with its parts, for those who look after the servers themselves.
    ///
    /// # Panics
    /// As [`build`](Self::build).
    #[must_use]
    pub fn assemble(mut self) -> Assembled {
        if let Some(draining) = self.draining.take() {
            self.settings.draining = draining;
        }
        let mut known = BTreeSet::new();
        for (name, _) in &self.mounts {
            assert!(is_mount_name(name), "`{name}` cannot be the name of a mount: {NAMES}");
            assert!(known.insert(name.clone()), "two mounts are called `{name}`");
        }
        let unidentified = self.unidentified;
        let is_program = self.process.is_none();
        let process = self.process.unwrap_or_default();
        let names: Vec<_> = self.mounts.iter().map(|(name, _)| name.clone()).collect();
        let calls: Vec<_> = names.iter().map(|name| CallSeries::new(name)).collect();
        let mounts = self.mounts.into_iter().zip(&calls).map(|((name, proxy), calls)| Mounted {
            series: self.metrics.then(|| calls.clone()),
            ..proxy.into_mounted(&name, unidentified, &self.settings, &process)
        });
        let gateway = Gateway::new(mounts, &self.settings);

        let mut table = Table::default();
        gateway.add_routes(&mut table);
        let surroundings = Surroundings {
            unidentified,
            public_url: self.public_url.clone(),
            draining: self.settings.draining.clone(),
        };
        add_reverse(&mut table, self.reverse, &surroundings);
        let place = Place::new(self.public_url.as_ref());
        let rest = Rest::new(gateway.clone(), unidentified, self.settings.clone(), place.clone());
        rest.add_routes(&mut table);
        let about = About {
            custom: self.openapi,
            public_url: self.public_url.clone(),
            asks_for_keys: self.asks_for_keys || self.auth.is_some(),
        };
        Documents::new(rest.clone(), &about).add_routes(&mut table);
        docs::Pages::new(rest, self.public_url.as_ref()).add_routes(&mut table);
        // The last of the routes: it links to the others, and the metrics are by route.
        if self.page {
            let pages = Pages::new(&gateway, &self.settings, unidentified, &place);
            pages.add_routes(&mut table, self.metrics.then_some(metrics::PATH));
        }
        let paths = table.routes().iter().map(|route| &*route.path).chain(self.metrics.then_some(metrics::PATH));
        let requests = Arc::new(RequestSeries::new(paths, names));
        if self.metrics {
            let scraped = Scraped { gateway: gateway.clone(), settings: self.settings.clone(), unidentified };
            scraped.add_routes(&mut table, Metrics::new(calls, requests.clone()));
        }
        let routes = table.routes().to_vec();
        claim(&routes, &self.routes);
        let (ours, doors) = table.into_parts();

        // From the inside out, so that a request meets what stands last here first: the routes; then the layers of the
        // application around this one; then who asks, which has to be known before anything else can be learned; and outermost
        // what every request has to pass, whatever its route, and what every answer says, whoever gives it.
        let custom = self.routes;
        let custom = if custom.has_routes() { custom.route_layer(MapResponseLayer::new(mark_custom)) } else { custom };
        let custom = custom.layer(from_fn_with_state(unidentified, for_routes));
        let mut router = ours.merge(custom);
        for layer in self.layers.into_iter().rev() {
            router = layer(router);
        }
        router = router.layer(CatchPanicLayer::custom(panicked as fn(Box<dyn Any + Send>) -> Response));
        let guard = (!self.any_host).then(|| {
            let guard = Guard::new(self.listener, &self.hosts, self.public_url.as_ref());
            if is_program { guard.in_program() } else { guard }
        });
        let authenticate = option_layer(self.auth.map(|auth| Authenticate::new(auth, doors)));
        let observe = Observe { series: requests, counts: self.metrics };
        let guard = option_layer(guard);
        // A layer of the router, not a service around it: it stands before every route and the fallback all the same, and axum
        // can nest the routes in another application as deep as it likes, which it cannot do with a lone fallback.
        let router =
            router.layer(layer_fn(move |route: Route| observe.layer(hardened(guard.layer(authenticate.layer(route))))));
        Assembled { router, gateway, routes }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.mounts.iter().map(|(name, _)| name).collect();
        f.debug_struct("Builder").field("mounts", &names).finish_non_exhaustive()
    }
}
