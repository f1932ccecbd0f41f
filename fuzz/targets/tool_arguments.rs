//! Arguments as a model writes them, behind a line with the tool's schema: they fit, or the model is told why not without
//! their values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use trunkline::fuzzing::tools::check_arguments;

/// Five problems, each with its place.
const LONGEST_COMPLAINT: usize = 64 * 1024;

fuzz_target!(|text: &str| {
    let Some((schema, arguments)) = text.split_once('\n') else { return };
    let (Ok(schema), Ok(arguments)) =
        (serde_json::from_str::<Value>(schema), serde_json::from_str::<Value>(arguments))
    else {
        return;
    };
    let checked = check_arguments(&schema, &arguments);
    if let Err(complaint) = &checked {
        assert!(complaint.starts_with("Wrong arguments. ") && complaint.len() < LONGEST_COMPLAINT);
    }
    assert_eq!(checked, check_arguments(&schema, &arguments), "the same arguments get the same answer");
});
