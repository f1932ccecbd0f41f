//! Conversations as they happen, one test each. The rules that hold for any order of events are in `properties`.

use std::sync::Arc;

use serde_json::json;

use super::stage::{Stage, beginning, run, use_case};
use super::{Action, Background, Conversation, EndReason, Event, Opening};
use crate::message::{GenerationId, Message, ToolCallId, ToolOutcome};
use crate::ports::{Effect, ToolResult};

#[test]
fn a_turn_is_spoken_token_by_token() {
    let mut stage = Stage::new();
    assert_eq!(stage.say("What are your hours?").started(), Some(0));
    assert_eq!(stage.text(0, "We open ").spoken(), "We open ");
    assert_eq!(stage.text(0, "at **nine**.").spoken(), "at nine.");
    assert_eq!(stage.finish(0).actions, [Action::Say { text: String::new(), last: true }]);
    assert_eq!(stage.dialogue(), ["caller: What are your hours?", "agent: We open at nine."]);
}

#[test]
fn final_prompts_of_one_utterance_become_one_turn() {
    let mut stage = Stage::new();
    stage.say("I'd like a pizza");
    let expected = [
        Action::CancelGeneration { generation: GenerationId(0) },
        Action::StartGeneration { generation: GenerationId(1) },
    ];
    assert_eq!(stage.say("with olives.").actions, expected);
    assert_eq!(stage.text(0, "stale").spoken(), "");
    assert_eq!(stage.dialogue(), ["caller: I'd like a pizza with olives."]);
}

#[test]
fn an_interruption_stops_at_once_and_keeps_what_was_heard() {
    let mut stage = Stage::new();
    stage.say("hours?").text(0, "We open at nine and close at five.");
    let expected = [
        Action::CancelGeneration { generation: GenerationId(0) },
        Action::Say { text: String::new(), last: true },
    ];
    assert_eq!(stage.interrupt("We open at nine").actions, expected);
    assert_eq!(stage.text(0, " Anything else?").actions, []);
    assert_eq!(stage.finish(0).actions, []);
    assert_eq!(stage.dialogue(), ["caller: hours?", "agent: We open at nine"]);
    assert_eq!(stage.say("Thanks.").started(), Some(1));
}

#[test]
fn an_interruption_after_the_model_finished_cuts_history_too() {
    let mut stage = Stage::new();
    stage.say("hours?").text(0, "Nine to five, daily. Come in.").finish(0);
    stage.played("Nine to five,").played("daily.");
    assert_eq!(stage.interrupt("Come").actions, []);
    assert_eq!(stage.dialogue(), ["caller: hours?", "agent: Nine to five, daily. Come"]);
}

#[test]
fn what_was_not_heard_at_all_is_forgotten_and_the_callers_words_join() {
    let mut stage = Stage::new();
    stage.say("I want").text(0, "Sure, what?").finish(0).interrupt("").say("a pizza.");
    assert_eq!(stage.dialogue(), ["caller: I want a pizza."]);
}

