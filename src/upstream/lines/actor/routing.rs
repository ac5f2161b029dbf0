//! Where a message of the server belongs.

use crate::{
    hub::{Oddity, Reason},
    jsonrpc::{Message, Notification, Raw, Request, RequestId, Response},
    protocol::{Method, meta, method::notification, tasks},
    upstream::{
        conversation::{Reply, is_question},
        lines::escape::printable,
        pending::{Incoming, call_of_progress},
    },
};

use super::{Actor, Asked};

impl Actor {
    pub(super) fn received(&mut self, message: Message) {
        match message {
            Message::Response(response) => self.responded(response),
            Message::Notification(notification) if self.modern => self.modern_notification(notification),
            Message::Notification(notification) => self.legacy_notification(notification),
            Message::Request(request) if self.modern => {
                self.violation(format_args!("it sends requests ({})", request.method));
            }
            Message::Request(request) => self.question(request),
        }
    }

    fn violation(&mut self, what: std::fmt::Arguments<'_>) {
        self.violations += 1;
        self.counts.odd(Oddity::StrayMessage);
        if self.violations == 1 {
            let what = printable(what.to_string().as_bytes());
            tracing::warn!(upstream = %self.upstream, "the server breaks the protocol, that is ignored: {what:.200}");
        }
    }

    fn responded(&mut self, response: Response) {
        let id = response.id.as_ref().and_then(RequestId::as_u64_lenient);
        let Some(id) = id.filter(|id| self.running.remove(id)) else {
            // What was abandoned may have been answered already.
            if let Some(at) = self.late.iter().position(|late| Some(*late) == id) {
                self.late.remove(at);
            } else {
                tracing::trace!(upstream = %self.upstream, "an answer to nothing that is open");
                self.counts.odd(Oddity::StrayMessage);
            }
            return;
        };
        if !self.tables.calls.end(id, response.outcome.clone()) {
            self.tables.listens.end(id, response.outcome);
        }
        self.settle_questions(id);
    }

    /// A call is over while questions are open in it. On one pipe it is only a guess which call a question belongs to, so
    /// each is put to another call that can answer it, and only then refused.
    fn settle_questions(&mut self, call: u64) {
        if self.asked.is_empty() {
            return;
        }
        for Asked { request, .. } in self.questions_of(call) {
            match self.tables.calls.attribute(&request.method, request.params.as_ref()) {
                Some(other) => self.ask_in(other, request),
                None => self.refuse(&request),
            }
        }
    }

    pub(super) fn broken(&mut self, id: u64, reason: Reason, message: &'static str) {
        if self.running.remove(&id) {
            let fault = self.fault(reason, message);
            if !self.tables.calls.fail(id, fault.clone()) {
                self.tables.listens.fail(id, fault);
            }
            self.settle_questions(id);
        }
    }

    // === legacy ===

    fn question(&mut self, request: Request) {
        if request.method == Method::Ping.as_str() {
            self.answer(&Reply { id: request.id, outcome: Ok(Raw::constant("{}")) });
            return;
        }
        if self.asked.contains_key(&request.id) {
            self.violation(format_args!("it asks twice under one id"));
            return;
        }
        let params = request.params.as_ref();
        let of_a_task = tasks::related(params).is_some();
        let call = if !is_question(&request.method) {
            None
        } else if !of_a_task && self.declared.answers(&request.method, params).is_err() {
            // The call that runs has to learn that it was refused something.
            self.tables.calls.only_asked()
        } else {
            self.tables.calls.attribute(&request.method, params)
        };
        match call {
            Some(call) => self.ask_in(call, request),
            None => {
                if let Some(reply) = self.outside.asked(request) {
                    self.answer(&reply);
                }
            }
        }
    }

    fn ask_in(&mut self, call: u64, request: Request) {
        match self.tables.calls.deliver(call, Incoming::Question(request.clone())) {
            Ok(()) => {
                self.asked.insert(request.id.clone(), Asked { call, request });
            }
            Err(_) => self.refuse(&request),
        }
    }

    fn legacy_notification(&mut self, notification: Notification) {
        match &*notification.method {
            notification::PROGRESS => self.progress(notification),
            notification::MESSAGE => match self.tables.calls.only_hearing() {
                Some(call) => self.tell(call, notification),
                None => self.outside_peer.notify(notification),
            },
            notification::CANCELLED => {
                if let Some(id) = cancelled(&notification) {
                    match self.asked.remove(&id) {
                        Some(asked) => {
                            let _ = self.tables.calls.deliver(asked.call, Incoming::Withdrawn(id));
                        }
                        None => self.outside.withdraw(id),
                    }
                }
            }
            _ => self.outside_peer.notify(notification),
        }
    }

    // === modern ===

    fn modern_notification(&mut self, mut notification: Notification) {
        let listen = notification.params.as_ref().and_then(|p| meta::get(p, meta::SUBSCRIPTION_ID));
        // It names a request by an id of this pipe, whatever else it says.
        if let Some(id) = listen.filter(|_| notification.method != notification::CANCELLED) {
            let id = RequestId::new(&id).ok().and_then(|id| id.as_u64_lenient());
            if let Some(params) = &mut notification.params {
                meta::edit(params, |meta| {
                    meta.remove(meta::SUBSCRIPTION_ID);
                });
            }
            if let Some(id) = id {
                self.event(id, notification);
            }
            return;
        }
        match &*notification.method {
            notification::PROGRESS => self.progress(notification),
            notification::CANCELLED => {
                // The way a server ends a listen.
                if let Some(id) = cancelled(&notification).and_then(|id| id.as_u64_lenient())
                    && self.tables.listens.leave(id)
                {
                    self.running.remove(&id);
                }
            }
            _ => match self.tables.calls.only() {
                Some(call) => self.tell(call, notification),
                None => self.violation(format_args!("`{}` belongs to no call", notification.method)),
            },
        }
    }

    /// Hands an event to a listener. One that does not keep up loses its subscription, and knows it.
    fn event(&mut self, listen: u64, notification: Notification) {
        if self.tables.listens.deliver(listen, Incoming::Notification(notification)).is_err()
            && self.tables.listens.leave(listen)
        {
            self.running.remove(&listen);
            self.cancel(listen, Some("the listener does not keep up"));
        }
    }

    // === both ===

    /// Progress goes to the call whose token it has. That of a task outlives the call which created it (2025-11-25,
    /// basic/utilities/tasks#task-progress-notifications), and goes to whoever waits for the task.
    fn progress(&mut self, notification: Notification) {
        let params = notification.params.as_ref();
        let call = call_of_progress(params).filter(|call| self.tables.calls.waits(*call));
        match call.or_else(|| self.tables.calls.of_task(params)) {
            Some(call) => self.tell(call, notification),
            None if !self.modern && tasks::related(params).is_some() => self.outside_peer.notify(notification),
            None => {}
        }
    }

    fn tell(&mut self, call: u64, notification: Notification) {
        // A full inbox means that nobody reads it: what is lost is progress.
        let _ = self.tables.calls.deliver(call, Incoming::Notification(notification));
    }
}

/// The request that a cancellation names.
fn cancelled(notification: &Notification) -> Option<RequestId> {
    notification.params.as_ref()?.get("requestId").and_then(|id| RequestId::new(id).ok())
}
