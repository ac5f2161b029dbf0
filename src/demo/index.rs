//! The tool `index_pages`: reads all pages again, telling how far it is after each.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::ProgressNotificationParam,
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    corpus::{Corpus, Page},
    kit::whole,
    log::Log,
};

/// What `index_pages` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// How long to rest before each page, in milliseconds, so that progress can be watched.
    #[serde(default = "default_pause", deserialize_with = "whole")]
    #[schemars(range(max = 1000))]
    pub(super) pause_ms: u16,
}

fn default_pause() -> u16 {
    100
}

/// What `index_pages` found.
#[derive(Serialize, JsonSchema)]
pub(super) struct Index {
    /// The pages in reading order.
    pages: Vec<IndexedPage>,
    /// The number of sections on all pages.
    sections: usize,
    /// The number of words on all pages.
    words: usize,
}

#[derive(Serialize, JsonSchema)]
struct IndexedPage {
    /// The name of the page.
    page: &'static str,
    /// The number of its sections.
    sections: usize,
    /// The number of its words.
    words: usize,
}

/// Reads every page again. The client gets one progress notification a page, if it gave a token for them.
///
/// # Errors
///
/// The client cancelled the call. The error is never sent, since nobody waits for it any more.
pub(super) async fn run(
    corpus: &Corpus,
    arguments: &Arguments,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<Index, ErrorData> {
    let pause = Duration::from_millis(u64::from(arguments.pause_ms.min(1000)));
    let token = context.meta.get_progress_token();
    let total = corpus.pages().len();
    let mut pages = Vec::with_capacity(total);
    for page in corpus.pages() {
        tokio::select! {
            biased;
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("cancelled by the client", None));
            }
            () = tokio::time::sleep(pause) => {}
        }
        let page = Page::parse(page.name, page.text);
        pages.push(IndexedPage { page: page.name, sections: page.sections.len(), words: page.words() });
        log.debug(json!({ "page": page.name, "sections": page.sections.len() })).await;
        if let Some(token) = &token {
            let progress = ProgressNotificationParam::new(token.clone(), pages.len() as f64)
                .with_total(total as f64)
                .with_message(page.name);
            // It fails only when the session is over; the cancellation is seen at the next page.
            let _ = context.peer.notify_progress(progress).await;
        }
    }
    let index = Index {
        sections: pages.iter().map(|page| page.sections).sum(),
        words: pages.iter().map(|page| page.words).sum(),
        pages,
    };
    log.info(json!({ "message": "index complete", "pages": total, "sections": index.sections })).await;
    Ok(index)
}
