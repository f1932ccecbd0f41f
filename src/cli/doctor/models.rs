//! The models: each one that a call could be answered by is asked for a word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use voice_core::use_case::UseCase;

use super::aws;
use super::finding::Finding;
use crate::config::Settings;
use crate::language_models::bedrock::{ModelProbe, NoAnswer};

const CHECK: &str = "models";
const PATIENCE: Duration = Duration::from_secs(15);

/// Models, each with the use cases that name it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    models: BTreeMap<String, BTreeSet<String>>,
    /// Use cases that name none, where there is no default either.
    without: BTreeSet<String>,
}

impl Wanted {
    pub(super) fn add(&mut self, settings: &Settings, use_case: &UseCase) {
        let first = use_case.model.as_ref().or(settings.default_model.as_ref());
        for model in first.into_iter().chain(&use_case.fallback_models) {
            self.models.entry(model.clone()).or_default().insert(use_case.name.clone());
        }
        if first.is_none() && use_case.fallback_models.is_empty() {
            self.without.insert(use_case.name.clone());
        }
    }

    /// For when nobody knows what the use cases name.
    pub(super) fn add_default(&mut self, settings: &Settings) {
        self.models.extend(settings.default_model.iter().map(|model| (model.clone(), BTreeSet::new())));
    }
}

pub(super) async fn check(settings: &Settings, probe: &ModelProbe, wanted: Wanted) -> Vec<Finding> {
    let Wanted { models, without } = wanted;
    let asked = models.iter().map(|(model, use_cases)| async move {
        let users: Vec<_> = use_cases.iter().map(String::as_str).collect();
        let model_and_users =
            if users.is_empty() { model.clone() } else { format!("{model} ({})", users.join(", ")) };
        judge(&model_and_users, probe.ask(model, PATIENCE).await, settings.model_deadlines.first_token)
    });
    let mut findings = join_all(asked).await;
    if !without.is_empty() {
        let names: Vec<_> = without.into_iter().collect();
        findings.push(Finding::problem(
            CHECK,
            format!("no model answers for {}", names.join(", ")),
            "Set MODEL_IDENTIFIER, or llmModel in their records.",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::skipped(CHECK, "no use case and no setting names one"));
    }
    findings
}

fn judge(model: &str, asked: Result<Duration, NoAnswer>, deadline: Duration) -> Finding {
    match asked {
        Ok(delay) if delay > deadline => Finding::warning(
            CHECK,
            format!("{model}: first token after {} ms", delay.as_millis()),
            "Callers would hear a fallback first: choose a faster model, or raise MODEL_FIRST_TOKEN_MS.",
        ),
        Ok(delay) => Finding::ok(CHECK, format!("{model}: first token after {} ms", delay.as_millis())),
        Err(NoAnswer { code, detail }) => {
            let found = match &code {
                Some(code) => format!("{model}: {code}: {detail}"),
                None => format!("{model}: {detail}"),
            };
            Finding::problem(CHECK, found, advice(code.as_deref(), &detail))
        }
    }
}

fn advice(code: Option<&str>, detail: &str) -> String {
    let own = match code {
        Some("AccessDeniedException") => {
            "Allow bedrock:InvokeModelWithResponseStream on the model (for an inference profile: on the profile and on \
             the model in each of its regions), and request access to it in Bedrock's console."
        }
        Some("ResourceNotFoundException") => {
            "Check the id, and that the model exists in AWS_REGION and is not retired."
        }
        Some("ThrottlingException" | "ServiceQuotaExceededException") => {
            "Try again; if it stays, request a higher quota for this model, or name fallbackModels."
        }
        Some("ValidationException") if detail.contains("on-demand") => {
            "Name an inference profile instead, such as one that begins with us., eu. or global."
        }
        Some("ValidationException") => "Check that the id is that of a text model which Converse takes.",
        Some("ModelNotReadyException" | "ServiceUnavailableException" | "InternalServerException") => {
            "Try again in a minute; name fallbackModels for such times."
        }
        _ => "",
    };
    if own.is_empty() {
        let general = aws::advice(code, "bedrock:InvokeModelWithResponseStream", "Bedrock");
        return general.unwrap_or_else(|| "Look the error up in Bedrock's documentation.".to_owned());
    }
    own.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_advice() {
        for (code, detail, word) in [
            (Some("AccessDeniedException"), "", "InvokeModelWithResponseStream"),
            (Some("ResourceNotFoundException"), "", "AWS_REGION"),
            (Some("ThrottlingException"), "", "quota"),
            (Some("ValidationException"), "on-demand throughput isn't supported", "inference profile"),
            (Some("ValidationException"), "The provided model identifier is invalid.", "Converse"),
            (Some("ExpiredTokenException"), "", "expired"),
            (None, "dispatch failure", "AWS_REGION"),
            (Some("SomethingNew"), "", "documentation"),
        ] {
            assert!(advice(code, detail).contains(word), "{code:?}: {}", advice(code, detail));
        }
    }

    #[test]
    fn a_model_that_is_too_slow_is_a_warning() {
        let (slow, deadline) = (Duration::from_secs(4), Duration::from_secs(3));
        let found = judge("m", Ok(slow), deadline);
        assert_eq!(
            found,
            Finding::warning(
                CHECK,
                "m: first token after 4000 ms",
                "Callers would hear a \
             fallback first: choose a faster model, or raise MODEL_FIRST_TOKEN_MS."
            )
        );
    }
}
