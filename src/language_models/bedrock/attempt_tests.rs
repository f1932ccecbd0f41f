//! What a generation tells of its attempts, and which credentials they are made with, against the stand-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use futures_util::StreamExt;
use rehearsal::bedrock::{Answer, BedrockOptions, BedrockStandIn};
use voice_core::ports::{GenerationRequest, LanguageModel, ModelEvent, ModelFailureKind};
use voice_core::use_case::UseCase;

use super::guardrail_tests::{caller, request};
use super::{Bedrock, BedrockParts, ClientSettings, Clients, Deadlines};
use crate::metrics::{Counter, Metrics};

const DEADLINE: Duration = Duration::from_millis(500);

struct Stage {
    stand_in: BedrockStandIn,
    bedrock: Bedrock,
    metrics: Metrics,
    /// How often credentials were fetched.
    fetched: Arc<AtomicUsize>,
}

impl Stage {
    async fn new(hedge_after: Option<Duration>) -> Self {
        let stand_in = BedrockStandIn::start(BedrockOptions::default()).await.unwrap();
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetched);
        let provider = provide_credentials_fn(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(Credentials::new("local", "local", None, None, "test")) }
        });
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .endpoint_url(stand_in.endpoint())
            .build();
        let metrics = Metrics::default();
        let bedrock = Bedrock::new(BedrockParts {
            clients: Clients::new(&config, ClientSettings { pools: 1, ..ClientSettings::default() }),
            deadlines: Deadlines { first_token: DEADLINE, next_token: DEADLINE },
            hedge_after,
            default_model: None,
            metrics: metrics.clone(),
        });
        Self { stand_in, bedrock, metrics, fetched }
    }

    /// Asks two models, and tells what comes as words.
    async fn generate(&self) -> Vec<String> {
        let models = Arc::from(["first".to_owned(), "second".to_owned()]);
        let request =
            GenerationRequest { models, ..request(UseCase::new("reception", ""), &[caller("Hello")]) };
        let told = self.bedrock.generate(request).map(|event| match event {
            ModelEvent::Text(text) => text,
            ModelEvent::ToolCall { name, .. } => format!("calls {name}"),
            ModelEvent::AttemptFailed(attempt) => {
                assert!(attempt.after < DEADLINE * 2, "it is counted from being asked: {attempt:?}");
                format!("{} {}", attempt.model, attempt.kind.as_str())
            }
            ModelEvent::Finished(completion) => format!("by {}", completion.model),
            ModelEvent::Failed(failure) => format!("failed {}", failure.kind.as_str()),
        });
        told.collect().await
    }
}

fn throttled() -> Answer {
    Answer::refuse(429, "ThrottlingException", "Too many requests")
}

#[tokio::test]
async fn every_attempt_that_failed_is_told() {
    let stage = Stage::new(None).await;
    stage.stand_in.script_for("first", throttled());
    stage.stand_in.script_for("first", Answer::stall_before_first_token());
    stage.stand_in.script_for("second", Answer::text("Hi."));
    let told = stage.generate().await;
    assert_eq!(told, ["first throttled", "first timed_out", "Hi.", "by second"]);
}

#[tokio::test]
async fn an_answer_that_broke_off_and_the_last_attempt_are_told_as_well() {
    let stage = Stage::new(None).await;
    stage.stand_in.script(Answer::text("Well").exception("modelStreamErrorException", "It broke"));
    assert_eq!(stage.generate().await, ["Well", "first broken", "failed broken"]);
    for code in ["AccessDeniedException", "ResourceNotFoundException"] {
        stage.stand_in.script(Answer::refuse(400, code, "Not this one"));
    }
    assert_eq!(stage.generate().await, ["first refused", "second refused", "failed refused"]);
    assert_eq!(stage.metrics.value(ModelFailureKind::Refused.into()), 2);
}

#[tokio::test]
async fn a_hedge_that_failed_is_told() {
    let stage = Stage::new(Some(Duration::from_millis(50))).await;
    let late = Answer::text("Hi.").slow_first_token(Duration::from_millis(300));
    stage.stand_in.script_for("first", late);
    stage.stand_in.script_for("second", throttled());
    assert_eq!(stage.generate().await, ["second throttled", "Hi.", "by first"]);
    assert_eq!(stage.metrics.value(Counter::ModelHedgeWon), 0);
}

#[tokio::test]
async fn credentials_are_fetched_once_and_again_when_they_were_refused() {
    let stage = Stage::new(None).await;
    let fetched = || stage.fetched.load(Ordering::Relaxed);
    for _ in 0..2 {
        stage.stand_in.script(Answer::text("Hi."));
        stage.generate().await;
    }
    assert_eq!(fetched(), 1);
    stage.stand_in.script(Answer::refuse(403, "ExpiredTokenException", "It is expired"));
    stage.stand_in.script(Answer::text("Hi."));
    assert_eq!(stage.generate().await, ["first refused", "Hi.", "by first"]);
    assert_eq!(fetched(), 2);
}

#[tokio::test]
async fn pools_are_warmed_up_when_they_were_idle_and_only_then() {
    let stage = Stage::new(None).await;
    stage.bedrock.warm_up(Duration::from_mins(1)).await;
    stage.stand_in.wait_for_counts(1, DEADLINE).await.unwrap();
    stage.bedrock.warm_up(Duration::from_mins(1)).await;
    assert!(stage.stand_in.wait_for_counts(2, Duration::from_millis(10)).await.is_err(), "it was just used");
    stage.bedrock.warm_up(Duration::ZERO).await;
    stage.stand_in.wait_for_counts(2, DEADLINE).await.unwrap();
    assert_eq!(stage.stand_in.connections(), 1);
}
