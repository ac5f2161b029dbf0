//! Between 2024-11-05 and 2025-03-26, which brought audio content and the flag for completions.

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::{Loss, Losses, Revision, method::question},
};

use super::{
    content::text_block,
    rung::{Rung, Way},
    text_of,
};

/// The boundary.
pub(super) struct Rung20250326;

impl Rung for Rung20250326 {
    fn newer(&self) -> Revision {
        Revision::R2025_03_26
    }

    /// Audio is an embedded resource for those who know no audio (2025-03-26, server/tools#audio-content).
    fn block(&self, way: Way, at: usize, block: &RawObject) -> Option<RawObject> {
        if way != Way::Older || !is_audio(block) {
            return None;
        }
        let mut other = block.clone();
        let data = other.remove("data").unwrap_or_else(|| Raw::from(""));
        let mut resource = RawObject::from([("uri", Raw::from(&*format!("audio:///{at}")))]);
        if let Some(mime_type) = other.remove("mimeType") {
            resource.set("mimeType", mime_type);
        }
        resource.set("blob", data);
        other.set("type", Raw::from("resource"));
        other.set("resource", resource.to_raw());
        Some(other)
    }

    /// Audio cannot be shown to a 2024-11-05 client's model in any other form.
    fn can_ask(&self, way: Way, method: &str, params: Option<&RawObject>) -> bool {
        way != Way::Older
            || method != question::SAMPLE
            || !super::r2025_11_25::sampled_blocks(params).any(|b| is_audio(&b))
    }

    /// A 2024-11-05 server that asked for a completion takes text and images.
    fn answer(&self, way: Way, method: &str, answer: &mut RawObject, losses: &mut Losses) {
        let audio = || answer.get_object("content").is_some_and(|block| is_audio(&block));
        if way == Way::Older && method == question::SAMPLE && audio() {
            losses.add(Loss::Content);
            answer.set("content", text_block("[unsupported content audio]").to_raw());
        }
    }

    /// 2024-11-05 has completions without a flag for them, so they are advertised in good faith.
    fn capabilities(&self, way: Way, capabilities: &mut RawObject) {
        if way == Way::Newer && !capabilities.has("completions") {
            capabilities.set("completions", RawObject::new().to_raw());
        }
    }
}

fn is_audio(block: &RawObject) -> bool {
    text_of(block, "type").is_some_and(|kind| kind == "audio")
}
