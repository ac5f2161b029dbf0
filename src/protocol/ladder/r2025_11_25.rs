//! Between 2025-06-18 and 2025-11-25, which brought tasks, URL elicitation, richer forms and sampling with tools.

use crate::{
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{
        Losses, Method, Revision,
        meta::RELATED_TASK,
        method::{notification, question},
        tasks::TASK,
    },
};

use super::{
    Envelope, Facts, Plan,
    content::text_block,
    legacy,
    rung::{Rung, Way},
    text_of,
};

mod form;
mod sampling;

pub(super) use sampling::sampled_blocks;

/// The boundary.
pub(super) struct Rung20251125;

impl Rung for Rung20251125 {
    fn newer(&self) -> Revision {
        Revision::R2025_11_25
    }

    /// Neither an older client nor an older server means a task by `task`, other than where the gateway put it there.
    fn request(&self, _plan: Plan, _way: Way, method: &Method, params: &mut RawObject, envelope: &Envelope<'_>) {
        if *method == Method::ToolsCall && !envelope.ours.contains(&TASK) {
            params.remove(TASK);
        }
    }

    fn result(
        &self,
        _plan: Plan,
        way: Way,
        _method: &Method,
        result: &mut RawObject,
        _facts: &Facts<'_>,
        _losses: &mut Losses,
    ) {
        unrelate(way, result);
    }

    fn notification(&self, way: Way, _method: &str, params: &mut RawObject) {
        unrelate(way, params);
    }

    /// `execution` says how a tool works with tasks, which older clients do not have.
    fn tool(&self, _plan: Plan, way: Way, tool: &mut RawObject, _facts: &Facts<'_>, _losses: &mut Losses) -> bool {
        way == Way::Older && tool.remove("execution").is_some()
    }

    /// Older clients have no code for a URL that must be visited first (2025-11-25, client/elicitation#error-handling).
    fn error(&self, _plan: Plan, way: Way, _method: &Method, error: ErrorObject, _facts: &Facts<'_>) -> ErrorObject {
        if way != Way::Older || error.code != code::URL_ELICITATION_REQUIRED {
            return error;
        }
        let message = told(&error);
        ErrorObject { code: code::INTERNAL, message, data: error.data }
    }

    fn told_error(&self, way: Way, error: &ErrorObject) -> Option<RawObject> {
        if way != Way::Older || error.code != code::URL_ELICITATION_REQUIRED {
            return None;
        }
        let text = text_block(&told(error)).to_raw();
        Some(RawObject::from([("content", Raw::array(&[text])), ("isError", Raw::of(&true))]))
    }

    /// Who cannot be sent to a page does not hear that it was visited.
    fn can_tell(&self, way: Way, method: &str) -> bool {
        way != Way::Older || method != notification::ELICITATION_COMPLETE
    }

    /// A page for the person and a model with tools have no older form.
    fn can_ask(&self, way: Way, method: &str, params: Option<&RawObject>) -> bool {
        if way != Way::Older {
            return true;
        }
        match method {
            question::ELICIT => !params.is_some_and(asks_for_url),
            question::SAMPLE => !sampled_blocks(params).any(|block| sampling::is_of_tools(&block)),
            _ => true,
        }
    }

    fn question(
        &self,
        _plan: Plan,
        way: Way,
        method: &str,
        params: Option<RawObject>,
        _fresh_id: &dyn Fn() -> String,
        losses: &mut Losses,
    ) -> Option<RawObject> {
        let mut params = params?;
        if way == Way::Older {
            // Tasks of clients are never declared to a server, so nobody waits for one.
            params.remove(TASK);
            unrelate(way, &mut params);
            match method {
                question::ELICIT => form::narrow(&mut params, losses),
                question::SAMPLE => sampling::split_messages(&mut params),
                _ => {}
            }
        }
        Some(params)
    }

    fn answer(&self, way: Way, method: &str, answer: &mut RawObject, losses: &mut Losses) {
        if way == Way::Older && method == question::SAMPLE {
            sampling::unwrap_content(answer, losses);
        }
    }

    fn capabilities(&self, way: Way, capabilities: &mut RawObject) {
        if way == Way::Older {
            capabilities.remove("tasks");
        }
    }
}

/// Takes out which task a message for an older end belongs to.
fn unrelate(way: Way, object: &mut RawObject) {
    if way == Way::Older {
        legacy::strip_keys(object, |key| key == RELATED_TASK);
    }
}

/// Whether an elicitation sends the person to a page.
pub(super) fn asks_for_url(params: &RawObject) -> bool {
    params.get("mode").is_some_and(|mode| mode.is_text("url"))
}

/// The message of a -32042 error with the pages that it names.
fn told(error: &ErrorObject) -> String {
    let elicitations =
        error.data.as_ref().and_then(Raw::to_object).and_then(|data| data.get("elicitations")?.to_array());
    let mut text = error.message.clone();
    for elicitation in elicitations.iter().flatten().filter_map(Raw::to_object) {
        for part in ["message", "url"] {
            if let Some(part) = text_of(&elicitation, part) {
                text.push('\n');
                text.push_str(&part);
            }
        }
    }
    text
}
