//! Prompts, behind a line of JSON that is the caller's profile: rendering never fails, and what a profile says is never
//! read as a template.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use trunkline::catalog::profile_item::parse_profile;
use trunkline::catalog::prompt::{PromptContext, render};
use voice_core::ports::Direction;

/// What `render` may write, and then the placeholders.
const LONGEST: usize = 8 * 1024 * 1024;

fuzz_target!(|text: &str| {
    let (profile, template) = text.split_once('\n').unwrap_or(("{}", text));
    let Ok(Value::Object(profile)) = serde_json::from_str(profile) else { return };
    let note = plain_note(&profile);
    let (profile, variables, now) = (parse_profile(&profile), BTreeMap::new(), jiff::Zoned::default());
    let context = PromptContext {
        caller: Some(&profile),
        from: "+14155550100",
        to: "+18005550199",
        direction: Direction::Inbound,
        variables: &variables,
        call_sid: "CA1",
        use_case: "fuzzed",
        now: &now,
    };
    let rendered = render(template, &context);
    assert!(rendered.text.len() < LONGEST);
    assert_eq!(render(template, &context), rendered, "the same prompt is the same text");
    let plain = render("{{ caller.note }}", &context);
    assert_eq!(plain.warning, None);
    assert!(note.is_none_or(|note| plain.text == note), "a value is no template");
});

/// What the profile's `note` comes to, where nothing of it or its name has to be cleaned.
fn plain_note(profile: &Map<String, Value>) -> Option<String> {
    let are_names = profile.keys().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let note = profile.get("note")?.as_str()?;
    let is_clean = !note.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    (are_names && is_clean).then(|| note.trim().chars().take(200).collect())
}
