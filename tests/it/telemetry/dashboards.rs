//! Dashboards and alerts ask for what the service really tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use regex::Regex;
use serde_json::Value;

use super::receiver::{histogram, numbers};
use super::samples::told;

/// `{...}` behind a series, and `by (...)`.
static SELECTORS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{([^}]*)\}|\b(?:by|without) ?\(([^)]*)\)").unwrap());
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""[^"]*""#).unwrap());
static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"([a-z_][a-z0-9_]*)\s*(?:=~|!=|!~|=|,|$)").unwrap());
static SERIES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:trunkline|gen_ai)_[a-z0-9_]+").unwrap());

/// What Prometheus knows: series and labels.
#[derive(Debug, Default)]
struct Names {
    series: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Names {
    fn of(metrics: Vec<Metric>) -> Self {
        let mut names = Self::default();
        for metric in metrics {
            let (name, data) = (prometheus_name(&metric), metric.data.unwrap());
            let suffixes: &[&str] = match &data {
                Data::Histogram(_) => &["_bucket", "_sum", "_count"],
                Data::Sum(_) => &["_total"],
                _ => &[""],
            };
            names.series.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
            let attributes =
                |each: Vec<KeyValue>| each.into_iter().map(|attribute| attribute.key.replace('.', "_"));
            names
                .labels
                .extend(histogram(data.clone()).into_iter().flat_map(|point| attributes(point.attributes)));
            names.labels.extend(numbers(data).into_iter().flat_map(|point| attributes(point.attributes)));
        }
        names.labels.extend(["le", "job", "instance"].map(str::to_owned));
        names
    }

    /// What an expression asks for and nobody tells.
    fn unknown_in(&self, expression: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        for found in SELECTORS.captures_iter(expression) {
            let listed = found.get(1).or(found.get(2)).unwrap().as_str();
            let names = QUOTED.replace_all(listed, "");
            let labels = LABEL.captures_iter(&names).map(|label| label[1].to_owned());
            unknown.extend(labels.filter(|label| !self.labels.contains(label)));
        }
        let bare = SELECTORS.replace_all(expression, " ");
        let asked: Vec<_> = SERIES.find_iter(&bare).map(|series| series.as_str().to_owned()).collect();
        assert!(!asked.is_empty(), "nothing is asked in {expression}");
        unknown.extend(asked.into_iter().filter(|series| !self.series.contains(series)));
        unknown
    }
}

/// As the collector names it: underscores for dots, then the unit.
fn prometheus_name(metric: &Metric) -> String {
    let name = metric.name.replace('.', "_");
    match metric.unit.as_str() {
        "s" => format!("{name}_seconds"),
        unit => {
            assert!(unit.is_empty() || unit.starts_with('{'), "{name} has a unit of its own: {unit}");
            name
        }
    }
}

fn infra(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("infra").join(path)).unwrap()
}

/// The expressions of a dashboard's panels.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&infra("grafana/dashboards/trunkline.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The expressions of the alerts, which stand on one line or are folded below `>-`.
fn alerts() -> Vec<String> {
    let rules = infra("prometheus/alerts.yml");
    let expression = Regex::new(r"(?m)^ +expr: (?:>-\n((?: {10}.*\n)+)|(.+)$)").unwrap();
    let found = expression.captures_iter(&rules).map(|found| {
        found.get(1).or(found.get(2)).unwrap().as_str().split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), rules.matches("- alert: ").count());
    found
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_what_is_told() {
    let names = Names::of(told().await.metrics());
    let expressions = [dashboard(), alerts()].concat();
    assert!(expressions.len() > 50, "only {} expressions were found", expressions.len());
    for expression in expressions {
        assert_eq!(names.unknown_in(&expression), Vec::<String>::new(), "{expression}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_tells_is_found() {
    let names = Names::of(told().await.metrics());
    for (expression, unknown) in [
        ("sum(rate(trunkline_calls_bussy_total[5m]))", "trunkline_calls_bussy_total"),
        ("sum(rate(trunkline_calls_busy[5m]))", "trunkline_calls_busy"),
        ("sum by (instance, color) (trunkline_tasks)", "color"),
        ("trunkline_turn_duration_seconds_count{a=\"x\", trunkline_ending!=\"heard\"}", "a"),
    ] {
        assert_eq!(names.unknown_in(expression), [unknown], "{expression}");
    }
}
