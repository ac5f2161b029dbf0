//! The `requestState` of a question: proof that it was asked, in this process, by this tool, about this, not long ago.
//!
//! There is nothing secret in it, so it is signed and not encrypted. MCP (2026-07-28, multi round-trip requests) has
//! servers check what comes back, since a client can send anything.

use aws_lc_rs::{
    hmac,
    rand::{self, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rmcp::ErrorData;
use serde::Serialize;
use tokio::time::Instant;

/// How long a question may stay open, in seconds.
const VALID_SECS: u64 = 3600;

/// Signs states and checks them.
pub(super) struct StateSeal {
    /// `None` if the system gave no random numbers; then nothing can be signed.
    key: Option<hmac::Key>,
    /// Ages are counted from here, so that a changed clock does not matter.
    began: Instant,
}

impl StateSeal {
    /// A seal with a fresh random key.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let filled = rand::SecureRandom::fill(&SystemRandom::new(), &mut key);
        Self { key: filled.ok().map(|()| hmac::Key::new(hmac::HMAC_SHA256, &key)), began: Instant::now() }
    }

    /// A state for a question that `tool` asks: its age, a dot, and the signature.
    pub(super) fn state_for(&self, tool: &str, about: &impl Serialize) -> Result<String, ErrorData> {
        let key = self
            .key
            .as_ref()
            .ok_or_else(|| ErrorData::internal_error("cannot ask: the system gives no random numbers", None))?;
        let asked = self.began.elapsed().as_secs();
        let signature = hmac::sign(key, &signed_text(tool, asked, about)?);
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{asked}.{signature}"))
    }

    /// Accepts only what [`Self::state_for`] gave out for the same. Every other state gets the same error.
    pub(super) fn check(&self, state: &str, tool: &str, about: &impl Serialize) -> Result<(), ErrorData> {
        self.verify(state, tool, about)
            .ok_or_else(|| ErrorData::invalid_params("Invalid or expired requestState", None))
    }

    fn verify(&self, state: &str, tool: &str, about: &impl Serialize) -> Option<()> {
        let (asked, signature) = state.split_once('.')?;
        let asked: u64 = asked.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let text = signed_text(tool, asked, about).ok()?;
        hmac::verify(self.key.as_ref()?, &text, &signature).ok()?;
        let age = self.began.elapsed().as_secs().checked_sub(asked)?;
        (age <= VALID_SECS).then_some(())
    }
}

fn signed_text(tool: &str, asked: u64, about: &impl Serialize) -> Result<Vec<u8>, ErrorData> {
    let text = serde_json::to_vec(&(tool, asked, about));
    text.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_holds_for_an_hour_and_for_what_it_is_about() {
        let seal = StateSeal::new();
        let state = seal.state_for("recommend", &"limits").expect("a state");
        assert!(seal.check(&state, "recommend", &"limits").is_ok());
        assert!(seal.check(&state, "recommend", &"errors").is_err());
        assert!(seal.check(&state, "pay_invoice", &"limits").is_err());
        tokio::time::advance(Duration::from_secs(VALID_SECS)).await;
        assert!(seal.check(&state, "recommend", &"limits").is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(seal.check(&state, "recommend", &"limits").is_err());
    }

    #[test]
    fn a_state_of_another_process_is_refused() {
        let state = StateSeal::new().state_for("recommend", &"limits");
        let state = state.expect("a state");
        assert!(StateSeal::new().check(&state, "recommend", &"limits").is_err());
    }
}
