//! What tools do to the call: transfers, identities, use cases, keys, recordings; and what guardrails refuse.

use std::sync::Arc;
use std::time::Duration;

use super::stage::{Stage, run, tool, use_case};
use super::{Action, Background, EndReason, Event, Opening};
use crate::message::{GenerationId, Message, ToolCallId, ToolOutcome};
use crate::ports::{Blocked, Effect, SessionChange, ToolResult};
use crate::use_case::{Handler, Silence, Tool, UseCase};

/// The usual use case with a transfer and a tool for those who have been verified.
fn helpdesk() -> UseCase {
    let mut use_case = use_case();
    let mut account = tool("account");
    account.requires_verified = true;
    use_case.tools.push(Arc::new(account));
    use_case.tools.push(Arc::new(Tool::new("transfer", Handler::TransferToHuman)));
    use_case
}

fn hand_off() -> Effect {
    Effect::HandOff { handoff_data: "to:support".to_owned() }
}

/// The agent announces a transfer, is heard, and the transfer runs.
fn transferring() -> Stage {
    let mut stage = Stage::with(helpdesk());
    stage.say("A person, please.").text(0, "Let me connect you.").call(0, "a", "transfer", "{}").finish(0);
    assert_eq!(stage.tools_started(), [], "the words are heard first");
    stage.played("Let me connect you.").wait(300);
    assert_eq!(stage.tools_started(), [run(0, "a")]);
    stage
}

fn answer(generation: u32) -> Action {
    Action::StartGeneration { generation: GenerationId(generation) }
}

#[test]
fn a_transfer_ends_the_session_when_its_announcement_was_heard() {
    let mut stage = transferring();
    let reason = EndReason::HandedOff { handoff_data: "to:support".to_owned() };
    assert_eq!(stage.effect(0, "a", hand_off()).actions, [Action::End(reason)]);
}

#[test]
fn a_refused_transfer_is_spoken_about() {
    let mut stage = transferring();
    let outcome = ToolOutcome::error(ToolCallId("a".to_owned()), "There is no such target.");
    let result = ToolResult { outcome, effect: None };
    assert_eq!(stage.handle(Event::ToolFinished { run: run(0, "a"), result }).started(), Some(1));
    assert!(stage.dialogue()[2].contains("no such target"));
}

#[test]
fn a_wordless_transfer_is_announced_and_is_no_goodbye() {
    let mut stage = Stage::with(helpdesk());
    stage.say("A person, please.").call(0, "a", "transfer", "{}").finish(0);
    assert_eq!(stage.wait(300).spoken(), "One moment, please.");
    stage.played("One moment, please.").wait(300);
    assert_eq!(stage.tools_started(), [run(0, "a")]);
}

#[test]
fn a_wordless_tool_that_ends_nothing_needs_no_goodbye() {
    let mut use_case = use_case();
    let mut booking = tool("book");
    booking.terminal = true;
    use_case.tools.push(Arc::new(booking));
    let mut stage = Stage::with(use_case);
    stage.say("Book it.").call(0, "a", "book", "{}").finish(0).wait(300);
    assert_eq!((stage.spoken().as_str(), stage.tools_started()), ("", vec![run(0, "a")]));
}

#[test]
fn a_caller_who_speaks_up_during_a_transfer_stays() {
    let mut stage = transferring();
    stage.interrupt("");
    assert_eq!(stage.effect(0, "a", hand_off()).actions, []);
    assert!(stage.dialogue()[2].contains("Not done"), "{:?}", stage.dialogue());
    let mut stage = transferring();
    stage.say("No, wait.");
    assert_eq!(stage.effect(0, "a", hand_off()).actions, [answer(1)]);
}

#[test]
fn a_tool_that_is_not_terminal_ends_nothing() {
    let mut stage = Stage::with(helpdesk());
    stage.say("Order.").call(0, "a", "order", "{}").finish(0);
    assert_eq!(stage.effect(0, "a", hand_off()).actions, [answer(1)]);
    assert!(stage.dialogue()[2].contains("may not end"));
}

#[test]
fn nobody_is_told_to_wait_when_a_long_goodbye_was_heard() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "A goodbye of some length.").call(0, "a", "end_call", "{}").finish(0);
    stage.wait(3000).played("A goodbye of some length.").wait(300);
    assert_eq!((stage.tools_started().len(), stage.spoken().as_str()), (1, ""));
}

