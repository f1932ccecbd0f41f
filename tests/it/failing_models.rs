//! A model that throttles, stalls or breaks: another one answers, or the caller hears a sentence. Never silence.

use rehearsal::bedrock::{Answer, Outcome};
use serde_json::{Value, json};
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;

use crate::support::{AT_ONCE, DEFAULT, SOON, ask, bedrock, call, dialogue, stage_with, use_case};

const APOLOGY: &str = "I lost my train of thought.";

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
