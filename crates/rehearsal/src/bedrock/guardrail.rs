//! The trace by which a guardrail tells what it refused. The stand-in judges nothing: a script says what is refused.

use serde_json::{Value, json};

use super::answer::Blocked;
use super::request::ConverseRequest;

/// The `trace` of the metadata, when something was refused and the request asked for one.
pub(super) fn trace(blocked: Option<Blocked>, request: &ConverseRequest) -> Option<Value> {
    let (blocked, config) = (blocked?, request.body.get("guardrailConfig")?);
    if !matches!(config.get("trace")?.as_str()?, "enabled" | "enabled_full") {
        return None;
    }
    let guardrail = config.get("guardrailIdentifier")?.as_str()?;
    let passed = json!({ "invocationMetrics": { "guardrailProcessingLatency": 1 } });
    let topic = json!({ "name": "refused by the script", "type": "DENY", "action": "BLOCKED" });
    let refused = json!({ "topicPolicy": { "topics": [topic] } });
    let assessments = match blocked {
        Blocked::Input => json!({ "inputAssessment": { guardrail: refused } }),
        Blocked::Output => json!({
            "inputAssessment": { guardrail: passed },
            "outputAssessments": { guardrail: [refused] },
        }),
    };
    Some(json!({ "guardrail": assessments }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_for_those_who_ask_and_names_their_guardrail() {
        let asked = |trace: &str| {
            let config = json!({ "guardrailIdentifier": "guard", "guardrailVersion": "1", "trace": trace });
            ConverseRequest::new("m", json!({ "guardrailConfig": config }))
        };
        let told = trace(Some(Blocked::Input), &asked("enabled")).unwrap();
        let topic = &told["guardrail"]["inputAssessment"]["guard"]["topicPolicy"]["topics"][0];
        assert_eq!(topic["action"], "BLOCKED");
        assert_eq!(trace(Some(Blocked::Output), &asked("disabled")), None);
        assert_eq!(trace(None, &asked("enabled")), None);
        assert_eq!(trace(Some(Blocked::Input), &ConverseRequest::new("m", json!({}))), None);
    }
}
