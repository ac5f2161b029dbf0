//! Servers of both eras whose tools work in one of them alone.
//!
//! A server may speak the modern era and still have tools that ask as a legacy server does, by a request of its own. In the
//! modern era those fail. The failure is told as it is, for nobody knows what ran before it; the next call of that tool
//! goes to the server in the legacy era.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    hub::{Attempt, Call},
    jsonrpc::{ErrorObject, Raw, code},
    protocol::Method,
};

use super::Single;

/// How many tools are remembered.
const REMEMBERED: usize = 4096;

/// What is known of a server that is spoken to in the modern era.
#[derive(Default)]
pub(super) struct Legs {
    /// What asks as in the legacy era, by method and name.
    learnt: Mutex<HashSet<(Method, Box<str>)>>,
    /// The same server in the legacy era, where it can be reached so.
    legacy: OnceLock<Option<Single>>,
}

/// What a call is of, where that can be remembered.
fn of(call: &Call) -> Option<(Method, Box<str>)> {
    if !call.method.may_ask() {
        return None;
    }
    let name = call.params.get(call.method.name_member()?)?.as_text()?;
    Some((call.method.clone(), name.into()))
}

/// Whether a modern server failed because it tried to ask as in the legacy era. The Python SDK says so in these words.
pub(super) fn asked_the_old_way(error: &ErrorObject) -> bool {
    error.code == code::INVALID_REQUEST
        && error.message.starts_with("Cannot send '")
        && error.message.contains("no back-channel")
}

impl Legs {
    /// Where a call goes, if not to the server in the modern era. `legacy` makes the way there.
    pub(super) fn other(&self, call: &Call, legacy: impl FnOnce() -> Option<Single>) -> Option<&Single> {
        {
            let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
            // What was asked in the modern era is answered there.
            if learnt.is_empty() || !matches!(call.attempt, Attempt::First) || !learnt.contains(&of(call)?) {
                return None;
            }
        }
        self.legacy.get_or_init(legacy).as_ref()
    }

    /// The way to the server in the legacy era, where one was needed already.
    pub(super) fn made(&self) -> Option<&Single> {
        self.legacy.get()?.as_ref()
    }

    /// Remembers what failed so.
    pub(super) fn learn(&self, mount: &Arc<str>, call: &Call) {
        let Some(key) = of(call) else { return };
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if learnt.len() < REMEMBERED && learnt.insert(key.clone()) {
            let name = Raw::from(&*key.1);
            tracing::warn!(
                mount = &**mount, method = %key.0, name = %String::from_utf8_lossy(name.as_bytes()),
                "the server asks as in the legacy era, which fails in the modern one; from now on this is called in the legacy \
                 era where that can be done. `era: legacy` for the server does so from the start"
            );
        }
    }
}
