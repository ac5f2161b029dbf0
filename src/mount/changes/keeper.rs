//! Keeps a legacy server's session open for as long as somebody is told of changes in it, and opens it again when it is lost.

use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use crate::upstream::Session;

use super::{super::single::Inner, backoff::Backoff, kinds::Kinds, topics::Topics};

/// Starts the keeper of a session, unless it has one.
pub(in crate::mount) fn start(inner: &Arc<Inner>, topics: &Arc<Topics>, session: Arc<dyn Session>) {
    if topics.wants_keeper() {
        let (weak, closing) = (Arc::downgrade(inner), inner.closing.clone());
        tokio::spawn(keep(weak, closing, topics.clone(), session));
    }
}

async fn keep(inner: Weak<Inner>, closing: CancellationToken, topics: Arc<Topics>, session: Arc<dyn Session>) {
    let mut session = session;
    loop {
        if topics.lets_keeper_go() {
            return;
        }
        let ends = topics.next_end();
        let next_end = async {
            match ends {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closing.cancelled() => return,
            () = session.over() => {
                topics.quit(session);
                let again = tokio::select! {
                    () = closing.cancelled() => return,
                    again = again(&inner, &topics) => again,
                };
                let Some(opened) = again else {
                    // Nobody is left, or the server does not speak as it did.
                    return topics.has_lost_keeper();
                };
                session = opened;
            }
            () = topics.stirred.notified() => {}
            () = next_end => topics.sweep(&session).await,
        }
    }
}

/// Opens the session again for whoever still uses it, and sets up in it what they had. What they missed meanwhile they are
/// told at once: nobody knows whether there was anything.
async fn again(inner: &Weak<Inner>, topics: &Arc<Topics>) -> Option<Arc<dyn Session>> {
    let mut backoff = Backoff::default();
    loop {
        // For one whose scope has not ended.
        let caller = topics.callers().into_iter().next()?;
        let inner = inner.upgrade()?;
        let opened = inner.session(&caller).await;
        drop(caller);
        match opened {
            Ok(session) if session.revision().is_modern() => {
                for (caller, uris) in topics.dissolve() {
                    if let Some(caller) = caller {
                        inner.clone().follow_again(caller, uris);
                    }
                }
                return None;
            }
            Ok(session) => {
                topics.restore(&session).await;
                let kinds = Kinds::offered(&session.description());
                inner.parties.forget(kinds);
                topics.missed(kinds);
                return Some(session);
            }
            Err(fault) => {
                tracing::debug!(reason = fault.to_string(), "the session of somebody who listens is not open")
            }
        }
        drop(inner);
        backoff.pause().await;
    }
}
