//! Plays every file of `scenarios/` against the real service between stand-ins, one test for each. What a scenario is
//! and how it is judged is tested in `rehearsal`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use trunkline_dev::scenarios;

/// One test for each name; its file is the name with hyphens.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                play(stringify!($name)).await;
            }
        )*

        const PLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    a_lost_socket_after_another_use_case
    another_use_case
    blocked_input
    blocked_output
    broken_stream
    budget_spent
    caller_hangs_up
    card_number_is_masked
    expired_credentials
    functions_kept_outside
    goodbye_interrupted
    goodbye_then_end
    goodbye_without_a_word
    http_tool_mistakes
    interrupted_greeting
    interruption_by_noise
    interruption_in_mid_answer
    interruption_while_the_voice_plays
    keypad_menu
    keypad_number
    keys_and_recordings
    language_detected
    language_switch
    late_model_is_hedged
    lost_socket
    lost_socket_between_turns
    lost_socket_before_the_answer
    message_taken
    model_of_another_region
    nothing_is_stored
    order_for_delivery
    order_for_pickup
    outbound_human
    outbound_machine
    outbound_machine_hangs_up
    profile_chooses_einstein
    queue
    reconnected_line
    rental_policy_and_date
    rental_status_and_cancellation
    rental_unknown_booking
    rescued_by_a_person
    silence_broken
    silence_to_goodbye
    slow_model
    slow_tool
    stalled_in_mid_sentence
    stalled_model
    throttled_model
    throttled_model_apology
    time_limit
    tool_budget_spent
    tool_cancelled_by_interruption
    tool_finishes_over_interruption
    tool_mistakes
    tools_in_parallel
    transfer_answered
    transfer_busy
    transfer_by_sip
    transfer_caller_leaves
    transfer_not_answered
    transfer_refused
    transfer_to_voicemail
    unknown_use_case
    unspeakable_text
    utterance_in_pieces
    verification_right
    verification_wrong
    words_during_a_tool
}

#[test]
fn every_file_has_a_test() {
    let files = scenarios::files(&[at("scenarios")]).unwrap();
    let names = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().replace('-', "_"));
    let played = PLAYED.iter().map(|name| (*name).to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), played.collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expectation_that_is_not_met_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let text = r#"
        title = "Wrong in every way that a step can be"
        [[step]]
        expect = "Emberline Pizza"
        [[step]]
        say = "One water for pickup."
        expect = "a glass of champagne"
        heard = "a glass of champagne"
        absent = "water"
        model_last_user = "champagne"
        model_history = "champagne"
        model_history_absent = "water"
        dialled = "+18005550100"
        within_ms = 800
    "#;
    std::fs::write(&file, text).unwrap();
    let report = scenarios::play(&file, &at("configuration")).await.unwrap();
    assert!(!report.passed(), "{report}");
    let missed: Vec<_> = report.steps.iter().map(|step| (missed(step), step.checks.len())).collect();
    assert_eq!(missed, [(0, 1), (7, 7)], "{report}");
}

async fn play(name: &str) {
    let file = at("scenarios").join(name.replace('_', "-")).with_extension("toml");
    let report = scenarios::play(&file, &at("configuration")).await.unwrap();
    assert!(report.passed(), "{report}");
}

fn missed(step: &rehearsal::scenario::StepReport) -> usize {
    use rehearsal::scenario::Outcome;
    step.checks.iter().filter(|check| matches!(check.outcome, Outcome::Missed { .. })).count()
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
