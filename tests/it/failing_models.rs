//! A model that throttles, stalls or breaks: another one answers, or the caller hears a sentence. Never silence.

use std::time::{Duration, Instant};

use rehearsal::bedrock::{Answer, Outcome};
use serde_json::{Value, json};
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;

use crate::bare::eventually;
use crate::support::{AT_ONCE, DEFAULT, SOON, ask, bedrock, call, dialogue, say, stage_with, use_case};

const APOLOGY: &str = "I lost my train of thought.";

const RESCUE: &str = "I put you through to somebody who can help.";

/// A service with two models and little patience.
async fn impatient() -> Stage {
    let settings = [("MODEL_FIRST_TOKEN_MS", "300"), ("MODEL_NEXT_TOKEN_MS", "300")];
    stage_with(&settings, [two_models()]).await
}

fn two_models() -> Value {
    use_case(
        DEFAULT,
        json!({ "llmModel": "first", "fallbackModels": ["second"], "messages": { "failure": APOLOGY } }),
    )
}

fn throttled() -> Answer {
    Answer::refuse(429, "ThrottlingException", "Too many requests")
}

fn models_asked(stage: &Stage) -> Vec<String> {
    bedrock(stage).requests().into_iter().map(|request| request.model).collect()
}

#[tokio::test]
async fn a_model_that_throttles_twice_is_replaced() {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("first", throttled());
    bedrock(&stage).script_for("first", throttled());
    bedrock(&stage).script_for("second", Answer::text("At your service."));
    assert_eq!(ask(&mut call, "Hello").await, "At your service.");
    assert_eq!(models_asked(&stage), ["first", "first", "second"]);
    assert_eq!(stage.metrics.value(Counter::ModelThrottled), 2);
    assert_eq!(stage.metrics.value(Counter::ModelFallbacks), 1);
}

