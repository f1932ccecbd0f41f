//! A guardrail's two halves: which text of a request it assesses and refuses, and the trace by which it tells what it
//! refused. It knows nothing but words; whatever else is to be refused, a script says.

use serde_json::{Value, json};

use super::answer::{Answer, Blocked};
use super::request::{ConverseRequest, GUARDED_TEXT, list, text_in};

/// What a guardrail says that was given no message of its own.
const MESSAGE: &str = "Sorry, the model cannot answer this question.";

/// The answer of the guardrail, when the request has one and it finds one of these words or phrases in what it assesses.
pub(super) fn refuse(refused: &[String], request: &ConverseRequest) -> Option<Answer> {
    request.body.get("guardrailConfig").filter(|config| !config.is_null())?;
    let assessed = assessed(request);
    let is_refused = refused.iter().any(|phrase| assessed.iter().any(|text| says(text, phrase)));
    is_refused.then(|| Answer::empty().then_blocked(Blocked::Input, MESSAGE))
}

/// The texts that a guardrail assesses: of the messages those that are marked for it, or all when none is; of the system
/// prompt only those that are marked. Results of tools are not assessed.
fn assessed(request: &ConverseRequest) -> Vec<&str> {
    let system = list(&request.body, "system");
    let messages: Vec<&Value> =
        request.messages().iter().flat_map(|message| list(message, "content")).collect();
    let is_selective = messages.iter().any(|block| block.get("guardContent").is_some());
    let in_messages = messages
        .into_iter()
        .filter_map(|block| if is_selective { marked_text(block) } else { text_in(block) });
    system.iter().filter_map(marked_text).chain(in_messages).collect()
}

fn marked_text(block: &Value) -> Option<&str> {
    block.pointer(GUARDED_TEXT)?.as_str()
}

/// Whether a text has a word or phrase in it, whatever its case and punctuation.
fn says(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (words(text), words(phrase));
    !phrase.is_empty() && text.windows(phrase.len()).any(|window| window == phrase)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The `trace` of the metadata, when something was refused and the request asked for one.
pub(super) fn trace(blocked: Option<Blocked>, request: &ConverseRequest) -> Option<Value> {
    let (blocked, config) = (blocked?, request.body.get("guardrailConfig")?);
    if !matches!(config.get("trace")?.as_str()?, "enabled" | "enabled_full") {
        return None;
    }
    let guardrail = config.get("guardrailIdentifier")?.as_str()?;
    let passed = json!({ "invocationMetrics": { "guardrailProcessingLatency": 1 } });
    let topic = json!({ "name": "refused by the stand-in", "type": "DENY", "action": "BLOCKED" });
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

    fn request(messages: &Value) -> ConverseRequest {
        let config = json!({ "guardrailIdentifier": "guard", "guardrailVersion": "1" });
        ConverseRequest::new("m", json!({ "guardrailConfig": config, "messages": messages }))
    }

    fn is_refused(request: &ConverseRequest) -> bool {
        refuse(&["credit card".to_owned()], request).is_some()
    }

    #[test]
    fn without_marks_all_text_of_the_messages_is_assessed() {
        let messages = json!([
            { "role": "user", "content": [{ "text": "My Credit-Card is stolen." }] },
            { "role": "assistant", "content": [{ "text": "I see." }] },
            { "role": "user", "content": [{ "text": "Hello" }] },
        ]);
        assert!(is_refused(&request(&messages)));
        let mut unguarded = request(&messages);
        unguarded.body["guardrailConfig"] = Value::Null;
        assert!(!is_refused(&unguarded), "who asks for no guardrail has none");
        let accredited = json!([{ "role": "user", "content": [{ "text": "accredit cards" }] }]);
        assert!(!is_refused(&request(&accredited)), "words are whole");
    }

    #[test]
    fn with_marks_only_what_is_marked_is_assessed() {
        let dialogue = |newest: &str| {
            json!([
                { "role": "user", "content": [{ "text": "My credit card is stolen." }] },
                { "role": "assistant", "content": [{ "text": "I see." }] },
                { "role": "user", "content": [{ "guardContent": { "text": { "text": newest } } }] },
            ])
        };
        assert!(!is_refused(&request(&dialogue("Hello"))));
        assert!(is_refused(&request(&dialogue("Take my credit card."))));
    }

    #[test]
    fn results_of_tools_and_an_unmarked_system_prompt_are_not_assessed() {
        let result = json!({ "toolUseId": "t", "content": [{ "text": "credit card" }] });
        let mut asked = request(&json!([{ "role": "user", "content": [{ "toolResult": result }] }]));
        asked.body["system"] = json!([{ "text": "Never take a credit card." }]);
        assert!(!is_refused(&asked));
        asked.body["system"] = json!([{ "guardContent": { "text": { "text": "Take a credit card." } } }]);
        assert!(is_refused(&asked));
    }

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
