//! What the conversation asks of a session besides words: languages, keys, recordings, another use case, an end, and a
//! journal that forgets. In paused time, over sockets in memory.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use voice_core::message::{Message, ToolOutcome};
use voice_core::ports::{
    BoxFuture, Effect, ModelEvent, ModelFailure, ModelFailureKind, SessionChange, SpokenLanguage,
    ToolRequest, ToolResult, ToolRunner, Usage,
};
use voice_core::use_case::{Budget, Handler, Keep, Language, MaxDuration, Storage, Tool, UseCase};

use super::PreparedCall;
use super::tests::{SETUP, Stage, Store, finished, prepared, said, text};

/// Succeeds, with the effect that the tool's name asks for.
#[derive(Debug)]
struct Effects;

impl ToolRunner for Effects {
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult> {
        let effect = match request.tool.name.as_str() {
            "keys" => Effect::SendDigits { digits: "12#".to_owned() },
            "music" => Effect::Play { source: "https://example.com/a.mp3".to_owned() },
            "spanish" => Effect::SwitchLanguage { code: "es-US".to_owned() },
            "other" => Effect::ChangeUseCase(Arc::new(other())),
            _ => Effect::HandOff { handoff_data: "{\"target\":\"default\"}".to_owned() },
        };
        let outcome = ToolOutcome::success(request.run.call, json!({ "done": true }));
        Box::pin(async move { ToolResult { outcome, effect: Some(effect) } })
    }
}

fn other() -> UseCase {
    let patterns = vec![Regex::new("public [a-z]+").unwrap()];
    let storage = Storage { patterns, ..Storage::default() };
    let tools = vec![Arc::new(Tool::new("rules", Handler::CurrentTime))];
    UseCase { storage, tools, ..UseCase::new("other", "You are {{ useCase }}.") }
}

fn call_of(use_case: UseCase) -> PreparedCall {
    PreparedCall { use_case: Arc::new(use_case), ..prepared() }
}

fn tool_call(name: &str) -> ModelEvent {
    ModelEvent::ToolCall { id: name.to_owned(), name: name.to_owned(), arguments: String::new() }
}

fn with_tools(names: &[&str]) -> UseCase {
    let tool = |name: &&str| {
        let handler = if *name == "person" { Handler::TransferToHuman } else { Handler::CurrentTime };
        Arc::new(Tool::new(*name, handler))
    };
    let spanish = [("code".to_owned(), "es-US".to_owned())].into();
    let languages = vec![Language { attributes: spanish, sentences: None }];
    UseCase { tools: names.iter().map(tool).collect(), languages, ..UseCase::new("test", "") }
}

