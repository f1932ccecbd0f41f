//! Length and cost of a call: the warning, the limit, the budget.

use std::sync::Arc;
use std::time::Duration;

use super::stage::{Stage, tool, use_case};
use super::{Action, Background, EndReason, Event, Opening};
use crate::message::{GenerationId, Message};
use crate::ports::{Effect, Spent};
use crate::use_case::{Budget, MaxDuration, UseCase};

const SECOND: Duration = Duration::from_secs(1);
const WARNING: &str = "Just so you know, we have to finish this call soon.";

/// A minute, with a warning at 40 s.
fn a_minute() -> UseCase {
    let max_duration = MaxDuration { limit: 60 * SECOND, warn_before: 20 * SECOND };
    UseCase { max_duration: Some(max_duration), ..use_case() }
}

fn tokens(most: u64) -> UseCase {
    UseCase { budget: Budget { tokens: Some(most), ..Budget::default() }, ..use_case() }
}

fn resumed(use_case: UseCase, background: Background) -> Stage {
    let dialogue = [
        Message::Caller { text: "Hi.".to_owned() },
        Message::Agent { text: "Hello.".to_owned(), tool_calls: Vec::new() },
    ];
    Stage::opened(use_case, Opening::Resumed, background, &dialogue)
}

fn says_limit(stage: &Stage) -> bool {
    stage.spoken().starts_with("I'm sorry, we have to end this call")
}

#[test]
fn a_warning_a_sentence_and_the_end() {
    let mut stage = Stage::with(a_minute());
    assert_eq!(stage.wait(39_999).spoken(), "");
    assert_eq!(stage.wait(1).spoken(), WARNING);
    stage.played(WARNING);
    assert_eq!(stage.wait(19_999).spoken(), "");
    assert!(says_limit(stage.wait(1)));
    let limit = stage.spoken();
    assert_eq!(stage.played(&limit).wait(299).ended(), None);
    assert_eq!(stage.wait(1).ended(), Some(&EndReason::TimeUp));
    assert_eq!(stage.next_deadline(), None);
}

#[test]
fn the_warning_waits_until_nobody_speaks() {
    let mut stage = Stage::with(a_minute());
    stage.wait(39_000);
    stage.say("Hours?").text(0, "We open at nine.");
    assert_eq!(stage.wait(1000).spoken(), "", "the model is speaking");
    assert_eq!(stage.finish(0).spoken(), "", "its words are still playing");
    stage.handle(Event::CallerSpeaking);
    assert_eq!(stage.played("We open at nine.").spoken(), "", "the caller is speaking");
    assert_eq!(stage.handle(Event::CallerPaused).spoken(), WARNING);
    assert_eq!(stage.played(WARNING).wait(1000).spoken(), "", "said once");
}

#[test]
fn nothing_the_caller_says_keeps_a_call_whose_time_is_up() {
    let mut stage = Stage::with(a_minute());
    stage.wait(59_000).played(WARNING).say("One more thing.").text(0, "Yes");
    stage.wait(1000);
    assert_eq!(stage.actions[0], Action::CancelGeneration { generation: GenerationId(0) });
    assert!(says_limit(&stage));
    assert_eq!(stage.say("Wait!").started(), None);
    assert_eq!(stage.key('1').spoken(), "");
    assert_eq!(
        stage.interrupt("Yes").wait(300).ended(),
        Some(&EndReason::TimeUp),
        "nothing is left to be heard"
    );
    assert_eq!(stage.dialogue(), ["caller: One more thing.", "agent: Yes", "caller: Wait!"]);
}

#[test]
fn a_limit_that_is_never_reported_as_heard_ends_the_call_too() {
    let mut stage = Stage::with(a_minute());
    stage.wait(60_000);
    assert!(says_limit(&stage));
    assert_eq!(stage.wait(15_000).ended(), None);
    assert_eq!(stage.wait(2000).ended(), Some(&EndReason::TimeUp));
}

#[test]
fn tools_that_run_at_the_limit_are_dropped_or_finish_without_the_call() {
    let mut stage = Stage::with(a_minute());
    stage.wait(59_000).say("Go.").call(0, "a", "order", "{}").call(0, "b", "search", "{}").finish(0);
    stage.wait(1000);
    let cancelled: Vec<_> =
        stage.actions.iter().filter(|action| matches!(action, Action::CancelTool { .. })).collect();
    assert_eq!(cancelled, [&Action::CancelTool { run: super::stage::run(0, "b") }]);
    assert!(says_limit(&stage));
    assert_eq!(stage.effect(0, "a", Effect::EndCall { handoff_data: None }).actions, []);
}

#[test]
fn a_call_is_measured_from_its_own_beginning() {
    let background = Background { elapsed: 30 * SECOND, ..Background::default() };
    let mut stage = resumed(a_minute(), background);
    let back = stage.spoken();
    stage.played(&back);
    assert_eq!(stage.wait(10_000).spoken(), WARNING);
    assert!(says_limit(stage.wait(20_000)));
}

