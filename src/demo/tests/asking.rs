//! The question of `recommend`, in both eras and with every kind of answer.

use rmcp::{
    ServiceError,
    model::{CallToolRequestParams, CallToolResponse, CancelledNotificationParam, ClientRequest},
    service::PeerRequestOptions,
};
use serde_json::{Value, json};

use super::{BOTH_ERAS, Era, Form, Seen, Session, call, error_of, refused, structured, within};

fn names(recommendation: &Value) -> Vec<&str> {
    let pages = recommendation["pages"].as_array().expect("pages");
    pages.iter().filter_map(|page| page["page"].as_str()).collect()
}

#[tokio::test]
async fn the_answer_decides_what_to_read() {
    for era in BOTH_ERAS {
        for (role, page) in [("client user", "glossary"), ("server author", "eras"), ("operator", "config")] {
            let mut session = Session::open(era, Form::Accept(json!({ "role": role }))).await;
            let result = structured(session.call("recommend", json!({})).await);
            assert_eq!(result["role"], role, "{era:?}");
            assert_eq!(result["source"], "answer");
            assert!(names(&result).contains(&page), "{result}");

            let Seen::Asked(question) = session.next_seen().await else {
                panic!("expected the question");
            };
            assert_eq!(question["mode"], "form");
            let schema = &question["requestedSchema"];
            assert_eq!(schema["required"], json!(["role"]));
            let choices = &schema["properties"]["role"]["enum"];
            assert_eq!(choices, &json!(["client user", "server author", "operator"]));
            assert!(session.seen.try_recv().is_err(), "one question is enough");
            session.close().await;
        }
    }
}

#[tokio::test]
async fn no_answer_still_gives_pages() {
    for era in BOTH_ERAS {
        for (form, source) in [(Form::Missing, "not_asked"), (Form::Decline, "declined"), (Form::Close, "cancelled")] {
            let session = Session::open(era, form).await;
            let result = structured(session.call("recommend", json!({})).await);
            assert_eq!(result["source"], source, "{era:?}");
            assert!(result.get("role").is_none());
            assert_eq!(names(&result).first(), Some(&"overview"));
            session.close().await;
        }
    }
}

#[tokio::test]
async fn a_legacy_client_that_fails_to_ask_has_cancelled() {
    let session = Session::open(Era::Legacy, Form::Fail).await;
    let result = structured(session.call("recommend", json!({})).await);
    assert_eq!(result["source"], "cancelled");
    session.close().await;
}

#[tokio::test]
async fn nobody_is_asked_what_is_known() {
    for era in BOTH_ERAS {
        let mut session = Session::open(era, Form::Fail).await;
        let arguments = json!({ "role": "operator", "goal": "rotate seal keys" });
        let result = structured(session.call("recommend", arguments).await);
        assert_eq!(result["source"], "argument");
        assert_eq!(names(&result).first(), Some(&"handles"), "the goal comes first");
        let mut pages = names(&result);
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), names(&result).len(), "no page twice");
        assert!(session.seen.try_recv().is_err());
        session.close().await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_form_is_refused() {
    for era in BOTH_ERAS {
        for content in [json!({ "role": "king" }), json!({}), json!({ "role": 1 })] {
            let session = Session::open(era, Form::Accept(content)).await;
            let result = session.call("recommend", json!({})).await;
            assert!(refused(&result).contains("server author"));
            session.close().await;
        }
    }
}

/// Cancelling the call takes the form off the screen; the session goes on.
#[tokio::test]
async fn a_legacy_question_is_withdrawn_with_its_call() {
    let mut session = Session::open(Era::Legacy, Form::Ignore).await;
    let request = rmcp::model::CallToolRequest::new(call("recommend", json!({})));
    let sent = session
        .client
        .send_cancellable_request(ClientRequest::CallToolRequest(request), PeerRequestOptions::no_options());
    let running = within(sent).await.expect("the call is sent");
    assert!(matches!(session.next_seen().await, Seen::Asked(_)));
    let cancelled = CancelledNotificationParam::new(Some(running.id.clone()), None);
    within(session.client.notify_cancelled(cancelled)).await.expect("the cancellation is sent");
    assert!(matches!(session.next_seen().await, Seen::Withdrawn));
    structured(session.call("list_pages", json!({})).await);
    session.close().await;
}

/// The clock jumps ahead when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_legacy_question_is_not_open_for_ever() {
    let mut session = Session::open(Era::Legacy, Form::Ignore).await;
    let asked = tokio::time::Instant::now();
    let result = session.client.call_tool(call("recommend", json!({}))).await;
    let result = structured(result.expect("the call succeeds"));
    assert_eq!(result["source"], "cancelled");
    assert_eq!(asked.elapsed().as_secs(), 600);
    assert!(matches!(session.next_seen().await, Seen::Asked(_)));
    assert!(matches!(session.next_seen().await, Seen::Withdrawn));
    session.close().await;
}

