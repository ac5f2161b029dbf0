//! A server that has shaken hands before anybody needs it, so that a call with a session of its own does not wait for one to
//! start.
//!
//! There is at most one for each configured server, for the capabilities that were declared last. It has answered `initialize`
//! and was told nothing since: `notifications/initialized` is said when it is taken, so that it asks nothing before somebody is
//! there to answer. Whoever takes it has it alone, and it never comes back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    connect::{Launch, Opener},
    declare::Declaration,
    handshake::{Agreed, Wire},
};

/// The pause before one that ended is replaced; doubled with each that ends too soon.
const PAUSE: Duration = Duration::from_millis(500);
/// One that waited this long was well.
const HEALTHY: Duration = Duration::from_secs(60);
/// After so many that ended too soon there is none until a call has come again.
const DEATHS: u32 = 5;

/// A server with which everything is agreed.
pub(super) struct Greeted {
    pub(super) wire: Wire,
    pub(super) agreed: Agreed,
    pub(super) started: Instant,
}

/// Where the one who takes it wants to have it.
type Taking = oneshot::Sender<Greeted>;

#[derive(Default)]
enum Shelf {
    #[default]
    Empty,
    /// One is made, and by the time it is there this is wanted.
    Making(Declaration),
    /// One waits. Dropping `take` ends it.
    Waiting { declared: Declaration, take: oneshot::Sender<Taking> },
}

/// The one that waits, if there is any.
#[derive(Default)]
pub(super) struct Spares(Mutex<Shelf>);

impl Spares {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the one that waits, where it was told just that.
    pub(super) async fn take(&self, wanted: &Declaration) -> Option<Greeted> {
        let take = {
            let mut shelf = self.shelf();
            match std::mem::take(&mut *shelf) {
                Shelf::Waiting { declared, take } if declared == *wanted => take,
                other => {
                    *shelf = other;
                    return None;
                }
            }
        };
        let (give, given) = oneshot::channel();
        take.send(give).ok()?;
        given.await.ok()
    }

    /// Lets go of the one that waits, or is made.
    pub(super) fn clear(&self) {
        *self.shelf() = Shelf::Empty;
    }

    /// Says which one is wanted; whether the caller has to see to it.
    fn want(&self, declared: &Declaration) -> bool {
        let mut shelf = self.shelf();
        match &mut *shelf {
            Shelf::Making(wanted) => {
                *wanted = declared.clone();
                false
            }
            Shelf::Waiting { declared: same, .. } if same == declared => false,
            Shelf::Empty | Shelf::Waiting { .. } => {
                *shelf = Shelf::Making(declared.clone());
                true
            }
        }
    }

    /// What is to be made.
    fn wanted(&self) -> Option<Declaration> {
        match &*self.shelf() {
            Shelf::Making(wanted) => Some(wanted.clone()),
            Shelf::Empty | Shelf::Waiting { .. } => None,
        }
    }

    /// Offers one that was made, if it is still wanted.
    fn offer(&self, made: &Declaration) -> Option<oneshot::Receiver<Taking>> {
        let mut shelf = self.shelf();
        match &*shelf {
            Shelf::Making(wanted) if wanted == made => {
                let (take, taken) = oneshot::channel();
                *shelf = Shelf::Waiting { declared: made.clone(), take };
                Some(taken)
            }
            _ => None,
        }
    }

    /// The one on offer has ended; whether another has to be made.
    fn lost(&self, declared: Declaration, taken: &mut oneshot::Receiver<Taking>) -> bool {
        let mut shelf = self.shelf();
        // Taken or replaced in this very moment, it is somebody else's care.
        let is_ours = matches!(taken.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if is_ours {
            *shelf = Shelf::Making(declared);
        }
        is_ours
    }

    /// None is made any more, unless another one was wanted meanwhile.
    fn give_up(&self) {
        let mut shelf = self.shelf();
        if matches!(*shelf, Shelf::Making(_)) {
            *shelf = Shelf::Empty;
        }
    }
}

impl<L: Launch> Opener<L> {
    /// Sees to it that the next call which declares this finds a server ready.
    pub(super) fn want_spare(self: &Arc<Self>, declared: &Declaration) {
        if self.launch.has_room() && self.spares.want(declared) {
            tokio::spawn(self.closing.clone().run_until_cancelled_owned(self.clone().keep_spare()));
        }
    }

    async fn keep_spare(self: Arc<Self>) {
        let mut deaths = 0;
        while let Some(declared) = self.spares.wanted() {
            let made = match self.launch.has_room() {
                true => self.greeted(&declared).await.ok(),
                false => None,
            };
            // A modern server serves everybody in one session.
            let Some(greeted) = made.filter(|made| !made.agreed.revision.is_modern()) else {
                return self.spares.give_up();
            };
            let Some(mut taken) = self.spares.offer(&declared) else { continue };
            let started = greeted.started;
            if !wait(greeted, &mut taken).await || !self.spares.lost(declared, &mut taken) {
                return;
            }
            deaths = if started.elapsed() < HEALTHY { deaths + 1 } else { 1 };
            tracing::debug!(upstream = %self.name(), deaths, "a process that waited for a call has ended");
            if deaths >= DEATHS {
                return self.spares.give_up();
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(deaths - 1)).await;
        }
    }
}

/// Keeps one until it is taken, replaced, or ends by itself, which is what the answer says.
async fn wait(mut greeted: Greeted, taken: &mut oneshot::Receiver<Taking>) -> bool {
    loop {
        let event = tokio::select! {
            biased;
            taken = &mut *taken => {
                if let Ok(give) = taken {
                    let _ = give.send(greeted);
                }
                return false;
            }
            event = greeted.wire.inbound.next() => event,
        };
        // Not among the branches: what has begun to be written is written to its end.
        if greeted.wire.overheard(event).await.is_err() {
            return true;
        }
    }
}
