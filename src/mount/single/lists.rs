//! The lists of a server: fetched whole, kept while they hold, and handed out in pages.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    hub::{Call, Caller, Description, Fault, Life, Oddity, Outcome, Reason, SilentPeer},
    jsonrpc::{Raw, RawObject},
    protocol::{Losses, Method, ladder::Facts, meta, tasks, trace},
    upstream::{Outgoing, Session},
};

use super::{
    super::{
        catalog::{LONGEST, Tools, View, list_index},
        pages::{Owner, Pages},
        pool::Opened,
        translate::own_words,
    },
    Inner,
    forwarding::has_changed,
    travelling::{Header, is_special, own_headers},
};

/// How many pages of one list are fetched.
const PAGES: usize = 1000;

/// A list that somebody wants.
pub(super) struct Wanted<'a> {
    pub(super) caller: &'a Arc<Caller>,
    pub(super) method: &'a Method,
    /// The member of the result that holds the items.
    pub(super) member: &'static str,
    pub(super) life: &'a Life,
    /// The client's own headers, by which the server may list something else.
    pub(super) headers: &'a [Header],
    /// The parameters of the request because of which it is fetched: it is part of the same trace.
    pub(super) cause: Option<&'a RawObject>,
    /// The client's own parameters, where they say more than that a list is wanted.
    pub(super) words: Option<&'a RawObject>,
}

impl Inner {
    pub(super) async fn list(&self, call: &Call, member: &'static str) -> Result<Outcome, Fault> {
        let (caller, method, cause) = (&call.caller, &call.method, Some(&call.params));
        if let Some(cursor) = call.params.get("cursor").filter(|c| !c.is_null()) {
            let page = self.snapshots.at(&self.owner(caller, method), cursor)?;
            return Ok(Outcome::Complete(page.to_raw()));
        }
        let headers = own_headers(call);
        let words = call.params.iter().any(|(name, _)| name != "cursor" && name != meta::META).then_some(&call.params);
        let wanted = Wanted { caller, method, member, life: &call.life, headers: &headers, cause, words };
        if words.is_some() || is_special(caller, &headers) {
            // The server may list something else for every value, so nothing of it is kept.
            return Ok(just_fetched(&*self.fetch(&wanted, &View::default()).await?));
        }
        let view = self.view(caller);
        if let Some(pages) = view.list(method, self.catalog.epoch(method)) {
            self.snapshots.keep(&self.owner(caller, method), &pages);
            return Ok(first_page(&pages));
        }
        // Callers of a list that can be kept wait for one fetch; others fetch for themselves.
        let _one = match self.keeps(caller, method) {
            true => Some(view.fetching[list_index(method)].lock().await),
            false => None,
        };
        if let Some(pages) = view.list(method, self.catalog.epoch(method)) {
            self.snapshots.keep(&self.owner(caller, method), &pages);
            return Ok(first_page(&pages));
        }
        Ok(just_fetched(&*self.fetch(&wanted, &view).await?))
    }

    /// Whether a list will be kept, as far as that is known before it is fetched.
    fn keeps(&self, caller: &Arc<Caller>, method: &Method) -> bool {
        match self.pool.ready(caller) {
            Some(Opened { session, .. }) if !session.revision().is_modern() => {
                announces(&session.description(), method)
            }
            _ => true,
        }
    }

    fn owner<'a>(&'a self, caller: &'a Caller, method: &Method) -> Owner<'a> {
        Owner {
            sealer: &self.sealer,
            principal: if self.is_public() { "" } else { caller.principal.as_str() },
            mount: &self.name,
            view: format!("{method} {} {}", caller.revision, caller.fingerprint),
            credentials: &caller.credentials,
        }
    }

    /// A whole list as it is at the server now. Nothing of it is kept.
    pub(in crate::mount) async fn listed(&self, caller: &Arc<Caller>, method: &Method) -> Result<Arc<Pages>, Fault> {
        let (member, life) = (method.list_member().unwrap_or_default(), &self.counts.life());
        let wanted = Wanted { caller, method, member, life, headers: &[], cause: None, words: None };
        self.fetch(&wanted, &View::default()).await
    }

