//! Limits, hours, storage and handing over: what they become, and what their authors are told.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::use_case::{
    Budget, CallerLimit, CallingHours, Keep, MaxDuration, OnMachine, OutboundRules, Silence,
};

use super::{parse, parsed, record_with};

#[test]
fn every_limit_is_read() {
    let use_case = parsed(&json!({
        "silence": {"afterSeconds": 7.5, "prompts": ["Hello?", "Still there?"]},
        "maxDurationSeconds": 600, "warnBeforeSeconds": 60,
        "budget": {"tokens": 50_000, "seconds": 900, "toolRuns": 20},
        "rateLimit": {"calls": 5, "minutes": 60},
    }))
    .use_case;
    let prompts = vec!["Hello?".to_owned(), "Still there?".to_owned()];
    assert_eq!(use_case.silence, Some(Silence { after: Duration::from_millis(7500), prompts }));
    let limit = MaxDuration { limit: Duration::from_mins(10), warn_before: Duration::from_mins(1) };
    assert_eq!(use_case.max_duration, Some(limit));
    let budget =
        Budget { tokens: Some(50_000), duration: Some(Duration::from_mins(15)), tool_runs: Some(20) };
    assert_eq!(use_case.budget, budget);
    assert_eq!(use_case.caller_limit, Some(CallerLimit { calls: 5, window: Duration::from_hours(1) }));
}

#[test]
fn limits_have_defaults() {
    let use_case = parsed(&json!({"silence": {"afterSeconds": 8}, "maxDurationSeconds": 40})).use_case;
    assert_eq!(use_case.silence.unwrap().prompts.len(), 1);
    assert_eq!(use_case.max_duration.unwrap().warn_before, Duration::from_secs(20), "within the call");
    let use_case = parsed(&json!({})).use_case;
    assert_eq!((use_case.silence, use_case.max_duration, use_case.caller_limit), (None, None, None));
    assert_eq!((use_case.budget, use_case.outbound), (Budget::default(), OutboundRules::default()));
    assert_eq!((use_case.storage.keep, use_case.storage.patterns.len()), (Keep::Words, 0));
}

