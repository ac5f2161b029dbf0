//! Who listens to changes of a legacy server's lists.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{
    hub::{Description, Filter, Listening},
    jsonrpc::{Notification, Raw, RawObject},
    protocol::method::notification,
    upstream::Session,
};

/// How many changes may wait for one listener; each kind is announced once however often it happens meanwhile.
const WAITING: usize = 16;
/// How many listeners a mount may have.
const LISTENERS: usize = 10_000;

/// The list changes that a listener can ask for, by filter key, capability family and notification.
const KINDS: [(&str, &str, &str); 3] = [
    ("toolsListChanged", "tools", notification::TOOLS_CHANGED),
    ("promptsListChanged", "prompts", notification::PROMPTS_CHANGED),
    ("resourcesListChanged", "resources", notification::RESOURCES_CHANGED),
];

struct Listener {
    kinds: Vec<&'static str>,
    events: mpsc::Sender<Notification>,
}

/// The listeners of one mount in front of a legacy server.
#[derive(Default)]
pub(super) struct Listens {
    listeners: Mutex<Vec<Listener>>,
}

impl Listens {
    /// Adds a listener. Honoured are the list changes that the server announces; updates of single resources are not.
    /// `None` when there are too many.
    pub(super) fn add(&self, filter: &Filter, server: &Description, session: Arc<dyn Session>) -> Option<Listening> {
        let mut honoured = RawObject::new();
        let mut kinds = Vec::new();
        for (key, family, method) in KINDS {
            let wanted = filter.0.get(key).and_then(Raw::as_bool) == Some(true);
            let announced = server
                .capabilities
                .get_object(family)
                .and_then(|f| f.get("listChanged").and_then(Raw::as_bool))
                .unwrap_or(false);
            if wanted && announced {
                honoured.set(key, Raw::constant("true"));
                kinds.push(method);
            }
        }
        let (events, receiver) = mpsc::channel(WAITING);
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|l| !l.events.is_closed());
        if listeners.len() >= LISTENERS {
            return None;
        }
        // The session stays open for as long as somebody listens, so that there is somebody who hears the server. The
        // listeners themselves cannot hold it: the session holds them, to announce what it hears.
        let listening = events.clone();
        tokio::spawn(async move {
            listening.closed().await;
            drop(session);
        });
        listeners.push(Listener { kinds, events });
        Some(Listening { honoured: Filter(honoured), events: receiver })
    }

    /// Announces a change to everybody who wants to hear of it. It carries no data: who hears it lists again.
    pub(super) fn announce(&self, method: &str) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|l| !l.events.is_closed());
        for listener in listeners.iter().filter(|l| l.kinds.contains(&method)) {
            // A full queue holds the same announcement already.
            let _ = listener.events.try_send(Notification { method: method.to_owned(), params: None });
        }
    }
}
