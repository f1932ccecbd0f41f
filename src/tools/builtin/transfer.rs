//! The end of the agent's part: hanging up, and handing over to a person with what the person needs to know.

use serde_json::{Value, json};
use tracing::warn;
use voice_core::ports::{Effect, ToolRequest};
use voice_core::use_case::{DEFAULT_TARGET, HandoffTargets};
use voice_protocols::relay::Handoff;

use super::{listed, outgoing_text};
use crate::metrics::{Counter, Metrics};
use crate::tools::arguments::text;
use crate::tools::{Answer, Handled};

const LONGEST_REASON: usize = 500;
const LONGEST_SUMMARY: usize = 2000;

/// The carrier passes the reason on to whatever comes after the session.
pub(super) fn end_call(request: &ToolRequest) -> Answer {
    let mut handoff_data = json!({ "reasonCode": "end-call" });
    if let Some(reason) = outgoing_text(request, "reason", LONGEST_REASON) {
        handoff_data["reason"] = Value::from(reason);
    }
    let effect = Effect::EndCall { handoff_data: Some(handoff_data.to_string()) };
    Answer::with(json!({ "ended": true }), effect)
}

/// Only targets of the use case: a model never dials what it makes up.
pub(super) fn to_human(metrics: &Metrics, request: &ToolRequest) -> Handled {
    let targets = &request.use_case.handoff;
    let target = target(targets, text(request, "target")).inspect_err(|_| {
        metrics.count(Counter::TransfersRefused);
        warn!(call.sid = %request.call.call_sid, use_case = %request.use_case.name, tool = %request.tool.name, "a transfer to a target that is not listed was refused");
    })?;
    let handoff = Handoff {
        target,
        reason: &outgoing_text(request, "reason", LONGEST_REASON).unwrap_or_default(),
        summary: &outgoing_text(request, "summary", LONGEST_SUMMARY).unwrap_or_default(),
        call_sid: &request.call.call_sid,
        use_case: &request.use_case.name,
    };
    let effect = Effect::HandOff { handoff_data: handoff.to_json() };
    Ok(Answer::with(json!({ "transferring": true, "target": target }), effect))
}

fn target<'a>(targets: &'a HandoffTargets, asked_for: Option<&str>) -> Result<&'a str, String> {
    let only = || targets.keys().next().filter(|_| targets.len() == 1);
    let found = match asked_for {
        Some(name) => targets.get_key_value(name).map(|(name, _)| name),
        None => targets.get_key_value(DEFAULT_TARGET).map(|(name, _)| name).or_else(only),
    };
    found.map(String::as_str).ok_or_else(|| {
        if targets.is_empty() {
            "There is nobody to transfer this call to. Tell the caller, and help as far as you can."
                .to_owned()
        } else {
            format!("The call can only be transferred to one of: {}.", listed(targets.keys()))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use voice_core::use_case::{Destination, HandoffTarget, IfUnanswered, UseCase};

    use regex::Regex;

    use super::*;
    use crate::tools::testing;

    fn request(targets: &[&str], arguments: Value) -> ToolRequest {
        let target = || HandoffTarget {
            to: Destination::Queue { name: "support".to_owned() },
            announcement: None,
            if_unanswered: IfUnanswered::HangUp,
        };
        let mut use_case = UseCase::new("reception", "");
        use_case.handoff = targets.iter().map(|name| ((*name).to_owned(), target())).collect();
        use_case.storage.patterns = vec![Regex::new("PIN [0-9]+").unwrap()];
        let request = testing::request(testing::tool("t"), arguments);
        ToolRequest { use_case: Arc::new(use_case), ..request }
    }

    fn data(effect: Option<&Effect>) -> Value {
        let data = match effect {
            Some(Effect::HandOff { handoff_data } | Effect::EndCall { handoff_data: Some(handoff_data) }) => {
                handoff_data
            }
            other => panic!("no end: {other:?}"),
        };
        serde_json::from_str(data).unwrap()
    }

    #[test]
    fn a_person_is_told_what_the_call_is_about() {
        let arguments =
            json!({ "reason": "a refund", "summary": "Ada wants 12 euros back.", "target": "billing" });
        let answer = to_human(&Metrics::default(), &request(&["billing", "default"], arguments)).unwrap();
        let expected = json!({
            "reasonCode": "live-agent-handoff", "reason": "a refund", "target": "billing",
            "conversationSummary": "Ada wants 12 euros back.", "callSid": "CA1", "useCase": "reception",
        });
        assert_eq!(data(answer.effect.as_ref()), expected);
    }

    #[test]
    fn without_a_target_it_is_the_default_or_the_only_one() {
        for (targets, meant) in [(&["default", "other"][..], "default"), (&["other"], "other")] {
            let answer = to_human(&Metrics::default(), &request(targets, json!({ "target": " " }))).unwrap();
            assert_eq!(data(answer.effect.as_ref())["target"], meant);
        }
    }

    #[test]
    fn a_target_that_is_not_listed_is_refused_and_counted() {
        let metrics = Metrics::default();
        for (targets, asked_for) in
            [(&["a", "b"][..], json!("+14155550199")), (&["a", "b"], json!(null)), (&[], json!("a"))]
        {
            let refused = to_human(&metrics, &request(targets, json!({ "target": asked_for }))).unwrap_err();
            assert!(targets.iter().all(|target| refused.contains(target)), "{refused}");
        }
        assert_eq!(metrics.value(Counter::TransfersRefused), 3);
    }

    #[test]
    fn card_numbers_and_long_texts_stay_behind() {
        let summary = format!("{}4111 1111 1111 1111 and PIN 1234.", "x".repeat(LONGEST_SUMMARY - 8));
        let arguments = json!({ "summary": summary, "reason": "card 4111111111111111" });
        let answer = to_human(&Metrics::default(), &request(&["default"], arguments)).unwrap();
        let data = data(answer.effect.as_ref());
        let summary = data["conversationSummary"].as_str().unwrap();
        assert!(!summary.contains("4111") && summary.chars().count() == LONGEST_SUMMARY, "{summary}");
        assert_eq!(data["reason"], "card [card number]");
        let ended = end_call(&request(&[], json!({ "reason": "PIN 1234" })));
        let expected = json!({ "reasonCode": "end-call", "reason": "[redacted]" });
        assert_eq!(self::data(ended.effect.as_ref()), expected);
    }
}