#[tokio::test]
async fn when_every_model_throttles_the_caller_hears_an_apology_and_may_try_again() {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    for _ in 0..4 {
        bedrock(&stage).script(throttled());
    }
    assert_eq!(ask(&mut call, "Hello").await, APOLOGY);
    assert_eq!(models_asked(&stage), ["first", "first", "second", "second"]);
    bedrock(&stage).script(Answer::text("Now I can."));
    assert_eq!(ask(&mut call, "Once more?").await, "Now I can.");
    let request = bedrock(&stage).wait_for_request(5, SOON).await.unwrap();
    assert_eq!(dialogue(&request), ["user: Hello", &format!("assistant: {APOLOGY}"), "user: Once more?"]);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_not_repeated() {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("first", Answer::refuse(400, "ValidationException", "No such model"));
    bedrock(&stage).script_for("second", Answer::text("Hello."));
    assert_eq!(ask(&mut call, "Hello").await, "Hello.");
    assert_eq!(models_asked(&stage), ["first", "second"]);
    assert_eq!(stage.metrics.value(Counter::ModelRefused), 1);
}

#[tokio::test]
async fn a_model_that_keeps_silent_is_given_up_and_replaced() {
    for silence in [Answer::stall_before_response(), Answer::stall_before_first_token()] {
        let stage = impatient().await;
        let mut call = call(&stage, AT_ONCE).await;
        bedrock(&stage).script_for("first", silence);
        bedrock(&stage).script_for("second", Answer::text("Hello."));
        assert_eq!(ask(&mut call, "Hello").await, "Hello.");
        assert_eq!(models_asked(&stage), ["first", "second"], "what is slow now is slow in a moment");
        assert_eq!(bedrock(&stage).wait_for_outcome(1, SOON).await.unwrap(), Outcome::Cancelled);
        assert_eq!(stage.metrics.value(Counter::ModelTimedOut), 1);
    }
}

/// Lets the first model break off in the middle of its answer.
async fn breaks_off(broken: Answer, counter: Counter) {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    let case = format!("{broken:?}");
    bedrock(&stage).script(broken);
    assert_eq!(ask(&mut call, "What is left?").await, format!("We have three {APOLOGY}"), "{case}");
    assert_eq!(models_asked(&stage), ["first"], "to begin again would say it twice: {case}");
    ask(&mut call, "Pardon?").await;
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    assert_eq!(dialogue(&request)[1], format!("assistant: We have three {APOLOGY}"), "{case}");
    assert_eq!(stage.metrics.value(counter), 1, "{case}: {:?}", stage.metrics);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_an_apology_and_is_not_begun_again() {
    let began = || Answer::text("We have three");
    breaks_off(began().stall(), Counter::ModelTimedOut).await;
    breaks_off(began().cut(), Counter::ModelUnavailable).await;
}

#[tokio::test]
async fn an_exception_in_the_middle_of_an_answer_is_counted_by_its_kind() {
    let began = || Answer::text("We have three");
    for (exception, counter) in [
        ("modelStreamErrorException", Counter::ModelBroken),
        ("throttlingException", Counter::ModelThrottled),
        ("serviceUnavailableException", Counter::ModelUnavailable),
        ("validationException", Counter::ModelRefused),
    ] {
        breaks_off(began().exception(exception, "It broke"), counter).await;
    }
}

#[tokio::test]
async fn an_exception_before_the_first_word_is_tried_again() {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("first", Answer::empty().exception("throttlingException", "Slow down"));
    bedrock(&stage).script_for("first", Answer::text("Hello."));
    assert_eq!(ask(&mut call, "Hello").await, "Hello.");
    assert_eq!(models_asked(&stage), ["first", "first"]);
    assert_eq!(stage.metrics.value(Counter::ModelThrottled), 1);
}

#[tokio::test]
async fn a_model_that_this_region_does_not_have_is_replaced_at_once() {
    for refusal in [
        Answer::refuse(404, "ResourceNotFoundException", "Could not resolve the foundation model"),
        Answer::refuse(400, "ValidationException", "Invocation with on-demand throughput isn't supported."),
        Answer::refuse(403, "AccessDeniedException", "You don't have access to the model"),
    ] {
        let stage = impatient().await;
        let mut call = call(&stage, AT_ONCE).await;
        bedrock(&stage).script_for("first", refusal);
        bedrock(&stage).script_for("second", Answer::text("Hello."));
        assert_eq!(ask(&mut call, "Hello").await, "Hello.");
        assert_eq!(models_asked(&stage), ["first", "second"]);
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_fetched_anew_and_the_same_model_is_asked_again() {
    for code in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"] {
        let stage = impatient().await;
        let mut call = call(&stage, AT_ONCE).await;
        bedrock(&stage).script_for("first", Answer::refuse(403, code, "The security token is expired"));
        bedrock(&stage).script_for("first", Answer::text("Hello."));
        assert_eq!(ask(&mut call, "Hello").await, "Hello.", "{code}");
        assert_eq!(models_asked(&stage), ["first", "first"], "{code}");
    }
}

#[tokio::test]
async fn credentials_that_stay_refused_end_in_an_apology_without_asking_everybody() {
    let stage = impatient().await;
    let mut call = call(&stage, AT_ONCE).await;
    for _ in 0..2 {
        bedrock(&stage).script(Answer::refuse(403, "ExpiredTokenException", "The security token is expired"));
    }
    assert_eq!(ask(&mut call, "Hello").await, APOLOGY);
    assert_eq!(models_asked(&stage).len(), 2);
    assert_eq!(stage.metrics.value(Counter::ModelBreakerOpened), 0, "it is no model's fault");
}

/// A service that asks a second model after 100 ms.
async fn hedging() -> Stage {
    let settings = [("MODEL_HEDGE_MS", "100"), ("MODEL_FIRST_TOKEN_MS", "2000")];
    stage_with(&settings, [two_models()]).await
}

#[tokio::test]
async fn a_second_model_that_speaks_first_is_heard_and_the_late_one_never_is() {
    let stage = hedging().await;
    let mut call = call(&stage, AT_ONCE).await;
    let late = Answer::text("I am late.").slow_first_token(Duration::from_secs(1));
    bedrock(&stage).script_for("first", late);
    bedrock(&stage).script_for("second", Answer::text("I was faster."));
    assert_eq!(ask(&mut call, "Hello").await, "I was faster.");
    assert_eq!(bedrock(&stage).wait_for_outcome(1, SOON).await.unwrap(), Outcome::Cancelled);
    let counted = [Counter::ModelHedged, Counter::ModelHedgeWon, Counter::ModelTimedOut];
    assert_eq!(counted.map(|counter| stage.metrics.value(counter)), [1, 1, 0]);
    let (first, second) = (Answer::text("At once."), Answer::text("Not asked."));
    bedrock(&stage).script_for("first", first);
    bedrock(&stage).script_for("second", second);
    assert_eq!(ask(&mut call, "Again?").await, "At once.", "who is quick is asked alone");
    assert_eq!(stage.metrics.value(Counter::ModelHedged), 1);
}

#[tokio::test]
async fn a_first_model_that_still_speaks_first_cancels_the_second() {
    let stage = hedging().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage)
        .script_for("first", Answer::text("Here I am.").slow_first_token(Duration::from_millis(400)));
    bedrock(&stage).script_for("second", Answer::stall_before_first_token());
    assert_eq!(ask(&mut call, "Hello").await, "Here I am.");
    assert_eq!(bedrock(&stage).wait_for_outcome(2, SOON).await.unwrap(), Outcome::Cancelled);
    let counted = [Counter::ModelHedged, Counter::ModelHedgeWon];
    assert_eq!(counted.map(|counter| stage.metrics.value(counter)), [1, 0]);
}

#[tokio::test]
async fn a_call_of_a_tool_wins_as_words_do_and_runs_once() {
    let stage = hedging().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("first", Answer::stall_before_response());
    bedrock(&stage).script_for("second", Answer::empty().then_tool("t1", "missing", json!({})));
    bedrock(&stage).script_for("first", Answer::text("There is no such thing."));
    assert_eq!(ask(&mut call, "Do it").await, "There is no such thing.");
    assert_eq!(stage.metrics.value(Counter::ModelHedgeWon), 1);
}

#[tokio::test]
async fn a_hedge_that_fails_leaves_the_first_model_its_time() {
    let stage = hedging().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("first", Answer::text("Slowly.").slow_first_token(Duration::from_millis(600)));
    bedrock(&stage).script_for("second", throttled());
    assert_eq!(ask(&mut call, "Hello").await, "Slowly.");
    assert_eq!(models_asked(&stage), ["first", "second"]);
    assert_eq!(stage.metrics.value(Counter::ModelThrottled), 1);
}

#[tokio::test]
async fn a_model_that_keeps_failing_is_passed_over_for_all_calls() {
    let stage = impatient().await;
    for _ in 0..3 {
        let mut call = call(&stage, AT_ONCE).await;
        bedrock(&stage).script_for("first", throttled());
        bedrock(&stage).script_for("first", throttled());
        bedrock(&stage).script_for("second", Answer::text("At your service."));
        assert_eq!(ask(&mut call, "Hello").await, "At your service.");
    }
    assert_eq!(stage.metrics.value(Counter::ModelBreakerOpened), 1);
    // The fifth failure opened it in the third call, whose second attempt is therefore the other model's.
    let asked = ["first", "first", "second", "first", "first", "second", "first", "second"];
    assert_eq!(models_asked(&stage), asked);
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script_for("second", Answer::text("Still here."));
    assert_eq!(ask(&mut call, "Hello").await, "Still here.");
    assert_eq!(models_asked(&stage).len(), asked.len() + 1);
    assert!(stage.metrics.value(Counter::ModelSkipped) >= 2);
}

#[tokio::test]
async fn the_only_model_is_asked_although_it_keeps_failing() {
    let only = use_case(DEFAULT, json!({ "llmModel": "first", "messages": { "failure": APOLOGY } }));
    let stage = stage_with(&[], [only]).await;
    let mut call = call(&stage, AT_ONCE).await;
    for turn in 0..4 {
        bedrock(&stage).script(throttled());
        bedrock(&stage).script(throttled());
        assert_eq!(ask(&mut call, "Hello").await, APOLOGY, "{turn}");
    }
    assert_eq!(stage.metrics.value(Counter::ModelBreakerOpened), 1);
    bedrock(&stage).script(Answer::text("I am back."));
    assert_eq!(ask(&mut call, "Hello").await, "I am back.");
}

/// With the deadlines that a service has by default.
#[tokio::test]
async fn a_caller_hears_something_within_four_seconds_and_an_end_within_ten() {
    let waiting = "Bear with me.";
    let patient = json!({
        "llmModel": "first", "fallbackModels": ["second", "third"],
        "messages": { "failure": APOLOGY, "waiting": waiting },
    });
    let stage = stage_with(&[], [use_case(DEFAULT, patient)]).await;
    let mut call = call(&stage, AT_ONCE).await;
    for _ in 0..6 {
        bedrock(&stage).script(Answer::stall_before_first_token());
    }
    let asked = Instant::now();
    let (mut heard, mut last) = (Vec::new(), asked);
    say(&call, "Hello").await;
    while heard.last().is_none_or(|words: &String| !words.contains(APOLOGY)) {
        heard.push(call.agent_turn(SOON).await.expect("the agent says something"));
        assert!(last.elapsed() < Duration::from_secs(4), "{heard:?} after {:?}", last.elapsed());
        last = Instant::now();
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(heard, [waiting, waiting, APOLOGY]);
}

#[tokio::test]
async fn when_no_model_answers_the_caller_goes_to_a_person_if_there_is_one() {
    let desk = json!({
        "llmModel": "first", "messages": { "rescue": RESCUE },
        "handoff": { "whenModelFails": "desk", "targets": { "desk": { "queue": "support" } } },
    });
    let stage = stage_with(&[], [use_case(DEFAULT, desk)]).await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script(throttled());
    bedrock(&stage).script(throttled());
    assert_eq!(ask(&mut call, "Hello").await, RESCUE);
    eventually("the call is handed over", || stage.metrics.value(Counter::TransfersStarted) == 1).await;
    assert_eq!(stage.metrics.value(Counter::RescuedByHandoff), 1);
}

#[tokio::test]
async fn the_first_turn_after_a_quiet_night_finds_its_connection_open() {
    let stage = stage_with(&[], [two_models()]).await;
    bedrock(&stage).wait_for_counts(4, SOON).await.unwrap();
    let opened = bedrock(&stage).connections();
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script(Answer::text("Good morning."));
    assert_eq!(ask(&mut call, "Hello").await, "Good morning.");
    assert_eq!(bedrock(&stage).connections(), opened, "no connection had to be opened");
    assert_eq!(models_asked(&stage), ["first"], "nobody pays for being ready");
}

#[tokio::test]
async fn without_warm_up_nothing_is_asked_before_a_call() {
    let stage = stage_with(&[("MODEL_WARM_UP", "false")], [two_models()]).await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script(Answer::text("Hello."));
    assert_eq!(ask(&mut call, "Hello").await, "Hello.");
    assert_eq!(bedrock(&stage).connections(), 1);
}
