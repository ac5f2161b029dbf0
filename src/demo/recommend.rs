//! The tool `recommend`: asks what the reader is, and answers with the pages to read.
//!
//! The question is the same in both eras, the way of asking is not: a legacy client gets a request from the server
//! while its call waits; a modern one gets `input_required` and calls again with the answer. A client that cannot
//! show a form is not asked.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationSchema, EnumSchema, InputRequest, InputRequests, InputRequiredResult,
        ServerRequest,
    },
    schemars::{self, JsonSchema},
    service::{PeerRequestOptions, RequestContext},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Docs,
    corpus::Corpus,
    is_modern,
    log::Log,
    search::search,
    tools::{Reader, refusal, structured},
};

mod seal;

pub(super) use seal::StateSeal;

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
    } else if is_modern(context) {
        // A state is checked even if the client could not have been asked: it says that it was.
        let given = match &request.request_state {
            Some(state) => {
                docs.library.seal.check(state, &arguments)?;
                answer_in(&request)
            }
            None => None,
        };
        if given.is_none() && can_be_asked(context) {
            return Ok(question_for_later(docs, &arguments)?.into());
        }
        given
    } else if can_be_asked(context) {
        Some(ask_now(context).await?)
    } else {
        None
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

/// Whether the client can show a form. One that declares elicitation without naming a mode means forms.
fn can_be_asked(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities
        .and_then(|capabilities| capabilities.elicitation)
        .is_some_and(|elicitation| elicitation.form.is_some() || elicitation.url.is_none())
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

/// Asks a modern client: the call ends with the question and is made again with the answer.
fn question_for_later(docs: &Docs, arguments: &Arguments) -> Result<InputRequiredResult, ErrorData> {
    let question = InputRequest::Elicitation(form()?);
    let questions = InputRequests::from([(QUESTION.to_owned(), question)]);
    let state = docs.library.seal.state_for(arguments)?;
    Ok(InputRequiredResult::new(Some(questions), Some(state)))
}

/// The answer that a modern client brought back; one that is no answer at all counts as missing and is asked again.
fn answer_in(request: &CallToolRequestParams) -> Option<ElicitResult> {
    let answers = request.input_responses.as_ref()?;
    serde_json::from_value(answers.get(QUESTION)?.clone()).ok()
}

/// Asks a legacy client, and waits for the answer. A client that answers with an error has not answered.
async fn ask_now(context: &RequestContext<RoleServer>) -> Result<ElicitResult, ErrorData> {
    let question = ServerRequest::ElicitRequest(form()?);
    let sent = context.peer.send_cancellable_request(question, PeerRequestOptions::no_options()).await;
    let Ok(mut asked) = sent else {
        return Ok(ElicitResult::new(ElicitationAction::Cancel));
    };
    tokio::select! {
        response = &mut asked.rx => Ok(match response {
            Ok(Ok(ClientResult::ElicitResult(answer))) => answer,
            _ => ElicitResult::new(ElicitationAction::Cancel),
        }),
        () = context.ct.cancelled() => {
            // The client knows that the call is over, but not that the form belongs to it.
            let _ = asked.cancel(Some("the call was cancelled".to_owned())).await;
            Err(ErrorData::internal_error("cancelled by the client", None))
        }
        () = tokio::time::sleep(PATIENCE) => {
            let _ = asked.cancel(Some("no answer in time".to_owned())).await;
            Ok(ElicitResult::new(ElicitationAction::Cancel))
        }
    }
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
