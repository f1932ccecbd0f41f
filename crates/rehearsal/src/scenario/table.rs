//! `[table]`: how slow the table of a scenario is, and what has to be in it after the call.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use serde::Deserialize;

use super::report::{Check, Outcome};
use crate::dynamodb::Delay;

/// The index by which items of a kind are found: `pk1` is the kind.
const INDEX: &str = "index-1-full";
const LONGEST_DELAY_MS: u64 = 10_000;

/// The table that the service of a stage uses, reached without the scenario's delay.
#[derive(Clone, Debug)]
pub struct Table {
    pub client: Client,
    pub name: String,
}

/// The section as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TableEntry {
    /// Requests that contain one of these are held back.
    slow: Vec<String>,
    delay_ms: Option<u64>,
    /// How many items of each kind there are after the call.
    items: BTreeMap<String, usize>,
}

impl TableEntry {
    /// The delay and the items that the section asks for.
    pub(super) fn into_parts(self) -> anyhow::Result<(Option<Delay>, BTreeMap<String, usize>)> {
        let delay = match (self.slow.as_slice(), self.delay_ms) {
            ([], None) => None,
            ([_, ..], Some(delay)) => {
                ensure!(delay <= LONGEST_DELAY_MS, "`delay_ms` is at most {LONGEST_DELAY_MS}");
                ensure!(self.slow.iter().all(|words| !words.is_empty()), "`slow` has an empty string");
                Some(Delay { containing: self.slow, by: Duration::from_millis(delay) })
            }
            _ => anyhow::bail!("`slow` and `delay_ms` come together"),
        };
        Ok((delay, self.items))
    }
}

/// Looks for the items of each kind, after the call.
pub(super) async fn checks(table: Option<&Table>, items: &BTreeMap<String, usize>) -> Vec<Check> {
    let began = std::time::Instant::now();
    let mut checks = Vec::new();
    for (kind, number) in items {
        let outcome = match count(table, kind).await {
            Ok(found) if found == *number => Outcome::Met { after: began.elapsed() },
            Ok(found) => Outcome::Missed { expected: number.to_string(), got: found.to_string() },
            Err(error) => Outcome::Missed { expected: number.to_string(), got: format!("{error:#}") },
        };
        checks.push(Check { expectation: format!("items in the table of the kind \"{kind}\""), outcome });
    }
    checks
}

/// A scenario writes no more than one page of items.
async fn count(table: Option<&Table>, kind: &str) -> anyhow::Result<usize> {
    let table = table.context("no table on this stage")?;
    let query = table.client.query().table_name(&table.name).index_name(INDEX).select(Select::Count);
    let query = query.key_condition_expression("pk1 = :kind");
    let found = query.expression_attribute_values(":kind", AttributeValue::S(kind.to_owned())).send().await?;
    Ok(usize::try_from(found.count())?)
}