#[test]
fn rules_of_outbound_calls_are_read() {
    let outbound = |rules: Value| parsed(&json!({ "outbound": rules })).use_case.outbound;
    let rules = outbound(json!({
        "callingHours": {"from": "09:00", "until": "20:00", "days": ["fri", "mon"], "timeZone": "America/New_York"},
        "machine": {"say": "Please call us back."},
    }));
    let hours = CallingHours {
        from_minute: 540,
        until_minute: 1200,
        days: vec![0, 4],
        time_zone: Some("America/New_York".to_owned()),
    };
    let machine = OnMachine::Say("Please call us back.".to_owned());
    assert_eq!(rules, OutboundRules { hours: Some(hours), machine });
    let always = outbound(json!({"callingHours": {"from": "00:00", "until": "24:00"}, "machine": "hangUp"}));
    assert_eq!(always.hours.unwrap().days, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(always.machine, OnMachine::HangUp);
}

#[test]
fn what_is_stored_is_read() {
    let storage =
        parsed(&json!({"storage": {"keep": "nothing", "redact": ["\\bA-\\d{10}\\b"]}})).use_case.storage;
    assert_eq!(storage.keep, Keep::Nothing);
    assert!(storage.patterns[0].is_match("account A-1234567890"));
}

#[test]
fn a_mistake_is_told_with_place_and_reason() {
    let hours = |name: &str, value: Value| {
        let mut hours = json!({"from": "09:00", "until": "17:00"});
        hours[name] = value;
        json!({"outbound": {"callingHours": hours}})
    };
    let target = |target: Value| json!({ "handoff": target });
    for (attributes, place, reason) in [
        (json!({"silence": 5}), "silence", "must be a map"),
        (json!({"silence": {}}), "silence.afterSeconds", "is missing"),
        (json!({"silence": {"afterSeconds": 1}}), "silence.afterSeconds", "from 2 to 120"),
        (json!({"silence": {"afterSeconds": 5, "prompts": [""]}}), "silence.prompts[0]", "is empty"),
        (json!({"silence": {"afterSeconds": 5, "prompts": vec!["x"; 11]}}), "silence.prompts", "at most 10"),
        (json!({"maxDurationSeconds": 29}), "maxDurationSeconds", "from 30 to 14400"),
        (json!({"maxDurationSeconds": 60, "warnBeforeSeconds": 60}), "warnBeforeSeconds", "less than"),
        (json!({"budget": {"tokens": 0}}), "budget.tokens", "whole number"),
        (json!({"budget": {"seconds": "60"}}), "budget.seconds", "whole number"),
        (json!({"budget": {"toolRuns": -1}}), "budget.toolRuns", "whole number"),
        (json!({"rateLimit": {"calls": 5}}), "rateLimit.minutes", "is missing"),
        (json!({"rateLimit": {"minutes": 5, "calls": 501}}), "rateLimit.calls", "from 1 to 500"),
        (json!({"outbound": {"machine": "beep"}}), "outbound.machine", "must be ignore, hangUp"),
        (json!({"outbound": {"machine": {}}}), "outbound.machine.say", "is missing"),
        (hours("from", json!("9 am")), "outbound.callingHours.from", "time of day"),
        (hours("until", json!(null)), "outbound.callingHours.until", "is missing"),
        (hours("until", json!("09:00")), "outbound.callingHours.until", "later than from"),
        (hours("days", json!([])), "outbound.callingHours.days", "is empty"),
        (hours("days", json!(["monday"])), "outbound.callingHours.days[0]", "must be one of mon"),
        (hours("days", json!(["mon", "mon"])), "outbound.callingHours.days[1]", "twice"),
        (hours("days", json!([1])), "outbound.callingHours.days[0]", "must be text"),
        (hours("timeZone", json!("Mars/Olympus")), "outbound.callingHours.timeZone", "no time zone"),
        (json!({"storage": {"keep": "all"}}), "storage.keep", "words or nothing"),
        (json!({"storage": {"redact": ["("]}}), "storage.redact[0]", "not a regular expression"),
        (json!({"storage": {"redact": ["a*"]}}), "storage.redact[0]", "found everywhere"),
        (json!({"storage": {"redact": ["(a{1000}){1000}"]}}), "storage.redact[0]", "too large"),
        (json!({"storage": {"redact": vec!["a"; 21]}}), "storage.redact", "at most 20"),
        (target(json!(5)), "handoff", "not a number"),
        (target(json!("front desk")), "handoff", "E.164"),
        (target(json!({})), "handoff", "exactly one of phone"),
        (target(json!({"phone": "+14155550100", "sip": "a@b"})), "handoff", "exactly one of phone"),
        (target(json!({"phone": "0800 1234"})), "handoff.phone", "E.164"),
        (target(json!({"sip": "nobody"})), "handoff.sip", "user@host"),
        (target(json!({"sip": "sip:a b@example.com"})), "handoff.sip", "user@host"),
        (target(json!({"queue": " "})), "handoff.queue", "is empty"),
        (target(json!({"workflow": "WW1"})), "handoff.workflow", "WW and 32"),
        (target(json!({"url": "http://a.example"})), "handoff.url", "https://"),
        (target(json!({"queue": "support", "warm": true})), "handoff.warm", "only with phone or sip"),
        (target(json!({"phone": "+14155550100", "warm": "yes"})), "handoff.warm", "true or false"),
        (target(json!({"phone": "+14155550100", "callerId": "Acme"})), "handoff.callerId", "E.164"),
        (
            target(json!({"phone": "+14155550100", "timeoutSeconds": 4})),
            "handoff.timeoutSeconds",
            "from 5 to 120",
        ),
        (target(json!({"sip": "a@b", "ifUnanswered": "retry"})), "handoff.ifUnanswered", "return or hangUp"),
        (
            target(json!({"sip": "a@b", "warm": true, "music": "http://a.example/x.mp3"})),
            "handoff.music",
            "https://",
        ),
        (target(json!({"targets": []})), "handoff.targets", "must be a map"),
        (target(json!({"targets": {"": "+14155550100"}})), "handoff.targets.", "must have a name"),
        (target(json!({"targets": {"a": "555"}})), "handoff.targets.a", "E.164"),
        (json!({"languages": [{"code": "es-US", "messages": 1}]}), "languages[0].messages", "must be a map"),
        (
            json!({"languages": [{"code": "es-US", "messages": {"busy": 1}}]}),
            "languages[0].messages.busy",
            "must be text",
        ),
    ] {
        let errors = parse(&record_with(&attributes)).expect_err(&attributes.to_string());
        let [error] = errors.as_slice() else { panic!("{attributes}: {errors:?}") };
        assert_eq!(error.path, place, "{attributes}");
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (attributes, place) in [
        (json!({"silence": {"afterSeconds": 5, "prompt": "x"}}), "silence.prompt"),
        (json!({"warnBeforeSeconds": 30}), "warnBeforeSeconds"),
        (json!({"budget": {"token": 1}}), "budget.token"),
        (json!({"rateLimit": {"calls": 1, "minutes": 1, "hours": 1}}), "rateLimit.hours"),
        (json!({"outbound": {"hours": {}}}), "outbound.hours"),
        (json!({"storage": {"days": 1}}), "storage.days"),
        (json!({"handoff": {"phone": "+14155550100", "name": "x"}}), "handoff.name"),
        (json!({"handoff": {"targets": {}, "phone": "+14155550100"}}), "handoff.phone"),
        (json!({"handoff": {"phone": "+14155550100", "music": "https://a.example/x.mp3"}}), "handoff.music"),
        (
            json!({"languages": [{"code": "es-US", "messages": {"bussy": "x"}}]}),
            "languages[0].messages.bussy",
        ),
    ] {
        let warnings = parse(&record_with(&attributes)).unwrap().warnings;
        assert_eq!(warnings.iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), [place], "{attributes}");
    }
}
