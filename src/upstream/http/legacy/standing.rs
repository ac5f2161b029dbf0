//! The stream on which a legacy server says what belongs to no call (2025-11-25,
//! basic/transports#listening-for-messages-from-the-server).
//!
//! Many servers ask their questions here, although they belong to a call, and drop them where nobody listens: so calls
//! that may be asked something wait until the stream is open.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    hub::Oddity,
    jsonrpc::{Message, Notification, Raw, RawObject, RequestId},
    protocol::{Family, method::notification, tasks},
    upstream::{
        conversation::{Conversation, is_question},
        pending::{Incoming, call_of_progress},
    },
};

use super::{
    super::{
        answer::{Messages, Reply},
        client::Purpose,
        server::LAST_EVENT_ID,
    },
    Core, Epoch, writer,
};

/// The longest pause between two attempts.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// How long a call waits for the stream.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stream that lasted this long was fine.
const FINE: Duration = Duration::from_secs(10);
/// After so many streams that did not last, calls do not wait for the next one.
const HOPELESS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An attempt is under way.
    Opening,
    Open,
    /// It broke; the next attempt comes when a call wants the stream, or after a while.
    Broken,
    /// The server has no such stream, or none that lasts.
    Hopeless,
}

/// How the stream is.
pub(super) struct Standing {
    state: watch::Sender<State>,
    wanted: Notify,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self { state: watch::channel(State::Opening).0, wanted: Notify::new() }
    }

    /// Whether there is no such stream.
    pub(super) fn is_missing(&self) -> bool {
        *self.state.borrow() == State::Hopeless
    }

    /// Waits until the stream is open, or an attempt to open it has failed.
    pub(super) async fn ready(&self) {
        let state = *self.state.borrow();
        if matches!(state, State::Open | State::Hopeless) {
            return;
        }
        let mut states = self.state.subscribe();
        if state == State::Broken {
            self.wanted.notify_one();
            let _ = tokio::time::timeout(PATIENCE, states.changed()).await;
        }
        let _ = tokio::time::timeout(PATIENCE, states.wait_for(|state| *state != State::Opening)).await;
    }
}

/// Why a visit ended.
enum Left {
    Refused,
    Broken,
    /// The server does not know the session any more.
    Forgotten,
}

/// Keeps the stream open as long as the epoch lasts.
pub(super) async fn stand(core: Arc<Core>, epoch: Arc<Epoch>) {
    let over = epoch.over.clone();
    tokio::select! {
        () = over.cancelled() => {}
        () = keep(&core, &epoch) => {}
    }
}

async fn keep(core: &Arc<Core>, epoch: &Arc<Epoch>) {
    let capabilities = core.capabilities.clone();
    let mut outside = Conversation::new(core.outside.clone(), core.counts.life(), capabilities, true);
    let mut place = Place::default();
    let mut pause = core.server.settings.backoff;
    let mut short = 0;
    let began = Instant::now();
    loop {
        let begun = Instant::now();
        // Of a stream that never lasts nothing more is expected than what happens to come.
        place.counts = short < HOPELESS;
        match visit(core, epoch, &mut outside, &mut place).await {
            Left::Refused => {
                epoch.standing.state.send_replace(State::Hopeless);
                return;
            }
            // Somebody may wait for nothing but what comes here, so it is not left to the next call to find out. A server
            // that forgets its sessions again and again is not greeted again and again.
            Left::Forgotten
                if (epoch.number == 0 || began.elapsed() >= FINE) && core.renew(epoch.number).await.is_ok() =>
            {
                return;
            }
            Left::Forgotten | Left::Broken => {}
        }
        if begun.elapsed() >= FINE {
            (short, pause) = (0, core.server.settings.backoff);
        } else {
            (short, pause) = (short + 1, (pause * 2).min(LONGEST));
        }
        epoch.standing.state.send_replace(if short < HOPELESS { State::Broken } else { State::Hopeless });
        tokio::select! {
            () = tokio::time::sleep(place.retry.take().unwrap_or(pause).min(LONGEST)) => {}
            () = epoch.standing.wanted.notified() => {}
        }
        if short < HOPELESS {
            epoch.standing.state.send_replace(State::Opening);
        }
    }
}

/// Where the stream goes on.
#[derive(Default)]
struct Place {
    last: Option<Bytes>,
    retry: Option<Duration>,
    was_open: bool,
    /// Whether what was missed is made up for.
    counts: bool,
}

impl Place {
    /// Whether something may have been said to nobody: before the stream broke, or in a session that is gone. A server that
    /// numbers its events goes on with the next.
    fn has_missed(&self, epoch: &Epoch) -> bool {
        match self.was_open {
            true => self.counts && self.last.is_none(),
            false => epoch.number > 0,
        }
    }
}

