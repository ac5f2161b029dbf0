//! The tool `recommend`: asks what the reader is, and answers with the pages to read.
//!
//! A client that cannot show a form is not asked.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, EnumSchema, InputRequest,
    },
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Docs,
    ask::{Answer, Question, ask, shows_forms},
    corpus::Corpus,
    kit::{refusal, structured},
    log::Log,
    search::search,
    tools::Reader,
};

/// The key of the question in `inputRequests`.
const QUESTION: &str = "reader";

/// How long a person may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many pages a goal adds.
const PAGES_FOR_GOAL: usize = 2;

/// The longest goal, in bytes.
const GOAL_BYTES: usize = 1_000;

/// What `recommend` takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What the reader is. Nothing is asked if it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Reader")]
    role: Option<Reader>,
    /// What the reader wants to do, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1000))]
    goal: Option<String>,
}

/// What `recommend` says.
#[derive(Serialize, JsonSchema)]
pub(super) struct Recommendation {
    /// What the reader is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Reader")]
    role: Option<Reader>,
    /// How it is known, or why it is not.
    source: Source,
    /// The pages, the first to read first.
    pages: Vec<RecommendedPage>,
}

#[derive(Serialize, JsonSchema)]
struct RecommendedPage {
    /// The name of the page.
    page: &'static str,
    /// Its title.
    title: &'static str,
    /// The URI of the resource with its text.
    uri: String,
    /// Why it is worth reading.
    why: String,
}

/// Where the role came from.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// It was an argument of the call.
    Argument,
    /// The reader was asked and answered.
    Answer,
    /// The reader was asked and did not want to say.
    Declined,
    /// The reader was asked, and the form was closed or not answered in time.
    Cancelled,
    /// The client cannot show a form.
    NotAsked,
}

/// Runs the tool.
///
/// # Errors
///
/// The state that came back is not one that was given out for this call, or the call was cancelled.
pub(super) async fn run(
    docs: &Docs,
    arguments: Arguments,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<CallToolResponse, ErrorData> {
    if arguments.goal.as_ref().is_some_and(|goal| goal.len() > GOAL_BYTES) {
        return Ok(refusal(format!("`goal` must have at most {GOAL_BYTES} bytes")).into());
    }
    let answer = if arguments.role.is_some() {
        None
    } else {
        let question = Question {
            key: QUESTION,
            request: InputRequest::Elicitation(form()?),
            about: &arguments,
            can_be_asked: shows_forms(context),
            patience: PATIENCE,
        };
        match ask(&docs.library.seal, question, &request, context).await? {
            Answer::Given(answer) => Some(answer),
            Answer::Missing => Some(ElicitResult::new(ElicitationAction::Cancel)),
            Answer::Impossible => None,
            Answer::First(question) => return Ok(question.into()),
        }
    };

    let (role, source) = match (arguments.role, answer) {
        (Some(role), _) => (Some(role), Source::Argument),
        (None, None) => (None, Source::NotAsked),
        (None, Some(answer)) => match answer.action {
            ElicitationAction::Accept => match role_in(answer.content) {
                Some(role) => (Some(role), Source::Answer),
                None => return Ok(refusal(bad_answer()).into()),
            },
            ElicitationAction::Decline => (None, Source::Declined),
            _ => (None, Source::Cancelled),
        },
    };
    log.info(json!({ "message": "recommended", "role": role, "source": source })).await;
    structured(&Recommendation {
        role,
        source,
        pages: pages_for(&docs.library.corpus, role, arguments.goal.as_deref()),
    })
}

/// The form: one choice. An `enum` of plain names is the one shape that every revision with forms knows.
fn form() -> Result<ElicitRequest, ErrorData> {
    let names = Reader::names().iter().map(|name| (*name).to_owned());
    let role =
        EnumSchema::builder(names.collect()).title("Role").description("What you are, when it comes to Rialto").build();
    let requested_schema = ElicitationSchema::builder()
        .required_enum_schema("role", role)
        .build()
        .map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: "What are you? The pages to read depend on it.".to_owned(),
        requested_schema,
    }))
}

fn role_in(content: Option<Value>) -> Option<Reader> {
    let role = content?.get("role")?.clone();
    serde_json::from_value(role).ok()
}

fn bad_answer() -> String {
    let names = Reader::names().join("`, `");
    format!("the answer must have a `role`, one of `{names}`")
}

/// The pages for a role, and before them those that fit the goal best.
fn pages_for(corpus: &Corpus, role: Option<Reader>, goal: Option<&str>) -> Vec<RecommendedPage> {
    let hits = goal.map(|goal| search(corpus, goal)).unwrap_or_default();
    let mut chosen: Vec<(&str, String)> = Vec::new();
    for hit in &hits {
        let known = chosen.iter().any(|(page, _)| *page == hit.page.name);
        if !known && chosen.len() < PAGES_FOR_GOAL {
            let why = format!("fits your goal, above all \"{}\"", hit.heading());
            chosen.push((hit.page.name, why));
        }
    }
    for (page, why) in reading_list(role) {
        if !chosen.iter().any(|(known, _)| known == page) {
            chosen.push((page, (*why).to_owned()));
        }
    }
    chosen
        .into_iter()
        .filter_map(|(name, why)| {
            let page = corpus.page(name)?;
            Some(RecommendedPage { page: page.name, title: page.title, uri: page.uri(), why })
        })
        .collect()
}

fn reading_list(role: Option<Reader>) -> &'static [(&'static str, &'static str)] {
    match role {
        Some(Reader::ClientUser) => &[
            ("quick-start", "connects your client in a few minutes"),
            ("questions", "what your client shows when a tool asks you"),
            ("troubleshooting", "when a tool is missing or a call does not end"),
            ("glossary", "the words in messages"),
        ],
        Some(Reader::ServerAuthor) => &[
            ("eras", "what clients of the other era see of your server"),
            ("questions", "how your questions reach any client"),
            ("bridging", "what some clients cannot be given, and what they get instead"),
            ("sessions", "who shares a session with your server"),
            ("servers", "how your server is started, probed and restarted"),
            ("errors", "what becomes of your errors"),
        ],
        Some(Reader::Operator) => &[
            ("quick-start", "runs Rialto with your own file"),
            ("config", "every key of the file"),
            ("servers", "what happens when a server fails"),
            ("sessions", "what keeps callers apart"),
            ("handles", "when to set seal keys"),
            ("limits", "every bound and its default"),
            ("troubleshooting", "symptoms, causes, and what to do"),
        ],
        None => &[
            ("overview", "what Rialto is and what it promises"),
            ("quick-start", "for everybody who wants to try it"),
            ("config", "for those who run it"),
            ("eras", "for those who write servers"),
            ("troubleshooting", "for those whose client does not work"),
        ],
    }
}
