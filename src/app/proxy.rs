//! A proxy in front of one MCP server, as a Rust program writes it.

mod alone;
mod root;
mod target;

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::io::DuplexStream;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};
use url::Url;

use crate::{
    auth::Unidentified,
    config::EraChoice,
    downstream::Settings,
    hub::{
        Call, CallService, Fault, Forwarded, Forwarding, Layered, Mount, Outcome, Verdict, after_forward,
        before_forward,
    },
    limits::ServerLimits,
    mount::{Matching, Share, Single, Tasking, Terms},
    upstream::{
        EraChoice as Era,
        child::{CommandTarget, Guardian},
        in_process::InProcessConnector,
    },
};

use self::{alone::Alone, target::Target};
use super::gateway::{MountLayer, Mounted};

/// A proxy in front of one MCP server: elsewhere ([`Proxy::to`]), as a child process ([`Proxy::command`]), or in this
/// process ([`Proxy::in_process`]). Any client reaches it, whatever revision either end speaks.
///
/// Give it to [`Rialto::builder`](crate::Rialto::builder) as a mount, or nest it in an axum application of your own:
///
/// ```
/// use rialto::Proxy;
///
/// # async fn app() -> axum::Router {
/// axum::Router::new()
///     .nest_service("/mcp/docs", Proxy::to("https://docs.example/mcp").into_service())
///     .nest("/mcp/time", Proxy::command("uvx").args(["mcp-server-time"]).into_router())
/// # }
/// ```
///
/// The two differ in one thing: axum passes `/mcp/docs/`, with a slash at the end, on to a nested service and not to a nested
/// router. Either may be nested as deep as you like, beside any other routes and in any order.
///
/// # Who is calling
///
/// That comes from the request: middleware of yours puts an [`Access`](crate::auth::Access) or a
/// [`Principal`](crate::hub::Principal) into its extensions. Without one the caller is unknown and each request stands
/// alone, unless the proxy is [`local`](Proxy::local).
///
/// ```
/// use axum::{Router, extract::Request, http::StatusCode, middleware::{self, Next}, response::Response};
/// use rialto::{Proxy, auth::Access, hub::Principal};
///
/// async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
///     // Whatever your application does to know its users.
///     let user = request.headers().get("x-user").and_then(|user| user.to_str().ok()).ok_or(StatusCode::UNAUTHORIZED)?;
///     let access = Access::only(Principal::new(user), ["docs"]);
///     request.extensions_mut().insert(access);
///     Ok(next.run(request).await)
/// }
///
/// # fn app() -> Router {
/// Router::new()
///     .nest_service("/mcp/docs", Proxy::to("https://docs.example/mcp").name("docs").into_service())
///     .layer(middleware::from_fn(authenticate))
/// # }
/// ```
///
/// # When the application stops
///
/// Clients of MCP keep streams open that have no end of their own, and a graceful shutdown would wait for them for ever.
/// Give the proxy (or the [builder](crate::app::Builder::draining)) the token that stops the server, and they end with it:
///
/// ```no_run
/// use rialto::Proxy;
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let stop = CancellationToken::new();
/// let docs = Proxy::to("https://docs.example/mcp").draining(stop.clone());
/// let app = axum::Router::new().nest_service("/mcp/docs", docs.into_service());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// let stopped = stop.clone().cancelled_owned();
/// tokio::spawn(async move {
///     let _ = tokio::signal::ctrl_c().await;
///     stop.cancel();
/// });
/// axum::serve(listener, app).with_graceful_shutdown(stopped).await
/// # }
/// ```
///
/// Child processes see the end of their input when the application is dropped. Only the program `rialto` also ends those
/// that do not listen, and those it leaves behind when it is killed.
#[must_use]
pub struct Proxy {
    target: Target,
    title: Option<String>,
    era: EraChoice,
    terms: Terms,
    layers: Vec<Box<dyn FnOnce(Arc<str>) -> MountLayer + Send>>,
    unidentified: Option<Unidentified>,
    alone: Alone,
}