async fn visit(core: &Arc<Core>, epoch: &Arc<Epoch>, outside: &mut Conversation, place: &mut Place) -> Left {
    let server = &core.server;
    let mut headers = epoch.headers.clone();
    if let Some(last) = place.last.as_ref().and_then(|id| HeaderValue::from_bytes(id).ok()) {
        headers.insert(LAST_EVENT_ID, last);
    }
    let opening = async {
        let answer = server.send(Purpose::Stream, server.get(headers)).await.ok()?;
        Some(Reply::read(answer, server.settings.max_message).await)
    };
    let mut messages = match tokio::time::timeout(server.settings.probe, opening).await {
        Ok(Some(Reply::Messages(messages))) if messages.is_stream() => messages,
        Ok(Some(Reply::Refused(refused))) => {
            let forgotten = match refused.status.as_u16() {
                404 => true,
                400 => refused.mentions(&["session", "not initialized"]),
                _ => false,
            };
            if forgotten && place.was_open {
                return Left::Forgotten;
            }
            let for_now = matches!(refused.status.as_u16(), 408 | 409 | 425 | 429) || refused.status.is_server_error();
            return if for_now { Left::Broken } else { Left::Refused };
        }
        Ok(Some(_)) => return Left::Refused,
        Ok(None) | Err(_) => return Left::Broken,
    };
    epoch.standing.state.send_replace(State::Open);
    if place.has_missed(epoch) {
        core.missed(epoch);
    }
    place.was_open = true;
    read(core, epoch, outside, &mut messages).await;
    place.last = messages.last_id().or(place.last.take());
    place.retry = messages.retry();
    Left::Broken
}

async fn read(core: &Arc<Core>, epoch: &Arc<Epoch>, outside: &mut Conversation, messages: &mut Messages) {
    loop {
        let message = tokio::select! {
            next = messages.next() => next,
            word = outside.next() => {
                writer::word(core, epoch, word).await;
                continue;
            }
        };
        match message {
            Ok(Some(Message::Request(request))) => {
                let params = request.params.as_ref();
                let attributed = match is_question(&request.method) {
                    true => epoch.pending.attribute(&request.method, params).or_else(|| {
                        let nobody = core.capabilities.answers(&request.method, params).is_err();
                        epoch.pending.only_asked().filter(|_| nobody)
                    }),
                    false => None,
                };
                let left = match attributed {
                    Some(id) => epoch.pending.deliver(id, Incoming::Question(request)).err(),
                    None => Some(Incoming::Question(request)),
                };
                if let Some(Incoming::Question(request)) = left
                    && let Some(reply) = outside.asked(request)
                {
                    writer::reply(core, epoch, reply).await;
                }
            }
            Ok(Some(Message::Notification(said))) => hear(core, epoch, outside, said),
            Ok(Some(Message::Response(response))) => {
                let id = response.id.as_ref().and_then(RequestId::as_u64_lenient);
                if !id.is_some_and(|id| epoch.pending.end(id, response.outcome)) {
                    core.counts.odd(Oddity::StrayMessage);
                }
            }
            Ok(None) | Err(_) => return,
        }
    }
}

fn hear(core: &Core, epoch: &Epoch, outside: &mut Conversation, said: Notification) {
    match &*said.method {
        notification::PROGRESS => {
            let call = call_of_progress(said.params.as_ref()).filter(|id| epoch.pending.waits(*id));
            match call.or_else(|| epoch.pending.of_task(said.params.as_ref())) {
                Some(id) => drop(epoch.pending.deliver(id, Incoming::Notification(said))),
                None if tasks::related(said.params.as_ref()).is_some() => core.outside.notify(said),
                None => {}
            }
        }
        notification::MESSAGE => match epoch.pending.only_hearing() {
            Some(id) => {
                if let Err(Incoming::Notification(said)) = epoch.pending.deliver(id, Incoming::Notification(said)) {
                    core.outside.notify(said);
                }
            }
            None => core.outside.notify(said),
        },
        notification::CANCELLED => {
            if let Some(question) = withdrawn(&said) {
                epoch.pending.withdraw(&question);
                outside.withdraw(question);
            }
        }
        _ => core.outside.notify(said),
    }
}

/// The question that a server takes back.
pub(super) fn withdrawn(said: &Notification) -> Option<RequestId> {
    RequestId::new(said.params.as_ref()?.get("requestId")?).ok()
}

impl Core {
    /// Announces everything that may have changed while nobody heard the server. It says no more than that it has to be
    /// looked at again.
    fn missed(&self, epoch: &Epoch) {
        let announced = [
            (Family::Tools, notification::TOOLS_CHANGED),
            (Family::Prompts, notification::PROMPTS_CHANGED),
            (Family::Resources, notification::RESOURCES_CHANGED),
        ];
        let offers = |family: Family| {
            let offered = epoch.description.capabilities.get_object(family.as_str());
            offered.and_then(|f| f.get("listChanged").and_then(Raw::as_bool)) == Some(true)
        };
        let lists = announced.into_iter().filter(|(family, _)| offers(*family));
        let lists = lists.map(|(_, method)| Notification { method: method.to_owned(), params: None });
        let kept = self.kept();
        let updates = kept.subscriptions.iter().map(|(uri, _)| Notification {
            method: notification::RESOURCE_UPDATED.to_owned(),
            params: Some(RawObject::from([("uri", uri.clone())])),
        });
        let missed = lists.chain(updates).collect();
        drop(kept);
        self.outside.missed(missed);
    }
}
