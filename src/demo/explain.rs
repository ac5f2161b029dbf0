//! The prompt `explain`, and completion for its arguments and for the variables of the resource templates.

use rmcp::{
    ErrorData,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResult,
        Prompt, PromptArgument, PromptMessage, Reference, ResourceContents, Role,
    },
};

use super::{
    corpus::{Corpus, Page},
    kit::best_first,
    reading::{MARKDOWN, PAGE_TEMPLATE, SECTION_TEMPLATE},
    search::search,
    tools::Reader,
};

const NAME: &str = "explain";

/// The prompt as it is listed.
pub(super) fn definition() -> Prompt {
    let arguments = vec![
        PromptArgument::new("topic")
            .with_title("Topic")
            .with_description("The name of a page, or a few words")
            .with_required(true),
        PromptArgument::new("audience")
            .with_title("Audience")
            .with_description("Who the explanation is for")
            .with_required(false),
    ];
    let description = "Explain a topic of Rialto's documentation, with the page attached";
    Prompt::new(NAME, Some(description), Some(arguments)).with_title("Explain a topic")
}

/// The messages of the prompt: the task, and the page that answers it.
///
/// # Errors
///
/// The prompt has another name, the topic is missing or not a text, or no page has anything to do with it.
pub(super) fn get(corpus: &Corpus, request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    if request.name != NAME {
        return Err(invalid(format!("unknown prompt: `{}`; this server has `{NAME}`", request.name)));
    }
    let argument = |name: &str| {
        let arguments = request.arguments.as_ref()?;
        arguments.get(name)?.as_str().map(str::trim)
    };
    let topic = argument("topic").filter(|topic| !topic.is_empty());
    let topic = topic.ok_or_else(|| invalid("the argument `topic` is missing".to_owned()))?;
    let page = page_about(corpus, topic).ok_or_else(|| {
        let names: Vec<_> = corpus.pages().iter().map(|page| page.name).collect();
        let names = names.join("`, `");
        invalid(format!("nothing about `{topic}` in the documentation; its pages are `{names}`"))
    })?;

    let audience = argument("audience").filter(|audience| !audience.is_empty());
    let audience = audience.unwrap_or("somebody who has not used Rialto before");
    let task = format!(
        "Explain \"{topic}\" to {audience}. Use the attached page of Rialto's documentation and nothing else about \
         Rialto. Begin with what the reader needs most, give one example, and say where to read on."
    );
    let attached = ResourceContents::text(page.text, page.uri()).with_mime_type(MARKDOWN);
    let messages = vec![
        PromptMessage::new_text(Role::User, task),
        PromptMessage::new(Role::User, ContentBlock::resource(attached)),
    ];
    Ok(GetPromptResult::new(messages).with_description(format!("Explain: {}", page.title)))
}

/// Possible values for an argument or a variable, given what has been typed so far.
///
/// # Errors
///
/// The prompt, the template, or the argument does not exist.
pub(super) fn complete(corpus: &Corpus, request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let argument = request.argument.name.as_str();
    let values: Vec<&str> = match (&request.r#ref, argument) {
        (Reference::Prompt(prompt), "topic") if prompt.name == NAME => page_names(corpus),
        (Reference::Prompt(prompt), "audience") if prompt.name == NAME => Reader::names().to_vec(),
        (Reference::Resource(template), "page")
            if [PAGE_TEMPLATE, SECTION_TEMPLATE].contains(&template.uri.as_str()) =>
        {
            page_names(corpus)
        }
        (Reference::Resource(template), "section") if template.uri == SECTION_TEMPLATE => {
            let context = request.context.as_ref();
            let page = context.and_then(|context| context.get_argument("page"));
            section_names(corpus, page.map(String::as_str))
        }
        (reference, _) => {
            let target = match reference {
                Reference::Prompt(prompt) => &prompt.name,
                Reference::Resource(template) => &template.uri,
                _ => "this reference",
            };
            return Err(invalid(format!("nothing to complete: `{target}` has no argument `{argument}` here")));
        }
    };

    let matching = best_first(values, &request.argument.value);
    let total = u32::try_from(matching.len()).ok();
    let shown: Vec<_> = matching.iter().take(CompletionInfo::MAX_VALUES).map(|value| (*value).to_owned()).collect();
    let has_more = shown.len() < matching.len();
    let completion = CompletionInfo::with_pagination(shown, total, has_more);
    completion.map(CompleteResult::new).map_err(invalid)
}

/// The page of that name, or else the page with the best section about it.
fn page_about<'a>(corpus: &'a Corpus, topic: &str) -> Option<&'a Page> {
    let named = corpus.page(&topic.to_ascii_lowercase());
    named.or_else(|| Some(search(corpus, topic).first()?.page))
}

fn page_names(corpus: &Corpus) -> Vec<&str> {
    corpus.pages().iter().map(|page| page.name).collect()
}

/// The sections of the page already chosen, or of all pages where none is.
fn section_names<'a>(corpus: &'a Corpus, page: Option<&str>) -> Vec<&'a str> {
    let pages = corpus.pages().iter();
    let chosen = pages.filter(|candidate| page.is_none_or(|page| page == candidate.name));
    chosen.flat_map(|page| page.sections.iter().map(|section| section.name.as_str())).collect()
}

fn invalid(message: String) -> ErrorData {
    ErrorData::invalid_params(message, None)
}
