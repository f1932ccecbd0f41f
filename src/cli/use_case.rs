//! `trunkline use-case`: what operators do with their items.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ArgMatches;
use serde_json::{Map, Value};
use voice_core::ports::RecordStore;
use voice_core::use_case::{Handler, McpServer, Tool, UseCase};

use super::{say, say_error, source};
use crate::app::{aws_config, store};
use crate::catalog::dynamodb_json::to_dynamodb;
use crate::catalog::references::{self, Reference};
use crate::catalog::use_case_item::{Problem, parse_use_case};
use crate::config::Settings;
use crate::config::authored::{AuthoredItem, read};
use crate::telemetry::causes;
use crate::tools;

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
    let use_cases: BTreeSet<_> = items
        .iter()
        .map(|item| &item.item)
        .filter(|item| is_use_case(item))
        .map(|item| text(item, "pk"))
        .collect();
    for AuthoredItem { path, item } in items {
        let Checked { errors, mut warnings, references } = check_item(item);
        // What is checked without any use case, such as a file of profiles, cannot be held against them.
        let dangling = references.into_iter().filter(|found| !use_cases.contains(found.use_case.as_str()));
        warnings.extend(dangling.filter(|_| !use_cases.is_empty()).map(Reference::dangling));
        let path = path.display();
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

/// What was found in one item.
#[derive(Default)]
struct Checked {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Use cases that it names.
    references: Vec<Reference>,
}

fn check_item(item: &Map<String, Value>) -> Checked {
    if !is_use_case(item) {
        return Checked {
            references: references::of_number(item).into_iter().collect(),
            ..Checked::default()
        };
    }
    match parse_use_case(item) {
        Ok(parsed) => Checked {
            errors: parsed.attribute_errors.into_iter().chain(unusable(&parsed.use_case)).collect(),
            warnings: parsed.warnings,
            references: references::of_use_case(&parsed.use_case),
        },
        Err(errors) => Checked { errors, ..Checked::default() },
    }
}

/// Tools, and servers of tools, that the runner would not ask.
pub(super) fn unusable(use_case: &UseCase) -> Vec<Problem> {
    let tool_problem = |tool: &Arc<Tool>| {
        let reason = match &tool.handler {
            // A handler that nobody knows has its warning, and a server is looked at by itself.
            Handler::Unknown(_) | Handler::Mcp(_) => None,
            _ => tools::problem(tool),
        };
        reason.map(|reason| Problem { path: format!("tools.{}.handler", tool.name), reason })
    };
    let server_problem = |server: &Arc<McpServer>| {
        let reason = tools::mcp::problem(server)?;
        Some(Problem { path: format!("mcpServers.{}", server.name), reason })
    };
    let tools = use_case.tools.iter().filter_map(tool_problem);
    tools.chain(use_case.mcp_servers.iter().filter_map(server_problem)).collect()
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
    let overwrite_records = matches.get_flag("overwrite-records");
    let mut left = 0;
    for AuthoredItem { item, .. } in items {
        let name = describe(&item);
        if write(&store, item, overwrite_records).await.with_context(|| format!("{name} was not written"))? {
            say(&format!("loaded {name}"));
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let verb = if left == 1 { "exists already and was" } else { "exist already and were" };
        say(&format!("{} {verb} left; --overwrite-records writes them too", count(left, "record")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether an item was written. A record that is there may have been changed by a call since, and is left alone.
async fn write(
    store: &impl RecordStore,
    item: Map<String, Value>,
    overwrite_records: bool,
) -> anyhow::Result<bool> {
    let written = if is_record(&item) && !overwrite_records {
        store.put_new_record(item).await
    } else {
        store.put_record(item, None).await.map(|()| true)
    };
    written.map_err(|error| anyhow::anyhow!("{}", causes(&error)))
}

async fn list(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let store = records(matches).await?;
    let use_cases = all_of(&store, "use-case").await?;
    for item in &use_cases {
        let title = item.get("title").and_then(Value::as_str).unwrap_or_default();
        say(&format!("{}\t{title}", text(item, "pk")));
    }
    if use_cases.is_empty() {
        say_error("there are no use cases in this table");
    }
    let kinds = use_cases.iter().flat_map(kinds_of_records).map(|kind| format!("record::{kind}"));
    for group in kinds.collect::<BTreeSet<_>>().into_iter().chain(["do-not-call".to_owned()]) {
        let items = all_of(&store, &group).await?;
        if !items.is_empty() {
            say(&format!("{group}\t{}", count(items.len(), "item")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_of(store: &impl RecordStore, pk1: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    let listed = store.list_records(pk1, usize::MAX).await;
    let mut items = listed.map_err(|error| anyhow::anyhow!("{}", causes(&error)))?;
    // The store begins with the last one.
    items.reverse();
    Ok(items)
}

/// The kinds of records that a use case's tools look up: the table itself has no list of them.
fn kinds_of_records(item: &Map<String, Value>) -> Vec<String> {
    let tools = parse_use_case(item).map(|parsed| parsed.use_case.tools).unwrap_or_default();
    let kinds = tools.iter().filter_map(|tool| match &tool.handler {
        Handler::Record(record) => Some(record.kind.clone()),
        _ => None,
    });
    kinds.collect()
}

async fn records(matches: &ArgMatches) -> anyhow::Result<impl RecordStore> {
    let table = Settings::read_table_name(&source(matches))?;
    let aws = aws_config().await.context("no AWS configuration")?;
    Ok(store(&aws, table, Duration::ZERO))
}

fn is_use_case(item: &Map<String, Value>) -> bool {
    text(item, "sk") == "configuration"
}

/// One of those that tools look up, and change.
fn is_record(item: &Map<String, Value>) -> bool {
    text(item, "sk") == "record" && text(item, "pk").starts_with("record::")
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
