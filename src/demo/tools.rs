//! The tools: how they are listed, and what they do.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Resource, Tool, ToolAnnotations},
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Docs,
    corpus::{Corpus, Page},
    index,
    kit::{arguments, knows_links, refusal, structured, whole},
    log::Log,
    reading::MARKDOWN,
    recommend,
    search::search,
};

/// The longest query that is looked for, in bytes; everything after it is somebody's document, not a question.
const QUERY_BYTES: usize = 1_000;

/// Who reads the documentation: somebody who uses a client, writes a server, or runs Rialto.
// Variants without comments of their own, and inline, so that the schema is the plain `enum` every client can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Reader {
    #[serde(rename = "client user")]
    ClientUser,
    #[serde(rename = "server author")]
    ServerAuthor,
    #[serde(rename = "operator")]
    Operator,
}

impl Reader {
    /// The names as people choose them, in the order of the variants.
    pub(super) fn names() -> &'static [&'static str] {
        &["client user", "server author", "operator"]
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// The words to look for.
    #[schemars(length(min = 1, max = 1000))]
    query: String,
    /// How many sections to return at most.
    #[serde(default = "default_limit", deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 50))]
    limit: u8,
}

fn default_limit() -> u8 {
    5
}

#[derive(Serialize, JsonSchema)]
struct SearchResult {
    /// How many sections match, shown here or not.
    total: usize,
    /// The best of them, best first.
    hits: Vec<SearchHit>,
}

