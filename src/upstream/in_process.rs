//! Servers that run inside this process, each session with one of its own over a pipe in memory.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{io::DuplexStream, sync::oneshot};

use crate::hub::{BoxFuture, Fault, Health, Reason};

use super::{
    Connector, Opening, Session, Sharing,
    lines::{Door, Launch, LineSettings, Pipe},
};

/// How much may be on its way in each direction, in bytes.
const PIPE: usize = 256 * 1024;
/// How long a server may take to end after its input did.
const END: Duration = Duration::from_secs(5);

type Serve = dyn Fn(DuplexStream) -> BoxFuture<()> + Send + Sync;

/// A server in this process. A panic of what it runs as ends the session it happens in, and nothing else. Frameworks that
/// run their handlers as tasks of their own take the panics of those for themselves: with rmcp such a call has no answer, and
/// ends when its time is over.
pub struct InProcessConnector(Door<Spawn>);

impl InProcessConnector {
    /// A server called `name`: `serve` runs it over the stream it is given until the stream ends.
    pub fn new<F, S>(name: &str, serve: F) -> Self
    where
        F: Fn(DuplexStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Self::with_settings(name, LineSettings::default(), serve)
    }

    /// The same with other bounds than the usual ones.
    pub fn with_settings<F, S>(name: &str, settings: LineSettings, serve: F) -> Self
    where
        F: Fn(DuplexStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let serve: Arc<Serve> = Arc::new(move |stream| Box::pin(serve(stream)));
        let name: Arc<str> = name.into();
        Self(Door::new(name.clone(), settings, Spawn { name, serve }))
    }
}

impl Connector for InProcessConnector {
    fn name(&self) -> &Arc<str> {
        self.0.name()
    }

    fn sharing(&self) -> BoxFuture<Result<Sharing, Fault>> {
        Box::pin(self.0.clone().sharing())
    }

    fn known_sharing(&self) -> Option<Sharing> {
        self.0.known_sharing()
    }

    fn open(&self, opening: Opening) -> BoxFuture<Result<Arc<dyn Session>, Fault>> {
        Box::pin(self.0.clone().open(opening))
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn legacy(&self) -> Option<Arc<dyn Connector>> {
        Some(Arc::new(Self(self.0.legacy()?)))
    }

    fn transport(&self) -> &'static str {
        "in-process"
    }
}

#[derive(Clone)]
struct Spawn {
    name: Arc<str>,
    serve: Arc<Serve>,
}

impl Spawn {
    fn pipe(&self) -> Pipe {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (reader, writer) = tokio::io::split(ours);
        let (hold, released) = oneshot::channel::<()>();
        let (ended, gone) = oneshot::channel();
        let serve = self.serve.clone();
        // In a task of its own from the first line on, so that nothing it does can take down anybody else.
        let mut server = tokio::spawn(async move { serve(theirs).await });
        tokio::spawn(async move {
            let how = tokio::select! {
                how = &mut server => how,
                _ = released => match tokio::time::timeout(END, &mut server).await {
                    Ok(how) => how,
                    Err(_) => {
                        server.abort();
                        return;
                    }
                },
            };
            let _ = ended.send(how.is_err());
        });
        let name = self.name.clone();
        let gone = Box::pin(async move {
            let message = match gone.await {
                Ok(true) => "the server panicked",
                _ => "the server ended",
            };
            Fault::upstream(Reason::UpstreamExited, &name, message)
        });
        Pipe { reader: Box::new(reader), writer: Box::new(writer), gone, hold: Box::new(hold) }
    }
}

impl Launch for Spawn {
    fn launch(&self) -> BoxFuture<Result<Pipe, Fault>> {
        Box::pin(std::future::ready(Ok(self.pipe())))
    }

    fn up(&self) {}

    fn down(&self, _: &Fault, _: Duration) {}
}
