//! Guardrails against the stand-in, through the real SDK.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_bedrockruntime::config::Credentials;
use futures_util::StreamExt;
use rehearsal::bedrock::{Answer, BedrockOptions, BedrockStandIn, Blocked as Refused};
use serde_json::{Value, json};
use voice_core::message::{GenerationId, Message, ToolCall, ToolCallId, ToolOutcome};
use voice_core::ports::{
    Blocked, CallContext, Completion, Direction, GenerationRequest, LanguageModel, ModelEvent,
};
use voice_core::private::Private;
use voice_core::use_case::{Guardrail, Language, Sentences, UseCase};

use super::{Bedrock, BedrockParts, ClientSettings, Clients, Deadlines};
use crate::metrics::Metrics;

const MESSAGE: &str = "Sorry, the model cannot answer this question.";
const DEADLINE: Duration = Duration::from_secs(10);

/// A guardrail without a trace, and sentences of the use case for what it refuses.
fn guarded() -> UseCase {
    let mut use_case = UseCase::new("reception", "You answer the telephone.");
    use_case.guardrail = Some(Guardrail {
        identifier: "guard".to_owned(),
        version: "1".to_owned(),
        stream_processing: None,
        trace: false,
    });
    use_case.sentences.blocked_input = Some("Let us talk about pizza.".to_owned());
    use_case
}

struct Answered {
    texts: Vec<String>,
    tools: usize,
    completion: Completion,
    /// What the request asked of the guardrail.
    trace: String,
    /// The messages of the request.
    messages: Value,
}

/// Answers the caller's first word with a script.
async fn generate(use_case: UseCase, answer: Answer) -> Answered {
    let stand_in = BedrockStandIn::start(BedrockOptions::default()).await.unwrap();
    stand_in.script(answer);
    let answered = go_on(&stand_in, use_case, &[caller("Hello")]).await;
    stand_in.shutdown().await;
    answered
}

/// A stand-in whose guardrail does not want to hear of bombs.
async fn squeamish() -> BedrockStandIn {
    let options = BedrockOptions { refused_words: vec!["bomb".to_owned()], ..BedrockOptions::default() };
    let stand_in = BedrockStandIn::start(options).await.unwrap();
    stand_in.script(Answer::text("Gladly."));
    stand_in
}

async fn go_on(stand_in: &BedrockStandIn, use_case: UseCase, history: &[Message]) -> Answered {
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_sdk_bedrockruntime::config::SharedCredentialsProvider::new(
            Credentials::new("local", "local", None, None, "test"),
        ))
        .endpoint_url(stand_in.endpoint())
        .build();
    let deadlines = Deadlines { first_token: DEADLINE, next_token: DEADLINE };
    let bedrock = Bedrock::new(BedrockParts {
        clients: Clients::new(&config, ClientSettings::default()),
        deadlines,
        hedge_after: None,
        default_model: None,
        metrics: Metrics::default(),
    });
    let mut stream = bedrock.generate(request(use_case, history));
    let (mut texts, mut tools) = (Vec::new(), 0);
    let completion = loop {
        match stream.next().await.expect("a stream ends with its completion") {
            ModelEvent::Text(text) => texts.push(text),
            ModelEvent::ToolCall { .. } => tools += 1,
            ModelEvent::AttemptFailed(attempt) => panic!("{attempt:?}"),
            ModelEvent::Finished(completion) => break completion,
            ModelEvent::Failed(failure) => panic!("{failure:?}"),
        }
    };
    let asked = stand_in.requests().pop().unwrap();
    let trace = asked.body["guardrailConfig"]["trace"].as_str().unwrap_or("none").to_owned();
    Answered { texts, tools, completion, trace, messages: asked.body["messages"].clone() }
}

pub(super) fn caller(text: &str) -> Message {
    Message::Caller { text: text.to_owned() }
}

fn agent(text: &str) -> Message {
    Message::Agent { text: text.to_owned(), tool_calls: Vec::new() }
}

/// A tool call and its outcome, with what the caller said meanwhile.
fn looked_up(meanwhile: &str) -> [Message; 2] {
    let id = ToolCallId("t-1".to_owned());
    let call = ToolCall { id: id.clone(), name: "look_up".to_owned(), input: json!({}) };
    let outcome = ToolOutcome::success(id, json!({ "found": "a bomb" }));
    [
        Message::Agent { text: String::new(), tool_calls: vec![call] },
        Message::Outcomes { outcomes: vec![outcome], text: meanwhile.to_owned() },
    ]
}

/// A caller who was refused, and then said this.
fn after_a_refusal(words: &str) -> Vec<Message> {
    vec![caller("How do I build a bomb?"), agent("Let us talk about pizza."), caller(words)]
}

/// The texts of a request that are marked for the guardrail, with their places: message and block.
fn marked(messages: &Value) -> Vec<(usize, usize, &str)> {
    let mut marked = Vec::new();
    for (message, content) in messages.as_array().unwrap().iter().enumerate() {
        for (block, content) in content["content"].as_array().unwrap().iter().enumerate() {
            let text = content.pointer("/guardContent/text/text").and_then(Value::as_str);
            marked.extend(text.map(|text| (message, block, text)));
        }
    }
    marked
}

pub(super) fn request(use_case: UseCase, history: &[Message]) -> GenerationRequest {
    let call = CallContext {
        call_sid: "CA1".to_owned(),
        account_sid: "AC1".to_owned(),
        from: Private::default(),
        to: Private::default(),
        direction: Direction::Inbound,
        use_case: use_case.name.clone(),
        caller: None,
        variables: Private::default(),
    };
    GenerationRequest {
        call: Arc::new(call),
        generation: GenerationId(1),
        system: use_case.prompt.as_str().into(),
        use_case: Arc::new(use_case),
        models: Arc::from(["us.amazon.nova-lite-v1:0".to_owned()]),
        history: history.iter().cloned().map(Arc::new).collect(),
    }
}

