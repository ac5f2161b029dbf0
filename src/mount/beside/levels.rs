//! The log level of a session that several requests share.
//!
//! A modern request says which messages it wants, and a legacy session has one level for all (2025-11-25,
//! server/utilities/logging). The session gets the most verbose level that a request wants; each request hears only what it
//! asked for, further down.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::protocol::level::LEVELS;

/// The level of those who want none, once somebody wanted one: from here on servers log unasked.
const UNASKED: usize = 1;

/// How long a server may take to change its level before the request goes on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// After this time without a request that needs the level, a request that needs less raises it again.
const UNNEEDED: Duration = Duration::from_secs(60);

/// The level of one session.
pub(in super::super) struct Levels {
    state: Mutex<State>,
    /// Held while the level is changed.
    changing: tokio::sync::Mutex<()>,
}

struct State {
    /// How many requests want each level.
    wanted: [usize; LEVELS.len()],
    /// What the server was last told; `None` while it logs as it likes.
    current: Option<usize>,
    /// When a request last needed it.
    needed: Instant,
}

/// A request that wants a level, for as long as it lasts.
pub(in super::super) struct Wish {
    levels: Arc<Levels>,
    level: usize,
}

impl Default for Levels {
    fn default() -> Self {
        let state = State { wanted: [0; LEVELS.len()], current: None, needed: Instant::now() };
        Self { state: Mutex::new(state), changing: tokio::sync::Mutex::default() }
    }
}

impl Levels {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants messages from `level` on, and has the server told so by `tell` where it matters. Whether the server takes it is
    /// its own affair: it is not told twice.
    pub(in super::super) async fn want<F: Future<Output = ()>>(
        self: &Arc<Self>,
        level: usize,
        tell: impl Fn(&'static str) -> F,
    ) -> Wish {
        self.lock().wanted[level] += 1;
        let wish = Wish { levels: self.clone(), level };
        if self.lock().change().is_some() {
            let _one = self.changing.lock().await;
            let change = self.lock().change();
            if let Some(level) = change {
                let _ = timeout(PATIENCE, tell(LEVELS[level])).await;
                let mut state = self.lock();
                state.current = Some(level);
                state.needed = Instant::now();
            }
        }
        wish
    }
}

impl Levels {
    /// Has the server log from `level` on, no more and no less: whoever had the session before wanted something else.
    pub(in super::super) async fn set<F: Future<Output = ()>>(
        &self,
        level: Option<usize>,
        tell: impl Fn(&'static str) -> F,
    ) {
        let level = {
            let state = self.lock();
            match (level.or(state.current.map(|_| UNASKED)), state.current) {
                (Some(level), current) if current != Some(level) => level,
                _ => return,
            }
        };
        let _ = timeout(PATIENCE, tell(LEVELS[level])).await;
        self.lock().current = Some(level);
    }
}

impl State {
    /// The level that the server has to be told, if it has to be told one.
    fn change(&self) -> Option<usize> {
        let wanted = self.wanted.iter().position(|n| *n > 0)?;
        match self.current {
            Some(current) if wanted == current => None,
            Some(current) if wanted > current => (self.needed.elapsed() >= UNNEEDED).then_some(wanted),
            _ => Some(wanted),
        }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let mut state = self.levels.lock();
        state.wanted[self.level] -= 1;
        if state.current == Some(self.level) {
            state.needed = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_has_the_most_verbose_level_that_is_wanted_and_is_told_no_more_than_it_has_to() {
        let (levels, told) = (Arc::new(Levels::default()), Mutex::new(Vec::new()));
        let want = async |level: &str| {
            let level = LEVELS.iter().position(|l| *l == level).unwrap();
            levels.want(level, async |level| told.lock().unwrap().push(level)).await
        };
        let first = want("warning").await;
        let second = want("error").await;
        let third = want("debug").await;
        assert_eq!(*told.lock().unwrap(), ["warning", "debug"]);
        drop((first, second, third));
        // It stays verbose for a while: the next request may want it again.
        drop(want("warning").await);
        tokio::time::advance(UNNEEDED - Duration::from_secs(1)).await;
        drop(want("debug").await);
        tokio::time::advance(UNNEEDED - Duration::from_secs(1)).await;
        drop(want("warning").await);
        assert_eq!(told.lock().unwrap().len(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(want("warning").await);
        assert_eq!(*told.lock().unwrap(), ["warning", "debug", "warning"]);
    }

    #[tokio::test]
    async fn whoever_has_a_session_for_itself_sets_its_level() {
        let (levels, told) = (Levels::default(), Mutex::new(Vec::new()));
        for wanted in [None, Some("error"), Some("error"), Some("debug"), Some("warning"), None, None] {
            let level = wanted.and_then(|wanted| LEVELS.iter().position(|known| *known == wanted));
            levels.set(level, async |level| told.lock().unwrap().push(level)).await;
        }
        assert_eq!(*told.lock().unwrap(), ["error", "debug", "warning", "info"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_does_not_hold_the_request() {
        let levels = Arc::new(Levels::default());
        let begun = Instant::now();
        drop(levels.want(0, |_| std::future::pending()).await);
        assert_eq!(begun.elapsed(), PATIENCE);
        drop(levels.want(0, |_| std::future::pending()).await);
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
