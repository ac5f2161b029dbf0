//! One running process: waiting for its end, and bringing it about.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use tokio::{
    process::Child,
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::{Guardian, os::Group};

/// How long a process may take to end after its input did.
const UNASKED: Duration = Duration::from_secs(2);
/// How long it and what it started may take after SIGTERM.
const ASKED: Duration = Duration::from_secs(3);
/// How often a group is looked at while it ends; nothing tells when its last process is gone.
const LOOK: Duration = Duration::from_millis(25);
/// How long the standard error may go on after the last process of the group.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Whatever belongs to a process. Dropped before its time, as when the runtime ends, it kills the group.
struct Held {
    group: Option<Group>,
    guardian: Option<Guardian>,
    ended: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            if !self.ended {
                group.kill();
            }
            if let Some(guardian) = &self.guardian {
                guardian.release(group);
            }
        }
    }
}

/// A process that was just started.
pub(super) struct Process {
    upstream: Arc<str>,
    child: Child,
    held: Held,
    stderr: JoinHandle<()>,
    _place: OwnedSemaphorePermit,
}

impl Process {
    /// Takes care of a process. From here on it is known to the guardian.
    ///
    /// Between the start and this moment only the end of its input tells the process that we are gone, should we be killed
    /// just then: it cannot be registered before it has an id, and what could hold it back until then (a program in
    /// between, or a hook before its start) costs more than these few instructions are worth, or is not safe Rust.
    pub(super) fn new(
        upstream: &Arc<str>,
        child: Child,
        guardian: Option<Guardian>,
        stderr: impl FnOnce(Option<tokio::process::ChildStderr>) -> JoinHandle<()>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let group = child.id().and_then(Group::of);
        if let (Some(guardian), Some(group)) = (&guardian, group) {
            guardian.watch(group);
        }
        let held = Held { group, guardian, ended: false };
        let mut child = child;
        let stderr = stderr(child.stderr.take());
        Self { upstream: upstream.clone(), child, held, stderr, _place: place }
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the process ends or is not needed any more, and sees to it that nothing of it is left. Its end is told
    /// to `ended`, for people.
    pub(super) async fn attend(mut self, released: oneshot::Receiver<()>, ended: oneshot::Sender<String>) {
        let by_itself = tokio::select! {
            status = self.child.wait() => Some(status),
            _ = released => None,
        };
        let mut gone = by_itself.is_some();
        match by_itself {
            Some(status) => {
                let how = describe(status);
                tracing::debug!(upstream = %self.upstream, "the server's process ended by itself ({how})");
                let _ = ended.send(how);
            }
            None => gone = tokio::time::timeout(UNASKED, self.child.wait()).await.is_ok(),
        }
        self.end_group(gone).await;
        self.held.ended = true;
        if tokio::time::timeout(LAST_WORDS, &mut self.stderr).await.is_err() {
            self.stderr.abort();
        }
    }

    /// Ends what is left of the group; `gone` says that the process itself has ended.
    async fn end_group(&mut self, mut gone: bool) {
        let is_alive = |group: Option<Group>| group.is_some_and(Group::is_alive);
        let group = self.held.group;
        if !gone || is_alive(group) {
            if let Some(group) = group {
                group.terminate();
            }
            let until = Instant::now() + ASKED;
            while (!gone || is_alive(group)) && Instant::now() < until {
                if gone {
                    tokio::time::sleep(LOOK).await;
                } else {
                    gone = tokio::time::timeout(LOOK, self.child.wait()).await.is_ok();
                }
            }
            if let Some(group) = group {
                group.kill();
            }
        }
        if !gone {
            let _ = self.child.start_kill();
            let _ = self.child.wait().await;
        }
    }
}

/// How a process ended.
fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(_) => "nobody knows how".to_owned(),
    }
}
