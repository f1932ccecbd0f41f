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
    /// Texts that are somewhere in what the call left behind.
    present: Vec<String>,
    /// Texts that are nowhere in it.
    absent: Vec<String>,
}

/// What must be in the table after the call, and what must not.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    items: BTreeMap<String, usize>,
    present: Vec<String>,
    absent: Vec<String>,
}

impl TableEntry {
    /// The delay, and what is expected after the call.
    pub(super) fn into_parts(self) -> anyhow::Result<(Option<Delay>, Left)> {
        let delay = match (self.slow.as_slice(), self.delay_ms) {
            ([], None) => None,
            ([_, ..], Some(delay)) => {
                ensure!(delay <= LONGEST_DELAY_MS, "`delay_ms` is at most {LONGEST_DELAY_MS}");
                ensure!(self.slow.iter().all(|words| !words.is_empty()), "`slow` has an empty string");
                Some(Delay { containing: self.slow, by: Duration::from_millis(delay) })
            }
            _ => anyhow::bail!("`slow` and `delay_ms` come together"),
        };
        let texts_are_filled = self.present.iter().chain(&self.absent).all(|text| !text.is_empty());
        ensure!(texts_are_filled, "`present` and `absent` have no empty strings");
        Ok((delay, Left { items: self.items, present: self.present, absent: self.absent }))
    }
}

/// Looks for the items of each kind, after the call.
pub(super) async fn checks(table: Option<&Table>, left: &Left) -> Vec<Check> {
    let mut checks = kinds(table, &left.items).await;
    if left.present.is_empty() && left.absent.is_empty() {
        return checks;
    }
    let began = std::time::Instant::now();
    let (texts, problem) = match texts(table).await {
        Ok(texts) => (texts, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let wanted =
        left.present.iter().map(|text| (text, true)).chain(left.absent.iter().map(|text| (text, false)));
    for (text, wanted) in wanted {
        let expectation = format!("{} the table: \"{text}\"", if wanted { "in" } else { "not in" });
        let found = texts.iter().find(|found| found.contains(text.as_str()));
        let outcome = match (&problem, found, wanted) {
            (None, Some(_), true) | (None, None, false) => Outcome::Met { after: began.elapsed() },
            (Some(problem), ..) => Outcome::Missed { expected: text.clone(), got: problem.clone() },
            (None, None, true) => Outcome::Missed { expected: text.clone(), got: "nothing".to_owned() },
            (None, Some(found), false) => {
                Outcome::Missed { expected: "nothing".to_owned(), got: found.clone() }
            }
        };
        checks.push(Check { expectation, outcome });
    }
    checks
}

/// Every text of every item that the call wrote: what operators keep there has been there before.
async fn texts(table: Option<&Table>) -> anyhow::Result<Vec<String>> {
    let table = table.context("no table on this stage")?;
    let mut items = table.client.scan().table_name(&table.name).into_paginator().items().send();
    let mut texts = Vec::new();
    while let Some(item) = items.next().await {
        let item = item?;
        let sk = item.get("sk").and_then(|value| value.as_s().ok()).map_or("", String::as_str);
        if !["configuration", "profile", "number"].contains(&sk) {
            for value in item.values() {
                collect(value, &mut texts);
            }
        }
    }
    Ok(texts)
}

fn collect(value: &AttributeValue, texts: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => texts.push(text.clone()),
        AttributeValue::L(values) => values.iter().for_each(|value| collect(value, texts)),
        AttributeValue::M(fields) => fields.values().for_each(|value| collect(value, texts)),
        AttributeValue::Ss(all) => texts.extend(all.iter().cloned()),
        _ => {}
    }
}

async fn kinds(table: Option<&Table>, items: &BTreeMap<String, usize>) -> Vec<Check> {
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