#[derive(Serialize, JsonSchema)]
struct SearchHit {
    /// The name of the page.
    page: &'static str,
    /// The name of the section; not there if it is the beginning of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    section: Option<String>,
    /// The heading of the section.
    heading: String,
    /// The URI of the resource with the whole text.
    uri: String,
    /// The line that fits best.
    snippet: String,
    /// Higher is better, within one search.
    score: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    /// The name of the page, as `list_pages` and `search` give it.
    page: String,
    /// The name of one of its sections; the whole page if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    section: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {}

#[derive(Serialize, JsonSchema)]
struct PageList {
    /// The pages in reading order.
    pages: Vec<ListedPage>,
}

#[derive(Serialize, JsonSchema)]
struct ListedPage {
    /// The name of the page.
    page: &'static str,
    /// Its title.
    title: &'static str,
    /// What it is about.
    summary: String,
    /// The URI of the resource with its text.
    uri: String,
    /// The names of its sections.
    sections: Vec<String>,
}

/// All tools, as they are listed.
pub(super) fn definitions() -> Vec<Tool> {
    vec![
        tool(
            "search",
            "Search the documentation",
            "Find sections of Rialto's documentation by words. Returns page, heading and a snippet, best first.",
        )
        .with_input_schema::<SearchArguments>()
        .with_output_schema::<SearchResult>(),
        tool("list_pages", "List the pages", "List all pages of Rialto's documentation with their sections.")
            .with_input_schema::<ListArguments>()
            .with_output_schema::<PageList>(),
        tool("read_page", "Read a page", "Read one page of Rialto's documentation, or one section of it, as Markdown.")
            .with_input_schema::<ReadArguments>(),
        tool(
            "index_pages",
            "Index the pages",
            "Read all pages again and count sections and words. Reports progress after each page.",
        )
        .with_input_schema::<index::Arguments>()
        .with_output_schema::<index::Index>(),
        tool(
            "recommend",
            "Recommend pages",
            "Say which pages to read. Asks what the reader is, unless `role` says it already.",
        )
        .with_input_schema::<recommend::Arguments>()
        .with_output_schema::<recommend::Recommendation>(),
    ]
}

/// Nothing here changes anything, and nothing leaves the process.
fn tool(name: &'static str, title: &'static str, description: &'static str) -> Tool {
    let hints =
        ToolAnnotations::with_title(title).read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(name, description, serde_json::Map::new()).with_title(title).with_annotations(hints)
}

/// Runs a tool.
///
/// # Errors
///
/// There is no tool of that name, the state of a question does not fit, or the call was cancelled. Arguments that do
/// not fit are the tool's result, so that a model can see what was wrong and try again.
pub(super) async fn call(
    docs: &Docs,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.clone();
    let corpus = &docs.library.corpus;
    let log = Log::new(context, &docs.level, &name);
    // Each arm is boxed, so that a short call does not carry the room for the longest.
    match name.as_ref() {
        "search" => match arguments(&request) {
            Ok(arguments) => Box::pin(find(corpus, &arguments, &log)).await,
            Err(wrong) => Ok(refusal(wrong).into()),
        },
        "list_pages" => Ok(match arguments(&request) {
            Ok(ListArguments {}) => structured(&page_list(corpus))?,
            Err(wrong) => refusal(wrong).into(),
        }),
        "read_page" => {
            Ok(arguments(&request).map_or_else(refusal, |arguments| read(corpus, &arguments, context)).into())
        }
        "index_pages" => match arguments(&request) {
            Ok(arguments) => structured(&Box::pin(index::run(corpus, &arguments, context, &log)).await?),
            Err(wrong) => Ok(refusal(wrong).into()),
        },
        "recommend" => match arguments(&request) {
            Ok(arguments) => Box::pin(recommend::run(docs, arguments, request, context, &log)).await,
            Err(wrong) => Ok(refusal(wrong).into()),
        },
        _ => Err(ErrorData::invalid_params(format!("unknown tool: `{name}`"), None)),
    }
}

async fn find(corpus: &Corpus, arguments: &SearchArguments, log: &Log<'_>) -> Result<CallToolResponse, ErrorData> {
    let query = arguments.query.trim();
    if query.is_empty() || query.len() > QUERY_BYTES {
        let message = format!("`query` must have between 1 and {QUERY_BYTES} bytes");
        return Ok(refusal(message).into());
    }
    if !(1..=50).contains(&arguments.limit) {
        return Ok(refusal("`limit` must be between 1 and 50".to_owned()).into());
    }
    let hits = search(corpus, query);
    log.info(json!({ "message": "searched", "query": query, "hits": hits.len() })).await;
    let total = hits.len();
    let best = hits.iter().take(usize::from(arguments.limit));
    structured(&SearchResult {
        total,
        hits: best
            .map(|hit| SearchHit {
                page: hit.page.name,
                section: hit.section.map(|section| section.name.clone()),
                heading: hit.heading().to_owned(),
                uri: hit.uri(),
                snippet: hit.snippet.clone(),
                score: (hit.score * 1000.0).round() / 1000.0,
            })
            .collect(),
    })
}

fn page_list(corpus: &Corpus) -> PageList {
    let pages = corpus.pages().iter().map(|page| ListedPage {
        page: page.name,
        title: page.title,
        summary: page.summary.clone(),
        uri: page.uri(),
        sections: section_names(page),
    });
    PageList { pages: pages.collect() }
}

fn section_names(page: &Page) -> Vec<String> {
    let sections = page.sections.iter();
    sections.map(|section| section.name.clone()).collect()
}

fn read(corpus: &Corpus, arguments: &ReadArguments, context: &RequestContext<RoleServer>) -> CallToolResult {
    let Some(page) = corpus.page(&arguments.page) else {
        let names: Vec<_> = corpus.pages().iter().map(|page| page.name).collect();
        let names = names.join("`, `");
        return refusal(format!("no page `{}`; the pages are `{names}`", arguments.page));
    };
    let (text, uri, title) = match arguments.section.as_deref() {
        None => (page.text, page.uri(), page.title),
        Some(name) => match page.section(name) {
            Some(section) => (section.text, page.section_uri(section), section.heading),
            None => {
                let names = section_names(page).join("`, `");
                return refusal(format!("no section `{name}` on the page `{}`; its sections are `{names}`", page.name));
            }
        },
    };
    let mut content = vec![ContentBlock::text(text)];
    if knows_links(context) {
        let link = Resource::new(uri, page.name).with_title(title).with_mime_type(MARKDOWN);
        content.push(ContentBlock::resource_link(link));
    }
    CallToolResult::success(content)
}
