//! `trunkline doctor`: checks everything that a call will need, and says what to do about what is missing.
//!
//! It needs no running service, and changes nothing but one item of the table that it writes, reads and deletes. What it
//! prints holds no secret and no telephone number.

mod aws;
mod finding;
mod machine;
mod models;
mod public_url;
mod settings;
mod table;
mod twilio;
mod use_cases;

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use tokio::time::timeout;

use self::finding::{Finding, Report};
use super::{BAD_SETTING, say, source};
use crate::app::{AwsExamination, aws_config};
use crate::config::{SettingError, Settings};

/// No check takes longer; what does has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let source = source(matches);
    let given = settings::read(&source);
    let mut bad = given.bad;
    let mut report = Report::default();
    if let Some(settings) = &given.settings {
        let aws = match timeout(PATIENCE, aws_config()).await {
            Ok(Ok(aws)) => Some(Ok(AwsExamination::new(settings, &aws))),
            Ok(Err(error)) => match error.downcast::<SettingError>() {
                Ok(error) => {
                    bad.push(error);
                    None
                }
                Err(error) => Some(Err(error)),
            },
            Err(_) => Some(Err(anyhow::anyhow!("the configuration of AWS was not read in time"))),
        };
        report.add(settings::findings(Some(settings), &bad));
        let is_good = |variables: &[&str]| !bad.iter().any(|error| variables.contains(&error.variable));
        let aws = async {
            match &aws {
                Some(Ok(aws)) => aws_findings(settings, is_good(&["TABLE_NAME"]), aws).await,
                Some(Err(error)) => {
                    vec![Finding::problem("aws", format!("{error:#}"), "Set up AWS for this machine.")]
                }
                None => vec![Finding::skipped("aws", "without AWS_REGION it is not known where to look")],
            }
        };
        let outside = async {
            if is_good(&["PUBLIC_URL", "WS_URL"]) {
                public_url::check(settings, is_good(&["TWILIO_AUTH_TOKEN"])).await
            } else {
                vec![Finding::skipped("public url", "it is not known")]
            }
        };
        let twilio = async {
            let needed = ["TWILIO_ACCOUNT_SID", "TWILIO_API_SID", "TWILIO_API_SECRET", "TWILIO_AUTH_TOKEN"];
            if is_good(&needed) && is_good(&["TWILIO_API_URL", "TWILIO_VERIFY_URL"]) {
                twilio::check(settings, is_good(&["PUBLIC_URL", "WS_URL"])).await
            } else {
                vec![Finding::skipped("twilio", "its settings are not right")]
            }
        };
        let (aws, outside, twilio, machine) =
            tokio::join!(aws, outside, twilio, machine::check(settings, &source));
        for findings in [aws, outside, twilio, machine] {
            report.add(findings);
        }
    } else {
        report.add(settings::findings(None, &bad));
    }
    say(&if matches.get_flag("json") { report.to_json() } else { report.to_text() });
    Ok(if !bad.is_empty() {
        ExitCode::from(BAD_SETTING)
    } else if report.has_problems() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Credentials first, because nothing else there can be looked at without.
async fn aws_findings(settings: &Settings, table_is_known: bool, aws: &AwsExamination) -> Vec<Finding> {
    let mut findings = aws::check(aws).await;
    if findings.iter().any(Finding::is_problem) {
        findings.push(Finding::skipped("table", "there are no credentials to look at it with"));
        return findings;
    }
    let mut wanted = models::Wanted::default();
    if table_is_known {
        findings.extend(table::check(&settings.table_name, &aws.table).await);
    }
    if table::is_missing(&findings, &settings.table_name) {
        findings.push(Finding::skipped("use cases", "there is no table to read them from"));
        wanted.add_default(settings);
    } else if table_is_known {
        findings.extend(use_cases::check(settings, &aws.store, &mut wanted).await);
    } else {
        findings.push(Finding::skipped("table", "its name is not known"));
        wanted.add_default(settings);
    }
    findings.extend(models::check(settings, &aws.models, wanted).await);
    findings
}

/// Runs a check that may not take for ever.
async fn in_time(name: &'static str, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    match timeout(PATIENCE, check).await {
        Ok(findings) => findings,
        Err(_) => vec![Finding::problem(
            name,
            format!("it was not known after {} seconds", PATIENCE.as_secs()),
            "Look for what holds connections from this machine back: a firewall, a proxy, a route.",
        )],
    }
}