/// What the name of a mount is made of.
pub(super) const NAMES: &str = "use letters, digits, `_` and `-`, a letter first";

/// What the mounts of one process share.
#[derive(Clone, Default)]
pub(super) struct Process {
    /// Ends children when this process dies; only the binary has one.
    pub(super) guardian: Option<Guardian>,
    /// The sessions at servers elsewhere, which say goodbye before the process ends.
    pub(super) sessions: TaskTracker,
}

// === impl Proxy ===

impl Proxy {
    /// A server elsewhere, by the URL of its streamable HTTP endpoint. Nothing is sent before somebody needs it.
    ///
    /// A text that is no `http` or `https` URL makes a proxy that is down and says why.
    pub fn to(url: impl AsRef<str>) -> Self {
        let url = match Url::parse(url.as_ref()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            Ok(_) => Err("its address is not an `http` or `https` URL".to_owned()),
            Err(error) => Err(format!("its address is not a URL: {error}")),
        };
        Self::at(Target::Http { url, headers: Vec::new() })
    }

    /// A child process that speaks MCP on its standard input and output: a path, or a name to look up in `PATH`. It starts
    /// when somebody needs it, and is started again when it ends. It never passes through a shell.
    pub fn command(program: impl Into<String>) -> Self {
        let target = CommandTarget { command: program.into(), args: Vec::new(), env: Vec::new(), cwd: None };
        Self::at(Target::Command { target, start_timeout: None })
    }

    /// A server in this process: `serve` runs it over the stream that it is given, until the stream ends, once for every
    /// session.
    ///
    /// ```
    /// use rialto::Proxy;
    /// use rmcp::{ServerHandler, ServiceExt};
    ///
    /// #[derive(Clone)]
    /// struct Notes;
    /// impl ServerHandler for Notes {}
    ///
    /// let proxy = Proxy::in_process(|io| async move {
    ///     if let Ok(running) = Notes.serve(io).await {
    ///         let _ = running.waiting().await;
    ///     }
    /// });
    /// # let _ = proxy;
    /// ```
    pub fn in_process<F, S>(serve: F) -> Self
    where
        F: Fn(DuplexStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let serve = Arc::new(serve);
        Self::at(Target::InProcess(Box::new(move |name, settings| {
            let serve = serve.clone();
            InProcessConnector::with_settings(name, settings, move |io| serve(io))
        })))
    }

    /// A proxy that is down, and says why.
    pub(super) fn nowhere(reason: String) -> Self {
        Self::at(Target::Nothing(reason))
    }

    fn at(target: Target) -> Self {
        Self {
            target,
            title: None,
            era: EraChoice::default(),
            terms: Terms::default(),
            layers: Vec::new(),
            unidentified: None,
            alone: Alone::default(),
        }
    }

