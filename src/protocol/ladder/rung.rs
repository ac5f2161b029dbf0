//! What one boundary between two neighbouring revisions may change, and the boundaries in order.

use crate::{
    jsonrpc::{ErrorObject, RawObject},
    protocol::{Losses, Method, Revision},
};

use super::{
    Envelope, Facts, Plan, r2025_03_26::Rung20250326, r2025_06_18::Rung20250618, r2025_11_25::Rung20251125,
    r2026_07_28::Rung20260728,
};

/// Which way a message crosses a boundary, whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the older revision.
    Older,
    /// To the newer revision.
    Newer,
}

/// The rules of one boundary. A rule sees the whole plan, since some depend on what lies beyond the boundary; what a
/// boundary does not change is left to the empty defaults.
pub(super) trait Rung: Sync {
    /// The newer of the two revisions.
    fn newer(&self) -> Revision;

    fn request(&self, _plan: Plan, _way: Way, _method: &Method, _params: &mut RawObject, _envelope: &Envelope<'_>) {}

    fn result(
        &self,
        _plan: Plan,
        _way: Way,
        _method: &Method,
        _result: &mut RawObject,
        _facts: &Facts<'_>,
        _losses: &mut Losses,
    ) {
    }

    /// One tool of a list; whether it was changed.
    fn tool(&self, _plan: Plan, _way: Way, _tool: &mut RawObject, _facts: &Facts<'_>, _losses: &mut Losses) -> bool {
        false
    }

    /// The content block at place `at` of a result, if it has to be another.
    fn block(&self, _way: Way, _at: usize, _block: &RawObject) -> Option<RawObject> {
        None
    }

    fn error(&self, _plan: Plan, _way: Way, _method: &Method, error: ErrorObject, _facts: &Facts<'_>) -> ErrorObject {
        error
    }

    /// The result that tells of an error of a tool call instead of it.
    fn told_error(&self, _way: Way, _error: &ErrorObject) -> Option<RawObject> {
        None
    }

    /// A task, without what only belongs to its status.
    fn task(&self, _way: Way, _task: &mut RawObject) {}

    fn notification(&self, _way: Way, _method: &str, _params: &mut RawObject) {}

    fn can_tell(&self, _way: Way, _method: &str) -> bool {
        true
    }

    fn can_ask(&self, _way: Way, _method: &str, _params: Option<&RawObject>) -> bool {
        true
    }

    fn question(
        &self,
        _plan: Plan,
        _way: Way,
        _method: &str,
        params: Option<RawObject>,
        _fresh_id: &dyn Fn() -> String,
        _losses: &mut Losses,
    ) -> Option<RawObject> {
        params
    }

    fn answer(&self, _way: Way, _method: &str, _answer: &mut RawObject, _losses: &mut Losses) {}

    fn capabilities(&self, _way: Way, _capabilities: &mut RawObject) {}
}

/// All boundaries, oldest first.
static RUNGS: [&dyn Rung; 4] = [&Rung20250326, &Rung20250618, &Rung20251125, &Rung20260728];

/// The boundaries that a message crosses, in the order it crosses them.
pub(super) fn rungs(from: Revision, to: Revision) -> impl Iterator<Item = (&'static dyn Rung, Way)> {
    let (way, low, high) = if from < to { (Way::Newer, from, to) } else { (Way::Older, to, from) };
    (0..RUNGS.len())
        .map(move |n| RUNGS[if way == Way::Newer { n } else { RUNGS.len() - 1 - n }])
        .filter(move |rung| low < rung.newer() && rung.newer() <= high)
        .map(move |rung| (rung, way))
}
