//! How long a call may be silent, last and cost, and how often one number may call.

use std::time::Duration;

use voice_core::use_case::{Budget, CallerLimit, MaxDuration, Silence};

use super::problem::Report;
use super::section::Section;

/// Twilio ends a call after this long.
const LONGEST_CALL: u32 = 4 * 60 * 60;
/// A shorter call is not worth picking up for.
const SHORTEST_CALL: u32 = 30;
const WARN_BEFORE: u32 = 30;
const MOST_PROMPTS: usize = 10;
const MOST_TOKENS: u32 = 1_000_000_000;
const MOST_TOOL_RUNS: u32 = 10_000;
/// The table counts no further than this for one number.
const MOST_CALLS: u32 = 500;
const LONGEST_WINDOW_MINUTES: u32 = 7 * 24 * 60;

/// Reads `silence`.
pub(super) fn read_silence(record: &Section<'_>, report: &mut Report) -> Option<Silence> {
    let section = record.section("silence", report)?;
    section.warn_of_unknown(&["afterSeconds", "prompts"], report);
    let prompts = section.texts("prompts", report);
    if prompts.as_ref().is_some_and(|prompts| prompts.len() > MOST_PROMPTS) {
        report.error(section.path_of("prompts"), format!("must be at most {MOST_PROMPTS} sentences"));
    }
    section.demanded("afterSeconds", report)?;
    let after = section.number("afterSeconds", 2, 120, report)?;
    let prompts = prompts.unwrap_or_else(|| vec!["Are you still there?".to_owned()]);
    Some(Silence { after: Duration::from_secs_f64(after), prompts })
}

/// Reads `maxDurationSeconds` and `warnBeforeSeconds`.
pub(super) fn read_max_duration(record: &Section<'_>, report: &mut Report) -> Option<MaxDuration> {
    let limit = record.whole_number("maxDurationSeconds", SHORTEST_CALL, LONGEST_CALL, report);
    let warn_before = record.whole_number("warnBeforeSeconds", 5, 600, report);
    let Some(limit) = limit else {
        if warn_before.is_some() && record.value("maxDurationSeconds").is_none() {
            report.warn("warnBeforeSeconds", "has no effect without maxDurationSeconds");
        }
        return None;
    };
    if warn_before.is_some_and(|before| before >= limit) {
        report.error("warnBeforeSeconds", "must be less than maxDurationSeconds");
    }
    // A call as short as the usual warning is warned of in its middle.
    let warn_before = warn_before.unwrap_or(WARN_BEFORE.min(limit / 2));
    Some(MaxDuration { limit: seconds(limit), warn_before: seconds(warn_before) })
}

/// Reads `budget`.
pub(super) fn read_budget(record: &Section<'_>, report: &mut Report) -> Budget {
    let Some(section) = record.section("budget", report) else {
        return Budget::default();
    };
    section.warn_of_unknown(&["tokens", "seconds", "toolRuns"], report);
    Budget {
        tokens: section.whole_number("tokens", 1, MOST_TOKENS, report).map(u64::from),
        duration: section.whole_number("seconds", SHORTEST_CALL, LONGEST_CALL, report).map(seconds),
        tool_runs: section.whole_number("toolRuns", 1, MOST_TOOL_RUNS, report),
    }
}

/// Reads `rateLimit`.
pub(super) fn read_caller_limit(record: &Section<'_>, report: &mut Report) -> Option<CallerLimit> {
    let section = record.section("rateLimit", report)?;
    section.warn_of_unknown(&["calls", "minutes"], report);
    section.demanded("calls", report);
    section.demanded("minutes", report);
    let calls = section.whole_number("calls", 1, MOST_CALLS, report);
    let minutes = section.whole_number("minutes", 1, LONGEST_WINDOW_MINUTES, report);
    Some(CallerLimit { calls: calls?, window: seconds(minutes? * 60) })
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
