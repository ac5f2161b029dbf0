//! Between 2025-11-25 and 2026-07-28, between the eras: the envelope, result types, cache hints, structured results of any
//! kind, questions inside results.

use crate::{
    jsonrpc::{ErrorObject, Kind, Raw, RawObject, code},
    protocol::{
        Loss, Losses, Method, Revision,
        meta::{self, HOP_LOCAL, RELATED_TASK},
        method::{notification, question},
        tasks::TASK,
    },
};

use super::{
    Envelope, Facts, Plan,
    content::{ensure_content, ensure_text},
    legacy, modern,
    r2025_11_25::asks_for_url,
    rung::{Rung, Way},
    schema,
};

mod envelope;
mod task;

/// The boundary.
pub(super) struct Rung20260728;

impl Rung for Rung20260728 {
    fn newer(&self) -> Revision {
        Revision::R2026_07_28
    }

    /// Up to a modern server with an envelope, down to a legacy one without.
    fn request(&self, plan: Plan, way: Way, method: &Method, params: &mut RawObject, envelope: &Envelope<'_>) {
        match way {
            Way::Newer => {
                legacy::strip_retry(method, params, envelope.ours);
                if *method == Method::ToolsCall {
                    params.remove(TASK);
                }
                envelope::build(plan, params, envelope);
            }
            Way::Older => {
                legacy::strip_request(method, params);
                // A modern client cannot ask for a task; its `task` has to be ignored, which a legacy server would not.
                if *method == Method::ToolsCall && !envelope.ours.contains(&TASK) {
                    params.remove(TASK);
                }
            }
        }
    }

    fn result(
        &self,
        plan: Plan,
        way: Way,
        method: &Method,
        result: &mut RawObject,
        facts: &Facts<'_>,
        losses: &mut Losses,
    ) {
        if *method == Method::ToolsCall {
            ensure_content(result);
        }
        match way {
            Way::Newer => complete(method, result, facts),
            Way::Older if *method == Method::ToolsCall => structured(plan, result, facts, losses),
            Way::Older => {}
        }
    }