#[test]
fn keys_and_recordings_go_to_the_carrier() {
    let mut stage = Stage::new();
    stage.say("Go.").call(0, "a", "order", "{}").call(0, "b", "order", "{}").finish(0);
    let digits = Effect::SendDigits { digits: "1w2".to_owned() };
    assert_eq!(
        stage.effect(0, "a", digits).actions,
        [Action::SendDigits { digits: "1w2".to_owned() }],
        "at once"
    );
    let source = "https://example.com/hold.mp3".to_owned();
    let expected = [Action::Play { source: source.clone() }, answer(1)];
    assert_eq!(stage.effect(0, "b", Effect::Play { source }).actions, expected);
}

fn music() -> Effect {
    Effect::Play { source: "https://example.com/a.mp3".to_owned() }
}

/// The caller has asked for music, which plays, and says goodbye.
fn music_plays() -> Stage {
    let mut stage = Stage::with(helpdesk());
    stage.say("Music!").text(0, "Listen.").call(0, "a", "order", "{}").finish(0).effect(0, "a", music());
    stage.say("Bye.");
    stage
}

#[test]
fn a_call_does_not_end_in_the_middle_of_a_recording() {
    let mut stage = music_plays();
    stage.text(2, "Goodbye then.").call(2, "b", "end_call", "{}").finish(2);
    stage.played("Listen.");
    assert_eq!(stage.wait(60_000).tools_started(), [], "the words before it say nothing of its end");
    stage.played("Goodbye then.");
    assert_eq!(stage.wait(300).tools_started(), [run(2, "b")]);
}

#[test]
fn a_goodbye_that_is_not_reported_waits_as_long_as_a_recording_may_last() {
    let mut stage = music_plays();
    stage.played("Listen.").text(2, "Bye then").call(2, "b", "end_call", "{}").finish(2);
    assert_eq!(stage.wait(60_000).tools_started(), [], "the goodbye takes a second behind it");
    assert_eq!(stage.wait(5_000).tools_started(), [run(2, "b")]);
}

#[test]
fn a_recording_of_the_last_message_gets_a_goodbye_behind_it() {
    let mut stage = Stage::with(helpdesk());
    stage.say("Bye.").text(0, "Listen.").call(0, "a", "order", "{}").call(0, "b", "end_call", "{}").finish(0);
    stage.played("Listen.").effect(0, "a", music());
    assert_eq!(stage.wait(300).spoken(), "Goodbye.", "whose end is reported, unlike that of the recording");
    assert_eq!(stage.wait(20_000).tools_started(), []);
    stage.played("Goodbye.");
    assert_eq!(stage.wait(300).tools_started(), [run(0, "b")]);
}

#[test]
fn a_terminal_tool_without_a_goodbye_waits_for_the_recording() {
    let mut use_case = use_case();
    let mut booking = tool("book");
    booking.terminal = true;
    use_case.tools.push(Arc::new(booking));
    let mut stage = Stage::with(use_case);
    stage.say("Book it.").call(0, "a", "order", "{}").call(0, "b", "book", "{}").finish(0);
    stage.effect(0, "a", music());
    assert_eq!(stage.wait(59_999).tools_started(), []);
    assert_eq!(stage.wait(1).tools_started(), [run(0, "b")]);
}

#[test]
fn the_limit_is_said_behind_a_recording() {
    let mut use_case = use_case();
    use_case.budget.duration = Some(Duration::from_secs(10));
    let mut stage = Stage::with(use_case);
    stage.say("Music!").text(0, "Listen.").call(0, "a", "order", "{}").finish(0).effect(0, "a", music());
    stage.wait(10_000);
    let limit = stage.spoken();
    assert_eq!(stage.played("Listen.").wait(20_000).ended(), None);
    assert_eq!(stage.played(&limit).wait(300).ended(), Some(&EndReason::TimeUp));
}

