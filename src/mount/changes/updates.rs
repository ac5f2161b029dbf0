//! Updates of resources that wait to be told.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    jsonrpc::{Notification, Raw, RawObject, scan::ScanLimits},
    protocol::method::notification,
};

/// For how long updates are gathered before they are told.
pub(in crate::mount) const GATHERED: Duration = Duration::from_millis(20);
/// How many updates may wait that are more than the name of something subscribed to.
const WHOLE: usize = 64;
/// The longest update that waits as it is, in bytes. Of a longer one only the URI is told.
const LONG: usize = 2048;

/// Each resource once, the latest update counts: an update says that something has to be read again, not what it is now.
#[derive(Debug, Default)]
pub(super) struct Updates {
    order: VecDeque<Arc<str>>,
    /// With the parameters, where they say more than the URI.
    waiting: HashMap<Arc<str>, Option<RawObject>>,
    /// How many of them take memory of their own.
    whole: usize,
}

impl Updates {
    /// Keeps an update of `uri`, which a subscription to `topic` is told. Where too many wait that are about something
    /// below it, the topic itself is told: whoever reads that again sees them all.
    pub(super) fn keep(&mut self, uri: &str, topic: &Arc<str>, params: Option<RawObject>) {
        if !self.keep_whole(uri, params) && !self.waiting.contains_key(topic) {
            self.order.push_back(topic.clone());
            self.waiting.insert(topic.clone(), None);
        }
    }

    /// Keeps an update as it is; `false` where too many wait.
    pub(super) fn keep_whole(&mut self, uri: &str, params: Option<RawObject>) -> bool {
        let params = params.filter(|p| p.len() > 1).and_then(|p| compact(&p));
        if let Some(known) = self.waiting.get_mut(uri) {
            // The name of a topic takes no memory of its own, what is said beside it does.
            if known.is_some() || params.is_none() {
                *known = params;
            } else if self.whole < WHOLE {
                self.whole += 1;
                *known = params;
            }
            return true;
        }
        if self.whole >= WHOLE || uri.len() > LONG {
            return false;
        }
        self.whole += 1;
        let uri: Arc<str> = uri.into();
        self.order.push_back(uri.clone());
        self.waiting.insert(uri, params);
        true
    }

    /// The one that waits longest.
    pub(super) fn next(&mut self) -> Option<Notification> {
        let uri = self.order.pop_front()?;
        let params = self.waiting.remove(&uri).flatten();
        if self.order.is_empty() {
            *self = Self::default();
        }
        let params = params.unwrap_or_else(|| RawObject::from([("uri", Raw::from(&*uri))]));
        Some(Notification { method: notification::RESOURCE_UPDATED.to_owned(), params: Some(params) })
    }
}

/// The same object without the message it was cut from; `None` for one that is too long to wait.
pub(super) fn compact(object: &RawObject) -> Option<RawObject> {
    if object.written_length() > LONG {
        return None;
    }
    let text = Bytes::copy_from_slice(object.to_raw().as_bytes());
    Raw::scan(text, ScanLimits::ANSWER).ok()?.to_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(updates: &mut Updates) -> Vec<String> {
        std::iter::from_fn(|| updates.next())
            .map(|n| String::from_utf8(n.params.unwrap().to_raw().as_bytes().to_vec()).unwrap())
            .collect()
    }

    fn update(uri: &str, more: &str) -> Option<RawObject> {
        let text = format!(r#"{{"uri":"{uri}"{more}}}"#);
        Raw::scan(Bytes::from(text), ScanLimits::ANSWER).unwrap().to_object()
    }

    #[test]
    fn each_resource_waits_once_and_the_latest_counts() {
        let mut updates = Updates::default();
        for more in ["", r#","title":"1""#, r#","title":"2""#] {
            assert!(updates.keep_whole("a:1", update("a:1", more)));
            assert!(updates.keep_whole("a:2", update("a:2", "")));
        }
        assert_eq!(told(&mut updates), [r#"{"uri":"a:1","title":"2"}"#, r#"{"uri":"a:2"}"#]);
        assert!(told(&mut updates).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_told_as_the_topic() {
        let topic: Arc<str> = "a:".into();
        let mut updates = Updates::default();
        for n in 0..10_000 {
            updates.keep(&format!("a:{n}"), &topic, None);
        }
        let told = told(&mut updates);
        assert_eq!((told.len(), told.last().unwrap().as_str()), (WHOLE + 1, r#"{"uri":"a:"}"#));
        updates.keep("a:1", &topic, None);
        assert_eq!(updates.whole, 1);
    }
}