    /// What people call it, where its name in the path is not what they would say.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Arguments for the command. No effect on other proxies.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        if let Target::Command { target, .. } = &mut self.target {
            target.args.extend(args.into_iter().map(Into::into));
        }
        self
    }

    /// A variable for the command's environment, which otherwise holds only what programs need to run. No effect on other
    /// proxies.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Target::Command { target, .. } = &mut self.target {
            target.env.push((name.into(), value.into()));
        }
        self
    }

    /// The directory the command starts in. No effect on other proxies.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        if let Target::Command { target, .. } = &mut self.target {
            target.cwd = Some(PathBuf::from(directory.as_ref()));
        }
        self
    }

    /// On what terms the server is used, all of them at once.
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// The bounds towards this server, in place of those for all servers.
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.terms.limits = Some(limits);
        self
    }

    /// How long the command may take to start and answer its first message, one minute unless said. No effect on other
    /// proxies.
    pub fn start_timeout(mut self, time: Duration) -> Self {
        if let Target::Command { start_timeout, .. } = &mut self.target {
            *start_timeout = Some(time);
        }
        self
    }

    /// A header for every request to a server elsewhere, such as a credential. No effect on other proxies.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        if let Target::Http { headers, .. } = &mut self.target {
            value.set_sensitive(true);
            headers.push((name, value));
        }
        self
    }

    /// What becomes of calls that are, or could be, tasks, in place of what is usual.
    pub fn tasking(mut self, tasking: Tasking) -> Self {
        self.terms.tasking = tasking;
        self
    }

    /// Lets these headers of clients pass to a server elsewhere, with everything that is sent for the client: its calls, and
    /// the handshakes and streams that they need. Clients that send different values share no session there, and are shown
    /// nothing of what the server says to others. Headers that name one request, such as `traceparent` and `x-request-id`, go
    /// with that request alone. Credentials and headers of the protocol never pass.
    pub fn forward_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.terms.forward_headers.extend(names);
        self
    }

    /// Looks at the server's lists about once a minute while a client wants to hear of changes, where the server does not
    /// announce them itself. What it lists is looked at in the gateway's own name.
    pub fn poll_lists(mut self, polls: bool) -> Self {
        self.terms.poll_lists = polls;
        self
    }

    /// Which era of the protocol is spoken with the server; found out by probing unless said.
    pub fn era(mut self, era: EraChoice) -> Self {
        self.era = era;
        self
    }

    /// Who shares the sessions that a server needs and a client lacks; the calls of one principal unless said. With
    /// [`Share::LEASED`] everybody does, one at a time, so that each can be asked something.
    pub fn sessions(mut self, share: Share) -> Self {
        self.terms.share = share;
        self
    }

    /// Pings a legacy server in a session in which nothing has gone on for a minute. Where it does not answer twice in a row, the
    /// session is closed, and the next call opens another one. A ping is no use of a session: an idle one still ends.
    pub fn ping_idle(mut self) -> Self {
        self.terms.ping_idle = true;
        self
    }

    /// Says that what a legacy server lists and says about itself is the same for everybody: it is kept for everybody, here and
    /// by caches on the way to the clients. A modern server says so itself. Not where hooks, layers or the server show different things to different callers.
    pub fn public_lists(mut self) -> Self {
        self.terms.public_lists = true;
        self
    }

    /// Sends the call of a tool once more whose answer was lost on its way, where the server annotates the tool with
    /// `readOnlyHint` or `idempotentHint`. Annotations are nothing but the server's word: only for servers that you trust.
    pub fn reissue_idempotent_tools(mut self) -> Self {
        self.terms.reissue_idempotent_tools = true;
        self
    }

    /// Tells the conversations of one principal's modern clients apart by what they say under this key of `_meta`, such as
    /// `example.com/conversation`: each has sessions of its own with a server that keeps sessions. Otherwise a principal's
    /// conversations share one, and whatever the server keeps in it.
    pub fn affinity(mut self, key: impl Into<String>) -> Self {
        self.terms.affinity = Some(key.into().into());
        self
    }

    /// Counts requests that nobody authenticated as those of one user, the user of this machine, instead of as strangers to
    /// each other. For applications that only this machine reaches.
    pub fn local(mut self) -> Self {
        self.unidentified = Some(Unidentified::Local);
        self
    }

    /// Shows each call to `hook` before it is forwarded. The hook may change the call, answer it, or refuse it.
    ///
    /// Hooks and layers are passed in the order in which they were added. They see the calls of clients of every revision,
    /// over MCP and over REST, lists included; handshakes are the gateway's own. Questions and notifications go to the call's
    /// peer, which a hook may wrap: see [`CallService`]. A hook that panics ends the call it panicked in, and nothing else.
    ///
    /// ```
    /// use rialto::{Proxy, hub::{Fault, Forwarding, Verdict}, protocol::Method};
    ///
    /// let proxy = Proxy::to("https://files.example/mcp").before_forward(|forwarding: Forwarding| async move {
    ///     let call = forwarding.call;
    ///     let is_guest = call.caller.principal.as_str() == "guest";
    ///     if is_guest && call.method == Method::ToolsCall {
    ///         return Err(Fault::error(-32602, "guests may look, and not touch"));
    ///     }
    ///     Ok(Verdict::Forward(call))
    /// });
    /// # let _ = proxy;
    /// ```
    pub fn before_forward<H, F>(self, hook: H) -> Self
    where
        H: Fn(Forwarding) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Verdict, Fault>> + Send + 'static,
    {
        self.with_layer(move |mount| before_forward(&mount, hook))
    }

    /// Shows the end of each call to `hook`, which says how it ends for the client.
    ///
    /// ```
    /// use rialto::{Proxy, hub::Forwarded};
    ///
    /// let proxy = Proxy::to("https://files.example/mcp").after_forward(|forwarded: Forwarded| async move {
    ///     if let Err(fault) = &forwarded.outcome {
    ///         eprintln!("{} at {}: {fault}", forwarded.method, forwarded.mount);
    ///     }
    ///     forwarded.outcome
    /// });
    /// # let _ = proxy;
    /// ```
    pub fn after_forward<H, F>(self, hook: H) -> Self
    where
        H: Fn(Forwarded) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
    {
        self.with_layer(move |mount| after_forward(&mount, hook))
    }

    /// Puts a tower layer around the calls: a service of [`Call`]s that end in an [`Outcome`] or a [`Fault`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use rialto::{Proxy, hub::{Fault, Reason}};
    /// use tower::{ServiceBuilder, util::MapErrLayer};
    ///
    /// let proxy = Proxy::to("https://files.example/mcp")
    ///     .layer(MapErrLayer::new(|fault: Fault| match fault.reason() {
    ///         Some(_) => Fault::gateway(Reason::Internal, "the files cannot be reached, ask the desk"),
    ///         None => fault,
    ///     }));
    /// # let _ = proxy;
    /// ```
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<CallService> + Send + Sync + 'static,
        L::Service: Service<Call, Response = Outcome, Error = Fault> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        self.with_layer(move |_| layer)
    }

    fn with_layer<L>(mut self, layer: impl FnOnce(Arc<str>) -> L + Send + 'static) -> Self
    where
        L: Layer<CallService> + Send + Sync + 'static,
        L::Service: Service<Call, Response = Outcome, Error = Fault> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |mount| {
            let layer = layer(mount);
            Box::new(move |below| Arc::new(Layered::new(below, &layer)))
        }));
        self
    }

    /// The mount that it becomes under `name`.
    pub(super) fn into_mounted(
        mut self,
        name: &str,
        unidentified: Unidentified,
        settings: &Settings,
        process: &Process,
    ) -> Mounted {
        // What is set for everybody stands in the place of what a client sends, and tells nobody apart.
        if let Target::Http { headers, .. } = &self.target {
            self.terms.forward_headers.retain(|name| headers.iter().all(|(own, _)| own != name));
        }
        let limits = self.terms.limits.unwrap_or(settings.limits.servers);
        let terms = Terms { limits: Some(limits), ..self.terms };
        let layers = self.layers.into_iter().map(|layer| layer(name.into())).collect();
        let single = |era| {
            let connector = self.target.connector(name, era, &limits, process);
            Single::new(name, connector, terms.clone(), settings.sealer.clone())
        };
        let mount: Arc<dyn Mount> = match self.era {
            EraChoice::Auto => Arc::new(single(Era::Auto)),
            EraChoice::Modern => Arc::new(single(Era::Modern)),
            EraChoice::Legacy => Arc::new(single(Era::Legacy)),
            EraChoice::Match => Arc::new(Matching::new(single(Era::Modern), single(Era::Legacy))),
        };
        let unidentified = self.unidentified.unwrap_or(unidentified);
        Mounted { mount, layers, title: self.title, unidentified, series: None, limits: Some(limits) }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let target = match &self.target {
            Target::Http { .. } => "http",
            Target::Command { .. } => "command",
            Target::InProcess(_) => "in process",
            Target::Nothing(_) => "nothing",
        };
        f.debug_struct("Proxy").field("target", &target).field("era", &self.era).finish_non_exhaustive()
    }
}
