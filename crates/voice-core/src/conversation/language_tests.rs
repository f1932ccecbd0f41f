//! Languages: following the caller, switching by tool, and coming back in the right one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stage::{Stage, use_case};
use super::{Action, Background, Event, Opening};
use crate::message::{GenerationId, Message};
use crate::ports::{Effect, SessionChange, SpokenLanguage};
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
    let remembered = remember(code, hear);
    [Action::SwitchLanguage { code: code.to_owned(), hear }, remembered]
}

fn remember(code: &str, heard: bool) -> Action {
    Action::Remember(SessionChange::Language(SpokenLanguage { code: code.to_owned(), heard }))
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
    let begin = |code: &str, heard| {
        let language = Some(SpokenLanguage { code: code.to_owned(), heard });
        let background = Background { language, ..Background::default() };
        let unanswered = [Message::Caller { text: "Hola.".to_owned() }];
        Stage::opened(polyglot(), Opening::Resumed, background, &unanswered).actions
    };
    let answer = Action::StartGeneration { generation: GenerationId(0) };
    for hear in [true, false] {
        let switch = Action::SwitchLanguage { code: "es-US".to_owned(), hear };
        assert_eq!(begin("es-US", hear), [switch, answer.clone()]);
    }
    assert_eq!(begin("en-US", true), std::slice::from_ref(&answer), "it begins in that one");
    assert_eq!(begin("de-DE", true), [answer], "the use case has it no more");
}

/// Goes on as `next`; what the carrier and the journal are told of languages.
fn become_another(stage: &mut Stage, generation: u32, next: UseCase) -> Vec<Action> {
    stage.say("Go.").call(generation, "a", "order", "{}").finish(generation);
    let actions = &stage.effect(generation, "a", Effect::ChangeUseCase(Arc::new(next))).actions;
    let of_language = |action: &&Action| {
        matches!(action, Action::SwitchLanguage { .. } | Action::Remember(SessionChange::Language(_)))
    };
    actions.iter().filter(of_language).cloned().collect()
}

fn configured_for(code: &str, mut use_case: UseCase) -> UseCase {
    use_case.relay_attributes.insert("language".to_owned(), code.to_owned());
    use_case
}

#[test]
fn another_use_case_goes_on_in_the_language_that_is_spoken() {
    assert_eq!(become_another(&mut Stage::with(polyglot()), 0, use_case()), [], "both begin in it");
    let mut stage = Stage::with(polyglot());
    hear(&mut stage, "es-US");
    assert_eq!(
        become_another(&mut stage, 1, polyglot()),
        [remember("es-US", true)],
        "nothing is switched, but another session would hear English"
    );
    assert_eq!(become_another(&mut stage, 3, polyglot()), [], "that is known");
    let begins_in_french = configured_for("fr-FR", polyglot());
    let english = UseCase { languages: vec![language("en-US")], ..begins_in_french.clone() };
    assert_eq!(become_another(&mut Stage::with(use_case()), 0, english), [remember("en-US", true)]);
    let mut hears_any = polyglot();
    hears_any.relay_attributes.insert("transcriptionLanguage".to_owned(), "multi".to_owned());
    let mut stage = Stage::with(hears_any.clone());
    hear(&mut stage, "es-US");
    assert_eq!(become_another(&mut stage, 1, hears_any), [], "nor may the recogniser be tied to it");
}

#[test]
fn another_use_case_that_does_not_have_the_language_goes_on_in_its_own() {
    let mut stage = Stage::with(polyglot());
    hear(&mut stage, "fr-FR");
    assert_eq!(become_another(&mut stage, 1, use_case()), switched("en-US", true));
    let german = configured_for("de-DE", use_case());
    assert_eq!(become_another(&mut stage, 3, german), switched("de-DE", true));
}
