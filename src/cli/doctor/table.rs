//! The table: that it is there, that it has the keys and the index that the service asks, and that it can be used.

use super::finding::Finding;
use super::{aws, in_time};
use crate::store::{Keys, Obstacle, RoundTrip, Shape, TableInspection};

const CHECK: &str = "table";
const INDEX: &str = "index-1-full";
const EXPIRES_AT: &str = "expireAt";

/// Whether there is no table to look anything up in.
pub(super) fn is_missing(findings: &[Finding], name: &str) -> bool {
    findings.contains(&missing(name))
}

pub(super) async fn check(name: &str, table: &TableInspection) -> Vec<Finding> {
    in_time(CHECK, async {
        let shape = table.shape().await;
        let is_gone = shape.as_ref().is_err_and(|obstacle| is_code(obstacle, "ResourceNotFoundException"));
        let is_out_of_reach = shape.as_ref().is_err_and(|obstacle| obstacle.code.is_none());
        let mut findings = shaped(name, &shape);
        findings.extend(table.clock_ahead_by().map(|ahead_by| super::machine::clock("DynamoDB", ahead_by)));
        if is_gone || is_out_of_reach {
            return findings;
        }
        findings.push(expiry(table.expiry().await));
        findings.push(recovery(&table.is_recoverable().await));
        findings.push(used(table.round_trip().await));
        findings
    })
    .await
}

fn is_code(obstacle: &Obstacle, code: &str) -> bool {
    obstacle.code.as_deref() == Some(code)
}

fn shaped(name: &str, shape: &Result<Shape, Obstacle>) -> Vec<Finding> {
    let shape = match shape {
        Ok(shape) => shape,
        Err(obstacle) if is_code(obstacle, "ResourceNotFoundException") => {
            return vec![missing(name)];
        }
        // The service itself does not describe its table.
        Err(obstacle) if is_code(obstacle, "AccessDeniedException") => {
            return vec![not_looked_at("its keys", "dynamodb:DescribeTable")];
        }
        Err(obstacle) => {
            return vec![refused("it could not be looked at", obstacle, "dynamodb:DescribeTable")];
        }
    };
    let mut findings = Vec::new();
    if shape.status != "ACTIVE" && shape.status != "UPDATING" {
        findings.push(Finding::problem(
            CHECK,
            format!("{name} is {}", shape.status),
            "Wait until it is ACTIVE, or create it again.",
        ));
    }
    if let Some(problem) = wrong_keys(&shape.keys, "pk", "sk") {
        findings.push(Finding::problem(
            CHECK,
            format!("{name} has {problem}"),
            "Keys cannot be changed: create another table and set TABLE_NAME.",
        ));
    }
    findings.extend(index(shape));
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{name} is {}, with its keys and its index", shape.status)));
    }
    findings
}

fn missing(name: &str) -> Finding {
    Finding::problem(
        CHECK,
        format!("there is no table {name} in this region and account"),
        "Check TABLE_NAME and AWS_REGION, or create it: keys pk and sk, index index-1-full on pk1 and sk1.",
    )
}

fn index(shape: &Shape) -> Option<Finding> {
    let Some(index) = shape.indexes.iter().find(|index| index.name == INDEX) else {
        return Some(Finding::problem(
            CHECK,
            format!("there is no index {INDEX}"),
            "Add it: pk1 and sk1, both strings, projecting ALL.",
        ));
    };
    let problem = wrong_keys(&index.keys, "pk1", "sk1");
    let problem = problem.or_else(|| {
        (index.projection != "ALL").then(|| format!("a projection of {} instead of ALL", index.projection))
    });
    if let Some(problem) = problem {
        let advice = "Delete the index and add it again: pk1 and sk1, both strings, projecting ALL.";
        return Some(Finding::problem(CHECK, format!("{INDEX} has {problem}"), advice));
    }
    let advice = "Use cases are not listed before it is ACTIVE; calls are answered.";
    (index.status != "ACTIVE")
        .then(|| Finding::warning(CHECK, format!("{INDEX} is {}", index.status), advice))
}

fn wrong_keys(keys: &Keys, partition: &str, sort: &str) -> Option<String> {
    let fits = keys.partition == partition && keys.sort == sort;
    (!fits).then(|| {
        format!("the keys {:?} and {:?} instead of {partition} and {sort}", keys.partition, keys.sort)
    })
}

fn expiry(attribute: Result<Option<String>, Obstacle>) -> Finding {
    let advice = format!("Turn time to live on, with the attribute {EXPIRES_AT}.");
    match attribute {
        Ok(Some(attribute)) if attribute == EXPIRES_AT => {
            Finding::ok(CHECK, format!("items expire at {EXPIRES_AT}"))
        }
        Ok(Some(other)) => Finding::warning(CHECK, format!("items expire at {other:?}"), advice),
        Ok(None) => Finding::warning(CHECK, "items never expire, so what was said stays for ever", advice),
        Err(obstacle) => not_told("whether items expire", &obstacle, "dynamodb:DescribeTimeToLive"),
    }
}

fn recovery(is_on: &Result<bool, Obstacle>) -> Finding {
    match is_on {
        Ok(true) => Finding::ok(CHECK, "it can be restored to a point in time"),
        Ok(false) => Finding::warning(
            CHECK,
            "it cannot be restored to a point in time",
            "Turn point-in-time recovery on: use cases and orders are worth it.",
        ),
        Err(obstacle) => {
            not_told("whether it can be restored", obstacle, "dynamodb:DescribeContinuousBackups")
        }
    }
}

fn used(trip: RoundTrip) -> Finding {
    match trip {
        RoundTrip::Done => Finding::ok(CHECK, "an item was written, read and deleted"),
        RoundTrip::NotWritten(obstacle) => refused("nothing can be written", &obstacle, "dynamodb:PutItem"),
        RoundTrip::NotRead(obstacle) => refused("nothing can be read", &obstacle, "dynamodb:GetItem"),
        RoundTrip::Changed => Finding::problem(
            CHECK,
            "an item that was written was not there when it was read",
            "Look for what stands between this machine and DynamoDB.",
        ),
        RoundTrip::NotDeleted(obstacle) if is_code(&obstacle, "AccessDeniedException") => Finding::ok(
            CHECK,
            "an item was written and read; nobody here may delete, so it stays until it expires in an hour",
        ),
        RoundTrip::NotDeleted(obstacle) => {
            refused("nothing can be deleted", &obstacle, "dynamodb:DeleteItem")
        }
    }
}

/// Programs that stand in for DynamoDB do not know everything that it knows.
fn not_told(what: &str, obstacle: &Obstacle, action: &str) -> Finding {
    if is_code(obstacle, "AccessDeniedException") {
        return not_looked_at(what, action);
    }
    Finding::skipped(CHECK, format!("{what} is not told: {}", said(obstacle)))
}

fn not_looked_at(what: &str, action: &str) -> Finding {
    Finding::warning(
        CHECK,
        format!("{what} could not be looked at"),
        format!("Allow {action} to whoever runs this; the service does not need it."),
    )
}

fn refused(what: &str, obstacle: &Obstacle, action: &str) -> Finding {
    let advice = aws::advice(obstacle.code.as_deref(), action, "DynamoDB").unwrap_or_else(|| {
        "Try again in a moment; if it stays, look at the table's limits in the console.".to_owned()
    });
    Finding::problem(CHECK, format!("{what}: {}", said(obstacle)), advice)
}

fn said(obstacle: &Obstacle) -> String {
    let parts = [obstacle.code.as_deref().unwrap_or_default(), &obstacle.detail];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}
