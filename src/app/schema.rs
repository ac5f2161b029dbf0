//! Checking the arguments of a tool against its JSON Schema, before the server hears of the call.
//!
//! Schemas come from servers and arguments from clients, so neither is trusted: a schema may be built so that checking it
//! never ends. Nothing is ever fetched for one. It is compiled once, within caps, and every check runs on a thread of its
//! own with a budget of steps, time and stack; a few of them at once. What does not fit is not checked at all: the call
//! goes to the server, which checks for itself, and that is logged once for the schema.

mod caps;
mod metered;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

use crate::jsonrpc::Raw;

use self::metered::{Budget, Metered, Spent};

/// How many schemas are kept compiled, the oldest going first.
const SCHEMAS: usize = 512;
/// How long their texts may be together, in bytes. A compiled schema takes a multiple of its text.
const SCHEMA_BYTES: usize = 4 << 20;
/// How many checks run at once.
const CHECKS: usize = 4;
/// How long a call waits for its check, compilation and the wait for a turn included, before it goes on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// The stack of a checking thread, in bytes: enough for what the caps let through.
const STACK: usize = 16 << 20;
/// What one check may spend.
const BUDGET: Budget = Budget { steps: 1_000_000, time: Duration::from_millis(250), stack: STACK / 2 };
/// How many violations are told at once.
const VIOLATIONS: usize = 20;
/// The longest text about one violation, in characters.
const DETAIL: usize = 300;
/// What one regular expression may cost: steps back, and bytes compiled.
const BACKTRACKS: usize = 10_000;
const REGEX_BYTES: usize = 1 << 20;

/// The schemas of late, compiled.
#[derive(Debug)]
pub(super) struct Schemas {
    known: Mutex<Known>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Known {
    schemas: HashMap<Raw, Arc<Schema>>,
    order: VecDeque<Raw>,
    bytes: usize,
}

/// One schema.
pub(super) struct Schema {
    text: Raw,
    compiled: OnceLock<Result<Validator<Metered>, String>>,
    told: AtomicBool,
}

/// What a check found.
#[derive(Debug)]
pub(super) enum Checked {
    /// The arguments are what the schema asks for.
    Valid,
    /// They are not, and why.
    Invalid(Vec<Violation>),
    /// Nobody can tell here; holds the reason the first time.
    Unchecked(Option<String>),
}

/// One way in which arguments are not what a schema asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Where, as a JSON Pointer (RFC 6901) into the arguments.
    pub(super) pointer: String,
    /// What is wrong, for people.
    pub(super) detail: String,
}

// === impl Schemas ===

impl Default for Schemas {
    fn default() -> Self {
        Self { known: Mutex::default(), places: Arc::new(Semaphore::new(CHECKS)) }
    }
}

impl Schemas {
    /// The schema with this text, compiled already where it is known.
    pub(super) fn schema(&self, text: &Raw) -> Arc<Schema> {
        // What is too large is never compiled, and known by its digest.
        let digest = (text.as_bytes().len() > caps::BYTES).then(|| Raw::of(digest(&SHA256, text.as_bytes()).as_ref()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.schemas.get(digest.as_ref().unwrap_or(text)) {
            return schema.clone();
        }
        let (key, schema) = match digest {
            Some(digest) => (digest, Schema::too_large()),
            None => {
                // A copy that does not keep the whole list in memory that the schema came in.
                let text = text.detached();
                (text.clone(), Schema::new(text))
            }
        };
        let (schema, size) = (Arc::new(schema), key.as_bytes().len());
        while known.order.len() >= SCHEMAS || (known.bytes + size > SCHEMA_BYTES && !known.order.is_empty()) {
            let Some(oldest) = known.order.pop_front() else { break };
            known.bytes -= oldest.as_bytes().len();
            known.schemas.remove(&oldest);
        }
        known.bytes += size;
        known.order.push_back(key.clone());
        known.schemas.insert(key, schema.clone());
        schema
    }

    /// Checks `arguments` against `schema`. Takes no longer than [`PATIENCE`], and none of it on the caller's thread.
    pub(super) async fn check(&self, schema: &Arc<Schema>, arguments: &Raw) -> Checked {
        match tokio::time::timeout(PATIENCE, self.run(schema, arguments)).await {
            Ok(Ok(None)) => Checked::Valid,
            Ok(Ok(Some(violations))) => Checked::Invalid(violations),
            Ok(Err(reason)) => schema.unchecked(reason),
            Err(_) => schema.unchecked(format!("it could not be checked within {} s", PATIENCE.as_secs())),
        }
    }

    async fn run(&self, schema: &Arc<Schema>, arguments: &Raw) -> Result<Option<Vec<Violation>>, String> {
        if let Some(Err(reason)) = schema.compiled.get() {
            return Err(reason.clone());
        }
        let place = self.places.clone().acquire_owned().await.map_err(|e| e.to_string())?;
        let (done, checked) = oneshot::channel();
        let (schema, arguments) = (schema.clone(), arguments.clone());
        let thread = std::thread::Builder::new().name("rialto-schema".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            let _ = done.send(schema.check(&arguments));
            drop((schema, arguments));
            // Held until the thread has nothing left to do, whether anybody still waits or not.
            drop(place);
        });
        started.map_err(|e| format!("no thread to check it on: {e}"))?;
        checked.await.unwrap_or_else(|_| Err("the check broke off".to_owned()))
    }
}

// === impl Schema ===

impl Schema {
    fn new(text: Raw) -> Self {
        Self { text, compiled: OnceLock::new(), told: AtomicBool::new(false) }
    }

