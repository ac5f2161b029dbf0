//! The calls of a mount: how many, how they ended, how long they took, and how many run.

use std::{
    pin::Pin,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use memchr::memmem::Finder;
use tokio::time::Instant;

use crate::{
    hub::{Around, BoxFuture, Call, Fault, Mount, Outcome, Reason},
    jsonrpc::{Raw, code},
    protocol::Method,
};

use super::histogram::Histogram;

/// How a call may end, apart from the reasons of the gateway's own faults, which come after these.
const ENDINGS: [&str; 13] = [
    "ok",
    "tool_error",
    "input_required",
    "task",
    "abandoned",
    "invalid_params",
    "method_not_found",
    "invalid_request",
    "internal_error",
    "resource_not_found",
    "missing_capability",
    "url_elicitation_required",
    "other_error",
];
const OK: usize = 0;
const TOOL_ERROR: usize = 1;
const INPUT_REQUIRED: usize = 2;
const TASK: usize = 3;
const ABANDONED: usize = 4;
const OTHER_ERROR: usize = ENDINGS.len() - 1;

/// What stands for a method that no revision defines.
const OTHER_METHOD: &str = "other";

/// What is counted of the calls of one mount.
#[derive(Debug)]
pub struct CallSeries {
    mount: Arc<str>,
    /// By the number of the method; those that nobody called take no room.
    methods: Vec<OnceLock<Box<MethodSeries>>>,
    in_flight: AtomicUsize,
    asking: Arc<AtomicUsize>,
}

/// The calls of one method.
#[derive(Debug)]
pub(super) struct MethodSeries {
    /// By the number of the ending.
    endings: Vec<AtomicU64>,
    pub(super) duration: Histogram,
}

// === impl CallSeries ===

impl CallSeries {
    /// Nothing counted yet of the mount with this name.
    #[must_use]
    pub fn new(mount: &str) -> Arc<Self> {
        Arc::new(Self {
            mount: mount.into(),
            methods: (0..=Method::KNOWN.len()).map(|_| OnceLock::new()).collect(),
            in_flight: AtomicUsize::new(0),
            asking: Arc::default(),
        })
    }

    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    /// Calls that run.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that run and for which a person is asked.
    pub(super) fn asking(&self) -> usize {
        self.asking.load(Ordering::Relaxed)
    }

    /// The methods that were called, by name.
    pub(super) fn methods(&self) -> impl Iterator<Item = (&'static str, &MethodSeries)> {
        let names = Method::KNOWN.iter().map(Method::as_str).chain([OTHER_METHOD]);
        names.zip(&self.methods).filter_map(|(name, series)| Some((name, &**series.get()?)))
    }

    fn at(&self, method: usize) -> &MethodSeries {
        self.methods[method].get_or_init(Box::default)
    }
}

// === impl MethodSeries ===

impl Default for MethodSeries {
    fn default() -> Self {
        let endings = (0..ENDINGS.len() + Reason::ALL.len()).map(|_| AtomicU64::new(0)).collect();
        Self { endings, duration: Histogram::default() }
    }
}

impl MethodSeries {
    /// The endings that happened, by name.
    pub(super) fn endings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = ENDINGS.into_iter().chain(Reason::ALL.iter().map(|reason| reason.as_str()));
        let counts = self.endings.iter().map(|count| count.load(Ordering::Relaxed));
        names.zip(counts).filter(|(_, count)| *count > 0)
    }
}

/// The number of a method.
fn number(method: &Method) -> usize {
    Method::KNOWN.iter().position(|known| known == method).unwrap_or(Method::KNOWN.len())
}

/// The number of an ending.
fn ending(method: usize, outcome: &Result<Outcome, Fault>) -> usize {
    match outcome {
        Ok(Outcome::Complete(result)) if Method::KNOWN.get(method) == Some(&Method::ToolsCall) && failed(result) => {
            TOOL_ERROR
        }
        Ok(Outcome::Complete(_)) => OK,
        Ok(Outcome::NeedsInput { .. }) => INPUT_REQUIRED,
        Ok(Outcome::Task(_)) => TASK,
        Err(Fault::Gateway(fault)) => {
            let reason = Reason::ALL.iter().position(|known| *known == fault.reason);
            reason.map_or(OTHER_ERROR, |reason| ENDINGS.len() + reason)
        }
        Err(fault @ (Fault::Answered(_) | Fault::Undeclared { .. })) => {
            let name = match fault.to_error().code {
                code::INVALID_PARAMS => "invalid_params",
                code::METHOD_NOT_FOUND => "method_not_found",
                code::INVALID_REQUEST => "invalid_request",
                code::INTERNAL => "internal_error",
                code::LEGACY_RESOURCE_NOT_FOUND => "resource_not_found",
                code::MISSING_CAPABILITY => "missing_capability",
                code::URL_ELICITATION_REQUIRED => "url_elicitation_required",
                _ => "other_error",
            };
            ENDINGS.iter().position(|known| *known == name).unwrap_or(OTHER_ERROR)
        }
    }
}

