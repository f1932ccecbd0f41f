//! The use cases: that the default one is there, and what each of them warns of.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use voice_core::ports::{RecordStore, StoreError};
use voice_core::use_case::UseCase;

use super::finding::Finding;
use super::in_time;
use super::models::Wanted;
use crate::catalog::references::{self, Reference};
use crate::catalog::use_case_item::{Problem, parse_use_case};
use crate::cli::use_case::unusable;
use crate::config::Settings;
use crate::store::DynamoDbStore;
use crate::telemetry::causes;

const CHECK: &str = "use cases";
/// Of one use case; `use-case check` tells all.
const MOST_WARNINGS: usize = 3;

/// `wanted` learns which models they name.
pub(super) async fn check(settings: &Settings, store: &DynamoDbStore, wanted: &mut Wanted) -> Vec<Finding> {
    in_time(CHECK, async {
        let items = match items(settings, store).await {
            Ok(items) => items,
            Err(error) => {
                wanted.add_default(settings);
                return vec![Finding::problem(
                    CHECK,
                    format!("they could not be read: {}", causes(&error)),
                    "Allow dynamodb:GetItem on the table and dynamodb:Query on its index index-1-full.",
                )];
            }
        };
        examine(settings, &items, wanted)
    })
    .await
}

/// Those that the index lists, and the default one, which need not be listed to answer.
async fn items(
    settings: &Settings,
    store: &DynamoDbStore,
) -> Result<BTreeMap<String, Map<String, Value>>, StoreError> {
    let name = &settings.default_use_case;
    let default = store.get_record(name, "configuration").await?;
    let listed = store.list_records("use-case", usize::MAX).await?;
    let named = listed.into_iter().filter_map(|item| {
        let name = item.get("pk").and_then(Value::as_str)?.to_owned();
        Some((name, item))
    });
    Ok(named.chain(default.map(|item| (name.clone(), item))).collect())
}

fn examine(
    settings: &Settings,
    items: &BTreeMap<String, Map<String, Value>>,
    wanted: &mut Wanted,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut good = Vec::new();
    for (name, item) in items {
        match parse_use_case(item) {
            Ok(parsed) => {
                wanted.add(settings, &parsed.use_case);
                let errors = parsed.attribute_errors.into_iter().chain(unusable(&parsed.use_case));
                let errors: Vec<_> = errors.collect();
                let warnings: Vec<_> =
                    parsed.warnings.into_iter().chain(dangling(&parsed.use_case, items)).collect();
                if let Some(finding) = flawed(name, &errors) {
                    findings.push(finding);
                } else if warnings.is_empty() {
                    good.push(name.as_str());
                }
                findings.extend(told(name, &warnings));
            }
            Err(problems) => findings.extend(flawed(name, &problems)),
        }
    }
    if !good.is_empty() {
        findings.insert(0, Finding::ok(CHECK, format!("without any flaw: {}", good.join(", "))));
    }
    if !items.contains_key(&settings.default_use_case) {
        findings.push(Finding::problem(
            CHECK,
            format!("there is no use case {}, which is to answer by default", settings.default_use_case),
            "Set STACK_USE_CASE to one that is there, or load it with trunkline use-case put.",
        ));
    }
    findings
}

fn dangling(use_case: &UseCase, items: &BTreeMap<String, Map<String, Value>>) -> Vec<Problem> {
    let named = references::of_use_case(use_case).into_iter();
    named.filter(|reference| !items.contains_key(&reference.use_case)).map(Reference::dangling).collect()
}

fn flawed(name: &str, problems: &[Problem]) -> Option<Finding> {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    (!problems.is_empty()).then(|| {
        Finding::problem(
            CHECK,
            format!("{name}: {}", problems.join("; ")),
            "Correct its record, check it with trunkline use-case check, and load it with use-case put.",
        )
    })
}

fn told(name: &str, warnings: &[Problem]) -> Option<Finding> {
    let shown: Vec<_> = warnings.iter().take(MOST_WARNINGS).map(ToString::to_string).collect();
    let more = match warnings.len().saturating_sub(MOST_WARNINGS) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!shown.is_empty()).then(|| {
        Finding::warning(
            CHECK,
            format!("{name}: {}{more}", shown.join("; ")),
            "Look whether that is meant; trunkline use-case check tells all.",
        )
    })
}
