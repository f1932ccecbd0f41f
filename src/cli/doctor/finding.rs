//! What a check found, how grave it is and what to do about it; and all of it as text or JSON.

use serde_json::{Value, json};

/// The result of one check, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    level: Level,
    check: &'static str,
    found: String,
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// It could not be looked at, for a reason that another finding tells.
    Skipped,
    /// Calls work, but perhaps not as they are meant to.
    Warning,
    /// Calls will fail.
    Problem,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, found: found.into(), advice: None }
    }

    pub(super) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { level: Level::Skipped, check, found: why.into(), advice: None }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, check, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn problem(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Problem, check, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn is_problem(&self) -> bool {
        self.level == Level::Problem
    }

    fn to_text(&self) -> String {
        let Self { level, check, found, advice } = self;
        let advice = advice.as_ref().map(|advice| format!("\n{:24}→ {advice}", "")).unwrap_or_default();
        format!("{:11} {check:11} {found}{advice}", level.as_str())
    }

    fn to_json(&self) -> Value {
        let Self { level, check, found, advice } = self;
        json!({ "level": level.as_str(), "check": check, "found": found, "advice": advice })
    }
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "not checked",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// All findings, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    pub(super) fn has_problems(&self) -> bool {
        self.0.iter().any(Finding::is_problem)
    }

    /// A finding to a line, and what to do about it on the next; the sum comes last.
    pub(super) fn to_text(&self) -> String {
        let mut lines: Vec<_> = self.0.iter().map(Finding::to_text).collect();
        let (problems, warnings) = (self.count(Level::Problem), self.count(Level::Warning));
        let number = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            other => format!("{other} {what}s"),
        };
        lines.push(format!("\n{}, {}", number(problems, "problem"), number(warnings, "warning")));
        lines.join("\n")
    }

    pub(super) fn to_json(&self) -> String {
        let findings: Vec<_> = self.0.iter().map(Finding::to_json).collect();
        json!({
            "problems": self.count(Level::Problem),
            "warnings": self.count(Level::Warning),
            "findings": findings,
        })
        .to_string()
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_to_do_and_how_much_there_is() {
        let mut report = Report::default();
        report.add([Finding::ok("clock", "right"), Finding::warning("files", "few", "Allow more.")]);
        assert!(!report.has_problems());
        report.add([Finding::problem("table", "gone", "Create it."), Finding::skipped("models", "unknown")]);
        assert!(report.has_problems());
        let text = report.to_text();
        assert!(text.starts_with("ok          clock       right\nwarning     files       few\n"), "{text}");
        assert!(text.contains("→ Create it.\nnot checked models      unknown"), "{text}");
        assert!(text.ends_with("\n1 problem, 1 warning"), "{text}");
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!((&json["problems"], &json["findings"][0]["advice"]), (&json!(1), &Value::Null));
        assert_eq!(json["findings"][2]["level"], "problem");
    }
}
