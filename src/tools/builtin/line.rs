//! What the other side hears besides the agent's words: keys, and recordings.

use std::collections::BTreeMap;

use serde_json::json;
use voice_core::ports::{Effect, ToolRequest};

use super::listed;
use crate::tools::arguments::text;
use crate::tools::{Answer, Handled};

const MOST_DIGITS: usize = 32;

/// Sends the keys of the argument `digits`: 0 to 9, `*`, `#`, and `w` for half a second of waiting.
pub(super) fn send_digits(request: &ToolRequest) -> Handled {
    let digits: String =
        text(request, "digits").unwrap_or_default().chars().filter(|key| !key.is_whitespace()).collect();
    let is_key = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#' | 'w');
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.chars().all(is_key) {
        return Err(format!(
            "The argument digits must be 1 to {MOST_DIGITS} of 0 to 9, *, # and w, which waits half a second."
        ));
    }
    Ok(Answer::with(json!({ "sent": true }), Effect::SendDigits { digits }))
}

/// Plays the recording that the argument `name` names, or the only one.
pub(super) fn play_audio(sources: &BTreeMap<String, String>, request: &ToolRequest) -> Handled {
    let named = match text(request, "name") {
        Some(name) => sources.get_key_value(name),
        None => sources.iter().next().filter(|_| sources.len() == 1),
    };
    let (name, source) =
        named.ok_or_else(|| format!("The argument name must be one of: {}.", listed(sources.keys())))?;
    Ok(Answer::with(json!({ "playing": name }), Effect::Play { source: source.clone() }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::tools::testing;

    fn request(arguments: Value) -> ToolRequest {
        testing::request(testing::tool("t"), arguments)
    }

    #[test]
    fn keys_are_sent_and_nothing_else() {
        let sent = send_digits(&request(json!({ "digits": "1 w2*#" }))).unwrap();
        assert_eq!(sent.effect, Some(Effect::SendDigits { digits: "1w2*#".to_owned() }));
        for digits in [json!("1A"), json!(""), json!("1".repeat(33)), json!(7), json!("٣")] {
            assert!(send_digits(&request(json!({ "digits": digits }))).is_err(), "{digits}");
        }
    }

    #[test]
    fn only_recordings_of_the_record_are_played() {
        let url = |name: &str| format!("https://cdn.example.com/{name}.mp3");
        let sources: BTreeMap<_, _> = ["a", "b"].map(|name| (name.to_owned(), url(name))).into();
        let played = play_audio(&sources, &request(json!({ "name": "b" }))).unwrap();
        assert_eq!(played.effect, Some(Effect::Play { source: url("b") }));
        for name in [json!("https://evil.example/x.mp3"), json!(null)] {
            let refused = play_audio(&sources, &request(json!({ "name": name }))).unwrap_err();
            assert!(refused.contains("a, b"), "{refused}");
        }
        let only = [("a".to_owned(), url("a"))].into();
        assert!(play_audio(&only, &request(json!({}))).is_ok());
    }
}
