//! A JSON value that counts how often it is looked at, so that looking can be stopped.
//!
//! A validator offers no way to interrupt it, and there are small schemas that it would be busy with for years. Yet whatever
//! it does, it asks the value again and again. So the value is what holds the budget: once it is spent, the next question
//! unwinds to where the check began. That is no panic, and says nothing to a panic hook.
//!
//! Where a program is built to abort instead of unwinding, nothing could be stopped, and so nothing is checked there.

use std::{
    borrow::Cow,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use jsonschema::{
    JsonType,
    json::{Array, Json, Node, NodeIdentity, Object, SerdeJson},
};
use serde_json::{Map, Number, Value};

/// What a check may spend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Looks at the value.
    pub(super) steps: u64,
    /// Time.
    pub(super) time: Duration,
    /// Stack, in bytes.
    pub(super) stack: usize,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent;

/// How many looks are between two looks at the clock.
const CLOCK: u64 = 64;

#[derive(Clone, Copy)]
struct Left {
    steps: u64,
    until: Instant,
    base: usize,
    stack: usize,
}

thread_local! {
    /// The budget of the check that this thread is busy with.
    static LEFT: Cell<Option<Left>> = const { Cell::new(None) };
}

/// Runs a check, and stops it when the budget is spent.
///
/// # Errors
/// [`Spent`], or there is no way to stop a check in this program.
pub(super) fn within<T>(budget: Budget, check: impl FnOnce() -> T) -> Result<T, Spent> {
    if !cfg!(panic = "unwind") {
        return Err(Spent);
    }
    let left = Left { steps: budget.steps, until: Instant::now() + budget.time, base: here(), stack: budget.stack };
    LEFT.set(Some(left));
    let ended = catch_unwind(AssertUnwindSafe(check));
    LEFT.set(None);
    ended.map_err(|thrown| match thrown.downcast::<Spent>() {
        Ok(spent) => *spent,
        Err(panic) => resume_unwind(panic),
    })
}

/// About where the stack is.
fn here() -> usize {
    let mark = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&mark)).addr()
}

/// One look, or a `heavy` one before something that takes longer.
fn spend(heavy: bool) {
    let Some(mut left) = LEFT.get() else { return };
    left.steps = left.steps.saturating_sub(1);
    let late = || Instant::now() >= left.until;
    if left.steps == 0
        || left.base.abs_diff(here()) > left.stack
        || ((heavy || left.steps.is_multiple_of(CLOCK)) && late())
    {
        LEFT.set(None);
        resume_unwind(Box::new(Spent));
    }
    LEFT.set(Some(left));
}

/// The representation.
#[derive(Debug)]
pub(super) struct Metered;

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked<'a>(&'a Value);

/// One object.
pub(super) struct Members<'a>(&'a Map<String, Value>);

/// One array.
pub(super) struct Items<'a>(&'a [Value]);

impl Metered {
    /// A value as the validator takes it.
    pub(super) fn node(value: &Value) -> Looked<'_> {
        Looked(value)
    }
}

impl Json for Metered {
    type Node<'a> = Looked<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(Looked<'_>) -> T) -> T {
        SerdeJson::with_string_node(buffer, string, |node| f(Looked(node)))
    }
}

impl<'a> Node<'a, Metered> for Looked<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        spend(false);
        self.0.as_object().map(Members)
    }

    fn as_array(&self) -> Option<Items<'a>> {
        spend(false);
        self.0.as_array().map(|items| Items(items))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        // Somebody is about to match a pattern.
        spend(self.0.is_string());
        self.0.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        spend(false);
        self.0.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        spend(false);
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        spend(false);
        self.0.is_null()
    }

    fn json_type(&self) -> JsonType {
        spend(false);
        Node::<SerdeJson>::json_type(&self.0)
    }

    fn string_length(&self) -> Option<u64> {
        spend(false);
        Node::<SerdeJson>::string_length(&self.0)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        spend(false);
        Node::<SerdeJson>::equals_value(&self.0, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        spend(false);
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        spend(false);
        Node::<SerdeJson>::identity(&self.0)
    }
}

impl<'a> Object<'a, Metered> for Members<'a> {
    type Node = Looked<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Looked<'a>> {
        spend(false);
        self.0.get(key).map(Looked)
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter(self.0.iter())
    }
}

/// The members of an object, one by one.
pub(super) struct MembersIter<'a>(serde_json::map::Iter<'a>);

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Looked<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        spend(true);
        self.0.next().map(|(name, value)| (name.as_str(), Looked(value)))
    }
}

impl<'a> Array<'a, Metered> for Items<'a> {
    type Node = Looked<'a>;
    type ElementsIter = ItemsIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> ItemsIter<'a> {
        ItemsIter(self.0.iter())
    }

    fn is_unique(&self) -> bool {
        spend(true);
        Array::<SerdeJson>::is_unique(&self.0)
    }
}

/// The items of an array, one by one.
pub(super) struct ItemsIter<'a>(std::slice::Iter<'a, Value>);

impl<'a> Iterator for ItemsIter<'a> {
    type Item = Looked<'a>;

    fn next(&mut self) -> Option<Looked<'a>> {
        spend(false);
        self.0.next().map(Looked)
    }
}