#[test]
fn tools_run_in_parallel_and_the_model_goes_on() {
    let mut stage = Stage::new();
    stage
        .say("Order.")
        .text(0, "One second.")
        .call(0, "a", "order", r#"{"n":1}"#)
        .call(0, "b", "search", "")
        .finish(0);
    assert_eq!(stage.tools_started(), [run(0, "a"), run(0, "b")]);
    assert_eq!(stage.outcome(0, "b").started(), None);
    assert_eq!(stage.outcome(0, "a").started(), Some(1));
    stage.text(1, "Done.").finish(1);
    assert_eq!(
        stage.dialogue(),
        ["caller: Order.", "agent: One second. [order] [search]", "outcomes: ok ok ", "agent: Done."]
    );
}

#[test]
fn an_unknown_tool_and_broken_arguments_are_answered_to_the_model() {
    let mut stage = Stage::new();
    stage.say("Order.").call(0, "a", "fly", "{}").call(0, "b", "order", r#"{"n":"#).finish(0);
    assert_eq!((stage.tools_started(), stage.started()), (vec![], Some(1)));
    assert!(stage.dialogue()[2].contains("no tool of this name"), "{:?}", stage.dialogue());
    assert!(stage.dialogue()[2].contains("not a JSON object"), "{:?}", stage.dialogue());
}

#[test]
fn a_model_that_only_calls_tools_is_told_to_answer_and_then_spoken_for() {
    let mut stage = Stage::new();
    stage.say("Go.");
    for generation in 0..8 {
        stage.call(generation, "a", "order", "{}").finish(generation);
        assert_eq!(stage.outcome(generation, "a").started(), Some(generation + 1));
    }
    stage.call(8, "a", "order", "{}").finish(8);
    assert_eq!((stage.tools_started(), stage.started()), (vec![], Some(9)));
    stage.call(9, "a", "order", "{}").finish(9);
    assert_eq!(stage.started(), None);
    assert!(stage.spoken().contains("sorry"));
}

#[test]
fn new_words_of_the_caller_allow_new_tools() {
    let mut stage = Stage::new();
    stage.say("Go.");
    for generation in 0..8 {
        stage.call(generation, "a", "order", "{}").finish(generation).outcome(generation, "a");
    }
    stage.say("And again.").call(9, "a", "order", "{}").finish(9);
    assert_eq!(stage.tools_started(), [run(9, "a")]);
}

#[test]
fn a_slow_tool_is_bridged_by_a_filler_and_ended_by_its_deadline() {
    let mut stage = Stage::new();
    stage.say("Find it.").call(0, "a", "search", "{}").finish(0);
    assert_eq!(stage.wait(1499).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "Searching.");
    assert_eq!(stage.wait(3000).spoken(), "", "said once");
    assert_eq!(stage.wait(5749).started(), None, "whoever runs it may tell that it took too long");
    stage.wait(1);
    assert_eq!(stage.actions[0], Action::CancelTool { run: run(0, "a") });
    assert_eq!(stage.started(), Some(1));
    assert_eq!(stage.outcome(0, "a").actions, [], "too late");
    assert!(stage.dialogue()[2].contains("too long"));
    assert_eq!(stage.unknown_outcomes(), 1, "the true one may be learnt later");
}

#[test]
fn a_filler_waits_for_words_that_still_play_but_not_for_ever() {
    let mut stage = Stage::new();
    stage.say("Find it.").text(0, "I will have a look at that now.").call(0, "a", "search", "{}").finish(0);
    assert_eq!(stage.wait(1500).spoken(), "");
    assert_eq!(stage.wait(1500).spoken(), "Searching.");
}

#[test]
fn an_interruption_lets_a_run_finish_and_its_outcome_goes_with_the_callers_next_words() {
    let mut stage = Stage::new();
    stage.say("Order.").text(0, "I will order that.").call(0, "a", "order", "{}").finish(0);
    assert_eq!(stage.interrupt("I will").actions, []);
    assert_eq!(stage.outcome(0, "a").started(), None, "the caller has the floor");
    assert_eq!(stage.say("And a cola.").started(), Some(1));
    assert_eq!(stage.dialogue(), ["caller: Order.", "agent: I will [order]", "outcomes: ok And a cola."]);
}

#[test]
fn words_during_a_run_wait_for_its_outcome() {
    let mut stage = Stage::new();
    stage.say("Order.").call(0, "a", "order", "{}").finish(0).interrupt("");
    assert_eq!(stage.say("And a cola.").started(), None);
    assert_eq!(stage.outcome(0, "a").started(), Some(1));
    assert_eq!(stage.dialogue()[2], "outcomes: ok And a cola.");
}

#[test]
fn an_interruption_cancels_a_run_that_may_be_cancelled() {
    let mut stage = Stage::new();
    stage.say("Find.").text(0, "Looking now.").call(0, "a", "search", "{}").finish(0);
    assert_eq!(stage.interrupt("Looking").actions, [Action::CancelTool { run: run(0, "a") }]);
    assert!(stage.dialogue()[2].contains("interrupted"));
}

#[test]
fn a_call_ends_only_when_the_goodbye_was_heard() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "Goodbye then.").call(0, "a", "end_call", "{}").finish(0);
    assert_eq!(stage.tools_started(), []);
    stage.played("Goodbye then.");
    assert_eq!(stage.tools_started(), [], "the caller may object");
    stage.wait(300);
    assert_eq!(stage.tools_started(), [run(0, "a")]);
    let result = ToolResult {
        outcome: ToolOutcome::success(ToolCallId("a".to_owned()), json!({})),
        effect: Some(Effect::EndCall { handoff_data: None }),
    };
    stage.handle(Event::ToolFinished { run: run(0, "a"), result });
    assert_eq!(stage.actions, [Action::End(EndReason::AgentEnded { handoff_data: None })]);
    assert_eq!(stage.say("Hello?").actions, []);
}