#[test]
fn a_caller_who_is_heard_is_heard_out_before_the_call_ends() {
    let goodbye = || {
        let mut stage = Stage::new();
        stage.say("Bye.").text(0, "Goodbye then.").call(0, "a", "end_call", "{}").finish(0);
        stage
    };
    let mut stage = goodbye();
    stage.handle(Event::CallerSpeaking);
    stage.played("Goodbye then.");
    assert_eq!(stage.wait(14_999).tools_started(), [], "the caller speaks");
    assert_eq!(stage.wait(1).tools_started(), [run(0, "a")], "but nobody speaks for so long");
    let mut stage = goodbye();
    stage.played("Goodbye then.").handle(Event::CallerSpeaking);
    assert_eq!(stage.wait(1000).tools_started(), []);
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.wait(2499).tools_started(), [], "words may follow");
    assert_eq!(stage.wait(1).tools_started(), [run(0, "a")], "it was a noise");
    let mut stage = goodbye();
    stage.played("Goodbye then.").handle(Event::CallerSpeaking);
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.say("Wait!").started(), Some(1));
    assert!(stage.dialogue()[2].contains("Not done"), "{:?}", stage.dialogue());
}

#[test]
fn a_prompt_without_words_holds_up_nothing() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "Goodbye then.").call(0, "a", "end_call", "{}").finish(0);
    stage.played("Goodbye then.").handle(Event::CallerSpeaking);
    assert_eq!(stage.say(" ").wait(300).tools_started(), [run(0, "a")]);
}

#[test]
fn keys_that_are_being_entered_are_told_before_the_call_ends() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "Goodbye then.").call(0, "a", "end_call", "{}").finish(0);
    stage.played("Goodbye then.").key('7');
    assert_eq!(stage.wait(300).tools_started(), []);
    assert_eq!(stage.wait(1200).started(), Some(1));
    assert!(stage.dialogue()[2].contains("pressed 7"), "{:?}", stage.dialogue());
}

#[test]
fn an_end_that_comes_while_the_caller_speaks_is_refused_and_the_caller_heard_out() {
    let mut stage = transferring();
    stage.handle(Event::CallerSpeaking);
    assert_eq!(stage.effect(0, "a", hand_off()).actions, []);
    assert!(stage.dialogue()[2].contains("Not done"), "{:?}", stage.dialogue());
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.wait(2499).started(), None, "words may follow");
    assert_eq!(stage.wait(1).started(), Some(1), "it was a noise");
    let mut stage = transferring();
    stage.handle(Event::CallerSpeaking);
    stage.effect(0, "a", hand_off());
    assert_eq!(stage.wait(14_999).started(), None);
    assert_eq!(stage.wait(1).started(), Some(1), "nobody speaks for so long");
}

#[test]
fn an_interruption_does_not_undo_what_a_run_did() {
    let mut stage = Stage::new();
    stage
        .say("Go.")
        .text(0, "One second.")
        .call(0, "a", "order", "{}")
        .call(0, "b", "search", "{}")
        .finish(0);
    stage.interrupt("One");
    assert_eq!(stage.effect(0, "b", Effect::Verified).actions, [], "it was cancelled");
    assert_eq!(stage.effect(0, "a", Effect::Verified).actions, [Action::Remember(SessionChange::Verified)]);
    assert_eq!(stage.effect(0, "a", Effect::Verified).actions, [], "it has its outcome");
}

#[test]
fn a_run_that_failed_has_no_effect() {
    let mut stage = Stage::new();
    stage.say("Go.").call(0, "a", "order", "{}").finish(0);
    let outcome = ToolOutcome::error(ToolCallId("a".to_owned()), "The code is wrong.");
    let result = ToolResult { outcome, effect: Some(Effect::Verified) };
    assert_eq!(stage.handle(Event::ToolFinished { run: run(0, "a"), result }).actions, [answer(1)]);
}

#[test]
fn some_tools_run_for_verified_callers_only() {
    let mut stage = Stage::with(helpdesk());
    stage.say("My balance?").call(0, "a", "account", "{}").finish(0);
    assert_eq!((stage.tools_started(), stage.started()), (vec![], Some(1)));
    assert!(stage.dialogue()[2].contains("Verify"), "{:?}", stage.dialogue());
    stage.call(1, "b", "order", "{}").finish(1);
    stage.effect(1, "b", Effect::Verified).call(2, "c", "account", "{}");
    assert_eq!(stage.finish(2).tools_started(), [run(2, "c")]);
    let background = Background { verified: true, ..Background::default() };
    let mut stage = Stage::opened(helpdesk(), Opening::Fresh, background, &[]);
    stage.say("My balance?").call(0, "a", "account", "{}");
    assert_eq!(stage.finish(0).tools_started().len(), 1, "an earlier session saw the proof");
}

