//! The pages as resources: the list, the two templates, and reading.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use super::corpus::{Corpus, URI_PREFIX};

/// The media type of everything here.
pub(super) const MARKDOWN: &str = "text/markdown";

/// The template of a page's URI.
pub(super) const PAGE_TEMPLATE: &str = "rialto://docs/{page}";

/// The template of a section's URI.
pub(super) const SECTION_TEMPLATE: &str = "rialto://docs/{page}/{section}";

/// Every page as a resource, in reading order.
pub(super) fn resources(corpus: &Corpus) -> Vec<Resource> {
    let pages = corpus.pages().iter().map(|page| {
        Resource::new(page.uri(), page.name)
            .with_title(page.title)
            .with_description(page.summary.as_str())
            .with_mime_type(MARKDOWN)
            .with_size(page.text.len() as u64)
    });
    pages.collect()
}

/// The templates for pages and for their sections.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(PAGE_TEMPLATE, "page")
            .with_title("A page of the documentation")
            .with_description("A whole page as Markdown")
            .with_mime_type(MARKDOWN),
        ResourceTemplate::new(SECTION_TEMPLATE, "section")
            .with_title("A section of a page")
            .with_description("One second-level section of a page as Markdown")
            .with_mime_type(MARKDOWN),
    ]
}

/// The text behind a URI: a page, or one of its sections.
///
/// # Errors
///
/// Nothing is behind it. The code is the one that the client's revision has for that.
pub(super) fn read(corpus: &Corpus, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let text = uri.strip_prefix(URI_PREFIX).and_then(|path| text_at(corpus, path)).ok_or_else(|| {
        ErrorData::resource_not_found(
            format!("no such resource: `{uri}`; the pages are in resources/list"),
            Some(json!({ "uri": uri })),
        )
    })?;
    let contents = ResourceContents::text(text, uri).with_mime_type(MARKDOWN);
    Ok(ReadResourceResult::new(vec![contents]))
}

fn text_at(corpus: &Corpus, path: &str) -> Option<&'static str> {
    match path.split_once('/') {
        None => Some(corpus.page(path)?.text),
        Some((page, section)) => Some(corpus.page(page)?.section(section)?.text),
    }
}