#[test]
fn an_interrupted_goodbye_does_not_end_the_call() {
    let mut stage = Stage::new();
    stage.say("Bye.").text(0, "Goodbye then.").call(0, "a", "end_call", "{}").finish(0);
    stage.interrupt("Good");
    assert_eq!(stage.tools_started(), []);
    assert_eq!(stage.say("Wait!").started(), Some(1));
    assert!(stage.dialogue()[2].contains("Not done"));
    assert_eq!(stage.unknown_outcomes(), 0, "that is decided");
}

#[test]
fn a_wordless_goodbye_gets_a_sentence_and_a_deadline() {
    let mut stage = Stage::new();
    stage.say("Bye.").call(0, "a", "end_call", "{}").finish(0);
    assert_eq!(stage.wait(300).spoken(), "Goodbye.");
    assert_eq!(stage.wait(4900).spoken(), "", "nobody waits for anything");
    stage.wait(100);
    assert_eq!(stage.tools_started(), [run(0, "a")]);
}

#[test]
fn a_call_does_not_end_when_something_else_failed() {
    let mut stage = Stage::new();
    stage.say("Order and bye.").call(0, "a", "order", "{bad").call(0, "b", "end_call", "{}").finish(0);
    assert_eq!((stage.tools_started(), stage.started()), (vec![], Some(1)));
    assert!(stage.dialogue()[2].contains("another tool failed"), "{:?}", stage.dialogue());
    assert!(!stage.spoken().contains("Goodbye"));
}

#[test]
fn a_call_does_not_end_when_something_else_took_too_long() {
    let mut stage = Stage::new();
    stage.say("Order and bye.").call(0, "a", "order", "{}").call(0, "b", "end_call", "{}").finish(0);
    assert_eq!(stage.wait(1500).spoken(), "One moment, please.");
    stage.played("One moment, please.");
    assert_eq!(stage.wait(8750).started(), Some(1));
    assert!(stage.dialogue()[2].contains("another tool failed"), "{:?}", stage.dialogue());
}

#[test]
fn a_noise_does_not_leave_the_caller_unanswered() {
    let mut stage = Stage::new();
    stage.say("Hours?").text(0, "We open at nine.").finish(0).interrupt("");
    assert_eq!(stage.wait(2499).started(), None);
    assert_eq!(stage.wait(1).started(), Some(1));
    stage.text(1, "We open at nine.").finish(1).interrupt("We open");
    assert_eq!(stage.next_deadline(), None, "something was heard; it is the caller's turn");
}

#[test]
fn a_caller_who_interrupts_with_a_long_sentence_is_heard_out() {
    let mut stage = Stage::new();
    stage.say("Hours?").text(0, "We open at nine.").finish(0).interrupt("");
    stage.handle(Event::CallerSpeaking);
    assert_eq!(stage.wait(4000).started(), None, "the caller is still speaking");
    stage.handle(Event::CallerPaused);
    assert_eq!(stage.wait(2499).started(), None);
    assert_eq!(stage.say("On Sundays, I mean.").started(), Some(1));
}