    /// Fetches a whole list, all its pages, and keeps it as long as it may be kept.
    pub(super) async fn fetch(&self, wanted: &Wanted<'_>, view: &View) -> Result<Arc<Pages>, Fault> {
        let session = self.session(wanted.caller).await?;
        match self.fetch_from(&session, wanted, view).await {
            // Listing does nothing, so it may be done in the other era.
            Err(fault) if has_changed(&session, &fault) => {
                let session = self.session(wanted.caller).await?;
                self.fetch_from(&session, wanted, view).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_from(
        &self,
        session: &Arc<dyn Session>,
        wanted: &Wanted<'_>,
        view: &View,
    ) -> Result<Arc<Pages>, Fault> {
        let Wanted { caller, method, member, life, headers, cause, words } = *wanted;
        let epoch = self.catalog.epoch(method);
        let plan = self.plan(caller, session.revision());
        let broken = |what: &str| Fault::upstream(Reason::UpstreamProtocol, &self.name, what);
        let mut items: Vec<Raw> = Vec::new();
        let mut frame: Option<RawObject> = None;
        let (mut ttl, mut is_public) = (u64::MAX, true);
        let mut cursor: Option<Raw> = None;
        for page in 0.. {
            if page == PAGES {
                return Err(broken("its list has too many pages"));
            }
            let mut params = words.cloned().unwrap_or_default();
            match &cursor {
                Some(cursor) => params.set("cursor", cursor.clone()),
                None => drop(params.remove("cursor")),
            }
            let asking = if words.is_some() { plan } else { own_words(session.revision()) };
            asking.request(method, &mut params, &self.envelope(caller, &session.description()));
            if let Some(cause) = cause.filter(|_| words.is_none()) {
                trace::inherit(&mut params, cause);
            }
            let outgoing = Outgoing {
                method: method.clone(),
                params,
                headers: headers.to_vec(),
                peer: Arc::new(SilentPeer),
                capabilities: caller.capabilities.clone(),
                life: life.clone(),
            };
            let result = match session.call(outgoing).await {
                Ok(result) => result.to_object().ok_or_else(|| broken("its list is not an object"))?,
                Err(Fault::Answered(error)) => {
                    let facts = Facts { upstream: Some(&self.name), ..Facts::default() };
                    return Err(Fault::Answered(plan.error(method, error, &facts)));
                }
                Err(fault) => return Err(fault),
            };
            if session.revision().is_modern() {
                match result.get("resultType") {
                    Some(kind) if kind.is_text("complete") => {}
                    Some(_) => return Err(broken("it answered a list with something else")),
                    None => life.odd(Oddity::NoResultType),
                }
            }
            let part = result.get(member).and_then(Raw::to_array).ok_or_else(|| broken("its list has no items"))?;
            items.extend(part);
            ttl = ttl.min(result.get("ttlMs").and_then(|t| t.parse().ok()).unwrap_or(0));
            is_public &= result.get("cacheScope").is_some_and(|scope| scope.is_text("public"));
            let next = result.get("nextCursor").filter(|c| !c.is_null()).cloned();
            frame.get_or_insert(result);
            match next {
                None => break,
                // A server that hands out the same cursor twice would be asked for ever.
                Some(next) if cursor.as_ref() == Some(&next) => {
                    tracing::warn!(mount = &*self.name, %method, "the server repeats a cursor; its list ends here");
                    break;
                }
                Some(next) => cursor = Some(next),
            }
        }
        let server = session.description();
        if !session.revision().is_modern() {
            ttl = if announces(&server, method) { millis(self.limits.list_kept) } else { 0 };
        }
        let facts = Facts {
            server_info: server.server_info.as_ref(),
            http: session.mirrors_headers(),
            ttl_ms: ttl,
            public: self.is_public(),
            tasks: session.revision().is_modern() && tasks::extended(&server.capabilities),
            ..Facts::default()
        };
        let mut whole = frame.unwrap_or_default();
        whole.remove("nextCursor");
        whole.set(member, Raw::array(&items));
        if whole.has("ttlMs") {
            whole.set("ttlMs", Raw::of(&ttl));
        }
        // What is not for everybody in one page is not for everybody in the whole.
        if whole.has("cacheScope") && !is_public {
            whole.remove("cacheScope");
        }
        let mut losses = Losses::default();
        let whole = plan.result(method, whole, &facts, &mut losses);
        self.counts.lost(losses);
        let shown = whole.get(member).and_then(Raw::to_array).unwrap_or_default();
        if *method == Method::ToolsList {
            view.keep_tools(epoch, Arc::new(Tools::read(plan, &items, &shown)));
        }
        let ttl = Duration::from_millis(ttl).min(LONGEST);
        let pages = self.snapshots.cut(&self.owner(caller, method), (&whole, Instant::now() + ttl), member, &shown);
        view.keep_list(method, epoch, &pages, ttl);
        Ok(pages)
    }
}

fn first_page(pages: &Pages) -> Outcome {
    Outcome::Complete(pages.page(0).unwrap_or_default().to_raw())
}

/// The same of a list that holds as long as the server has just said.
fn just_fetched(pages: &Pages) -> Outcome {
    Outcome::Complete(pages.pages.first().cloned().unwrap_or_default().to_raw())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a legacy server announces changes of this list.
fn announces(server: &Description, method: &Method) -> bool {
    let family = method.family().and_then(|f| server.capabilities.get_object(f.as_str()));
    family.and_then(|f| f.get("listChanged").and_then(Raw::as_bool)).unwrap_or(false)
}
