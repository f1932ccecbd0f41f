//! Silent and failing models: the caller is told to wait, hears an apology, or goes to a person.

use super::stage::{Stage, use_case};
use super::{Action, Background, EndReason, Event, Opening};
use crate::message::{GenerationId, Message};
use crate::use_case::{Rescue, UseCase};

const WAITING: &str = "One moment, please.";

fn failed(generation: u32) -> Event {
    Event::GenerationFailed { generation: GenerationId(generation) }
}

fn with_a_desk() -> UseCase {
    UseCase { rescue: Rescue { model_fails: Some("desk".to_owned()), busy: None }, ..use_case() }
}

#[test]
fn a_caller_is_told_to_wait_again_and_again() {
    let mut stage = Stage::new();
    stage.say("Hello?");
    assert_eq!(stage.wait(3400).spoken(), "");
    assert_eq!(stage.wait(100).spoken(), WAITING);
    assert_eq!(stage.played(WAITING).wait(3500).spoken(), WAITING);
    assert_eq!(stage.played(WAITING).wait(3400).spoken(), "");
    assert_eq!(stage.text(0, "Hi.").finish(0).spoken(), "");
    assert_eq!(stage.wait(9000).spoken(), "", "nobody is waited for any more");
}

#[test]
fn a_model_that_pauses_in_its_answer_is_excused_once_its_words_were_heard() {
    let mut stage = Stage::new();
    stage.say("Hello?").text(0, "Let me look that up.");
    assert_eq!(stage.wait(3500).spoken(), "", "it is still speaking");
    stage.played("Let me look that up.");
    assert_eq!(stage.wait(3500).spoken(), WAITING);
    let ends = |action: &Action| matches!(action, Action::Say { text, last: true } if text.is_empty());
    assert!(ends(&stage.actions[0]), "the sentence does not stick to the last word: {:?}", stage.actions);
    stage.played(WAITING).text(0, " Here it is.").finish(0).played(" Here it is.");
    assert_eq!(stage.dialogue(), ["caller: Hello?", "agent: Let me look that up. Here it is."]);
}

#[test]
fn reports_of_playback_that_never_come_do_not_silence_the_agent() {
    let mut stage = Stage::new();
    stage.say("Hello?").text(0, "Well.");
    let said: Vec<_> = (0..3).filter(|_| !stage.wait(3500).spoken().is_empty()).collect();
    assert_eq!(said, [1], "once the slowest voice has said the words");
}

#[test]
fn without_a_rescue_the_caller_hears_an_apology() {
    let mut stage = Stage::new();
    stage.say("Hello?").handle(failed(0));
    assert!(stage.spoken().starts_with("I'm sorry, I'm having trouble"), "{}", stage.spoken());
    assert_eq!(stage.wait(60_000).ended(), None);
}

#[test]
fn a_rescued_caller_hears_a_sentence_out_and_goes_to_a_person() {
    let mut stage = Stage::with(with_a_desk());
    stage.say("Hello?").text(0, "We have").handle(failed(0));
    let sentence = with_a_desk().sentences.rescue;
    assert_eq!(stage.spoken(), format!(" {sentence}"), "what was said before is not said again");
    assert_eq!(stage.say("Are you there?").started(), None, "no model is asked any more");
    assert_eq!(stage.wait(1000).ended(), None);
    stage.played(&format!("We have {sentence}")).wait(300);
    assert_eq!(stage.ended(), Some(&EndReason::Rescued { target: "desk".to_owned() }));
    let said = format!("agent: We have {sentence}");
    assert_eq!(stage.dialogue(), ["caller: Hello?", &said, "caller: Are you there?"]);
}

#[test]
fn a_failure_that_is_over_is_nobodys_business() {
    let mut stage = Stage::with(with_a_desk());
    stage.say("Hello?").say("Anybody?").handle(failed(0));
    assert_eq!(stage.spoken(), "");
    assert_eq!(stage.text(1, "Yes.").finish(1).handle(failed(1)).spoken(), "");
}

#[test]
fn a_caller_whom_nobody_took_is_not_sent_round_in_circles() {
    let said = [Message::Caller { text: "Hello?".to_owned() }];
    let returned = Opening::Returned { reason: "nobody answered".to_owned() };
    let mut stage = Stage::opened(with_a_desk(), returned, Background::default(), &said);
    assert_eq!(stage.started(), Some(0));
    stage.handle(failed(0));
    assert!(stage.spoken().starts_with("I'm sorry, I'm having trouble"), "{}", stage.spoken());
    stage.turn(1, "Hello?", "Here I am.").say("And now?").handle(failed(2));
    assert_eq!(stage.spoken(), with_a_desk().sentences.rescue, "the model had come back meanwhile");
}
