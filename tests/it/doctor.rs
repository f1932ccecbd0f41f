//! `trunkline doctor`: what it finds beside a service that is well, and each fault once.

use std::process::Stdio;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use rehearsal::bedrock::Answer;
use rehearsal::twilio::rest::{Fault, OwnNumber};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use trunkline_dev::stage::{Stage, TABLE};

use crate::support::{CALLED, DEFAULT, SOON, all_items, bedrock, put, stage, use_case};

const MODEL: &str = "us.example.model-v1:0";

/// What the command found, and with which code it exited.
#[derive(Debug)]
struct Report {
    code: i32,
    printed: String,
    findings: Vec<Value>,
}

impl Report {
    fn level_of(&self, check: &str, words: &str) -> &str {
        let finding = self.findings.iter().find(|finding| {
            let found = finding["found"].as_str().unwrap_or_default();
            finding["check"] == check && found.contains(words)
        });
        let finding = finding.unwrap_or_else(|| panic!("nothing of {check} says {words:?}: {self:#?}"));
        let level = finding["level"].as_str().unwrap_or_default();
        let is_fault = level == "warning" || level == "problem";
        assert_eq!(finding["advice"].is_string(), is_fault, "a fault has its advice: {finding}");
        level
    }

    fn problems(&self) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["level"] == "problem").collect()
    }
}