#[test]
fn a_slow_model_is_bridged() {
    let mut stage = Stage::new();
    stage.say("Hours?");
    assert_eq!(stage.wait(3499).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), "One moment, please.");
    assert_eq!(stage.text(0, "At nine.").spoken(), "At nine.");
    stage.finish(0);
    assert_eq!(stage.dialogue(), ["caller: Hours?", "agent: At nine."]);
}

#[test]
fn a_name_that_no_api_would_take_is_made_legal() {
    let mut stage = Stage::new();
    stage.say("Go.").call(0, "id with spaces", "functions.order now", "{}").finish(0);
    assert_eq!(stage.dialogue()[1], "agent:  [functions_order_now]");
    assert_eq!(stage.started(), Some(1));
}

#[test]
fn an_agent_that_was_cut_off_says_that_it_is_back() {
    let history = crate::history::History::restore(
        [
            (0, Some(Message::Caller { text: "Hours?".to_owned() })),
            (1, Some(Message::Agent { text: "We open".to_owned(), tool_calls: Vec::new() })),
        ],
        &[],
    );
    let mut conversation =
        Conversation::resume(Arc::new(use_case()), history, 0, None, Background::default());
    let mut actions = Vec::new();
    conversation.begin(beginning(), Opening::Resumed, &mut actions);
    assert!(
        matches!(&actions[..], [Action::Say { text, last: true }] if text.starts_with("I'm back")),
        "{actions:?}"
    );
}

#[test]
fn a_failed_model_is_apologised_for_and_the_call_goes_on() {
    let mut stage = Stage::new();
    stage.say("Hi.").handle(Event::GenerationFailed { generation: GenerationId(0) });
    assert!(stage.spoken().starts_with("I'm sorry"), "{}", stage.spoken());
    assert_eq!(stage.say("Hello?").started(), Some(1));
    assert_eq!(stage.dialogue().len(), 3);
    stage.text(1, "Let me").handle(Event::GenerationFailed { generation: GenerationId(1) });
    assert!(stage.dialogue()[3].starts_with("agent: Let me I'm sorry"), "{:?}", stage.dialogue());
}

#[test]
fn an_answer_without_words_is_not_silence() {
    let mut stage = Stage::new();
    stage.say("Hi.").text(0, "<thinking>hm</thinking>\n").finish(0);
    assert!(stage.spoken().starts_with("I'm sorry"));
}

#[test]
fn a_resumed_dialogue_is_answered_once() {
    let history = crate::history::History::restore(
        [(0, Some(Message::Caller { text: "Are you there?".to_owned() }))],
        &[],
    );
    let mut conversation =
        Conversation::resume(Arc::new(use_case()), history, 65_536, None, Background::default());
    let mut actions = Vec::new();
    conversation.begin(beginning(), Opening::Resumed, &mut actions);
    assert_eq!(actions, [Action::StartGeneration { generation: GenerationId(65_536) }]);
    conversation.begin(beginning(), Opening::Resumed, &mut actions);
    assert_eq!(actions.len(), 1);
}

#[test]
fn hanging_up_keeps_what_was_heard_and_lets_an_order_finish() {
    let mut stage = Stage::new();
    stage
        .say("Order.")
        .text(0, "I will do it. Then more.")
        .call(0, "a", "order", "{}")
        .call(0, "b", "search", "{}")
        .finish(0);
    stage.played("I will do it.");
    stage.handle(Event::CallerHungUp);
    let expected = [Action::CancelTool { run: run(0, "b") }, Action::End(EndReason::CallerHungUp)];
    assert_eq!(stage.actions, expected);
    assert_eq!(stage.dialogue()[1], "agent: I will do it. [order] [search]");
    assert_eq!(stage.unknown_outcomes(), 2, "both had begun");
    assert_eq!(stage.next_deadline(), None);
}
