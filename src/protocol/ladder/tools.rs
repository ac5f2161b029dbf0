//! Lists of tools: the rules of every boundary for each tool, and the annotations that have to be valid over HTTP
//! (2026-07-28, basic/transports#custom-headers-from-tool-parameters).

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::{
        Losses,
        headers::{self, ToolHeaders},
    },
};

use super::{Facts, Plan, rung::rungs, text_of};

/// Changes the tools of a list.
pub(super) fn list(plan: Plan, result: &mut RawObject, facts: &Facts<'_>, losses: &mut Losses) {
    let Some(tools) = result.get("tools") else { return };
    let annotated = headers::may_annotate(tools);
    if plan.is_empty() && !annotated {
        return;
    }
    let Some(tools) = tools.to_array() else { return };
    let before = tools.len();
    let mut changed = false;
    let kept: Vec<Raw> = tools
        .into_iter()
        .filter_map(|raw| {
            let Some(mut tool) = raw.to_object() else { return Some(raw) };
            let mut edited = false;
            if annotated {
                edited |= annotations(plan, &mut tool, facts).ok()?;
            }
            for (rung, way) in rungs(plan.server, plan.client) {
                edited |= rung.tool(plan, way, &mut tool, facts, losses);
            }
            changed |= edited;
            Some(if edited { tool.to_raw() } else { raw })
        })
        .collect();
    if changed || kept.len() < before {
        result.set("tools", Raw::array(&kept));
    }
}

/// The tool has to be left out.
struct Invalid;

/// Over HTTP a modern server's tool with an invalid annotation is none. From other servers the tool works without the
/// headers, so what a modern client would drop it for is taken out; whether it was.
fn annotations(plan: Plan, tool: &mut RawObject, facts: &Facts<'_>) -> Result<bool, Invalid> {
    let Some(schema) = tool.get("inputSchema") else { return Ok(false) };
    if plan.server.is_modern() && facts.http {
        let Err(fault) = ToolHeaders::read(schema) else { return Ok(false) };
        let name = text_of(tool, "name").unwrap_or_default();
        tracing::warn!(upstream = facts.upstream, tool = ?name, %fault, "left out a tool: its header annotations are invalid");
        return Err(Invalid);
    }
    match headers::repair(schema) {
        Some(repaired) if plan.client.is_modern() => {
            tool.set("inputSchema", repaired);
            Ok(true)
        }
        _ => Ok(false),
    }
}