#[test]
fn a_resumed_call_is_not_warned_again() {
    for opening in [Opening::Resumed, Opening::Returned { reason: "it was busy".to_owned() }] {
        for (elapsed, warned) in [(39, true), (40, false), (54, false)] {
            let background = Background { elapsed: elapsed * SECOND, ..Background::default() };
            let mut stage = Stage::opened(a_minute(), opening.clone(), background, &[]);
            if stage.started().is_some() {
                stage.text(0, "Hello again.").finish(0).played("Hello again.");
            } else {
                let back = stage.spoken();
                stage.played(&back);
            }
            assert_eq!(stage.spoken(), "", "{elapsed}");
            assert_eq!(stage.wait(1000).spoken() == WARNING, warned, "{elapsed}");
        }
    }
}

#[test]
fn a_missed_warning_is_made_up_for_while_it_is_worth_it() {
    for (elapsed, warned) in [(54, true), (56, false)] {
        let background = Background { elapsed: elapsed * SECOND, ..Background::default() };
        let stage = Stage::opened(a_minute(), Opening::Fresh, background, &[]);
        assert_eq!(stage.spoken() == WARNING, warned, "{elapsed}");
    }
    let background = Background { elapsed: 61 * SECOND, ..Background::default() };
    assert!(says_limit(&resumed(a_minute(), background)), "nothing else is said");
}

#[test]
fn the_budget_of_time_ends_a_call_without_a_warning() {
    let mut use_case = use_case();
    use_case.budget.duration = Some(10 * SECOND);
    let mut stage = Stage::with(use_case);
    assert_eq!(stage.wait(9_999).spoken(), "");
    assert!(says_limit(stage.wait(1)));
}

#[test]
fn a_limit_beyond_any_clock_is_none() {
    let mut use_case = use_case();
    use_case.budget.duration = Some(Duration::MAX);
    assert_eq!(Stage::with(use_case).next_deadline(), None);
}

#[test]
fn tokens_past_the_budget_end_the_call_when_the_answer_was_heard() {
    let mut stage = Stage::with(tokens(100));
    stage.say("Hi.").text(0, "Hello.").finish_for(0, 100).played("Hello.");
    assert_eq!(stage.spoken(), "", "it is spent, not exceeded");
    stage.say("Hours?").text(1, "At nine.").finish_for(1, 1);
    assert_eq!(stage.spoken(), "", "the answer is still playing");
    assert!(says_limit(stage.played("At nine.")));
    let limit = stage.spoken();
    assert_eq!(stage.played(&limit).wait(300).ended(), Some(&EndReason::BudgetSpent));
}

#[test]
fn what_generations_cost_that_came_to_no_end_counts() {
    let mut stage = Stage::with(tokens(100));
    stage.say("Hi.").text(0, "Hello").say("Hours?").handle(Event::TokensSpent { tokens: 101 });
    assert_eq!(stage.spoken(), "", "an answer is on its way");
    stage.text(1, "At nine.").finish(1);
    assert!(says_limit(stage.played("Hello At nine.")));
}

#[test]
fn a_caller_who_speaks_first_hears_the_limit_instead_of_an_answer() {
    let mut stage = Stage::with(tokens(100));
    stage.say("Hi.").text(0, "Hello there.").finish_for(0, 101);
    stage.interrupt("Hello").say("And now?");
    assert_eq!(stage.started(), None);
    assert!(says_limit(&stage));
    assert_eq!(stage.dialogue()[2], "caller: And now?");
}

#[test]
fn a_turn_that_began_within_the_budget_is_finished() {
    let mut stage = Stage::with(tokens(100));
    stage.say("Order.").call(0, "a", "order", "{}").finish_for(0, 101);
    assert_eq!(stage.outcome(0, "a").started(), Some(1), "the caller hears what became of the order");
    stage.text(1, "Done.").finish(1);
    assert!(says_limit(stage.played("Done.")));
}

#[test]
fn what_an_earlier_session_spent_counts() {
    let spent = Spent { tokens: 99, tool_runs: 0 };
    let mut stage = resumed(tokens(100), Background { spent, ..Background::default() });
    let back = stage.spoken();
    stage.played(&back).say("Hi.").text(0, "Hello.").finish_for(0, 2);
    assert!(says_limit(stage.played("Hello.")));
}

#[test]
fn tool_runs_past_the_budget_are_not_started() {
    let mut use_case = use_case();
    use_case.budget.tool_runs = Some(2);
    use_case.tools.push(Arc::new(tool("end_call")));
    let mut stage = Stage::with(use_case);
    stage
        .say("Go.")
        .call(0, "a", "order", "{}")
        .call(0, "b", "order", "{}")
        .call(0, "c", "order", "{}")
        .finish(0);
    assert_eq!(stage.tools_started().len(), 2);
    stage.outcome(0, "a").outcome(0, "b");
    assert_eq!(stage.started(), Some(1), "the call goes on");
    assert!(stage.dialogue()[2].contains("no more tools"), "{:?}", stage.dialogue());
    stage.text(1, "Bye.").call(1, "d", "end_call", "{}").finish(1).played("Bye.");
    assert_eq!(stage.wait(300).tools_started().len(), 1, "ending the call stays possible");
}
