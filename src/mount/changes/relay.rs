//! A modern client's subscription at a modern server: passed through, and opened again when the server lets it go.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Caller, Fault, Filter, Listening},
    jsonrpc::{Kind, Notification, Raw, RawObject, code},
    protocol::method::notification,
    upstream::Session,
};

use super::{super::single::Inner, Kinds, backoff::Backoff, listener::announcement};

/// The member of a filter that names resources.
const RESOURCES: &str = "resourceSubscriptions";
/// The member that names tasks. What a task is by now its client asks anyway (tasks extension, Polling).
const TASKS: &str = "taskIds";

/// What a client subscribed to, and what of it the server honours.
struct Relayed {
    inner: Weak<Inner>,
    closing: CancellationToken,
    caller: Arc<Caller>,
    filter: RawObject,
    honoured: Filter,
    backoff: Backoff,
}

/// Passes a subscription through until the client has enough of it, or the server does not honour it any more.
pub(in crate::mount) fn start(
    inner: &Arc<Inner>,
    caller: Arc<Caller>,
    filter: RawObject,
    (session, listening): (Arc<dyn Session>, Listening),
) -> Listening {
    let Listening { honoured, events } = listening;
    // One at a time: what waits, waits at the server.
    let (client, forwarded) = mpsc::channel(1);
    let relayed = Relayed {
        inner: Arc::downgrade(inner),
        closing: inner.closing.clone(),
        caller,
        filter,
        honoured: honoured.clone(),
        backoff: Backoff::default(),
    };
    tokio::spawn(async move {
        let closing = relayed.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = client.closed() => {}
            () = relayed.run(&client, session, events) => {}
        }
    });
    Listening { honoured, events: forwarded }
}

impl Relayed {
    async fn run(
        mut self,
        client: &mpsc::Sender<Notification>,
        session: Arc<dyn Session>,
        events: mpsc::Receiver<Notification>,
    ) {
        let mut open = Some((session, events));
        while let Some((session, mut events)) = open.take() {
            self.backoff.works();
            while let Some(event) = events.recv().await {
                // What is kept is forgotten before the client hears that it changed.
                if let (Some(kinds), Some(inner)) = (Kinds::announced(&event.method), self.inner.upgrade()) {
                    inner.parties.forget(kinds);
                }
                if client.send(event).await.is_err() {
                    return;
                }
            }
            drop(session);
            if !self.can_be_made_up_for() {
                return;
            }
            open = self.again().await;
            for missed in open.iter().flat_map(|_| self.everything()) {
                if client.send(missed).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Whether it can be said of everything that is honoured that it may have changed. Of what no revision defines it cannot:
    /// the client has to subscribe again, and look for itself.
    fn can_be_made_up_for(&self) -> bool {
        let lists = Kinds::of_filter(&self.honoured).to_filter();
        let is_known = |name: &str| lists.has(name) || matches!(name, RESOURCES | TASKS);
        self.honoured
            .0
            .iter()
            .all(|(name, value)| is_known(&name) || value.kind() == Kind::Bool && value.as_bool() == Some(false))
    }

    /// Opens it again. `None` where the client has to hear that it is over: the server is gone into the other era, or honours
    /// something else than it did.
    async fn again(&mut self) -> Option<(Arc<dyn Session>, mpsc::Receiver<Notification>)> {
        loop {
            self.backoff.pause().await;
            let inner = self.inner.upgrade()?;
            let opened = async {
                let session = inner.session(&self.caller).await?;
                if !session.revision().is_modern() {
                    return Ok(None);
                }
                let listening = inner.open_listen(&session, &self.caller, self.filter.clone()).await?;
                Ok::<_, Fault>(Some((session, listening)))
            };
            match opened.await {
                Ok(None) => return None,
                Ok(Some((session, Listening { honoured, events }))) => {
                    inner.parties.forget(Kinds::of_filter(&honoured));
                    return (honoured == self.honoured).then_some((session, events));
                }
                Err(Fault::Answered(error)) if error.code == code::METHOD_NOT_FOUND => return None,
                Err(fault) => tracing::debug!(reason = fault.to_string(), "a subscription is not open at its server"),
            }
        }
    }

    /// Everything that may have changed while nobody listened.
    fn everything(&self) -> Vec<Notification> {
        let lists = Kinds::of_filter(&self.honoured).each().map(announcement);
        let uris = self.honoured.0.get(RESOURCES).and_then(Raw::to_array).unwrap_or_default();
        let updates = uris.into_iter().map(|uri| Notification {
            method: notification::RESOURCE_UPDATED.to_owned(),
            params: Some(RawObject::from([("uri", uri)])),
        });
        lists.chain(updates).collect()
    }
}
