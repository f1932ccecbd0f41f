//! Tools that read and write the operator's own records in the table: a booking, an opening hour, a message taken.
//!
//! A record is the item `record::<kind>::<key>`, so that no tool can reach an item of another sort, whatever the model
//! asks for.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::warn;
use voice_core::ports::{RecordStore, StoreError, ToolRequest};
use voice_core::use_case::{RecordAction, RecordTool};

use super::run_key;
use super::template::{JsonTemplate, Template, Values};
use crate::telemetry::causes;

type Record = Map<String, Value>;

/// The sort key of every record.
const SORT_KEY: &str = "record";
const LONGEST_KEY: usize = 200;
/// Attributes of an item that are not the operator's.
const OURS: [&str; 6] = ["pk", "sk", "pk1", "sk1", "expireAt", "callSid"];

/// A `record` tool, compiled.
#[derive(Debug)]
pub(super) struct RecordPlan {
    kind: String,
    action: Action,
    fields: Vec<String>,
}

#[derive(Debug)]
enum Action {
    Get { key: Template },
    List { limit: usize },
    Update { key: Template, set: JsonTemplate },
    Put { set: JsonTemplate, keep: Option<Duration> },
}

impl RecordPlan {
    pub(super) fn compile(tool: &RecordTool) -> Result<Self, String> {
        let action = match &tool.action {
            RecordAction::Get { key } => Action::Get { key: Template::compile(key)? },
            RecordAction::List { limit } => Action::List { limit: *limit },
            RecordAction::Update { key, set } => {
                Action::Update { key: Template::compile(key)?, set: compile_fields(set)? }
            }
            RecordAction::Put { set, keep } => Action::Put { set: compile_fields(set)?, keep: *keep },
        };
        Ok(Self { kind: tool.kind.clone(), action, fields: tool.fields.clone() })
    }

    fn partition(&self, key: &str) -> String {
        format!("record::{}::{key}", self.kind)
    }

    fn index_partition(&self) -> String {
        format!("record::{}", self.kind)
    }

    /// What the model sees of a record.
    fn shown(&self, record: Record) -> Value {
        let is_shown = |name: &str| {
            !OURS.contains(&name) && (self.fields.is_empty() || self.fields.iter().any(|field| field == name))
        };
        Value::Object(record.into_iter().filter(|(name, _)| is_shown(name)).collect())
    }
}

fn compile_fields(set: &Record) -> Result<JsonTemplate, String> {
    match set.keys().find(|name| OURS.contains(&name.as_str())) {
        Some(name) => Err(format!("the field {name} of a record cannot be set")),
        None => JsonTemplate::compile(&Value::Object(set.clone())),
    }
}

pub(super) async fn handle(
    records: &dyn RecordStore,
    plan: &RecordPlan,
    request: &ToolRequest,
) -> Result<Value, String> {
    let values = Values::of(request);
    match &plan.action {
        Action::Get { key } => {
            let key = filled_key(key, &values)?;
            Ok(plan.shown(find(records, plan, request, &key, None).await?))
        }
        Action::List { limit } => list(records, plan, request, *limit).await,
        Action::Update { key, set } => {
            let (key, set) = (filled_key(key, &values)?, filled_fields(set, &values)?);
            Ok(plan.shown(find(records, plan, request, &key, Some(&set)).await?))
        }
        Action::Put { set, keep } => {
            let record = new_record(plan, request, filled_fields(set, &values)?);
            let written = records.put_record(record.clone(), *keep).await;
            written.map_err(|error| out_of_reach(request, &error))?;
            Ok(plan.shown(record))
        }
    }
}

fn filled_fields(set: &JsonTemplate, values: &Values) -> Result<Record, String> {
    match set.fill(values)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn filled_key(key: &Template, values: &Values) -> Result<String, String> {
    let key = key.fill_plainly(values)?;
    let key = key.trim();
    if key.is_empty() {
        return Err("It is not said which record is meant. Ask the caller for its number or name.".to_owned());
    }
    if key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err("No record can have that number or name. Ask the caller to say it again.".to_owned());
    }
    Ok(key.to_owned())
}

/// The record of a key as it was said or, because callers spell, as it is written: in capitals, without spaces and hyphens.
/// With `set`, as it is after these fields were set.
async fn find(
    records: &dyn RecordStore,
    plan: &RecordPlan,
    request: &ToolRequest,
    key: &str,
    set: Option<&Record>,
) -> Result<Record, String> {
    let written: String =
        key.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect();
    let other = Some(written.as_str()).filter(|written| *written != key && !written.is_empty());
    for key in [Some(key), other].into_iter().flatten() {
        let partition = plan.partition(key);
        let found = match set {
            Some(set) => records.update_record(&partition, SORT_KEY, set.clone()).await,
            None => records.get_record(&partition, SORT_KEY).await,
        };
        if let Some(record) = found.map_err(|error| out_of_reach(request, &error))? {
            return Ok(record);
        }
    }
    Err("There is no such record. Ask the caller to check the number or name.".to_owned())
}

async fn list(
    records: &dyn RecordStore,
    plan: &RecordPlan,
    request: &ToolRequest,
    limit: usize,
) -> Result<Value, String> {
    // One more than is shown tells whether there are more.
    let listed = records.list_records(&plan.index_partition(), limit + 1).await;
    let listed = listed.map_err(|error| out_of_reach(request, &error))?;
    let there_are_more = listed.len() > limit;
    let shown: Vec<_> = listed.into_iter().take(limit).map(|record| plan.shown(record)).collect();
    let mut content = json!({ "records": shown });
    if there_are_more {
        content["more"] = Value::from(true);
    }
    Ok(content)
}

/// A repeated run writes the same record.
fn new_record(plan: &RecordPlan, request: &ToolRequest, fields: Record) -> Record {
    let key = run_key(request);
    // Of a fixed length, so that the index has the records of a kind in the order of their making.
    let now = format!("{:.6}", Timestamp::now());
    let ours = [
        ("pk", plan.partition(&key)),
        ("sk", SORT_KEY.to_owned()),
        ("pk1", plan.index_partition()),
        ("sk1", format!("{now}::{key}")),
        ("createdAt", now),
        ("callSid", request.call.call_sid.clone()),
    ];
    fields.into_iter().chain(ours.map(|(name, value)| (name.to_owned(), Value::from(value)))).collect()
}

fn out_of_reach(request: &ToolRequest, error: &StoreError) -> String {
    warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, error = %causes(error), "a record was neither read nor written");
    "Our records are out of reach at the moment. Apologise, and offer to try again.".to_owned()
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
