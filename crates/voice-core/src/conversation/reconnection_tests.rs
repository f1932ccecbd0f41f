//! Whether a session could end without loss, and how it goes on after a moment without a line.

use super::stage::{Stage, use_case};
use super::{Background, Event, Opening};
use crate::message::Message;

const BACK: &str = "I'm back.";

fn at_rest(stage: &Stage) -> bool {
    stage.conversation().is_at_rest(stage.now())
}

fn reconnect(stage: &mut Stage) {
    stage.handle(Event::Reconnected);
}

#[test]
fn a_conversation_rests_between_two_turns_only() {
    let mut stage = Stage::new();
    assert!(at_rest(&stage));
    assert!(!at_rest(stage.say("When do you open?")), "an answer is owed");
    assert!(!at_rest(stage.text(0, "At nine.")), "the model is not done");
    assert!(!at_rest(stage.finish(0)), "the words are playing");
    assert!(at_rest(stage.played("At nine.")));
    assert!(!at_rest(stage.handle(Event::CallerSpeaking)));
    assert!(!at_rest(stage.handle(Event::CallerPaused)), "words may follow");
    assert!(at_rest(stage.wait(2600)), "it was a noise");
    assert!(!at_rest(stage.key('7')), "more keys may follow");
    assert!(!at_rest(stage.wait(1500)), "the keys are to be answered");
    assert!(!at_rest(stage.call(1, "t-1", "order", "{}").finish(1)), "a tool runs");
}

#[test]
fn words_whose_end_is_never_reported_do_not_keep_a_conversation_from_resting() {
    let mut stage = Stage::new();
    stage.say("Hello?").text(0, "Hello.").finish(0);
    assert!(!at_rest(&stage));
    assert!(at_rest(stage.wait(10_000)));
}

#[test]
fn who_lost_nothing_goes_on_in_silence() {
    let dialogue = [
        Message::Caller { text: "Hello?".to_owned() },
        Message::Agent { text: "Hello.".to_owned(), tool_calls: Vec::new() },
    ];
    let opened = |opening| Stage::opened(use_case(), opening, Background::default(), &dialogue);
    assert_eq!(opened(Opening::Continued).actions, []);
    assert!(opened(Opening::Resumed).spoken().starts_with(BACK));
    let unanswered = Stage::opened(use_case(), Opening::Continued, Background::default(), &dialogue[..1]);
    assert_eq!(unanswered.started(), Some(0), "what was asked is answered in any case");
}

#[test]
fn after_a_moment_without_a_line_nothing_is_said_when_nothing_was_lost() {
    let mut stage = Stage::new();
    stage.turn(0, "Hello?", "Hello.");
    reconnect(&mut stage);
    assert_eq!(stage.actions, []);
}

#[test]
fn what_was_not_heard_when_the_line_was_lost_is_no_part_of_the_dialogue() {
    let mut stage = Stage::new();
    stage.say("What is on it?").text(0, "Zucchini. Mushrooms. Olives.").finish(0).played("Zucchini.");
    reconnect(&mut stage);
    assert!(stage.spoken().starts_with(BACK));
    assert_eq!(stage.dialogue(), ["caller: What is on it?", "agent: Zucchini."]);
}

#[test]
fn a_turn_of_which_nothing_was_heard_is_answered_again() {
    let mut stage = Stage::new();
    stage.say("What is on it?").text(0, "Zucchini and");
    reconnect(&mut stage);
    assert_eq!(stage.started(), Some(1));
    assert!(!stage.spoken().contains(BACK));
    assert_eq!(stage.dialogue(), ["caller: What is on it?"]);
    stage.text(0, " mushrooms");
    assert_eq!(stage.actions, [], "the generation before is dead");
}

#[test]
fn a_tool_runs_on_while_the_line_is_lost() {
    let mut stage = Stage::new();
    stage.say("One pizza.").call(0, "t-1", "order", "{}").finish(0);
    reconnect(&mut stage);
    assert_eq!(stage.actions, []);
    assert_eq!(stage.outcome(0, "t-1").started(), Some(1));
}

#[test]
fn nothing_ends_the_call_upon_a_farewell_that_was_not_heard() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "Good night, and thank you.").call(0, "t-1", "end_call", "{}").finish(0);
    reconnect(&mut stage);
    assert_eq!(stage.started(), Some(1));
    assert_eq!(
        stage.dialogue()[2],
        "outcomes: error \"Not done: the line was lost for a moment, and the caller has not heard your last words.\" "
    );
    assert!(stage.wait(60_000).tools_started().is_empty());
}

#[test]
fn keys_of_a_session_that_is_lost_are_left_to_the_next_one() {
    let mut stage = Stage::new();
    stage.turn(0, "I have a number.", "Enter it.").key('7').key('8');
    stage.handle(Event::CallerHungUp);
    assert_eq!(stage.dialogue().last().unwrap(), "caller: (The caller pressed 7 8 on the keypad.)");
}
