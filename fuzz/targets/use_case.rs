//! The record of a use case, as DynamoDB JSON or plain: it is read or refused with reasons, whatever stands in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use trunkline::catalog::dynamodb_json::{from_dynamodb, to_dynamodb};
use trunkline::catalog::profile_item::{parse_number, parse_profile};
use trunkline::catalog::use_case_item::parse_use_case;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    if let Ok(item) = from_dynamodb(&value) {
        assert_eq!(
            from_dynamodb(&to_dynamodb(&item)).as_ref(),
            Ok(&item),
            "what was unwrapped can be wrapped"
        );
        read(&item);
    }
    if let Value::Object(item) = value {
        read(&item);
    }
});

fn read(item: &Map<String, Value>) {
    match parse_use_case(item) {
        Ok(parsed) => {
            assert!(!parsed.use_case.name.trim().is_empty(), "a use case has a name");
            let again = parse_use_case(item).map(|again| again.use_case);
            assert_eq!(again.as_ref(), Ok(&parsed.use_case), "the same record is the same use case");
        }
        Err(problems) => assert!(!problems.is_empty(), "what is refused has a reason"),
    }
    let _ = parse_profile(item);
    let _ = parse_number(item);
}