/// Whether a tool says that it failed. Nothing is parsed unless the words are there: inside a text its quotes would be
/// escaped, so that they can only be a name or a text of their own.
fn failed(result: &Raw) -> bool {
    const NAME: &[u8] = b"\"isError\"";
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NAME));
    let bytes = result.as_bytes();
    let is_true = |at: usize| {
        let rest = bytes[at + NAME.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"true"))
    };
    FINDER.find_iter(bytes).any(is_true)
        && result.to_object().and_then(|object| object.get("isError")?.as_bool()) == Some(true)
}

/// A mount whose calls are counted. To stand around everything else, so that a call that is refused for want of room counts
/// as well.
pub struct Measured<M> {
    below: M,
    series: Arc<CallSeries>,
}

impl<M> Measured<M> {
    /// Counts the calls of `below` in `series`.
    pub fn new(below: M, series: Arc<CallSeries>) -> Self {
        Self { below, series }
    }
}

/// A call that is counted, whether it ends or is dropped.
struct Counted {
    call: BoxFuture<Result<Outcome, Fault>>,
    method: usize,
    began: Instant,
    series: Arc<CallSeries>,
    is_over: bool,
}

impl Counted {
    fn over(&mut self, ending: usize) {
        self.is_over = true;
        let series = self.series.at(self.method);
        series.endings[ending].fetch_add(1, Ordering::Relaxed);
        series.duration.observe(self.began.elapsed());
        self.series.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Future for Counted {
    type Output = Result<Outcome, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.call.as_mut().poll(cx));
        let ending = ending(self.method, &outcome);
        self.over(ending);
        Poll::Ready(outcome)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let internal = || Reason::ALL.iter().position(|reason| *reason == Reason::Internal);
        // A panic below drops the call as well, and nobody meant it to.
        let panicked = std::thread::panicking().then(internal).flatten();
        self.over(panicked.map_or(ABANDONED, |reason| ENDINGS.len() + reason));
    }
}

impl<M: Mount> Around for Measured<M> {
    type Below = M;

    fn below(&self) -> &M {
        &self.below
    }

    fn call(&self, call: Call) -> BoxFuture<Result<Outcome, Fault>> {
        let (series, method, began) = (self.series.clone(), number(&call.method), Instant::now());
        series.in_flight.fetch_add(1, Ordering::Relaxed);
        call.life.count_asking(series.asking.clone());
        Box::pin(Counted { call: self.below.call(call), method, began, series, is_over: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_fails_only_where_it_says_so_itself() {
        for (result, expected) in [
            (r#"{"content":[],"isError":true}"#, true),
            (r#"{"isError" : true,"content":[]}"#, true),
            (r#"{"content":[],"isError":false}"#, false),
            (r#"{"content":[]}"#, false),
            (r#"{"content":[{"type":"text","text":"\"isError\":true"}]}"#, false),
            (r#"{"structuredContent":{"isError":true},"content":[]}"#, false),
            (r#"{"structuredContent":{"isError":true},"isError":false}"#, false),
            (r#"{"structuredContent":{"isError":false},"isError":true}"#, true),
            (r#"{"content":["isError"],"isError":"true"}"#, false),
        ] {
            assert_eq!(failed(&Raw::constant(result)), expected, "{result}");
        }
    }

    #[test]
    fn every_method_and_every_ending_has_a_place() {
        let series = CallSeries::new("docs");
        for method in Method::KNOWN.iter().cloned().chain([Method::Other("x/y".into())]) {
            for reason in Reason::ALL {
                let ending = ending(number(&method), &Err(Fault::gateway(*reason, "no")));
                series.at(number(&method)).endings[ending].fetch_add(1, Ordering::Relaxed);
            }
        }
        for (method, of_method) in series.methods() {
            let endings: Vec<_> = of_method.endings().collect();
            let expected: Vec<_> = Reason::ALL.iter().map(|reason| (reason.as_str(), 1)).collect();
            assert_eq!(endings, expected, "{method}");
        }
        assert_eq!(series.methods().count(), Method::KNOWN.len() + 1);
        assert_eq!(series.methods().last().map(|(name, _)| name), Some("other"));
    }
}
