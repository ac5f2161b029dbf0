//! `subscriptions/listen`: a stream of changes (2026-07-28, basic/utilities/subscriptions).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    downstream::endpoint,
    hub::{Caller, Description, Fault, Filter, Reason},
    jsonrpc::{Kind, Notification, Raw, RawObject, RequestId, encode_notification},
    protocol::{meta, method::notification},
};

use super::{Reply, Shared, leg::Step, outlet, quota::Place, refused::Refused};

/// How many URIs or tasks one subscription may name.
const NAMES: usize = 1000;

/// Opens a subscription.
pub(super) async fn listen(
    shared: &Shared,
    context: &endpoint::Context<'_>,
    caller: Arc<Caller>,
    id: RequestId,
    params: &RawObject,
    description: Option<Arc<Description>>,
) -> Result<Reply, Refused> {
    let filter = read_filter(params)?;
    if !context.accept.events {
        return Ok(Reply::Unreadable);
    }
    let place = shared.settings.held.listens.take(&caller.principal);
    let place = place.ok_or_else(|| Fault::gateway(Reason::Busy, "too many subscriptions are open"))?;
    let listening = shared.mount.listen(&caller, filter).await?;
    Ok(Reply::Listening(Subscription {
        acknowledgement: Some(listening.honoured),
        events: listening.events,
        draining: Box::pin(shared.settings.draining.clone().cancelled_owned()),
        server_info: description.and_then(|d| d.server_info.clone()),
        place: Some(place),
        id,
    }))
}

/// Reads the `notifications` object; what no revision defines in it passes.
fn read_filter(params: &RawObject) -> Result<Filter, Refused> {
    let Some(filter) = params.get_object("notifications") else {
        return Err(Refused::params("`notifications` must be an object"));
    };
    for (name, value) in filter.iter() {
        match &*name {
            "toolsListChanged" | "promptsListChanged" | "resourcesListChanged" if value.kind() != Kind::Bool => {
                return Err(Refused::params(format!("`notifications.{name}` must be a boolean")));
            }
            "resourceSubscriptions" | "taskIds" => {
                let names = value.to_array().filter(|names| names.iter().all(|n| n.kind() == Kind::String));
                let Some(names) = names else {
                    return Err(Refused::params(format!("`notifications.{name}` must be an array of strings")));
                };
                if names.len() > NAMES {
                    return Err(Refused::params(format!("`notifications.{name}` may hold at most {NAMES} names")));
                }
            }
            _ => {}
        }
    }
    Ok(Filter(filter))
}

/// An open subscription: the notifications as they are written, and the result. Dropping it ends it.
pub(in crate::downstream) struct Subscription {
    id: RequestId,
    /// What is honoured, until the client has been told.
    acknowledgement: Option<Filter>,
    events: mpsc::Receiver<Notification>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    server_info: Option<Raw>,
    /// `None` once the last message was sent.
    place: Option<Place>,
}

impl Subscription {
    /// A notification of this subscription.
    fn stamped(&self, method: &str, params: Option<RawObject>) -> Step {
        let mut params = params.unwrap_or_default();
        meta::edit(&mut params, |meta| meta.set(meta::SUBSCRIPTION_ID, self.id.raw().clone()));
        Step::Said(encode_notification(method, Some(&params)))
    }

    /// The result that ends it.
    fn result(&self) -> Step {
        let mut meta = RawObject::from([(meta::SUBSCRIPTION_ID, self.id.raw().clone())]);
        if let Some(server_info) = &self.server_info {
            meta.set(meta::SERVER_INFO, server_info.clone());
        }
        let result = RawObject::from([("resultType", Raw::from("complete")), (meta::META, meta.to_raw())]);
        Step::End(Ok(result.to_raw()))
    }
}

impl Stream for Subscription {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if let Some(Filter(honoured)) = self.acknowledgement.take() {
            let params = RawObject::from([("notifications", honoured.to_raw())]);
            return Poll::Ready(Some(self.stamped(notification::ACKNOWLEDGED, Some(params))));
        }
        if self.place.is_none() {
            return Poll::Ready(None);
        }
        if self.draining.as_mut().poll(cx).is_pending() {
            loop {
                match self.events.poll_recv(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(event)) if outlet::is_no_change(&event.method) => {}
                    Poll::Ready(Some(event)) => {
                        return Poll::Ready(Some(self.stamped(&event.method, event.params)));
                    }
                    Poll::Ready(None) => break,
                }
            }
        }
        self.place = None;
        self.events.close();
        Poll::Ready(Some(self.result()))
    }
}
