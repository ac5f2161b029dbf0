//! Watches the lists of a modern server for the legacy clients of a mount: one `subscriptions/listen` for all of them, for
//! as long as there are any.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Fault, Listening},
    jsonrpc::code,
    upstream::Session,
};

use super::{super::single::Inner, Changes, Kinds, backoff::Backoff};

/// How long a client's `initialize` may wait for the server's acknowledgement.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    Opening,
    /// The server has acknowledged, or has failed to.
    Settled,
}

/// How the lists are watched.
#[derive(Default)]
pub(in crate::mount) struct Watched {
    state: watch::Sender<State>,
    /// A session in which the server announces nothing, so that it is not asked again and again.
    barren: Mutex<Option<Weak<dyn Session>>>,
}

impl Watched {
    /// Waits until nothing is missed any more, but not for long.
    pub(in crate::mount) async fn settled(&self) {
        let mut state = self.state.subscribe();
        let _ = tokio::time::timeout(PATIENCE, state.wait_for(|state| *state != State::Opening)).await;
    }

    /// Whether the one who asks is the one who begins to watch.
    fn begins(&self) -> bool {
        self.state.send_if_modified(|state| {
            let begins = *state == State::Off;
            if begins {
                *state = State::Opening;
            }
            begins
        })
    }

    fn is_barren(&self, session: &Arc<dyn Session>) -> bool {
        let barren = self.barren.lock().unwrap_or_else(PoisonError::into_inner);
        barren.as_ref().is_some_and(|known| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(session)))
    }

    fn is_of_no_use(&self, session: &Arc<dyn Session>) {
        *self.barren.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(session));
    }
}

/// Starts to watch, where legacy clients are there and nobody does yet. `session` is the one that would be used, where it is
/// known.
pub(in crate::mount) fn start(inner: &Arc<Inner>, changes: &Arc<Changes>, session: Option<&Arc<dyn Session>>) {
    let watched = &changes.watched;
    let is_of_use = |session: &Arc<dyn Session>| session.revision().is_modern() && !watched.is_barren(session);
    if *watched.state.borrow() != State::Off
        || !changes.has_clients()
        || !session.is_none_or(is_of_use)
        || !watched.begins()
    {
        return;
    }
    let (weak, changes, closing) = (Arc::downgrade(inner), changes.clone(), inner.closing.clone());
    tokio::spawn(async move {
        loop {
            let left = watch(&weak, &changes, &closing).await;
            changes.watched.state.send_replace(State::Off);
            // Another client may have come while the last one left, and found that somebody watches.
            if left == Left::Nothing || !changes.has_clients() || !changes.watched.begins() {
                return;
            }
        }
    });
}

/// Why nobody watches any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// There is nobody to watch for.
    Deserted,
    /// There is nothing to watch.
    Nothing,
}

/// Watches until there is nobody to watch for, or nothing to watch.
async fn watch(weak: &Weak<Inner>, changes: &Arc<Changes>, closing: &CancellationToken) -> Left {
    let mut backoff = Backoff::default();
    let mut missed = Kinds::default();
    loop {
        let Some(inner) = weak.upgrade() else { return Left::Nothing };
        let opened = tokio::select! {
            () = closing.cancelled() => return Left::Nothing,
            () = changes.deserted() => return Left::Deserted,
            opened = open(&inner, changes) => opened,
        };
        drop(inner);
        match opened {
            Ok(None) => return Left::Nothing,
            Ok(Some((session, listening))) => {
                let kinds = Kinds::of_filter(&listening.honoured);
                // Until now nobody would have heard of a change.
                changes.forget(kinds);
                changes.announce(missed & kinds, None);
                changes.watched.state.send_replace(State::Settled);
                backoff.works();
                let mut events = listening.events;
                loop {
                    tokio::select! {
                        () = closing.cancelled() => return Left::Nothing,
                        () = changes.deserted() => return Left::Deserted,
                        event = events.recv() => match event {
                            Some(event) => changes.heard(&event),
                            None => break,
                        },
                    }
                }
                drop(session);
                missed = kinds;
            }
            Err(fault) => {
                tracing::debug!(reason = fault.to_string(), "the lists of a server are not watched");
                changes.watched.state.send_replace(State::Settled);
            }
        }
        tokio::select! {
            () = closing.cancelled() => return Left::Nothing,
            () = changes.deserted() => return Left::Deserted,
            () = backoff.pause() => {}
        }
    }
}

/// Opens a listen for the lists whose changes the server announces; `None` where it announces none, or is legacy by now.
async fn open(inner: &Arc<Inner>, changes: &Changes) -> Result<Option<(Arc<dyn Session>, Listening)>, Fault> {
    let gateway = &changes.gateway;
    if !inner.is_modern(gateway).await? {
        return Ok(None);
    }
    let session = inner.session(gateway).await?;
    let kinds = Kinds::offered(&session.description());
    if !session.revision().is_modern() || changes.watched.is_barren(&session) {
        return Ok(None);
    }
    let of_no_use = || {
        changes.watched.is_of_no_use(&session);
        Ok(None)
    };
    if kinds.is_empty() {
        return of_no_use();
    }
    match inner.open_listen(&session, gateway, kinds.to_filter()).await {
        Ok(listening) if Kinds::of_filter(&listening.honoured).is_empty() => of_no_use(),
        Ok(listening) => Ok(Some((session.clone(), listening))),
        Err(Fault::Answered(error)) if error.code == code::METHOD_NOT_FOUND => of_no_use(),
        Err(fault) => Err(fault),
    }
}
