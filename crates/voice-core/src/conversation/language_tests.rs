//! Languages: following the caller, switching by tool, and coming back in the right one.

use std::collections::BTreeMap;

use super::stage::{Stage, use_case};
use super::{Action, Background, Event, Opening};
use crate::message::{GenerationId, Message};
use crate::ports::{Effect, SessionChange};
use crate::use_case::{Language, Sentences, UseCase};

fn language(code: &str) -> Language {
    let waiting = format!("wait in {code}");
    let sentences = Sentences { waiting, failure: format!("sorry in {code}"), ..Sentences::default() };
    Language {
        attributes: BTreeMap::from([("code".to_owned(), code.to_owned())]),
        sentences: Some(sentences),
    }
}

fn polyglot() -> UseCase {
    let languages = ["es-ES", "es-US", "fr-FR"].map(language).to_vec();
    UseCase { languages, ..use_case() }
}

fn hear(stage: &mut Stage, language: &str) -> Vec<Action> {
    let event = Event::CallerSaid { text: "Hola.".to_owned(), language: Some(language.to_owned()) };
    let actions = &stage.handle(event).actions;
    let is_switch = |action: &&Action| matches!(action, Action::SwitchLanguage { .. } | Action::Remember(_));
    actions.iter().filter(is_switch).cloned().collect()
}

fn switched(code: &str, hear: bool) -> [Action; 2] {
    let remembered = SessionChange::Language(code.to_owned());
    [Action::SwitchLanguage { code: code.to_owned(), hear }, Action::Remember(remembered)]
}

#[test]
fn the_agent_follows_the_caller_before_it_answers() {
    let mut stage = Stage::with(polyglot());
    assert_eq!(hear(&mut stage, "es-us"), switched("es-US", false));
    let answer = Action::StartGeneration { generation: GenerationId(0) };
    assert_eq!(stage.actions.last(), Some(&answer));
    assert_eq!(stage.wait(3500).spoken(), "wait in es-US");
    assert_eq!(hear(&mut stage, "en-US"), switched("en-US", false), "and back");
}

#[test]
fn a_primary_tag_names_the_first_of_its_varieties_and_never_another_one() {
    let mut stage = Stage::with(polyglot());
    assert_eq!(hear(&mut stage, "es"), switched("es-ES", false));
    assert_eq!(hear(&mut stage, "es"), []);
    assert_eq!(hear(&mut stage, "es-MX"), [], "the same language is spoken already");
    assert_eq!(hear(&mut stage, "es-US"), switched("es-US", false), "exactly this was heard");
    assert_eq!(hear(&mut stage, "es"), []);
    assert_eq!(hear(&mut stage, "de-DE"), [], "nobody speaks it");
    assert_eq!(hear(&mut stage, ""), []);
}

#[test]
fn the_configured_language_is_current_at_first() {
    let mut use_case = polyglot();
    use_case.relay_attributes.insert("language".to_owned(), "fr-FR".to_owned());
    let mut stage = Stage::with(use_case.clone());
    assert_eq!(hear(&mut stage, "fr"), []);
    assert_eq!(stage.wait(3500).spoken(), "wait in fr-FR");
    use_case.relay_attributes.insert("ttsLanguage".to_owned(), "es-US".to_owned());
    assert_eq!(hear(&mut Stage::with(use_case), "fr"), switched("fr-FR", false));
}

#[test]
fn a_use_case_without_languages_never_switches() {
    assert_eq!(hear(&mut Stage::new(), "es-US"), []);
}

#[test]
fn words_during_a_tool_run_are_followed_too() {
    let mut stage = Stage::with(polyglot());
    stage.say("Go.").call(0, "a", "order", "{}").finish(0);
    assert_eq!(hear(&mut stage, "fr"), switched("fr-FR", false));
    assert_eq!(stage.started(), None);
}

#[test]
fn a_tool_switches_to_a_declared_language_only() {
    let mut stage = Stage::with(polyglot());
    stage.say("French, please.").call(0, "a", "order", "{}").finish(0);
    stage.effect(0, "a", Effect::SwitchLanguage { code: "fr-FR".to_owned() });
    assert_eq!(stage.actions[..2], switched("fr-FR", true));
    stage.handle(Event::GenerationFailed { generation: GenerationId(1) });
    assert_eq!(stage.spoken(), "sorry in fr-FR");
    stage.say("German.").call(2, "b", "order", "{}").finish(2);
    stage.effect(2, "b", Effect::SwitchLanguage { code: "de-DE".to_owned() });
    assert_eq!(stage.actions, [Action::StartGeneration { generation: GenerationId(3) }]);
    assert!(stage.dialogue().last().is_some_and(|last| last.contains("not one of the use case")));
}

#[test]
fn a_resumed_session_goes_on_in_the_language_of_the_call() {
    let begin = |language: &str| {
        let background = Background { language: Some(language.to_owned()), ..Background::default() };
        let unanswered = [Message::Caller { text: "Hola.".to_owned() }];
        Stage::opened(polyglot(), Opening::Resumed, background, &unanswered).actions
    };
    let answer = Action::StartGeneration { generation: GenerationId(0) };
    let switch = Action::SwitchLanguage { code: "es-US".to_owned(), hear: true };
    assert_eq!(begin("es-US"), [switch, answer.clone()]);
    assert_eq!(begin("en-US"), std::slice::from_ref(&answer), "it begins in that one");
    assert_eq!(begin("de-DE"), [answer], "the use case has it no more");
}
