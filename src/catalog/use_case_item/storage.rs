//! The record's `storage`: what of a call is written down, and what is masked in it.

use regex::{Regex, RegexBuilder};
use voice_core::use_case::{Keep, Storage};

use super::problem::Report;
use super::section::{Section, item_path};

const MOST_PATTERNS: usize = 20;
/// Bytes that a compiled pattern may take. Matching takes time in proportion to it, for every message of a call.
const LARGEST_PATTERN: usize = 256 * 1024;
/// The parser descends into groups.
const DEEPEST_PATTERN: u32 = 50;

/// Reads `storage`.
pub(super) fn read(record: &Section<'_>, report: &mut Report) -> Storage {
    let Some(section) = record.section("storage", report) else {
        return Storage::default();
    };
    section.warn_of_unknown(&["keep", "redact"], report);
    Storage { keep: read_keep(&section, report), patterns: read_patterns(&section, report) }
}

fn read_keep(section: &Section<'_>, report: &mut Report) -> Keep {
    match section.filled_text("keep", report) {
        None | Some("words") => Keep::Words,
        Some("nothing") => Keep::Nothing,
        Some(_) => {
            report.error(section.path_of("keep"), "must be words or nothing");
            Keep::Nothing
        }
    }
}

fn read_patterns(section: &Section<'_>, report: &mut Report) -> Vec<Regex> {
    let texts = section.texts("redact", report).unwrap_or_default();
    let path = section.path_of("redact");
    if texts.len() > MOST_PATTERNS {
        report.error(path, format!("must be at most {MOST_PATTERNS} patterns"));
        return Vec::new();
    }
    let mut patterns = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match compile(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(reason) => report.error(item_path(&path, index), reason),
        }
    }
    patterns
}

fn compile(text: &str) -> Result<Regex, String> {
    let pattern = RegexBuilder::new(text).size_limit(LARGEST_PATTERN).nest_limit(DEEPEST_PATTERN).build();
    match pattern {
        Ok(pattern) if pattern.is_match("") => {
            Err("matches where there is nothing, so it would be found everywhere".to_owned())
        }
        Ok(pattern) => Ok(pattern),
        Err(regex::Error::CompiledTooBig(_)) => Err("is too large a pattern".to_owned()),
        // The engine draws a picture of several lines; its last one says what is wrong.
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(format!("is not a regular expression: {reason}"))
        }
    }
}
