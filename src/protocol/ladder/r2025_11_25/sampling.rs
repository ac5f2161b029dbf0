//! Sampling with peers that take one content block where 2025-11-25 takes several
//! (2025-11-25, client/sampling#data-types).

use crate::{
    jsonrpc::{Kind, Raw, RawObject},
    protocol::{Loss, Losses, meta},
};

use super::super::{content::text_block, text_of};

/// Where the texts are kept that an answer of several blocks loses towards a server that takes one.
const OMITTED: &str = "rialto/omitted-text";

/// The content blocks of a sampling question, all messages together.
pub(in super::super) fn sampled_blocks(params: Option<&RawObject>) -> impl Iterator<Item = RawObject> {
    let messages = params.and_then(|params| params.get("messages")?.to_array()).unwrap_or_default();
    messages.into_iter().filter_map(|message| message.to_object()?.get("content").cloned()).flat_map(blocks)
}

fn blocks(content: Raw) -> Vec<RawObject> {
    match content.to_array() {
        Some(blocks) => blocks.iter().filter_map(Raw::to_object).collect(),
        None => content.to_object().into_iter().collect(),
    }
}

/// Whether a block belongs to a model that uses tools.
pub(super) fn is_of_tools(block: &RawObject) -> bool {
    text_of(block, "type").is_some_and(|kind| kind == "tool_use" || kind == "tool_result")
}

/// Messages with several blocks become several messages of the same role.
pub(super) fn split_messages(params: &mut RawObject) {
    let Some(messages) = params.get("messages").and_then(Raw::to_array) else { return };
    let mut split = Vec::with_capacity(messages.len());
    let mut changed = false;
    for message in messages {
        let several = message.to_object().and_then(|m| Some((m.get("content")?.to_array()?, m.clone())));
        let Some((blocks, mut object)) = several else {
            split.push(message);
            continue;
        };
        changed = true;
        for block in blocks {
            object.set("content", block);
            split.push(object.to_raw());
        }
    }
    if changed {
        params.set("messages", Raw::array(&split));
    }
}

/// An answer of several blocks becomes one of one block: texts are joined; beside anything else they are lost to the server
/// and kept in `_meta`, for whoever reads the wire.
pub(super) fn unwrap_content(answer: &mut RawObject, losses: &mut Losses) {
    let Some(blocks) = answer.get("content").and_then(Raw::to_array) else { return };
    if let [only] = &blocks[..] {
        let only = only.clone();
        answer.set("content", only);
        return;
    }
    losses.add(Loss::Sampling);
    let is_text = |block: &&Raw| block.to_object().is_some_and(|b| b.get("type").is_some_and(|t| t.is_text("text")));
    let texts: Vec<String> = blocks
        .iter()
        .filter(is_text)
        .filter_map(|block| block.to_object().and_then(|b| text_of(&b, "text").map(std::borrow::Cow::into_owned)))
        .collect();
    let joined = texts.join("\n");
    match blocks.iter().find(|block| block.kind() == Kind::Object && !is_text(block)) {
        Some(block) => {
            let block = block.clone();
            answer.set("content", block);
            if !texts.is_empty() {
                meta::edit(answer, |meta| meta.set(OMITTED, Raw::from(&*joined)));
            }
        }
        None => answer.set("content", text_block(&joined).to_raw()),
    }
}
