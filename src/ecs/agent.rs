//! One request to the agent of ECS, and what it says to it.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::protection::{EXPIRES, Wish};

const CONNECTING: Duration = Duration::from_secs(2);
/// The agent asks ECS behind it.
const ANSWERING: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 16 * 1024;
/// Of a code that goes into the log.
const LONGEST_CODE: usize = 64;

/// The agent beside this task.
#[derive(Clone, Debug)]
pub struct EcsAgent {
    client: reqwest::Client,
    state: String,
}

/// Why the protection is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("the agent is out of reach")]
    Unreachable(#[source] reqwest::Error),
    /// Such as `AccessDeniedException`: what the task's role may do.
    #[error("the agent refuses it: {0}")]
    Refused(String),
    /// Such as `TASK_NOT_VALID`: a task of no service, or one that is going.
    #[error("the task cannot be protected: {0}")]
    Failed(String),
    #[error("the agent's answer is not what ECS documents (status {0})")]
    Unreadable(u16),
}

impl EcsAgent {
    /// `uri` is what ECS sets as `ECS_AGENT_URI`. Fails when no client can be made on this machine.
    pub fn new(uri: &Url) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTING)
            .timeout(ANSWERING)
            .redirect(Policy::none())
            // It is on this machine, whatever proxy others are reached by.
            .no_proxy()
            .build()?;
        let state = format!("{}/task-protection/v1/state", uri.as_str().trim_end_matches('/'));
        Ok(Self { client, state })
    }

    pub(super) async fn ask(&self, wish: Wish) -> Result<(), AgentError> {
        let unreachable = |error: reqwest::Error| AgentError::Unreachable(error.without_url());
        let request = self.client.put(&self.state).json(&body(wish));
        let mut response = request.send().await.map_err(unreachable)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            answer.extend_from_slice(&chunk);
            if answer.len() > LARGEST_ANSWER {
                return Err(AgentError::Unreadable(response.status().as_u16()));
            }
        }
        read(&answer, response.status().as_u16(), wish)
    }
}

fn body(wish: Wish) -> serde_json::Value {
    match wish {
        Wish::Protect => json!({ "ProtectionEnabled": true, "ExpiresInMinutes": EXPIRES.as_secs() / 60 }),
        Wish::Release => json!({ "ProtectionEnabled": false }),
    }
}

/// One of these is there.
#[derive(Deserialize)]
struct Answer {
    protection: Option<Protected>,
    failure: Option<Failure>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Protected {
    protection_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    #[serde(default)]
    code: String,
}

fn read(answer: &[u8], status: u16, wish: Wish) -> Result<(), AgentError> {
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(refusal), .. }) => Err(AgentError::Refused(code(&refusal.code))),
        Ok(Answer { failure: Some(failure), .. }) => Err(AgentError::Failed(code(&failure.reason))),
        Ok(Answer { protection: Some(protected), .. })
            if protected.protection_enabled == (wish == Wish::Protect) =>
        {
            Ok(())
        }
        _ => Err(AgentError::Unreadable(status)),
    }
}

/// What is in it besides a word is of no use in a log line.
fn code(text: &str) -> String {
    let is_part = |letter: &char| letter.is_ascii_alphanumeric() || "_-.".contains(*letter);
    text.chars().filter(is_part).take(LONGEST_CODE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(answer: &str, wish: Wish) -> Result<(), String> {
        read(answer.as_bytes(), 200, wish).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_is_what_ecs_documents() {
        assert_eq!(body(Wish::Protect), json!({ "ProtectionEnabled": true, "ExpiresInMinutes": 60 }));
        assert_eq!(body(Wish::Release), json!({ "ProtectionEnabled": false }));
    }

    #[test]
    fn every_form_of_answer_is_understood() {
        const ON: &str = r#"{"protection":{"ExpirationDate":"2027-01-01T01:00:00Z","ProtectionEnabled":true,"TaskArn":"arn:aws:ecs:a"}}"#;
        const OFF: &str =
            r#"{"protection":{"ExpirationDate":null,"ProtectionEnabled":false,"TaskArn":"arn:aws:ecs:a"}}"#;
        assert_eq!(read_text(ON, Wish::Protect), Ok(()));
        assert_eq!(read_text(OFF, Wish::Release), Ok(()));
        for (answer, said) in [
            (OFF, "not what ECS documents (status 200)"),
            (r#"{"failure":{"Arn":"a","Detail":null,"Reason":"TASK_NOT_VALID"}}"#, ": TASK_NOT_VALID"),
            (
                r#"{"requestID":"r","error":{"Arn":"a","Code":"AccessDeniedException","Message":"m"}}"#,
                "refuses it: AccessDeniedException",
            ),
            (r#"{"error":{"Code":"Two words\nand lines"}}"#, ": Twowordsandlines"),
            ("{}", "not what ECS documents"),
            ("<html>", "not what ECS documents"),
        ] {
            let error = read_text(answer, Wish::Protect).unwrap_err();
            assert!(error.contains(said), "{answer}: {error}");
        }
    }
}
