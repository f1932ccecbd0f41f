//! What callers and models say: how it is filtered does not depend on the pieces in which it comes, and what is masked
//! stays masked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voice_core::playback::Playback;
use voice_core::redaction::Redactor;
use voice_core::speech_filter::SpeechFilter;

fuzz_target!(|text: &str| {
    let mut whole = SpeechFilter::default();
    let mut at_once = whole.push(text);
    at_once.push_str(&whole.finish());
    assert!(at_once.len() <= text.len(), "nothing is added");
    let mut filter = SpeechFilter::default();
    let pieces = text.split_inclusive([' ', '*', '<']);
    let mut in_pieces: String = pieces.map(|piece| filter.push(piece)).collect();
    in_pieces.push_str(&filter.finish());
    assert_eq!(in_pieces, at_once, "pieces do not matter");

    let redactor = Redactor::default();
    let masked = redactor.text(text).into_owned();
    assert_eq!(redactor.text(&masked), masked, "masking twice is masking once");

    // The first line is said, the others are reported as played, and the last as interrupted.
    let mut lines = text.lines();
    let mut playback = Playback::default();
    playback.push(Some(0), lines.next().unwrap_or_default());
    playback.push(Some(1), " And more.");
    let before = playback.remaining();
    lines.clone().for_each(|line| playback.played(line));
    assert!(playback.remaining() <= before, "nothing is unheard again");
    let _ = playback.interrupted(lines.next_back().unwrap_or_default());
    assert!(playback.is_idle(), "after an interruption nothing plays");
});
