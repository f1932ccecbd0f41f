//! Silence: when its clock runs, what is said, and how the call ends.

use std::time::Duration;

use super::stage::{Stage, use_case};
use super::{Conversation, EndReason, Event, Opening};
use crate::ports::Effect;
use crate::use_case::{Silence, UseCase};

/// Five seconds, two prompts.
fn patient() -> UseCase {
    let prompts = ["Are you there?", "Hello?"].map(str::to_owned).to_vec();
    UseCase { silence: Some(Silence { after: Duration::from_secs(5), prompts }), ..use_case() }
}

/// The agent has answered, and was heard.
fn answered() -> Stage {
    let mut stage = Stage::with(patient());
    stage.turn(0, "Hours?", "At nine.");
    stage
}

#[test]
fn prompts_a_goodbye_and_the_end_follow_each_other() {
    let mut stage = answered();
    assert_eq!(stage.wait(4999).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "Are you there?");
    stage.wait(1000).played("Are you there?");
    assert_eq!(stage.wait(4999).spoken(), "", "the clock starts when the prompt was heard");
    assert_eq!(stage.wait(1).spoken(), "Hello?");
    stage.played("Hello?");
    assert!(stage.wait(5000).spoken().starts_with("I can't hear you"));
    let goodbye = stage.spoken();
    assert_eq!(stage.played(&goodbye).ended(), None, "the caller may speak up");
    assert_eq!(stage.wait(300).ended(), Some(&EndReason::CallerSilent));
    assert_eq!(
        stage.dialogue(),
        ["caller: Hours?", "agent: At nine."],
        "prompts are no part of the dialogue"
    );
}

#[test]
fn the_clock_starts_when_the_words_were_heard_not_when_they_were_written() {
    let mut stage = Stage::with(patient());
    stage.say("Hours?").text(0, "We open at nine and close at five, on all days of the week.").finish(0);
    assert_eq!(stage.wait(8000).spoken(), "");
    stage.played("We open at nine and close at five, on all days of the week.");
    assert_eq!(stage.wait(4999).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "Are you there?");
}

#[test]
fn lost_reports_of_playback_do_not_switch_it_off() {
    let mut stage = Stage::with(patient());
    stage.say("Hours?").text(0, "At nine, sir. Yes.").finish(0);
    assert_eq!(stage.wait(6249).spoken(), "", "18 characters at 8 a second, and 4 s to begin with");
    stage.wait(1);
    assert_eq!(stage.wait(4999).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "Are you there?");
    for _ in 0..20 {
        stage.wait(6000);
    }
    assert!(stage.conversation().is_ended());
}

#[test]
fn many_small_pieces_take_as_long_as_one_large_one() {
    let mut stage = Stage::with(patient());
    stage.say("Hours?");
    for _ in 0..40 {
        stage.text(0, "nine ");
    }
    assert_eq!(stage.finish(0).wait(28_999).spoken(), "", "200 characters at 8 a second, and 4 s");
    stage.wait(1);
    assert_eq!(stage.wait(5000).spoken(), "Are you there?");
}

#[test]
fn old_words_whose_reports_were_lost_do_not_add_up() {
    let mut stage = Stage::with(patient());
    for generation in 0..50 {
        stage.say("More.").text(generation, "A sentence of forty characters, or so it is.");
        stage.finish(generation).wait(9000);
    }
    stage.wait(1000);
    assert_eq!(stage.wait(5000).spoken(), "Are you there?");
}

#[test]
fn a_greeting_that_nobody_answers_counts_too() {
    let mut conversation = Conversation::new(patient().into(), Some("Welcome."));
    let (now, mut actions) = (super::stage::beginning(), Vec::new());
    conversation.begin(now, Opening::Fresh, &mut actions);
    let after_greeting = now + Duration::from_secs(3);
    conversation.handle(after_greeting, Event::Played { text: "Welcome.".to_owned() }, &mut actions);
    assert_eq!(actions, []);
    assert_eq!(conversation.next_deadline(), Some(after_greeting + Duration::from_secs(5)));
}

