//! A legacy client's subscriptions at a modern server: one `subscriptions/listen` that names what the client subscribed to.
//!
//! A filter cannot be changed while it is open, so another listen is opened and acknowledged before the first is closed.
//! What both bring in between is told once.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{BoxFuture, Caller, Fault, Listening, Reason, WeakCaller},
    jsonrpc::{Notification, Raw, RawObject, code},
    protocol::{Revision, ladder::Plan, method::notification},
    upstream::Session,
};

use super::{super::single::Inner, Client, GATHERED, backoff::Backoff, topics::LONGEST};

/// How many resources one client may subscribe to.
const RESOURCES: usize = 1000;
/// How many wishes may wait; whoever has another waits for a place.
const WISHES: usize = 64;
/// For how long wishes are gathered before another listen is opened.
const BATCH: Duration = Duration::from_millis(50);
/// After this time the listen names no more than is wanted.
const SHRINKS: Duration = Duration::from_secs(30);
/// For how long two listens are open together, and updates of both are gathered: what the server said on the first before
/// it knew of the second may still be on its way.
const BOTH: Duration = Duration::from_millis(100);

/// What a client wants.
pub(in crate::mount) enum Wish {
    Subscribe(String, oneshot::Sender<Result<(), Fault>>),
    Unsubscribe(String),
}

/// Follows what a client wishes until its session ends.
pub(in crate::mount) fn start(inner: &Arc<Inner>, caller: &Caller, client: &Arc<Client>) -> mpsc::Sender<Wish> {
    let (wishes, queue) = mpsc::channel(WISHES);
    let follower = Follower {
        inner: Arc::downgrade(inner),
        closing: inner.closing.clone(),
        caller: caller.downgrade(),
        client: Arc::downgrade(client),
        wanted: HashSet::new(),
        asked: Vec::new(),
        open: None,
        opening: None,
        due: None,
        leaving: None,
        missed: false,
        backoff: Backoff::default(),
    };
    tokio::spawn(follower.run(queue));
    wishes
}

struct Follower {
    inner: Weak<Inner>,
    closing: CancellationToken,
    caller: WeakCaller,
    client: Weak<Client>,
    /// What the client is subscribed to.
    wanted: HashSet<String>,
    /// What it asked for since the last listen was opened.
    asked: Vec<Asked>,
    open: Option<Open>,
    opening: Option<Opening>,
    /// When the next listen is to be opened.
    due: Option<Instant>,
    /// The listen that was open before, and until when it is.
    leaving: Option<(Open, Instant)>,
    /// Updates may have been missed.
    missed: bool,
    backoff: Backoff,
}

struct Asked {
    uri: String,
    done: oneshot::Sender<Result<(), Fault>>,
}

struct Open {
    /// Held, so that the session is not taken for an idle one.
    _session: Arc<dyn Session>,
    honoured: HashSet<String>,
    plan: Plan,
    events: mpsc::Receiver<Notification>,
}

struct Opening {
    asked: Vec<Asked>,
    opened: BoxFuture<Result<Opened, Fault>>,
}

enum Opened {
    Listening(Arc<dyn Session>, Listening),
    /// The server has become a legacy one.
    Legacy,
}

enum Next {
    Wish(Option<Wish>),
    Opened(Result<Opened, Fault>),
    Event(Option<Notification>),
    /// Something on the listen that was open before.
    Late(Option<Notification>),
    Due,
    Over,
}