async fn stage(use_case: UseCase, scripts: Vec<Vec<ModelEvent>>) -> Stage {
    let stage = Stage::of(call_of(use_case), Arc::new(Effects), scripts, Store::default());
    stage.send(SETUP).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn keys_recordings_and_languages_go_out_in_their_order() {
    let calls = vec![tool_call("keys"), tool_call("music"), tool_call("spanish"), finished()];
    let answer = vec![text("Hecho."), finished()];
    let mut stage = stage(with_tools(&["keys", "music", "spanish"]), vec![calls, answer]).await;
    stage.say("Go on.").await;
    assert_eq!(stage.next_json().await, json!({ "type": "sendDigits", "digits": "12#" }));
    let played = stage.next_json().await;
    assert_eq!((&played["type"], &played["source"]), (&json!("play"), &json!("https://example.com/a.mp3")));
    let language = json!({ "type": "language", "ttsLanguage": "es-US", "transcriptionLanguage": "es-US" });
    assert_eq!(stage.next_json().await, language);
    assert_eq!(stage.next_json().await, said("Hecho.", true));
    let (store, _) = stage.end().await;
    let spanish = SpokenLanguage { code: "es-US".to_owned(), heard: true };
    assert_eq!(*store.changes.lock().unwrap(), [SessionChange::Language(spanish)]);
}

#[tokio::test(start_paused = true)]
async fn another_use_case_answers_with_its_own_prompt() {
    let mut stage = stage(
        with_tools(&["other"]),
        vec![vec![tool_call("other"), finished()], vec![text("Here."), finished()]],
    )
    .await;
    stage.say("Put me through.").await;
    assert_eq!(stage.next_json().await, said("Here.", true));
    let asked_as = stage.model.asked_as.lock().unwrap().clone();
    assert_eq!(asked_as[0].0, "test");
    assert_eq!(asked_as[1], ("other".to_owned(), "You are other.".to_owned()));
    let (store, _) = stage.end().await;
    assert_eq!(*store.changes.lock().unwrap(), [SessionChange::UseCase("other".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_ends_the_session_with_what_comes_next() {
    let scripts = vec![vec![text("One moment."), tool_call("person"), finished()]];
    let mut stage = stage(with_tools(&["person"]), scripts).await;
    stage.say("A person, please.").await;
    assert_eq!(stage.next_json().await, said("One moment.", true));
    stage.send(r#"{"type":"info","name":"tokensPlayed","value":"One moment."}"#).await;
    let end = json!({ "type": "end", "handoffData": "{\"target\":\"default\"}" });
    assert_eq!(stage.next_json().await, end);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_lasts_too_long_says_so_and_ends() {
    let limit = MaxDuration { limit: Duration::from_mins(1), warn_before: Duration::from_secs(10) };
    let use_case = UseCase { max_duration: Some(limit), ..UseCase::new("test", "") };
    let sentences = use_case.sentences.clone();
    let mut stage = stage(use_case, Vec::new()).await;
    assert_eq!(stage.next_json().await, said(&sentences.time_warning, true));
    assert_eq!(stage.next_json().await, said(&sentences.limit, true));
    let end: Value = stage.next_json().await;
    assert_eq!(end["handoffData"], "{\"reasonCode\":\"time-limit\"}");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_stored_is_masked() {
    let patterns = vec![Regex::new("secret [a-z]+").unwrap()];
    let storage = Storage { patterns, ..Storage::default() };
    let use_case = UseCase { storage, ..UseCase::new("test", "") };
    let mut stage = stage(use_case, vec![vec![text("The secret garden."), finished()]]).await;
    stage.say("Card 4111 1111 1111 1111.").await;
    assert_eq!(stage.next_json().await, said("The secret garden.", true));
    stage.send(r#"{"type":"info","name":"tokensPlayed","value":"The secret garden."}"#).await;
    let (store, _) = stage.end().await;
    let written = store.written.lock().unwrap().clone();
    let agent = |text: &str| Message::Agent { text: text.to_owned(), tool_calls: Vec::new() };
    let messages: Vec<_> = written.into_iter().filter_map(|(_, _, message)| message).collect();
    assert_eq!(messages[0], Message::Caller { text: "Card [card number].".to_owned() });
    assert_eq!(messages[1], agent("The [redacted]."));
}

/// Tells what it may store.
#[derive(Debug)]
struct Rules;

impl ToolRunner for Rules {
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult> {
        if request.tool.name != "rules" {
            return Effects.run(request);
        }
        let storage = &request.use_case.storage;
        let patterns: Vec<_> = storage.patterns.iter().map(Regex::as_str).collect();
        let content = json!({ "patterns": patterns, "nothing": storage.keep == Keep::Nothing });
        let outcome = ToolOutcome::success(request.run.call, content);
        Box::pin(async move { ToolResult { outcome, effect: None } })
    }
}

/// The dialogue as it is stored when a use case of these rules gives the call to another, and what tools are told.
async fn stored_after_a_change(storage: Storage) -> (Vec<Message>, Value) {
    let use_case = UseCase { storage, ..with_tools(&["other"]) };
    let scripts = vec![
        vec![tool_call("other"), finished()],
        vec![tool_call("rules"), finished()],
        vec![text("The secret garden and the public park."), finished()],
    ];
    let mut stage = Stage::of(call_of(use_case), Arc::new(Rules), scripts, Store::default());
    stage.send(SETUP).await;
    stage.say("Put me through.").await;
    let spoken = "The secret garden and the public park.";
    assert_eq!(stage.next_json().await, said(spoken, true));
    stage.send(&json!({ "type": "info", "name": "tokensPlayed", "value": spoken }).to_string()).await;
    let history = stage.model.histories.lock().unwrap().last().cloned().unwrap();
    let rules = match history.last() {
        Some(Message::Outcomes { outcomes, .. }) => outcomes[0].content.clone(),
        _ => panic!("the rules come last"),
    };
    let (store, _) = stage.end().await;
    let written = store.written.lock().unwrap().clone();
    (written.into_iter().filter_map(|(_, _, message)| message).collect(), rules)
}

#[tokio::test(start_paused = true)]
async fn another_use_case_does_not_bring_to_light_what_one_before_it_hid() {
    let patterns = vec![Regex::new("secret [a-z]+").unwrap()];
    let (stored, rules) = stored_after_a_change(Storage { patterns, ..Storage::default() }).await;
    let last =
        Message::Agent { text: "The [redacted] and the [redacted].".to_owned(), tool_calls: Vec::new() };
    assert_eq!(stored.last(), Some(&last));
    assert_eq!(rules, json!({ "patterns": ["secret [a-z]+", "public [a-z]+"], "nothing": false }));
    let (stored, rules) = stored_after_a_change(Storage { keep: Keep::Nothing, ..Storage::default() }).await;
    assert_eq!(stored, []);
    assert_eq!(rules["nothing"], true);
}

#[tokio::test(start_paused = true)]
async fn a_use_case_that_stores_nothing_writes_no_words() {
    let storage = Storage { keep: Keep::Nothing, ..Storage::default() };
    let use_case = UseCase { storage, ..with_tools(&["spanish"]) };
    let scripts = vec![vec![tool_call("spanish"), finished()], vec![text("Hola."), finished()]];
    let mut stage = stage(use_case, scripts).await;
    stage.say("Spanish, please.").await;
    stage.next_json().await;
    assert_eq!(stage.next_json().await, said("Hola.", true));
    let (store, _) = stage.end().await;
    assert!(store.written.lock().unwrap().is_empty());
    assert_eq!(store.changes.lock().unwrap().len(), 1, "what a session needs to go on is no word of a call");
}

/// A use case whose calls may cost next to nothing.
fn thrifty() -> UseCase {
    let budget = Budget { tokens: Some(5), ..Budget::default() };
    UseCase { budget, ..UseCase::new("test", "") }
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_was_cancelled_has_cost_something() {
    let mut stage = stage(thrifty(), vec![vec![text("We open at nine.")]]).await;
    stage.say("Hours?").await;
    assert_eq!(stage.next_json().await, said("We open at nine.", false));
    stage.send(r#"{"type":"interrupt","utteranceUntilInterrupt":"We open"}"#).await;
    assert_eq!(stage.next_json().await, said("", true));
    assert_eq!(stage.next_json().await, said(&thrifty().sentences.limit, true));
    let (store, _) = stage.end().await;
    let report = store.reports.lock().unwrap()[0].clone();
    let usage = Usage { input: 3, output: 4, ..Usage::default() };
    assert_eq!(
        (report.usage, report.estimated),
        (Some(usage), true),
        "eight of the prompt and six of the caller"
    );
    assert_eq!(report.stop_reason.as_deref(), Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_failed_costs_something_if_a_model_has_begun_it() {
    for (kind, costs) in [(ModelFailureKind::TimedOut, true), (ModelFailureKind::Throttled, false)] {
        let failed = ModelEvent::Failed(ModelFailure { kind });
        let system = "Be very kind to everybody.".into();
        let call = PreparedCall { system, ..call_of(thrifty()) };
        let scripts = vec![vec![failed], vec![text("At nine."), finished()]];
        let mut stage = Stage::of(call, Arc::new(Effects), scripts, Store::default());
        stage.send(SETUP).await;
        stage.say("Hours?").await;
        assert_eq!(stage.next_json().await, said(&thrifty().sentences.failure, true));
        stage.say("Well?").await;
        let expected = if costs { thrifty().sentences.limit } else { "At nine.".to_owned() };
        assert_eq!(stage.next_json().await, said(&expected, true), "{kind:?}");
        let (store, _) = stage.end().await;
        let report = store.reports.lock().unwrap()[0].clone();
        assert_eq!((report.estimated, report.stop_reason.as_deref()), (costs, Some("failed")));
    }
}