/// Drives the rounds of a modern question by hand.
struct Rounds {
    session: Session,
    arguments: Value,
}

impl Rounds {
    async fn open() -> Self {
        let arguments = json!({ "goal": "write a server" });
        let session = Session::open(Era::Modern, Form::Ignore).await;
        Self { session, arguments }
    }

    async fn send(&self, request: CallToolRequestParams) -> Result<CallToolResponse, ServiceError> {
        within(self.session.client.call_tool_once(request)).await
    }

    fn request(&self) -> CallToolRequestParams {
        call("recommend", self.arguments.clone())
    }

    /// The state that comes with the question.
    async fn state(&self) -> String {
        state_in(self.send(self.request()).await)
    }
}

fn state_in(response: Result<CallToolResponse, ServiceError>) -> String {
    let Ok(CallToolResponse::InputRequired(asked)) = response else {
        panic!("expected a question, got {response:?}");
    };
    let questions = asked.input_requests.expect("there is a question");
    assert_eq!(questions.keys().collect::<Vec<_>>(), ["reader"]);
    asked.request_state.expect("there is a state")
}

fn answered(answer: Value) -> rmcp::model::InputResponses {
    rmcp::model::InputResponses::from([("reader".to_owned(), answer)])
}

#[tokio::test]
async fn a_modern_client_is_asked_by_retry() {
    let rounds = Rounds::open().await;
    let state = rounds.state().await;
    let answer = answered(json!({ "action": "accept", "content": { "role": "server author" } }));
    let retry = || {
        let request = rounds.request().with_request_state(state.clone());
        request.with_input_responses(answer.clone())
    };
    // Nothing is kept on this side, so the same retry gives the same answer again.
    for _ in 0..2 {
        let Ok(CallToolResponse::Complete(result)) = rounds.send(retry()).await else {
            panic!("expected a result");
        };
        assert_eq!(structured(result)["role"], "server author");
    }
    rounds.session.close().await;
}

#[tokio::test]
async fn a_state_serves_every_session_of_the_process() {
    let first = Rounds::open().await;
    let second = Rounds::open().await;
    let state = first.state().await;
    let answer = answered(json!({ "action": "decline" }));
    let request = second.request().with_request_state(state);
    let response = second.send(request.with_input_responses(answer)).await;
    assert!(matches!(response, Ok(CallToolResponse::Complete(_))), "{response:?}");
    first.session.close().await;
    second.session.close().await;
}

#[tokio::test]
async fn a_missing_answer_is_asked_for_again() {
    let rounds = Rounds::open().await;
    let state = rounds.state().await;
    let retry = || rounds.request().with_request_state(state.clone());
    state_in(rounds.send(retry()).await);
    state_in(rounds.send(retry().with_input_responses(answered(json!("yes")))).await);
    let other = rmcp::model::InputResponses::from([("other".to_owned(), json!({}))]);
    state_in(rounds.send(retry().with_input_responses(other)).await);
    // Without a state the answers belong to no question.
    let answer = answered(json!({ "action": "decline" }));
    state_in(rounds.send(rounds.request().with_input_responses(answer)).await);
    rounds.session.close().await;
}

#[tokio::test]
async fn a_state_that_was_not_given_out_for_this_call_is_refused() {
    let rounds = Rounds::open().await;
    let state = rounds.state().await;
    let answer = answered(json!({ "action": "accept", "content": { "role": "operator" } }));
    let later = state.split_once('.').map(|(_, tag)| format!("1{tag}.{tag}"));
    let mut flipped = state.clone().into_bytes();
    let last = flipped.len() - 2;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("still a text");
    for wrong in [
        later.expect("a state has two parts"),
        flipped,
        format!("{state}="),
        format!(" {state}"),
        state[..state.len() - 1].to_owned(),
        String::new(),
        ".".to_owned(),
        "18446744073709551616.AAAA".to_owned(),
    ] {
        let request = rounds.request().with_request_state(wrong.clone());
        let result = rounds.send(request.with_input_responses(answer.clone())).await;
        let (code, message) = error_of(result);
        assert_eq!((code, message.as_str()), (-32602, "Invalid or expired requestState"), "{wrong}");
    }
    let other_call = call("recommend", json!({ "goal": "something else" }));
    let request = other_call.with_request_state(state).with_input_responses(answer);
    assert_eq!(error_of(rounds.send(request).await).0, -32602);
    rounds.session.close().await;
}
