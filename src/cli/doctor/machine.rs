//! The machine that the service runs on: its clock, its limit of open files, and the agents beside it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::finding::Finding;
use crate::config::{Settings, Source, most_open_files};

/// A call keeps one socket open, and may for a moment need some for its tools.
const FILES_PER_CALL: u64 = 3;
/// For the listener, the table, the models, and requests that are no calls.
const OTHER_FILES: u64 = 256;
/// Answers tell whole seconds, and take a moment to come.
const BEARABLE: u64 = 5;
/// AWS refuses requests whose time is five minutes off.
const FATAL: u64 = 240;
const CONNECTING: Duration = Duration::from_secs(3);

pub(super) async fn check(settings: &Settings, source: Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(most_open_files().map(|limit| files(settings.max_calls, limit)));
    if let Some(agent) = source("ECS_AGENT_URI").filter(|agent| !agent.is_empty()) {
        findings.push(ecs(&agent).await);
    }
    if let Some(collector) = source("OTEL_EXPORTER_OTLP_ENDPOINT").filter(|collector| !collector.is_empty()) {
        findings.push(telemetry(&collector).await);
    }
    findings
}

/// Two clocks agree as well as can be told, or do not.
pub(super) fn clock(whose: &str, ahead_by: i64) -> Finding {
    const CHECK: &str = "clock";
    let (seconds, which) = (ahead_by.unsigned_abs(), if ahead_by > 0 { "behind" } else { "ahead of" });
    let found = format!("this machine is {seconds} seconds {which} {whose}");
    let advice = "Have the machine set its clock by NTP.";
    if seconds <= BEARABLE {
        Finding::ok(CHECK, format!("it agrees with {whose}"))
    } else if seconds < FATAL {
        Finding::warning(CHECK, found, advice)
    } else {
        Finding::problem(CHECK, found, advice)
    }
}

fn files(max_calls: usize, limit: u64) -> Finding {
    const CHECK: &str = "files";
    let max_calls = u64::try_from(max_calls).unwrap_or(u64::MAX);
    let needed = max_calls.saturating_mul(FILES_PER_CALL).saturating_add(OTHER_FILES);
    let found = format!("{limit} files and sockets may be open, and {max_calls} calls may take {needed}");
    if limit >= needed {
        return Finding::ok(CHECK, found);
    }
    let advice =
        format!("Raise the limit (ulimit -n {needed}, or ulimits of the container), or lower MAX_CALLS.");
    if limit < max_calls {
        Finding::problem(CHECK, found, advice)
    } else {
        Finding::warning(CHECK, found, advice)
    }
}

/// Only tasks of a service have protection; what else may be wrong with it shows when it is asked for.
async fn ecs(agent: &str) -> Finding {
    const CHECK: &str = "ecs";
    let advice = "Run the task as part of a service, on platform version 1.4.0 or later.";
    let client = reqwest::Client::builder().timeout(CONNECTING).no_proxy().build();
    let asked = async { client?.get(format!("{agent}/task-protection/v1/state")).send().await };
    match asked.await {
        Ok(answer) if answer.status().is_success() => {
            Finding::ok(CHECK, "the agent tells whether the task is protected")
        }
        Ok(answer) => Finding::warning(
            CHECK,
            format!("the agent answers with status {} when it is asked for protection", answer.status()),
            "Allow ecs:GetTaskProtection and ecs:UpdateTaskProtection to the task's role.",
        ),
        Err(error) => {
            Finding::warning(CHECK, format!("the agent does not answer: {}", error.without_url()), advice)
        }
    }
}

async fn telemetry(collector: &str) -> Finding {
    const CHECK: &str = "telemetry";
    let advice = "Correct OTEL_EXPORTER_OTLP_ENDPOINT, or start the collector.";
    let url = Url::parse(collector).ok();
    let place = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let Some((host, port)) = place else {
        return Finding::problem(CHECK, "OTEL_EXPORTER_OTLP_ENDPOINT is no URL with a host", advice);
    };
    let reason = match timeout(CONNECTING, TcpStream::connect((host.trim_matches(['[', ']']), port))).await {
        Ok(Ok(_)) => return Finding::ok(CHECK, format!("{host}:{port} takes connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no connection in time".to_owned(),
    };
    Finding::warning(CHECK, format!("traces and metrics do not reach {host}:{port}: {reason}"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_few_seconds() {
        assert_eq!(clock("AWS", -5), Finding::ok("clock", "it agrees with AWS"));
        let advice = "Have the machine set its clock by NTP.";
        let behind = Finding::warning("clock", "this machine is 6 seconds behind AWS", advice);
        assert_eq!(clock("AWS", 6), behind);
        assert!(clock("AWS", -400).is_problem());
    }

    #[test]
    fn files_are_held_against_calls() {
        assert!(!files(250, 1024).is_problem() && files(2000, 1024).is_problem());
        assert_eq!(
            files(100, 556),
            Finding::ok("files", "556 files and sockets may be open, and 100 calls may take 556")
        );
        assert_ne!(
            files(100, 555),
            Finding::ok("files", "555 files and sockets may be open, and 100 calls may take 556")
        );
    }
}