impl Follower {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            match self.next(&mut wishes).await {
                Next::Over | Next::Wish(None) => return,
                Next::Wish(Some(Wish::Subscribe(uri, done))) => self.subscribe(uri, done),
                Next::Wish(Some(Wish::Unsubscribe(uri))) => self.unsubscribe(&uri),
                Next::Due => self.begin(),
                Next::Opened(Ok(Opened::Listening(session, listening))) => self.opened(session, listening),
                Next::Opened(Ok(Opened::Legacy)) => self.hand_over(),
                Next::Opened(Err(fault)) => self.failed(&fault),
                Next::Event(Some(event)) | Next::Late(Some(event)) => self.tell(event),
                Next::Late(None) => self.leaving = None,
                Next::Event(None) => {
                    self.open = None;
                    self.missed = true;
                    self.again_after_a_pause();
                }
            }
        }
    }

    async fn next(&mut self, wishes: &mut mpsc::Receiver<Wish>) -> Next {
        let opened = async {
            match &mut self.opening {
                Some(opening) => opening.opened.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let event = async {
            match &mut self.open {
                Some(open) => open.events.recv().await,
                None => std::future::pending().await,
            }
        };
        let late = async {
            match &mut self.leaving {
                Some((before, until)) => tokio::time::timeout_at(*until, before.events.recv()).await.unwrap_or(None),
                None => std::future::pending().await,
            }
        };
        let due = async {
            match self.due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.closing.cancelled() => Next::Over,
            wish = wishes.recv() => Next::Wish(wish),
            opened = opened => Next::Opened(opened),
            event = event => Next::Event(event),
            event = late => Next::Late(event),
            () = due => Next::Due,
        }
    }

    /// Another listen is wanted at that time, if none is wanted earlier.
    fn want(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn again_after_a_pause(&mut self) {
        if !self.wanted.is_empty() {
            let pause = self.backoff.next();
            self.want(Instant::now() + pause);
        }
    }

    fn subscribe(&mut self, uri: String, done: oneshot::Sender<Result<(), Fault>>) {
        let is_honoured = self.open.as_ref().is_some_and(|open| open.honoured.contains(&uri));
        if is_honoured && (self.wanted.len() < RESOURCES || self.wanted.contains(&uri)) {
            self.wanted.insert(uri);
            let _ = done.send(Ok(()));
            return;
        }
        let under_way = self.opening.as_ref().map_or(0, |opening| opening.asked.len());
        if self.wanted.len() + self.asked.len() + under_way >= RESOURCES || uri.len() > LONGEST {
            let text = format!("a client may subscribe to {RESOURCES} resources, and to URIs of {LONGEST} bytes");
            let _ = done.send(Err(Fault::gateway(Reason::Limit, text)));
            return;
        }
        self.asked.push(Asked { uri, done });
        self.want(Instant::now() + BATCH);
    }

    fn unsubscribe(&mut self, uri: &str) {
        self.wanted.remove(uri);
        let under_way = self.opening.as_mut().map(|opening| &mut opening.asked);
        for asked in std::iter::once(&mut self.asked).chain(under_way) {
            // It had it, and has given it up.
            for taken_back in asked.extract_if(.., |asked| asked.uri == uri) {
                let _ = taken_back.done.send(Ok(()));
            }
        }
        if !self.wants_anything() {
            // Nobody needs it: dropping it closes it.
            (self.open, self.opening, self.leaving, self.due) = (None, None, None, None);
        } else if self.open.is_some() {
            self.want(Instant::now() + SHRINKS);
        }
    }

    fn wants_anything(&self) -> bool {
        !self.wanted.is_empty()
            || !self.asked.is_empty()
            || self.opening.as_ref().is_some_and(|opening| !opening.asked.is_empty())
    }

    /// Opens a listen for everything that is wanted; the one that is open stays open meanwhile.
    fn begin(&mut self) {
        if self.opening.is_some() {
            // It will be looked at again when that one is open.
            self.due = None;
            return;
        }
        self.due = None;
        if let Some((_, until)) = self.leaving {
            // One after the other.
            return self.want(until);
        }
        let asked = std::mem::take(&mut self.asked);
        let uris: HashSet<&str> =
            self.wanted.iter().map(String::as_str).chain(asked.iter().map(|asked| asked.uri.as_str())).collect();
        let mut uris: Vec<_> = uris.into_iter().map(Raw::from).collect();
        if uris.is_empty() {
            self.open = None;
            return;
        }
        uris.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let filter = RawObject::from([("resourceSubscriptions", Raw::array(&uris))]);
        let (Some(inner), Some(caller)) = (self.inner.upgrade(), self.caller.upgrade()) else { return };
        let opened = Box::pin(async move {
            let session = inner.session(&caller).await?;
            if !session.revision().is_modern() {
                return Ok(Opened::Legacy);
            }
            let listening = inner.open_listen(&session, &caller, filter);
            // The client's session may end while the server takes its time.
            drop(caller);
            Ok(Opened::Listening(session, listening.await?))
        });
        self.opening = Some(Opening { asked, opened });
    }

    fn opened(&mut self, session: Arc<dyn Session>, listening: Listening) {
        let asked = self.opening.take().map(|opening| opening.asked).unwrap_or_default();
        self.want_what_came_meanwhile();
        let honoured: HashSet<String> = listening
            .honoured
            .0
            .get("resourceSubscriptions")
            .and_then(Raw::to_array)
            .unwrap_or_default()
            .iter()
            .filter_map(|uri| Some(uri.as_text()?.into_owned()))
            .collect();
        for Asked { uri, done } in asked {
            let (is_known, is_honoured) = (self.wanted.contains(&uri), honoured.contains(&uri));
            let answer = match is_honoured {
                true => Ok(()),
                false => Err(Fault::error(code::INVALID_PARAMS, "the server sends no updates of this resource")),
            };
            // A client that gave up the request does not know that it is subscribed.
            if done.send(answer).is_ok() && is_honoured && !is_known {
                self.wanted.insert(uri);
            }
        }
        if !self.wanted.iter().any(|uri| honoured.contains(uri)) {
            // It would bring nothing. It is not opened again before something else is wanted.
            if !self.wanted.is_empty() {
                tracing::warn!("the server does not send updates any more of resources that a client subscribed to");
            }
            self.open = None;
            return;
        }
        let plan = Plan::between(self.revision(), session.revision());
        let before = self.open.replace(Open { _session: session, honoured, plan, events: listening.events });
        self.leaving = before.map(|before| (before, Instant::now() + BOTH));
        self.backoff.works();
        if std::mem::take(&mut self.missed)
            && let Some(client) = self.client.upgrade()
        {
            for uri in &self.wanted {
                client.updated(uri, None, GATHERED);
            }
        }
    }

    fn failed(&mut self, fault: &Fault) {
        let asked = self.opening.take().map(|opening| opening.asked).unwrap_or_default();
        self.want_what_came_meanwhile();
        for Asked { done, .. } in asked {
            let _ = done.send(Err(fault.clone()));
        }
        match fault {
            // It was asked and it knows no such thing; it will not in a moment either.
            Fault::Answered(error) if error.code == code::METHOD_NOT_FOUND => {}
            _ if self.open.is_none() => self.again_after_a_pause(),
            _ => {}
        }
    }

    /// The server speaks the other era by now, in which the client's own session subscribes.
    fn hand_over(&mut self) {
        let (inner, caller) = (self.inner.upgrade(), self.caller.upgrade());
        let fault = match &inner {
            Some(inner) => {
                let what = "it has changed to an older protocol revision; try again";
                Fault::upstream(Reason::UpstreamVersion, inner.upstream(), what)
            }
            None => Fault::gateway(Reason::Internal, "the mount is gone"),
        };
        self.failed(&fault);
        (self.open, self.leaving, self.due) = (None, None, None);
        let wanted = std::mem::take(&mut self.wanted);
        if let (Some(inner), Some(caller)) = (inner, caller) {
            inner.follow_again(caller, wanted.iter().map(|uri| uri.as_str().into()).collect());
        }
    }

    fn want_what_came_meanwhile(&mut self) {
        if !self.asked.is_empty() {
            self.want(Instant::now());
        }
    }

    fn revision(&self) -> Revision {
        self.caller.revision()
    }

    /// Tells the client of an update. One of something that it has unsubscribed from meanwhile is left out.
    fn tell(&mut self, event: Notification) {
        let (Some(open), Some(client)) = (&self.open, self.client.upgrade()) else { return };
        let uri = event.params.as_ref().and_then(|p| Some(p.get("uri")?.as_text()?.into_owned()));
        let (notification::RESOURCE_UPDATED, Some(uri)) = (event.method.as_str(), uri) else { return };
        if open.honoured.contains(&uri) && !self.wanted.contains(&uri) {
            return;
        }
        let both = self.leaving.is_some() || self.opening.is_some();
        let params = open.plan.notification(notification::RESOURCE_UPDATED, event.params);
        client.updated(&uri, params, if both { BOTH } else { GATHERED });
    }
}
