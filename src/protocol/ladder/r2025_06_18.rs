//! Between 2025-03-26 and 2025-06-18, which brought structured results, resource links and elicitation.

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::{Loss, Losses, Method, Revision, method::question},
};

use super::{
    Facts, Plan,
    content::{ensure_text, text_block},
    rung::{Rung, Way},
    text_of,
};

/// The boundary.
pub(super) struct Rung20250618;

impl Rung for Rung20250618 {
    fn newer(&self) -> Revision {
        Revision::R2025_06_18
    }

    /// Clients that know no structured results find the value in the text (2025-06-18, server/tools#structured-content).
    fn result(
        &self,
        _plan: Plan,
        way: Way,
        method: &Method,
        result: &mut RawObject,
        _facts: &Facts<'_>,
        losses: &mut Losses,
    ) {
        if way == Way::Older
            && *method == Method::ToolsCall
            && let Some(structured) = result.get("structuredContent").cloned()
            && ensure_text(result, &structured)
        {
            losses.add(Loss::StructuredContent);
        }
    }

    /// No structured results, no schema for them.
    fn tool(&self, _plan: Plan, way: Way, tool: &mut RawObject, _facts: &Facts<'_>, losses: &mut Losses) -> bool {
        let left_out = way == Way::Older && tool.remove("outputSchema").is_some();
        if left_out {
            losses.add(Loss::OutputSchema);
        }
        left_out
    }

    /// A resource link is named in a text for those who know no links (2025-06-18, server/tools#resource-links).
    fn block(&self, way: Way, _at: usize, block: &RawObject) -> Option<RawObject> {
        if way != Way::Older || !block.get("type")?.is_text("resource_link") {
            return None;
        }
        let uri = text_of(block, "uri").unwrap_or_default();
        let text = match text_of(block, "title").or_else(|| text_of(block, "name")) {
            Some(label) => format!("{label}: {uri}"),
            None => uri.into_owned(),
        };
        let mut other = text_block(&text);
        for kept in ["annotations", "_meta"] {
            if let Some(value) = block.get(kept) {
                other.set(kept, Raw::clone(value));
            }
        }
        Some(other)
    }

    /// Elicitation began with 2025-06-18.
    fn can_ask(&self, way: Way, method: &str, _params: Option<&RawObject>) -> bool {
        way != Way::Older || method != question::ELICIT
    }
}
