//! Subscriptions of either era at a server of either.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    hub::{BoxFuture, Call, Caller, Description, Fault, Filter, Listening, Outcome, Scope, SilentPeer},
    jsonrpc::{Kind, Notification, Raw, RawObject, code},
    protocol::{Family, Method, ladder::Facts},
    upstream::{Session, Sharing},
};

use super::{
    super::{
        changes::{
            Client, Kinds, follow, keeper,
            listener::Listener,
            poll, relay,
            topics::{Ear, Hold, Topics, Use, Whose},
            watch_lists,
        },
        pool::{Key, Opened, Share},
        translate::own_words,
    },
    Inner,
    sending::{Hop, Wish},
};

/// How long the session of a single request is kept after its answer, for what the server says about lists afterwards.
const AFTERWARDS: Duration = Duration::from_millis(500);

impl Inner {
    /// The server's name, for faults.
    pub(in crate::mount) fn upstream(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the server speaks the modern era, found out where it is not known.
    pub(in crate::mount) async fn is_modern(&self, caller: &Caller) -> Result<bool, Fault> {
        Ok(self.pool.connector(caller).sharing().await? == Sharing::Everybody)
    }

    /// A legacy client has come: the lists of a modern server are watched for it.
    pub(super) async fn attend(self: &Arc<Self>, caller: &Caller) {
        if self.terms.poll_lists {
            poll::start(self, &self.parties.of(caller));
        }
        // A legacy server is asked for nothing: its sessions are opened when they are needed, and say what changes.
        if self.pool.connector(caller).known_sharing() != Some(Sharing::Everybody) {
            return;
        }
        let changes = self.parties.of(caller);
        watch_lists::start(self, &changes, None);
        changes.watched.settled().await;
    }

    /// A legacy client may send something along that it did not send before: it hears of changes for that, too.
    pub(super) fn meet(self: &Arc<Self>, caller: &Caller) {
        if caller.credentials.is_empty() || !caller.scope.is_session() {
            return;
        }
        self.parties.client(caller);
        if self.terms.poll_lists {
            poll::start(self, &self.parties.of(caller));
        }
        if self.pool.connector(caller).known_sharing() == Some(Sharing::Everybody) {
            watch_lists::start(self, &self.parties.of(caller), None);
        }
    }

    /// What is subscribed to in the session that a caller uses.
    pub(super) fn topics(&self, key: Option<&Key>, caller: &Caller) -> Arc<Topics> {
        let Some(key) = key else { return Topics::new(Use::Several, self.counts.clone(), self.limits.linger) };
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(key).and_then(Weak::upgrade) {
            return known;
        }
        topics.retain(|_, topics| topics.strong_count() > 0);
        let used = match () {
            () if key.is_own() => Use::Own,
            () if key.is_everybodys() || caller.scope.is_session() => Use::Several,
            () => Use::Principal,
        };
        let new = Topics::new(used, self.counts.clone(), self.limits.linger);
        topics.insert(key.clone(), Arc::downgrade(&new));
        new
    }

    fn topics_of(&self, caller: &Caller) -> Arc<Topics> {
        self.topics(self.pool.key(caller).as_ref(), caller)
    }

    /// Subscribes to changes for a modern client.
    pub(super) async fn listen(self: &Arc<Self>, caller: &Arc<Caller>, filter: Filter) -> Result<Listening, Fault> {
        let by = self.listening_as(caller);
        let session = self.session(&by).await?;
        let named = self.tasks.named(caller, &filter);
        match session.revision().is_modern() {
            true => {
                let polled = Kinds::of_filter(&filter) & self.polled(&session.description());
                let mut filter = named.for_server(&filter);
                for kind in polled.each() {
                    filter.0.remove(kind.key());
                }
                let relayed = self.relay(session, caller, filter).await?;
                self.beside_polled(named.renamed(relayed), polled, caller)
            }
            false => {
                let listening = self.gather(session, by, caller, &filter).await?;
                Ok(named.beside(caller.clone(), listening))
            }
        }
    }

    /// In whose session a caller listens. Those who share no session with anybody listen in one for all of them, in which
    /// nothing else is ever done: a session each would be one that hears of nothing, for nothing happens in it.
    fn listening_as(&self, caller: &Arc<Caller>) -> Arc<Caller> {
        if !self.shares_nothing(caller) {
            return caller.clone();
        }
        let principal = self.parties.of(caller).gateway.principal.clone();
        let mut observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(observer) = observers.get(&caller.credentials).and_then(Weak::upgrade) {
            return observer;
        }
        observers.retain(|_, observer| observer.strong_count() > 0);
        // Its scope is a session's: what is opened for it is kept until the last of them leaves.
        let scope = Scope::session(Arc::new(SilentPeer));
        let new = Caller::gateway_in(principal, scope).sending(&caller.credentials);
        observers.insert(caller.credentials.clone(), Arc::downgrade(&new));
        new
    }

    fn shares_nothing(&self, caller: &Caller) -> bool {
        let alone = self.terms.share == Share::Nobody
            || self.terms.share == Share::Principal && caller.principal.is_anonymous();
        alone && !caller.scope.is_session()
    }

    /// Passes a subscription on to a modern server.
    async fn relay(
        self: &Arc<Self>,
        session: Arc<dyn Session>,
        caller: &Arc<Caller>,
        filter: Filter,
    ) -> Result<Listening, Fault> {
        if asks_for_nothing(&filter) {
            return Ok(silence(Filter::default()));
        }
        let listening = self.open_listen(&session, caller, filter.0.clone()).await?;
        match listening.honoured.0.is_empty() {
            // The server is let go of: it would never say anything.
            true => Ok(silence(listening.honoured)),
            false => Ok(relay::start(self, caller.clone(), filter.0, (session, listening))),
        }
    }

    /// The lists that are looked at now and then.
    pub(super) fn polled(&self, server: &Description) -> Kinds {
        if self.terms.poll_lists { Kinds::silent(server) } else { Kinds::default() }
    }

    /// Adds the lists that are looked at here to what a modern server delivers.
    fn beside_polled(
        self: &Arc<Self>,
        listening: Listening,
        polled: Kinds,
        caller: &Caller,
    ) -> Result<Listening, Fault> {
        if polled.is_empty() {
            return Ok(listening);
        }
        let changes = self.parties.of(caller);
        let listener = Listener::new(polled, self.closing.child_token());
        let registered = changes.add(&listener, &self.name)?;
        poll::start(self, &changes);
        let Listening { honoured: Filter(mut honoured), events: mut relayed } = listening;
        for kind in polled.each() {
            honoured.set(kind.key(), Raw::constant("true"));
        }
        let (own, mut looked) = mpsc::channel(1);
        tokio::spawn(listener.tell(own, registered));
        let (events, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = events.closed() => return,
                    event = relayed.recv() => event,
                    event = looked.recv() => event,
                };
                let Some(event) = event else { return };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(Listening { honoured: Filter(honoured), events: receiver })
    }

    /// Opens a listen at a modern server.
    pub(in crate::mount) fn open_listen(
        &self,
        session: &Arc<dyn Session>,
        caller: &Caller,
        filter: RawObject,
    ) -> BoxFuture<Result<Listening, Fault>> {
        let mut params = RawObject::from([("notifications", filter.to_raw())]);
        let envelope = self.envelope(caller, &session.description());
        own_words(session.revision()).request(&Method::Listen, &mut params, &envelope);
        session.listen(params)
    }

    /// Subscribes a modern client at a legacy server. What cannot be subscribed to is left out of what is honoured.
    async fn gather(
        self: &Arc<Self>,
        session: Arc<dyn Session>,
        by: Arc<Caller>,
        caller: &Caller,
        filter: &Filter,
    ) -> Result<Listening, Fault> {
        let server = session.description();
        let kinds = Kinds::of_filter(filter) & (Kinds::offered(&server) | self.polled(&server));
        let listener = Listener::new(kinds, self.closing.child_token());
        let changes = self.parties.of(caller);
        let registered = changes.add(&listener, &self.name)?;
        if self.terms.poll_lists {
            poll::start(self, &changes);
        }
        let topics = self.topics_of(&by);
        let plan = self.plan(caller, session.revision());
        let ear = Ear { plan, whose: Whose::Listener(listener.clone()) };
        let hold = topics.join(ear, &by, &caller.principal);
        keeper::start(self, &topics, session.clone());
        let mut honoured = kinds.to_filter();
        if subscribes(&server) {
            let taken = hold.take_all(&session, &wanted(filter)).await;
            if !taken.is_empty() {
                let taken: Vec<_> = taken.iter().map(|uri| Raw::from(&**uri)).collect();
                honoured.set("resourceSubscriptions", Raw::array(&taken));
            }
        }
        // One at a time: what waits, waits where it is told once.
        let (events, receiver) = mpsc::channel(1);
        tokio::spawn(listener.tell(events, (registered, hold, by)));
        Ok(Listening { honoured: Filter(honoured), events: receiver })
    }

    /// `resources/subscribe` and `resources/unsubscribe` of a legacy client.
    pub(super) async fn subscribing(
        self: &Arc<Self>,
        Opened { session, beside }: &Opened,
        call: &Call,
    ) -> Result<Outcome, Fault> {
        let (caller, begins) = (&call.caller, call.method == Method::ResourcesSubscribe);
        let done = Ok(Outcome::Complete(Raw::constant("{}")));
        let modern = session.revision().is_modern();
        if modern && !subscribes(&session.description()) {
            return Err(Fault::method_not_found(call.method.as_str()));
        }
        let Some(uri) = call.params.get("uri").and_then(Raw::as_text) else {
            return Err(Fault::error(code::INVALID_PARAMS, "`uri` must be a string"));
        };
        if !caller.scope.is_session() {
            let what = "updates reach nobody who has no session: send `initialize` first";
            return if begins { Err(Fault::error(code::INVALID_REQUEST, what)) } else { done };
        }
        let plan = self.plan(caller, session.revision());
        if modern || self.terms.share.is_everybodys() {
            if begins {
                let facts = Facts { upstream: Some(&self.name), ..Facts::default() };
                self.subscribe(session, caller, &uri).await.map_err(|fault| match fault {
                    Fault::Answered(error) => Fault::Answered(plan.error(&call.method, error, &facts)),
                    fault => fault,
                })?;
            } else {
                self.unsubscribe(session, caller, &uri).await;
            }
            return done;
        }
        // The session is the client's own: it says so in its own words.
        let hop = Hop { call, session, beside, plan, name: None, tool: None };
        let hold = self.hold(session, caller);
        let answered = match self.send(hop, &Wish::Plain).await {
            // It is not subscribed, which is what it wants. Its session may have begun before a restart, of which neither
            // this process nor the server remembers what was subscribed to.
            Err(Fault::Answered(error)) if !begins && error.code != code::METHOD_NOT_FOUND && !hold.holds(&uri) => {
                Outcome::Complete(Raw::constant("{}"))
            }
            answered => answered?,
        };
        match begins {
            true => {
                // Beyond the bound it is not made again when the session is lost.
                if let Err(fault) = hold.note(&uri) {
                    tracing::warn!(mount = &*self.name, "a subscription is not remembered: {fault}");
                }
                keeper::start(self, &hold.topics, session.clone());
            }
            false => hold.release(&uri, true),
        }
        Ok(answered)
    }

    /// Subscribes a legacy client, in the gateway's words.
    async fn subscribe(
        self: &Arc<Self>,
        session: &Arc<dyn Session>,
        caller: &Arc<Caller>,
        uri: &str,
    ) -> Result<(), Fault> {
        if session.revision().is_modern() {
            let (done, answer) = oneshot::channel();
            let gone = || Fault::error(code::INVALID_REQUEST, "the session is over");
            let wishes = self.wishes(caller);
            wishes.send(follow::Wish::Subscribe(uri.to_owned(), done)).await.map_err(|_| gone())?;
            return answer.await.unwrap_or_else(|_| Err(gone()));
        }
        let hold = self.hold(session, caller);
        keeper::start(self, &hold.topics, session.clone());
        let taken = hold.take(session, uri).await;
        // A keeper that was about to go may not have seen that it is needed again.
        keeper::start(self, &hold.topics, session.clone());
        taken
    }

    async fn unsubscribe(self: &Arc<Self>, session: &Arc<dyn Session>, caller: &Arc<Caller>, uri: &str) {
        if session.revision().is_modern() {
            let _ = self.wishes(caller).send(follow::Wish::Unsubscribe(uri.to_owned())).await;
        } else {
            self.hold(session, caller).release(uri, false);
        }
    }

    /// Subscribes a legacy client again to what it was subscribed to while the server spoke the other era.
    pub(in crate::mount) fn follow_again(self: Arc<Self>, caller: Arc<Caller>, uris: HashSet<Arc<str>>) {
        tokio::spawn(async move {
            let mut failed: Option<(usize, String)> = None;
            for uri in uris {
                let subscribed = async {
                    let session = self.session(&caller).await?;
                    self.subscribe(&session, &caller, &uri).await
                };
                if let Err(fault) = subscribed.await {
                    failed.get_or_insert_with(|| (0, fault.to_string())).0 += 1;
                }
            }
            // Once for all of them: there may be thousands. As a field, since the words may be the server's.
            if let Some((count, reason)) = failed {
                tracing::warn!(mount = &*self.name, count, reason, "subscriptions could not be made again");
            }
        });
    }

    fn client(&self, caller: &Caller) -> Arc<Client> {
        self.parties.client(caller)
    }

    fn hold(&self, session: &Arc<dyn Session>, caller: &Caller) -> Arc<Hold> {
        let client = self.client(caller);
        client.hold(|| {
            let plan = self.plan(caller, session.revision());
            let ear = Ear { plan, whose: Whose::Client(Arc::downgrade(&client)) };
            self.topics_of(caller).join(ear, caller, &caller.principal)
        })
    }

    fn wishes(self: &Arc<Self>, caller: &Caller) -> mpsc::Sender<follow::Wish> {
        let client = self.client(caller);
        client.wishes(|| follow::start(self, caller, &client))
    }

    /// Keeps the session of a single request for a moment, where somebody listens or a list is kept: a server may say what the
    /// request changed only when it has answered it.
    pub(super) fn lingers(&self, caller: &Arc<Caller>, session: Arc<dyn Session>) {
        if !self.shares_nothing(caller)
            || session.revision().is_modern()
            || Kinds::offered(&session.description()).is_empty()
            || !self.parties.known(caller).is_some_and(|changes| changes.has_listeners()) && !self.catalog.keeps_lists()
        {
            return;
        }
        let (caller, closing) = (caller.clone(), self.closing.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(AFTERWARDS, closing.cancelled()).await;
            drop((session, caller));
        });
    }
}

