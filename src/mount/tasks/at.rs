//! A task at its server: the requests about it, in the server's words.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use crate::{
    hub::{BoxFuture, Caller, Fault, Life, Peer, Reason, SilentPeer},
    jsonrpc::{Raw, RawObject},
    mount::{pool::Key as Place, translate::own_words},
    protocol::{
        ClientCapabilities, Method,
        ladder::Envelope,
        tasks::{self, TASK_ID},
    },
    upstream::{Outgoing, Session},
};

/// One task, and the way to it.
#[derive(Clone)]
pub(in crate::mount) struct TaskAt {
    pub(in crate::mount) session: Arc<dyn Session>,
    /// By what that session is shared.
    pub(in crate::mount) place: Option<Place>,
    pub(in crate::mount) caller: Arc<Caller>,
    /// What that caller can be asked in this session.
    pub(in crate::mount) capabilities: ClientCapabilities,
    /// What of the client's headers goes on to the server.
    pub(in crate::mount) headers: Vec<(HeaderName, HeaderValue)>,
    /// The server's id of the task.
    pub(in crate::mount) task: String,
    /// The server's name here.
    pub(in crate::mount) upstream: Arc<str>,
    /// The shortest pause between two questions to the server of how far it is.
    pub(in crate::mount) floor: Duration,
}

impl TaskAt {
    fn send(
        &self,
        method: Method,
        more: Option<(&str, Raw)>,
        to: (Arc<dyn Peer>, Life),
    ) -> BoxFuture<Result<Raw, Fault>> {
        let mut params = RawObject::from([(TASK_ID, Raw::from(&*self.task))]);
        if let Some((name, value)) = more {
            params.set(name, value);
        }
        let envelope = Envelope {
            client_info: self.caller.client_info.as_ref(),
            capabilities: &self.caller.capabilities,
            log_level: None,
            tasks: true,
            ours: &[],
        };
        own_words(self.session.revision()).request(&method, &mut params, &envelope);
        let (peer, life) = to;
        let (headers, capabilities) = (self.headers.clone(), self.capabilities.clone());
        self.session.call(Outgoing { method, params, headers, peer, capabilities, life })
    }

    async fn quietly(&self, method: Method, more: Option<(&str, Raw)>, life: &Life) -> Result<RawObject, Fault> {
        let result = self.send(method, more, (Arc::new(SilentPeer), life.clone())).await?;
        result.to_object().ok_or_else(|| self.broken("its answer about a task is not an object"))
    }

    /// How far it is.
    pub(in crate::mount) async fn get(&self, life: &Life) -> Result<RawObject, Fault> {
        self.quietly(Method::TasksGet, None, life).await
    }

    /// Answers questions of it, at a modern server.
    pub(in crate::mount) async fn update(&self, answers: &RawObject, life: &Life) -> Result<RawObject, Fault> {
        self.quietly(Method::TasksUpdate, Some(("inputResponses", answers.to_raw())), life).await
    }

    /// Cancels it.
    pub(in crate::mount) async fn cancel(&self, life: &Life) -> Result<RawObject, Fault> {
        self.quietly(Method::TasksCancel, None, life).await
    }

    /// Waits for its result, at a legacy server; meanwhile the server may ask `peer`.
    pub(in crate::mount) fn result(&self, peer: Arc<dyn Peer>, life: &Life) -> BoxFuture<Result<Raw, Fault>> {
        self.send(Method::TasksResult, None, (peer, life.clone()))
    }

    /// Whether the server lets its tasks be cancelled.
    pub(in crate::mount) fn can_cancel(&self) -> bool {
        self.session.revision().is_modern() || tasks::offers(&self.session.description().capabilities, "cancel")
    }

    pub(in crate::mount) fn broken(&self, what: &str) -> Fault {
        Fault::upstream(Reason::UpstreamProtocol, &self.upstream, what)
    }
}
