//! The client of a task as its server sees it: each knows the task by another id.

use std::sync::Arc;

use crate::{
    hub::{Answer, BoxFuture, Peer, Question},
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{
        meta::{self, PROGRESS_TOKEN, RELATED_TASK},
        method::notification::PROGRESS,
        tasks::{self, TASK, TASK_ID},
    },
};

use super::registry::Remote;

/// Says in every message which task it belongs to, in the words of who hears it (2025-11-25,
/// basic/utilities/tasks#associating-task-related-messages).
pub(in crate::mount) struct Related {
    /// The server's id; `None` for a call that is to become a task, in which the server may speak of a task of which nobody
    /// has heard yet.
    server: Option<String>,
    /// The client's id, and under which token it wants to hear of progress; `None` for a client that knows of no task.
    client: Option<(String, Option<Raw>)>,
    peer: Arc<dyn Peer>,
}

impl Related {
    pub(in crate::mount) fn peer(server: &str, client: Option<&Remote>, peer: Arc<dyn Peer>) -> Arc<dyn Peer> {
        let client = client.map(|remote| (remote.handle.clone(), remote.token.clone()));
        Arc::new(Self { server: Some(server.to_owned()), client, peer })
    }

    /// The client of a call that is to become a task. Some servers begin to speak of the task before the client can know it:
    /// until then it is all about the call.
    pub(in crate::mount) fn early(peer: Arc<dyn Peer>) -> Arc<dyn Peer> {
        Arc::new(Self { server: None, client: None, peer })
    }

    fn id(&self) -> Option<&str> {
        self.client.as_ref().map(|(id, _)| &**id)
    }
}

impl Peer for Related {
    fn notify(&self, mut notification: Notification) {
        if let Some(params) = &mut notification.params {
            relate(params, self.id());
            // The token is that of the call which created the task, and good for as long as the task is.
            match &self.client {
                Some((_, Some(token))) if notification.method == PROGRESS => params.set(PROGRESS_TOKEN, token.clone()),
                Some((_, None)) if notification.method == PROGRESS => return,
                _ => {}
            }
        }
        self.peer.notify(notification);
    }

    fn ask(&self, mut question: Question) -> BoxFuture<Answer> {
        let mut params = question.params.take().unwrap_or_default();
        let server = self.server.clone().or_else(|| tasks::related(Some(&params)));
        relate(&mut params, self.id());
        // That a client should make a task of it was never declared to the server.
        params.remove(TASK);
        question.params = (!params.is_empty()).then_some(params);
        let asked = self.peer.ask(question);
        Box::pin(async move {
            let mut answer = asked.await?;
            relate(&mut answer, server.as_deref());
            Ok(answer)
        })
    }
}

/// Writes into `_meta` which task a message belongs to, or that it belongs to none.
pub(in crate::mount) fn relate(object: &mut RawObject, task: Option<&str>) {
    if task.is_none() && meta::get(object, RELATED_TASK).is_none() {
        return;
    }
    meta::edit(object, |meta| match task {
        Some(task) => meta.set(RELATED_TASK, RawObject::from([(TASK_ID, Raw::from(task))]).to_raw()),
        None => drop(meta.remove(RELATED_TASK)),
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A client that notes what it is told and asked, and agrees to everything.
    #[derive(Default)]
    struct Client(Mutex<Vec<String>>);

    impl Client {
        fn notes(&self, params: Option<RawObject>) {
            let text = params.unwrap_or_default().to_raw();
            self.0.lock().unwrap().push(String::from_utf8_lossy(text.as_bytes()).into_owned());
        }
    }

    impl Peer for Client {
        fn notify(&self, notification: Notification) {
            self.notes(notification.params);
        }

        fn ask(&self, question: Question) -> BoxFuture<Answer> {
            self.notes(question.params);
            Box::pin(std::future::ready(Ok(RawObject::from([("action", Raw::from("accept"))]))))
        }
    }

    fn params(text: &'static str) -> Option<RawObject> {
        Raw::constant(text).to_object()
    }

    #[tokio::test]
    async fn a_client_hears_nothing_of_a_task_that_it_cannot_know_yet() {
        let client = Arc::new(Client::default());
        let early = Related::early(client.clone());
        let said = params(
            r#"{"progressToken":"p1","progress":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"raw-1"}}}"#,
        );
        early.notify(Notification { method: PROGRESS.to_owned(), params: said });
        let asked = params(r#"{"message":"who","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"raw-1"}}}"#);
        let question = Question { method: "elicitation/create".to_owned(), params: asked, key: None };
        let answer = early.ask(question).await.unwrap();
        let heard = [r#"{"progressToken":"p1","progress":1}"#, r#"{"message":"who"}"#];
        assert_eq!(*client.0.lock().unwrap(), heard);
        // The server hears which of its tasks the answer is for.
        assert_eq!(tasks::related(Some(&answer)).as_deref(), Some("raw-1"));
    }
}