/// A subscription to which nothing will ever be said.
fn silence(honoured: Filter) -> Listening {
    let (events, receiver) = mpsc::channel::<Notification>(1);
    // Its end would be the end of the subscription.
    tokio::spawn(async move { events.closed().await });
    Listening { honoured, events: receiver }
}

/// Whether a filter names nothing. What no revision defines may be anything.
fn asks_for_nothing(Filter(filter): &Filter) -> bool {
    filter.iter().all(|(_, value)| match value.kind() {
        Kind::Bool => value.as_bool() == Some(false),
        Kind::Array => value.to_array().is_some_and(|names| names.is_empty()),
        _ => false,
    })
}

/// Whether a server sends updates of single resources.
fn subscribes(server: &Description) -> bool {
    let resources = server.capabilities.get_object(Family::Resources.as_str());
    resources.and_then(|r| r.get("subscribe").and_then(Raw::as_bool)).unwrap_or(false)
}

/// The resources that a filter names, each once.
fn wanted(Filter(filter): &Filter) -> Vec<Arc<str>> {
    let named = filter.get("resourceSubscriptions").and_then(Raw::to_array).unwrap_or_default();
    let mut seen = HashSet::new();
    let uris = named.iter().filter_map(Raw::as_text).map(|uri| Arc::<str>::from(&*uri));
    uris.filter(|uri| seen.insert(uri.clone())).collect()
}
