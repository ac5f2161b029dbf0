//! The tool `close_month`: reports each step, and can be cancelled before the last.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, ProgressNotificationParam},
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        super::{
            kit::{refusal, structured, whole},
            log::Log,
        },
        calendar::Month,
        closing::{Closing, STEPS},
        ledger::Ledger,
    },
    tools::refused,
};

/// The longest rest before a step, in milliseconds.
const MAX_PAUSE: u16 = 2_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The month to close, such as `2026-08`. It has to be over.
    month: Month,
    /// How long to rest before each step, in milliseconds, so that progress can be watched.
    #[serde(default = "usual_pause", deserialize_with = "whole")]
    #[schemars(range(min = 0, max = 2000))]
    pause_ms: u16,
}

fn usual_pause() -> u16 {
    200
}

/// Runs the tool. The client gets one progress notification a step, if it gave a token for them.
///
/// # Errors
///
/// The client cancelled the call: the month stays open. The error is never sent, since nobody waits for it any more.
pub(super) async fn run(
    ledger: &Ledger,
    arguments: Arguments,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<CallToolResponse, ErrorData> {
    if arguments.pause_ms > MAX_PAUSE {
        return Ok(refusal(format!("`pause_ms` must be between 0 and {MAX_PAUSE}")).into());
    }
    let mut closing = match Closing::start(ledger, arguments.month) {
        Ok(closing) => closing,
        Err(reason) => return Ok(refused(&reason).into()),
    };
    let token = context.meta.get_progress_token();
    for step in 1..=STEPS {
        // Leaving here drops the closing, and the month is as open as before.
        tokio::select! {
            biased;
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled by the client", None)),
            () = tokio::time::sleep(Duration::from_millis(arguments.pause_ms.into())) => {}
        }
        let Some(done) = closing.advance() else { break };
        log.info(json!({ "step": done.step, "result": done.result })).await;
        if let Some(token) = &token {
            let progress = ProgressNotificationParam::new(token.clone(), step as f64)
                .with_total(STEPS as f64)
                .with_message(format!("{}: {}", done.step, done.result));
            // It fails only when the session is over; the cancellation is seen at the next step.
            let _ = context.peer.notify_progress(progress).await;
        }
    }
    let closed = closing.closed().ok_or_else(|| ErrorData::internal_error("the month was not closed", None))?;
    structured(&closed)
}