    fn too_large() -> Self {
        let schema = Self::new(Raw::null());
        let _ = schema.compiled.set(Err(format!("it is longer than {} bytes", caps::BYTES)));
        schema
    }

    fn unchecked(&self, reason: String) -> Checked {
        Checked::Unchecked((!self.told.swap(true, Ordering::Relaxed)).then_some(reason))
    }

    /// `None` where everything is in order.
    ///
    /// # Errors
    /// Why it cannot be checked.
    fn check(&self, arguments: &Raw) -> Result<Option<Vec<Violation>>, String> {
        let validator = match self.compiled.get_or_init(|| compile(&self.text)) {
            Ok(validator) => validator,
            Err(reason) => return Err(reason.clone()),
        };
        let Ok(instance) = arguments.parse::<Value>() else {
            return Err("the arguments hold a number that no machine type holds".to_owned());
        };
        let spent = |Spent| "checking it takes more than its budget".to_owned();
        // The answer alone is cheap even where listing everything that is wrong is not.
        if metered::within(BUDGET, || validator.is_valid(Metered::node(&instance))).map_err(spent)? {
            return Ok(None);
        }
        if has_long_number(arguments.as_bytes()) {
            return Err("the arguments hold a number that is not kept exactly here".to_owned());
        }
        let mut violations = Vec::new();
        let mut unfinished = false;
        let listed = metered::within(BUDGET, || {
            for error in validator.iter_errors(Metered::node(&instance)).take(VIOLATIONS) {
                unfinished |= matches!(error.kind(), ValidationErrorKind::BacktrackLimitExceeded { .. });
                violations.push(Violation::new(&error));
            }
        });
        if unfinished {
            return Err("one of its patterns takes too long to match".to_owned());
        }
        if listed.is_err() && violations.is_empty() {
            let detail = "the arguments are not what the schema asks for".to_owned();
            violations.push(Violation { pointer: String::new(), detail });
        }
        Ok(Some(violations))
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("bytes", &self.text.as_bytes().len()).finish_non_exhaustive()
    }
}

/// Compiles a schema: as 2020-12 where it does not say otherwise (2025-11-25, server/tools), and without looking at what is
/// not in it. `format` is not asserted, since what a word of it means differs from server to server.
fn compile(text: &Raw) -> Result<Validator<Metered>, String> {
    let schema: Value = text.parse().map_err(|e| format!("it cannot be read: {e}"))?;
    caps::check(&schema)?;
    let patterns =
        PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES);
    let options = jsonschema::options_for::<Metered>().offline().should_validate_formats(false);
    options.with_pattern_options(patterns).build(&schema).map_err(|error| shortened(error.to_string()))
}

// === impl Violation ===

impl Violation {
    fn new(error: &ValidationError<'_>) -> Self {
        let detail = match error.kind() {
            // These name members, which is what somebody wants to know; the others would repeat the whole value.
            ValidationErrorKind::Required { .. }
            | ValidationErrorKind::AdditionalProperties { .. }
            | ValidationErrorKind::UnevaluatedProperties { .. } => error.to_string(),
            _ => error.masked_with("the value").to_string(),
        };
        Self { pointer: error.instance_path().as_str().to_owned(), detail: shortened(detail) }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether a JSON text holds a number with more digits than a double keeps. A refusal by such a number might be an error
/// of rounding, so it is left to the server.
fn has_long_number(text: &[u8]) -> bool {
    /// Every decimal of this many digits survives a double.
    const EXACT: usize = 15;
    let (mut at, mut digits) = (0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                digits = 0;
                at += 1;
                while let Some(&inner) = text.get(at).filter(|b| **b != b'"') {
                    at += if inner == b'\\' { 2 } else { 1 };
                }
            }
            b'0'..=b'9' => digits += 1,
            b'.' | b'-' | b'+' => {}
            // An exponent as such makes no number inexact that a double can hold, unless the double cannot hold it.
            b'e' | b'E' if digits > 0 => return true,
            _ => digits = 0,
        }
        if digits > EXACT {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests;
