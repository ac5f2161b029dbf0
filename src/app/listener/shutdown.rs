//! Ending in steps: give notice, drain, force.

use std::io;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Asks the listener, and everything that holds a stream open, to end. Clones share one state.
///
/// *Stop* means: say that it will end, and serve on; load balancers need a while to look elsewhere.
/// *Drain* means: accept nothing new, end streams the way the protocol ends them, finish calls.
/// *Force* means: now.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    drain: CancellationToken,
    force: CancellationToken,
}

// === impl Shutdown ===

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown tied to the process's signals: the first SIGTERM or SIGINT stops, and drains once
    /// `notice` has passed; the second forces, whenever it comes. Elsewhere than on Unix the signal is
    /// Ctrl-C.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals(notice: Duration) -> io::Result<Self> {
        let shutdown = Self::new();
        let mut signals = Signals::install()?;
        let asked = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!(?notice, "stopping; a second signal stops at once");
            asked.stop();
            tokio::select! {
                () = tokio::time::sleep(notice) => {
                    asked.drain();
                    signals.next().await;
                }
                () = signals.next() => {}
            }
            tracing::warn!("second signal: stopping at once");
            asked.force();
        });
        Ok(shutdown)
    }

    /// Says that the end is near. Asking again changes nothing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Starts the drain. Asking again changes nothing.
    pub fn drain(&self) {
        self.stop.cancel();
        self.drain.cancel();
    }

    /// Ends everything now.
    pub fn force(&self) {
        self.force.cancel();
        self.drain();
    }

    /// Cancelled once the end is near: who asks for readiness is told that there is none.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Cancelled once draining begins. Open streams wait for it, send their last words, and end.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Completes once the shutdown is forced.
    pub fn forced(&self) -> WaitForCancellationFuture<'_> {
        self.force.cancelled()
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
