//! Bodies of the operator API, and what sessions say when they end: what is taken keeps to its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::fuzzing::http::{handoff_data, order};

fuzz_target!(|body: &[u8]| {
    if let Some(order) = order(body) {
        for name in order.variables.expose().keys() {
            assert!(
                (1..=64).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            );
        }
        assert!(order.idempotency_key.is_none_or(|key| (1..=255).contains(&key.len())));
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    let (reason, _) = handoff_data(text);
    let is_a_word =
        |word: &str| word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(reason.is_none_or(|reason| is_a_word(&reason)), "it is logged and counted");
});
