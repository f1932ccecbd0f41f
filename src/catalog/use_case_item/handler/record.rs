//! Options of the `record` handler: the operator's own records in the table.

use std::time::Duration;

use serde_json::{Map, Value};
use voice_core::use_case::{RecordAction, RecordTool};

use crate::catalog::use_case_item::problem::Report;
use crate::catalog::use_case_item::section::Section;
use crate::catalog::use_case_item::template::Templates;
use crate::catalog::use_case_item::tool_list::is_part_of_a_name;

pub(super) const OPTIONS: [&str; 7] = ["kind", "action", "key", "fields", "set", "limit", "keepDays"];
/// Attributes that make an item what it is.
const RESERVED: [&str; 6] = ["pk", "sk", "pk1", "sk1", "expireAt", "callSid"];
const LONGEST_KIND: usize = 64;
const DEFAULT_LIMIT: u32 = 20;
const MOST: u32 = 50;
const MOST_DAYS: u32 = 3650;

pub(super) const fn only_reads(tool: &RecordTool) -> bool {
    matches!(tool.action, RecordAction::Get { .. } | RecordAction::List { .. })
}

pub(super) fn read(
    options: &Section<'_>,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<RecordTool> {
    let kind = options.demanded_text("kind", report);
    if kind.is_some_and(|kind| !is_part_of_a_name(kind, LONGEST_KIND)) {
        report.error(options.path_of("kind"), format!("must be 1 to {LONGEST_KIND} letters, digits, _ or -"));
    }
    let fields = options.texts("fields", report).unwrap_or_default();
    let action = read_action(options, templates, report);
    Some(RecordTool { kind: kind?.to_owned(), action: action?, fields })
}

fn read_action(
    options: &Section<'_>,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<RecordAction> {
    let action = options.demanded_text("action", report)?;
    let of_the_action: &[&str] = match action {
        "get" => &["key"],
        "list" => &["limit"],
        "update" => &["key", "set"],
        "put" => &["set", "keepDays"],
        _ => {
            report.error(options.path_of("action"), "must be get, list, update or put");
            return None;
        }
    };
    for option in ["key", "set", "limit", "keepDays"] {
        if options.value(option).is_some() && !of_the_action.contains(&option) {
            report.warn(options.path_of(option), format!("has no effect when the action is {action}"));
        }
    }
    let read_key = |report: &mut Report| {
        let key = options.demanded_text("key", report)?;
        templates.check(key, &options.path_of("key"), report);
        Some(key.to_owned())
    };
    match action {
        "get" => Some(RecordAction::Get { key: read_key(report)? }),
        "list" => {
            let limit = options.whole_number("limit", 1, MOST, report).unwrap_or(DEFAULT_LIMIT);
            Some(RecordAction::List { limit: usize::try_from(limit).ok()? })
        }
        "update" => {
            let key = read_key(report);
            Some(RecordAction::Update { set: read_set(options, templates, report)?, key: key? })
        }
        _ => {
            let days = options.whole_number("keepDays", 1, MOST_DAYS, report);
            let keep = days.map(|days| Duration::from_hours(24 * u64::from(days)));
            Some(RecordAction::Put { set: read_set(options, templates, report)?, keep })
        }
    }
}

fn read_set(
    options: &Section<'_>,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let value = options.demanded("set", report)?;
    let set = options.section("set", report)?;
    for name in RESERVED.into_iter().filter(|name| set.value(name).is_some()) {
        report.error(set.path_of(name), "is an attribute that belongs to the table");
    }
    if set.fields().next().is_none() {
        report.error(set.path(), "is empty; name the fields to be written");
    }
    templates.check_all(value, set.path(), report);
    value.as_object().cloned()
}