#[test]
fn words_and_keys_and_interruptions_begin_anew() {
    let acts: [fn(&mut Stage) -> &mut Stage; 3] = [
        |stage| stage.turn(1, "Wait.", "Sure."),
        |stage| stage.key('1').played("We open at nine."),
        |stage| stage.interrupt("Are").handle(Event::CallerPaused),
    ];
    for act in acts {
        let mut stage = answered();
        stage.wait(5000).played("Are you there?");
        act(&mut stage);
        assert_eq!(stage.wait(4999).spoken(), "");
        assert_eq!(stage.wait(1).spoken(), "Are you there?", "the first prompt again");
    }
}

#[test]
fn work_and_entry_and_speech_are_no_silence() {
    let mut stage = answered();
    stage.say("Order.").call(1, "a", "order", "{}").finish(1);
    assert_eq!(stage.wait(1500).spoken(), "One moment, please.", "only what a tool run asks for");
    assert_eq!(stage.wait(8000).spoken(), "One moment, please.", "the same again, and no question");
    let mut stage = answered();
    for key in ['5', '6', '7', '8', '9'] {
        assert_eq!(stage.key(key).wait(1200).spoken(), "");
    }
    let mut stage = answered();
    stage.handle(Event::CallerSpeaking);
    assert_eq!(stage.wait(10_000).spoken(), "");
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.wait(4999).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "Are you there?");
}

#[test]
fn a_caller_whose_pause_is_never_reported_is_not_heard_for_ever() {
    let mut stage = answered();
    stage.handle(Event::CallerSpeaking);
    stage.wait(15_000);
    assert_eq!(stage.wait(5000).spoken(), "Are you there?");
}

#[test]
fn a_recording_is_no_silence_until_it_must_be_over() {
    let mut stage = answered();
    stage.say("Play it.").call(1, "a", "order", "{}").finish(1);
    stage.effect(1, "a", Effect::Play { source: "https://example.com/a.mp3".to_owned() });
    stage.text(2, "Here, ok").finish(2);
    assert_eq!(stage.wait(60_999).spoken(), "", "eight characters take a second");
    stage.wait(1);
    assert_eq!(stage.wait(5000).spoken(), "Are you there?");
}

#[test]
fn a_recording_is_over_when_words_behind_it_were_heard() {
    let mut stage = answered();
    stage.say("Play it.").call(1, "a", "order", "{}").finish(1);
    stage.effect(1, "a", Effect::Play { source: "https://example.com/a.mp3".to_owned() });
    stage.text(2, "Here.").finish(2).played("Here.");
    assert_eq!(stage.wait(5000).spoken(), "Are you there?");
}

#[test]
fn speaking_during_the_goodbye_keeps_the_call() {
    let farewell = || {
        let mut stage = answered();
        stage.wait(5000).played("Are you there?").wait(5000);
        stage.played("Hello?").wait(5000);
        assert!(stage.spoken().starts_with("I can't hear you"));
        stage
    };
    assert_eq!(farewell().say("I'm here!").started(), Some(1));
    assert_eq!(farewell().key('1').wait(200).spoken(), "We open at nine.");
    let mut stage = farewell();
    stage.interrupt("I can't");
    assert_eq!(stage.wait(1000).ended(), None);
    let mut stage = farewell();
    stage.handle(Event::CallerSpeaking).wait(1000);
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.wait(20_000).ended(), None);
    stage.wait(5000);
    assert!(stage.spoken().starts_with("I can't hear you"), "a noise keeps it for a while only");
}

#[test]
fn nothing_is_asked_where_nobody_wants_it() {
    let mut stage = Stage::new();
    stage.turn(0, "Hours?", "At nine.");
    assert_eq!(stage.next_deadline(), None);
}

#[test]
fn a_turn_of_several_steps_is_silent_no_longer_than_one() {
    let mut stage = answered();
    stage.say("Order.");
    assert_eq!(stage.wait(3400).spoken(), "");
    stage.call(1, "a", "order", "{}").finish(1);
    assert_eq!(
        stage.wait(100).spoken(),
        "One moment, please.",
        "three and a half seconds, whoever took them"
    );
    stage.played("One moment, please.").wait(1300).outcome(1, "a");
    assert_eq!(stage.wait(2000).spoken(), "");
    assert_eq!(stage.wait(3500).spoken(), "One moment, please.");
}
