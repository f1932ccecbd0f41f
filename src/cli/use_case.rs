//! `trunkline use-case`: what operators do with their items.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ArgMatches;
use serde_json::{Map, Value};
use voice_core::ports::RecordStore;

use super::{say, say_error, source};
use crate::app::{aws_config, store};
use crate::catalog::dynamodb_json::to_dynamodb;
use crate::catalog::use_case_item::parse_use_case;
use crate::config::Settings;
use crate::config::authored::{AuthoredItem, read};
use crate::telemetry::causes;

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    match matches.subcommand() {
        Some(("check", matches)) => check(&items(matches)?),
        Some(("item", matches)) => print(&items(matches)?),
        Some(("put", matches)) => put(matches, items(matches)?).await,
        _ => list(matches.subcommand_matches("list").unwrap_or(matches)).await,
    }
}

fn items(matches: &ArgMatches) -> anyhow::Result<Vec<AuthoredItem>> {
    let paths = matches.get_many::<PathBuf>("path").into_iter().flatten();
    let items = paths.map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(items.into_iter().flatten().collect())
}

/// How many errors and warnings there are.
struct Findings {
    errors: usize,
    warnings: usize,
}

fn findings(items: &[AuthoredItem]) -> Findings {
    let mut findings = Findings { errors: 0, warnings: 0 };
    for AuthoredItem { path, item } in items.iter().filter(|item| is_use_case(&item.item)) {
        let path = path.display();
        let (errors, warnings) = match parse_use_case(item) {
            Ok(parsed) => (parsed.attribute_errors, parsed.warnings),
            Err(errors) => (errors, Vec::new()),
        };
        for problem in &errors {
            say(&format!("error: {path}: {problem}"));
        }
        for problem in &warnings {
            say(&format!("warning: {path}: {problem}"));
        }
        findings.errors += errors.len();
        findings.warnings += warnings.len();
    }
    findings
}

fn check(items: &[AuthoredItem]) -> anyhow::Result<ExitCode> {
    if items.is_empty() {
        bail!("there is nothing to check");
    }
    let Findings { errors, warnings } = findings(items);
    say(&format!(
        "{}: {}, {}",
        count(items.len(), "item"),
        count(errors, "error"),
        count(warnings, "warning")
    ));
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(items: &[AuthoredItem]) -> anyhow::Result<ExitCode> {
    let [AuthoredItem { item, .. }] = items else {
        bail!("`put-item` takes one item at a time, and there are {} here; name the one", items.len());
    };
    say(&to_dynamodb(item).to_string());
    Ok(ExitCode::SUCCESS)
}

async fn put(matches: &ArgMatches, items: Vec<AuthoredItem>) -> anyhow::Result<ExitCode> {
    if items.is_empty() {
        bail!("there is nothing to load");
    }
    if findings(&items).errors > 0 {
        say_error("nothing was written");
        return Ok(ExitCode::FAILURE);
    }
    let store = records(matches).await?;
    for AuthoredItem { item, .. } in items {
        let name = describe(&item);
        store
            .put_record(item, None)
            .await
            .map_err(|error| anyhow::anyhow!("{name} was not written: {}", causes(&error)))?;
        say(&format!("loaded {name}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let store = records(matches).await?;
    let use_cases =
        store.list_records("use-case").await.map_err(|error| anyhow::anyhow!("{}", causes(&error)))?;
    for item in &use_cases {
        let title = item.get("title").and_then(Value::as_str).unwrap_or_default();
        say(&format!("{}\t{title}", text(item, "pk")));
    }
    if use_cases.is_empty() {
        say_error("there are no use cases in this table");
    }
    Ok(ExitCode::SUCCESS)
}

async fn records(matches: &ArgMatches) -> anyhow::Result<impl RecordStore> {
    let table = Settings::read_table_name(&source(matches))?;
    let aws = aws_config().await.context("no AWS configuration")?;
    Ok(store(&aws, table, Duration::ZERO))
}

fn is_use_case(item: &Map<String, Value>) -> bool {
    text(item, "sk") == "configuration"
}

fn describe(item: &Map<String, Value>) -> String {
    format!("{} {}", text(item, "sk"), text(item, "pk"))
}

fn text<'a>(item: &'a Map<String, Value>, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