#[test]
fn another_use_case_goes_on_with_the_same_dialogue() {
    let mut billing = UseCase::new("billing", "");
    billing.tools.push(Arc::new(tool("refund")));
    billing.sentences.waiting = "Billing is thinking.".to_owned();
    let prompts = vec!["Billing here?".to_owned()];
    billing.silence = Some(Silence { after: Duration::from_secs(5), prompts });
    let billing = Arc::new(billing);
    let mut stage = Stage::new();
    stage.say("A refund.").call(0, "a", "order", "{}").call(0, "b", "order", "{}").finish(0);
    let expected = [
        Action::ChangeUseCase(Arc::clone(&billing)),
        Action::Remember(SessionChange::UseCase("billing".to_owned())),
    ];
    assert_eq!(stage.effect(0, "a", Effect::ChangeUseCase(billing)).actions, expected);
    assert_eq!(stage.outcome(0, "b").actions, [answer(1)], "when all have their outcomes");
    assert_eq!(stage.wait(3500).spoken(), "Billing is thinking.");
    stage.call(1, "c", "refund", "{}").call(1, "d", "order", "{}").finish(1);
    assert_eq!(stage.tools_started(), [run(1, "c")]);
    assert_eq!(stage.outcome(1, "c").started(), Some(2));
    stage.played("Billing is thinking.").text(2, "Done.").finish(2).played("Done.");
    assert_eq!(stage.dialogue().len(), 6);
    assert_eq!(stage.wait(5000).spoken(), "Billing here?");
    assert_eq!(stage.key('1').wait(1500).started(), Some(3), "the menu is gone with its use case");
}

#[test]
fn a_transfer_that_nobody_took_brings_the_caller_back() {
    let opening = Opening::Returned { reason: "nobody answered.".to_owned() };
    let dialogue = [
        Message::Caller { text: "A person, please.".to_owned() },
        Message::Agent { text: "Let me connect you.".to_owned(), tool_calls: Vec::new() },
    ];
    let note = "caller: (The transfer did not happen: nobody answered. The caller is back with you.)";
    for dialogue in [&dialogue[..], &[]] {
        let stage = Stage::opened(use_case(), opening.clone(), Background::default(), dialogue);
        assert_eq!(stage.actions, [answer(0)]);
        assert_eq!(stage.dialogue().last().map(String::as_str), Some(note));
    }
    let stage = Stage::opened(use_case(), opening, Background::default(), &dialogue[..1]);
    assert_eq!(stage.dialogue().len(), 1, "{:?}", stage.dialogue());
}

#[test]
fn what_is_told_at_the_beginning_is_recorded() {
    let mut conversation = super::Conversation::new(Arc::new(use_case()), None);
    let mut actions = Vec::new();
    let opening = Opening::Returned { reason: "it was busy".to_owned() };
    conversation.begin(super::stage::beginning(), opening, &mut actions);
    assert!(matches!(&actions[..], [Action::StartGeneration { .. }, Action::Record(_)]), "{actions:?}");
}

#[test]
fn what_a_guardrail_refused_gets_its_own_sentence_and_runs_nothing() {
    let mut guarded = use_case();
    guarded.sentences.blocked_input = Some("Not that.".to_owned());
    let mut stage = Stage::with(guarded.clone());
    stage.say("Hi.").call(0, "a", "order", "{}");
    assert_eq!(stage.blocked(0, Blocked::Input).spoken(), "Not that.");
    assert_eq!(stage.tools_started(), []);
    assert_eq!(
        stage.dialogue(),
        ["caller: (The caller said something that may not be talked about.)", "agent: Not that."]
    );
    stage.say("Hello?").text(1, "You should");
    assert_eq!(stage.blocked(1, Blocked::Output).spoken(), " Not that.", "it has no sentence of its own");
    assert_eq!(stage.dialogue()[3], "agent: You should Not that.");
    guarded.sentences.blocked_output = Some("I can't say that.".to_owned());
    let mut stage = Stage::with(guarded);
    assert_eq!(stage.say("Hi.").blocked(0, Blocked::Output).spoken(), "I can't say that.");
    let mut stage = Stage::new();
    assert!(stage.say("Hi.").blocked(0, Blocked::Input).spoken().starts_with("I'm sorry"));
}
