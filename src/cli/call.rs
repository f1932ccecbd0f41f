//! `trunkline call`: has a running service place a call, through its operator API.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ArgMatches;
use serde_json::{Map, Value, json};

use super::{say, say_error, source};
use crate::config::Settings;

/// The service asks the carrier meanwhile, which it may do several times.
const PATIENCE: Duration = Duration::from_mins(1);
const CONNECTING: Duration = Duration::from_secs(5);

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let source = source(matches);
    // With an address of its own, none needs to be set.
    let with_url = |name: &str| match (name, text("url")) {
        ("PUBLIC_URL", Some(url)) => Some(url),
        _ => source(name),
    };
    let (service, token) = Settings::read_operator_api(&with_url)?;
    let url = service.http("/api/calls");
    let client = reqwest::Client::builder().connect_timeout(CONNECTING).timeout(PATIENCE).build()?;
    let request = client.post(&url).bearer_auth(token.expose()).json(&order(matches));
    let response = request.send().await.with_context(|| format!("{url} did not answer"))?;
    let status = response.status();
    let answer: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        say(&answer.to_string());
        return Ok(match not_placed(&answer) {
            Some(complaint) => {
                say_error(complaint);
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        });
    }
    let part = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let detail = match part("detail") {
        // There is no API there, or it is not the service that is there.
        detail if detail.is_empty() => {
            format!("{url} answered with status {status}; is API_TOKEN set there?")
        }
        detail => format!("{}: {detail}", part("code")),
    };
    say_error(&format!("the call was not placed: {detail}"));
    Ok(ExitCode::FAILURE)
}

/// What is wrong with a launch that was asked for before, by the same key.
fn not_placed(launch: &Value) -> Option<&'static str> {
    match launch["status"].as_str() {
        Some("failed") => {
            Some("the call was not placed: it failed before, and the same key is the same call")
        }
        Some("requested") if launch["callSid"].is_null() => {
            Some("whether the call was placed is not known, and the same key is the same call")
        }
        _ => None,
    }
}

/// What is posted; what was not given is left out.
fn order(matches: &ArgMatches) -> Value {
    let text = |name: &str| matches.get_one::<String>(name).cloned().map(Value::from);
    let variables = matches.get_many::<(String, String)>("variables").into_iter().flatten();
    let variables: Map<String, Value> =
        variables.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let parts = [
        ("to", text("to")),
        ("useCase", text("use-case")),
        ("from", text("from")),
        ("idempotencyKey", text("idempotency-key")),
        ("machine", matches.get_one::<Value>("machine").cloned()),
        ("variables", (!variables.is_empty()).then_some(Value::Object(variables))),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// `name=value`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("wants name=value".to_owned()),
    }
}

/// As the API takes it.
pub(super) fn machine(text: &str) -> Result<Value, String> {
    match (text, text.strip_prefix("say:")) {
        ("ignore" | "hangUp", _) => Ok(json!(text)),
        (_, Some(message)) if !message.trim().is_empty() => Ok(json!({ "say": message })),
        _ => Err("wants ignore, hangUp, or say: and a message".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_what_the_api_takes() {
        let matches = |arguments: &str| {
            let matches = super::super::command().get_matches_from(arguments.split_whitespace());
            matches.subcommand_matches("call").cloned().unwrap()
        };
        let plain = matches("trunkline call --to +14155550100 --use-case desk");
        assert_eq!(order(&plain), json!({ "to": "+14155550100", "useCase": "desk" }));
        let full = matches(
            "trunkline call --to +14155550100 --use-case desk --from +18005550199 --variables a=1 b=x=y \
             --machine say:Bye --idempotency-key k",
        );
        let expected = json!({
            "to": "+14155550100", "useCase": "desk", "from": "+18005550199", "idempotencyKey": "k",
            "variables": { "a": "1", "b": "x=y" }, "machine": { "say": "Bye" },
        });
        assert_eq!(order(&full), expected);
    }

    #[test]
    fn what_is_no_variable_or_no_way_with_machines_is_refused() {
        assert!(variable("a").is_err() && variable("=b").is_err());
        assert_eq!(variable("a="), Ok(("a".to_owned(), String::new())));
        assert!(machine("hangup").is_err() && machine("say: ").is_err());
        assert_eq!(machine("hangUp"), Ok(json!("hangUp")));
    }
}