#[tokio::test]
async fn the_guardrails_message_is_not_passed_on_and_what_was_refused_is_told() {
    for (refused, blocked) in [(Refused::Input, Blocked::Input), (Refused::Output, Blocked::Output)] {
        let answered = generate(guarded(), Answer::empty().then_blocked(refused, MESSAGE)).await;
        assert_eq!(answered.texts, Vec::<String>::new());
        assert_eq!(answered.completion.blocked, Some(blocked));
        assert_eq!(answered.completion.stop_reason, "guardrail_intervened");
        assert!(answered.completion.usage.is_some());
        assert_eq!(answered.trace, "enabled", "nothing else tells what was refused");
    }
}

#[tokio::test]
async fn what_the_model_had_begun_to_say_is_passed_on_without_the_message() {
    let answer = Answer::text("Well, it is").then_blocked(Refused::Output, MESSAGE);
    let answered = generate(guarded(), answer).await;
    assert_eq!(answered.texts.concat(), "Well, it is");
    assert_eq!(answered.completion.blocked, Some(Blocked::Output));
}

#[tokio::test]
async fn without_a_trace_what_was_refused_follows_from_what_was_said() {
    let ending = |answer: Answer| answer.then_text("Sorry.").stop_reason("guardrail_intervened");
    let answered = generate(guarded(), ending(Answer::empty())).await;
    assert_eq!((answered.texts, answered.completion.blocked), (vec![], Some(Blocked::Input)));
    let answered = generate(guarded(), ending(Answer::text("Well"))).await;
    assert_eq!(
        (answered.texts.concat().as_str(), answered.completion.blocked),
        ("Well", Some(Blocked::Output))
    );
}

#[tokio::test]
async fn a_guarded_answer_that_passes_is_whole_and_in_order() {
    let answer = Answer::text("One moment please").then_tool("t-1", "Look", serde_json::json!({}));
    let answered = generate(guarded(), answer).await;
    assert_eq!(answered.texts, ["One", " moment", " please"]);
    assert_eq!((answered.tools, answered.completion.blocked), (1, None));
}

#[tokio::test]
async fn without_sentences_of_its_own_the_use_case_lets_the_message_be_spoken() {
    let mut use_case = guarded();
    use_case.sentences.blocked_input = None;
    let refused = || Answer::empty().then_blocked(Refused::Input, MESSAGE);
    let answered = generate(use_case.clone(), refused()).await;
    assert_eq!(answered.texts, [MESSAGE]);
    assert_eq!((answered.completion.blocked, answered.trace.as_str()), (None, "disabled"));
    let sentences = Sentences { blocked_output: Some("Darüber nicht.".to_owned()), ..Sentences::default() };
    use_case.languages = vec![Language { attributes: [].into(), sentences: Some(sentences) }];
    let answered = generate(use_case, refused()).await;
    assert_eq!(answered.texts, Vec::<String>::new(), "another language has one");
}

#[tokio::test]
async fn a_refusal_does_not_stand_in_the_way_of_what_comes_after_it() {
    let stand_in = squeamish().await;
    let refused = go_on(&stand_in, guarded(), &after_a_refusal("x")[..1]).await;
    assert_eq!(refused.completion.blocked, Some(Blocked::Input));
    let answered = go_on(&stand_in, guarded(), &after_a_refusal("Then a pizza.")).await;
    assert_eq!((answered.texts.concat().as_str(), answered.completion.blocked), ("Gladly.", None));
    assert_eq!(marked(&answered.messages), [(2, 0, "Then a pizza.")]);
    let refused = go_on(&stand_in, guarded(), &after_a_refusal("No, a bomb.")).await;
    assert_eq!(refused.completion.blocked, Some(Blocked::Input), "what is new is assessed");
    stand_in.shutdown().await;
}

#[tokio::test]
async fn neither_does_it_when_a_tool_has_been_called_since() {
    let stand_in = squeamish().await;
    let history = [after_a_refusal("Then a pizza."), looked_up("").into()].concat();
    let answered = go_on(&stand_in, guarded(), &history).await;
    assert_eq!((answered.texts.concat().as_str(), answered.completion.blocked), ("Gladly.", None));
    assert_eq!(marked(&answered.messages), [(2, 0, "Then a pizza.")]);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn what_the_caller_says_during_a_tool_is_assessed() {
    let stand_in = squeamish().await;
    let history = [after_a_refusal("Then a pizza."), looked_up("And be quick.").into()].concat();
    let answered = go_on(&stand_in, guarded(), &history).await;
    assert_eq!(answered.completion.blocked, None);
    assert_eq!(marked(&answered.messages), [(4, 1, "And be quick.")]);
    let history = [after_a_refusal("Then a pizza."), looked_up("Or a bomb.").into()].concat();
    let refused = go_on(&stand_in, guarded(), &history).await;
    assert_eq!(refused.completion.blocked, Some(Blocked::Input));
    stand_in.shutdown().await;
}

#[tokio::test]
async fn without_a_guardrail_nothing_is_marked() {
    let stand_in = squeamish().await;
    let use_case = UseCase::new("reception", "You answer the telephone.");
    let answered = go_on(&stand_in, use_case, &after_a_refusal("Then a pizza.")).await;
    assert_eq!(marked(&answered.messages), []);
    assert_eq!(answered.messages[2]["content"][0]["text"], "Then a pizza.");
    stand_in.shutdown().await;
}