    fn tool(&self, plan: Plan, way: Way, tool: &mut RawObject, facts: &Facts<'_>, losses: &mut Losses) -> bool {
        // Tasks are another thing on the other side of this boundary.
        let mut changed = tool.remove("execution").is_some();
        if way == Way::Older {
            changed |= narrow_schemas(plan, tool, losses);
            // A modern server decides for each call whether it becomes a task, and any tool may become one.
            if facts.tasks && plan.client == Revision::R2025_11_25 {
                tool.set("execution", Raw::constant(r#"{"taskSupport":"optional"}"#));
                changed = true;
            }
        }
        changed
    }

    fn task(&self, way: Way, task: &mut RawObject) {
        match way {
            Way::Newer => task::newer(task),
            Way::Older => task::older(task),
        }
    }

    /// What a legacy server says to a method that it does not know, in the one code that is defined for it
    /// (2026-07-28, basic/index#error-codes). And a resource that was not found in the code that the legacy era has for it
    /// (2025-11-25, server/resources#error-handling), where the operator wants that.
    fn error(&self, _plan: Plan, way: Way, method: &Method, mut error: ErrorObject, facts: &Facts<'_>) -> ErrorObject {
        let unknown = matches!(error.code, code::INVALID_REQUEST | code::INVALID_PARAMS | code::METHOD_NOT_FOUND);
        if way == Way::Newer && unknown && matches!(method, Method::Other(_)) {
            error.code = code::METHOD_NOT_FOUND;
        }
        if way == Way::Older && facts.legacy_resource_code && *method == Method::ResourcesRead {
            error.code = if names_missing(&error, facts.uri) { code::LEGACY_RESOURCE_NOT_FOUND } else { error.code };
        }
        error
    }

    fn notification(&self, way: Way, _method: &str, params: &mut RawObject) {
        if way == Way::Newer {
            legacy::strip_keys(params, |key| key == RELATED_TASK);
        }
    }

    /// That a page was visited is what a modern client learns by sending its call again.
    fn can_tell(&self, way: Way, method: &str) -> bool {
        way != Way::Newer || method != notification::ELICITATION_COMPLETE
    }

    fn question(
        &self,
        plan: Plan,
        way: Way,
        method: &str,
        params: Option<RawObject>,
        fresh_id: &dyn Fn() -> String,
        _losses: &mut Losses,
    ) -> Option<RawObject> {
        if method == question::ROOTS {
            return None;
        }
        let mut params = params?;
        match way {
            Way::Newer => {
                const FOREIGN: [&str; 3] = [meta::PROGRESS_TOKEN, RELATED_TASK, meta::INPUT_KEY];
                params.remove(TASK);
                params.remove("elicitationId");
                legacy::strip_keys(&mut params, |key| FOREIGN.contains(&key));
                if meta::of(&params).is_some_and(|meta| meta.is_empty()) {
                    params.remove(meta::META);
                }
            }
            Way::Older => {
                let by_url = method == question::ELICIT && asks_for_url(&params);
                if by_url && plan.client == Revision::R2025_11_25 {
                    params.set("elicitationId", Raw::from(&*fresh_id()));
                }
            }
        }
        Some(params)
    }

    /// Answers to a modern server are plain values; to a legacy one they are results.
    fn answer(&self, way: Way, _method: &str, answer: &mut RawObject, _losses: &mut Losses) {
        answer.remove(match way {
            Way::Newer => meta::META,
            Way::Older => "resultType",
        });
    }

    fn capabilities(&self, _way: Way, capabilities: &mut RawObject) {
        capabilities.remove("tasks");
    }
}

/// Whether an error says that the resource which was asked for does not exist (2026-07-28, server/resources#error-handling).
fn names_missing(error: &ErrorObject, uri: Option<&str>) -> bool {
    let named = || error.data.as_ref()?.to_object()?.get("uri").cloned();
    error.code == code::INVALID_PARAMS && uri.is_some_and(|uri| named().is_some_and(|named| named.is_text(uri)))
}

/// A legacy server's result as a modern client wants it: whatever it says of its own type is not believed.
fn complete(method: &Method, result: &mut RawObject, facts: &Facts<'_>) {
    result.set("resultType", modern::COMPLETE.clone());
    if method.is_cacheable() {
        let scope = if facts.public { &modern::PUBLIC } else { &modern::PRIVATE };
        result.set("ttlMs", Raw::of(&facts.ttl_ms));
        result.set("cacheScope", Raw::clone(scope));
    }
    let foreign = |key: &str| key == RELATED_TASK || (HOP_LOCAL.contains(&key) && key != meta::SERVER_INFO);
    legacy::strip_keys(result, foreign);
    if let Some(info) = facts.server_info
        && meta::get(result, meta::SERVER_INFO).is_none_or(|own| own.kind() != Kind::Object)
    {
        meta::edit(result, |meta| meta.set(meta::SERVER_INFO, info.clone()));
    }
}

/// The clients that read structured results, but want objects.
pub(super) fn wraps_output(plan: Plan) -> bool {
    plan.server.is_modern() && !plan.client.is_modern() && plan.client >= Revision::R2025_06_18
}

/// A structured result may be any value here and only an object on the other side (2026-07-28, server/tools#structured-content).
fn structured(plan: Plan, result: &mut RawObject, facts: &Facts<'_>, losses: &mut Losses) {
    let Some(value) = result.get("structuredContent").cloned() else { return };
    let had_no_text = ensure_text(result, &value);
    if !wraps_output(plan) {
        // It reads the text.
        if had_no_text {
            losses.add(Loss::StructuredContent);
        }
    } else if facts.wrapped_output || value.kind() != Kind::Object {
        losses.add(Loss::StructuredContent);
        result.set("structuredContent", RawObject::from([("result", value)]).to_raw());
    }
}

/// The schemas of a tool for clients whose revision allows fewer of them.
fn narrow_schemas(plan: Plan, tool: &mut RawObject, losses: &mut Losses) -> bool {
    let mut changed = false;
    if let Some(plain) = tool.get("inputSchema").and_then(schema::without_boolean_properties) {
        tool.set("inputSchema", plain);
        changed = true;
    }
    // Older clients get no output schema at all; the boundary below sees to that.
    let Some(output) = tool.get("outputSchema").filter(|_| wraps_output(plan)) else { return changed };
    let other = if schema::has_object_root(output) {
        schema::without_boolean_properties(output).map(Some)
    } else {
        losses.add(Loss::OutputSchema);
        Some(schema::wrap(output))
    };
    match other {
        Some(Some(schema)) => tool.set("outputSchema", schema),
        Some(None) => drop(tool.remove("outputSchema")),
        None => return changed,
    }
    true
}