/// The service of a stage has the stage's settings; the command gets the same, and then these.
async fn doctor(stage: &Stage, changes: &[(&str, &str)]) -> Report {
    let account = stage.rest.options();
    let (endpoint, twilio) = (stage.dynamodb.endpoint(), stage.rest.endpoint());
    let model_endpoint = bedrock(stage).endpoint();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(["doctor", "--json"]).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.envs([
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local-secret"),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &model_endpoint),
        ("LISTEN_ADDRESS", "127.0.0.1"),
        ("PUBLIC_URL", &stage.public_url),
        ("TABLE_NAME", TABLE),
        ("STACK_USE_CASE", DEFAULT),
        ("MODEL_IDENTIFIER", MODEL),
        ("TWILIO_AUTH_TOKEN", &stage.auth_token),
        ("TWILIO_ACCOUNT_SID", &account.account_sid),
        ("TWILIO_API_SID", &account.api_key_sid),
        ("TWILIO_API_SECRET", &account.api_key_secret),
        ("TWILIO_API_URL", &twilio),
        ("TWILIO_VERIFY_URL", &twilio),
        ("TWILIO_VERIFY_SERVICE_SID", &account.verify_service_sid),
        ("OUTBOUND_CALLER_IDS", CALLED),
        ("MAX_CALLS", "10"),
    ]);
    command.envs(changes.iter().copied());
    let output = timeout(3 * SOON, command.output()).await.expect("it ends").expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|error| {
        panic!("{error}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    });
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    Report { code: output.status.code().unwrap_or(-1), printed, findings }
}

/// A service that is well, and an account whose number leads to it.
async fn well() -> Stage {
    let stage = stage([use_case(DEFAULT, json!({ "pk1": "use-case", "sk1": DEFAULT }))]).await;
    let webhook = format!("{}/twiml", stage.public_url);
    stage.rest.set_numbers(vec![OwnNumber { number: CALLED.to_owned(), voice_url: webhook }]);
    stage
}

#[tokio::test]
async fn a_service_that_is_well_has_no_problem_and_nothing_is_left_behind() {
    let stage = well().await;
    let before = all_items(&stage).await.len();
    let report = doctor(&stage, &[]).await;
    assert_eq!((report.code, report.problems().len()), (0, 0), "{report:#?}");
    for (check, words) in [
        ("settings", TABLE),
        ("aws", "us-east-1"),
        ("table", "with its keys and its index"),
        ("table", "expire at expireAt"),
        ("table", "written, read and deleted"),
        ("use cases", DEFAULT),
        ("models", "first token after"),
        ("public url", "healthy"),
        ("public url", "an unsigned one is refused"),
        ("public url", "signed with auth token is taken"),
        ("twilio", "the credentials are the account's"),
        ("twilio", "auth token is the account's"),
        ("twilio", "calls to …99 lead here"),
        ("twilio", "the Verify service is there"),
        ("clock", "DynamoDB"),
        ("clock", "Twilio"),
        ("files", "10 calls"),
    ] {
        assert_eq!(report.level_of(check, words), "ok", "{check}: {words}");
    }
    assert_eq!(all_items(&stage).await.len(), before);
    let account = stage.rest.options();
    for secret in [&stage.auth_token, &account.api_key_secret, "local-secret", "5550199"] {
        assert!(!report.printed.contains(secret), "{secret} was printed");
    }
}

#[tokio::test]
async fn bad_settings_exit_64_and_the_other_checks_go_on() {
    let stage = well().await;
    let changes = [("PORT", "http"), ("PUBLIC_URL", "nowhere"), ("OUTBOUND_CALLER_IDS", "8005550199")];
    let report = doctor(&stage, &changes).await;
    assert_eq!(report.code, 64);
    for variable in ["PORT", "PUBLIC_URL", "OUTBOUND_CALLER_IDS"] {
        assert_eq!(report.level_of("settings", variable), "problem");
    }
    assert!(!report.printed.contains("5550199"), "{}", report.printed);
    assert_eq!(report.level_of("public url", "not known"), "not checked");
    assert_eq!(report.level_of("table", "written, read"), "ok");
    assert_eq!(report.level_of("models", "first token"), "ok");
    let report = doctor(&stage, &[("AWS_REGION", ""), ("TABLE_NAME", "")]).await;
    assert_eq!(report.code, 64);
    assert_eq!(report.level_of("settings", "AWS_REGION"), "problem");
    assert_eq!(report.level_of("aws", "AWS_REGION"), "not checked");
    assert_eq!(report.level_of("twilio", "the credentials"), "ok");
}

#[tokio::test]
async fn a_table_that_is_not_there_or_not_as_it_should_be_is_told() {
    let stage = well().await;
    let report = doctor(&stage, &[("TABLE_NAME", "nothing")]).await;
    assert_eq!((report.code, report.level_of("table", "no table nothing")), (1, "problem"));
    assert_eq!(report.level_of("use cases", "no table to read them from"), "not checked");

    let bare = stage.dynamodb.client().await.create_table().table_name("bare");
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let bare = bare
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk").unwrap())
        .attribute_definitions(attribute("order").unwrap())
        .key_schema(key("pk", KeyType::Hash).unwrap())
        .key_schema(key("order", KeyType::Range).unwrap());
    bare.send().await.unwrap();
    let report = doctor(&stage, &[("TABLE_NAME", "bare")]).await;
    assert_eq!(report.level_of("table", "\"order\" instead of pk and sk"), "problem");
    assert_eq!(report.level_of("table", "no index index-1-full"), "problem");
    assert_eq!(report.level_of("table", "never expire"), "warning");
    assert_eq!(report.level_of("table", "nothing can be written"), "problem");

    let nobody = unused_address().await;
    let report = doctor(&stage, &[("AWS_ENDPOINT_URL_DYNAMODB", &nobody)]).await;
    assert_eq!(report.level_of("table", "could not be looked at"), "problem");
    assert_eq!(report.level_of("use cases", "could not be read"), "problem");
    assert_eq!(report.level_of("models", "first token"), "ok");
}

#[tokio::test]
async fn use_cases_that_cannot_answer_are_told() {
    let stage = well().await;
    let report = doctor(&stage, &[("STACK_USE_CASE", "nobody")]).await;
    assert_eq!((report.code, report.level_of("use cases", "no use case nobody")), (1, "problem"));

    let broken = json!({ "pk1": "use-case", "sk1": "broken", "inferenceConfig": { "maxTokens": "many" } });
    put(&stage, use_case("broken", broken)).await;
    let odd = json!({ "pk1": "use-case", "sk1": "odd", "colour": "blue" });
    put(&stage, use_case("odd", odd)).await;
    let report = doctor(&stage, &[]).await;
    assert_eq!(report.level_of("use cases", "broken: inferenceConfig.maxTokens"), "problem");
    assert_eq!(report.level_of("use cases", "odd: colour"), "warning");
    let report = doctor(&stage, &[("MODEL_IDENTIFIER", "")]).await;
    assert_eq!(report.level_of("models", "no model answers for"), "problem");
}

#[tokio::test]
async fn a_model_that_does_not_answer_is_told_with_the_reason() {
    let stage = well().await;
    for (answer, words) in [
        (Answer::refuse(403, "AccessDeniedException", "no access"), "AccessDeniedException: no access"),
        (Answer::refuse(429, "ThrottlingException", "slower"), "ThrottlingException: slower"),
        (Answer::refuse(404, "ResourceNotFoundException", "no such"), "ResourceNotFoundException"),
    ] {
        bedrock(&stage).script_for(MODEL, answer);
        let report = doctor(&stage, &[]).await;
        assert_eq!((report.code, report.level_of("models", words)), (1, "problem"));
    }
    let report = doctor(&stage, &[("MODEL_FIRST_TOKEN_MS", "1")]).await;
    assert_eq!((report.code, report.level_of("models", "first token after")), (0, "warning"));
}

#[tokio::test]
async fn a_public_address_that_does_not_lead_here_is_told() {
    let stage = well().await;
    let nobody = unused_address().await;
    let report = doctor(&stage, &[("PUBLIC_URL", &nobody)]).await;
    assert_eq!(report.level_of("public url", "takes no connection"), "warning");
    assert_eq!((report.code, report.level_of("twilio", "none of its 1 numbers")), (0, "warning"));

    let other = stage.rest.endpoint();
    let report = doctor(&stage, &[("PUBLIC_URL", &other)]).await;
    assert_eq!((report.code, report.level_of("public url", "something else")), (1, "problem"));
    let report = doctor(&stage, &[("PUBLIC_URL", "https://no-such-host.invalid")]).await;
    assert_eq!((report.code, report.level_of("public url", "has no address")), (1, "problem"));
    let without_tls = stage.public_url.replace("http://", "https://");
    let report = doctor(&stage, &[("PUBLIC_URL", &without_tls)]).await;
    assert_ne!(report.level_of("public url", &without_tls), "ok");
}

#[tokio::test]
async fn credentials_of_twilio_that_are_wrong_are_told() {
    let stage = well().await;
    let report = doctor(&stage, &[("TWILIO_AUTH_TOKEN", "another-token")]).await;
    assert_eq!(report.level_of("public url", "signed with auth token is refused"), "problem");
    assert_eq!(report.level_of("twilio", "auth token is not the account's"), "problem");
    assert_eq!(report.level_of("twilio", "the credentials are the account's"), "ok");

    let report = doctor(&stage, &[("TWILIO_API_SECRET", "wrong")]).await;
    assert_eq!((report.code, report.level_of("twilio", "code 20003")), (1, "problem"));
    let report = doctor(&stage, &[("TWILIO_VERIFY_SERVICE_SID", "VA0")]).await;
    assert_eq!(report.level_of("twilio", "the Verify service could not be looked at"), "problem");
    let none = ["TWILIO_ACCOUNT_SID", "TWILIO_API_SID", "TWILIO_API_SECRET"].map(|name| (name, ""));
    let report = doctor(&stage, &none).await;
    assert_eq!((report.code, report.level_of("twilio", "no account is set")), (0, "warning"));

    stage.rest.fail("IncomingPhoneNumbers", Fault::Status(500), 1);
    let report = doctor(&stage, &[]).await;
    assert_eq!(report.level_of("twilio", "numbers could not be looked at"), "warning");
    let other =
        OwnNumber { number: "+18005550177".to_owned(), voice_url: format!("{}/ended", stage.public_url) };
    stage.rest.set_numbers(vec![other]);
    let report = doctor(&stage, &[]).await;
    assert_eq!(report.level_of("twilio", "…77 leads here, but to no webhook"), "problem");
    assert_eq!(report.level_of("twilio", "…99 is no number of the account"), "warning");
}

#[tokio::test]
async fn what_is_beside_the_service_is_looked_at() {
    let stage = well().await;
    let (nobody, other) = (unused_address().await, stage.rest.endpoint());
    let changes = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()),
        ("ECS_AGENT_URI", other.as_str()),
        ("MAX_CALLS", "100000000"),
    ];
    let report = doctor(&stage, &changes).await;
    assert_eq!(report.level_of("telemetry", "do not reach"), "warning");
    assert_eq!(report.level_of("ecs", "status 401"), "warning");
    assert_eq!((report.code, report.level_of("files", "100000000 calls")), (1, "problem"));
    let report = doctor(&stage, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &other)]).await;
    assert_eq!(report.level_of("telemetry", "takes connections"), "ok");
}

/// Where nobody listens.
async fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
