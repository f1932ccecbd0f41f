//! What callers and the model say to each other while things go wrong: the same in every call, so that calls can be
//! compared. The answer to a line depends on nothing but the line.

use std::sync::Arc;
use std::time::Duration;

use rehearsal::bedrock::{Answer, BedrockOptions, Brain, ConverseRequest, Pace};
use rehearsal::load::{LoadObserver, ToolEndpoint};
use rehearsal::scenario::Configuration;
use serde_json::json;
use trunkline::store::DynamoDbStore;

use super::talk::Line;
use crate::samples;

pub(super) const USE_CASE: &str = "chaos";
/// What the agent says when it has no answer.
pub(super) const APOLOGY: &str = "Sorry, I have no answer to that.";
/// What callers hear who are turned away.
pub(super) const BUSY: &str = "All lines are taken.";
/// What the agent says when it is back and nothing was left unanswered.
pub(super) const RESUMED: &str = "I am back, please go on.";
const TOOL: &str = "look_up";
/// How many words an answer has, about.
const WORDS: usize = 24;
const FILLING: [&str; 8] = ["it", "goes", "on", "and", "on", "as", "stories", "do"];

/// A question that the model answers at once.
pub(super) fn question(topic: &str) -> Line {
    Line { says: format!("Tell me about {topic}, please."), last_words: closing(topic) }
}

/// A question for which the model needs its tool.
pub(super) fn question_to_look_up(topic: &str) -> Line {
    Line { says: format!("Look up what there is about {topic}, please."), last_words: closing(topic) }
}

/// A model that answers [`question`]s in the same words every time.
pub(super) fn model(pace: Pace) -> BedrockOptions {
    BedrockOptions { pace, brain: Arc::new(Storyteller), ..BedrockOptions::default() }
}

/// Writes the use case, whose tool works on every request for so long.
pub(super) async fn start_tool(store: &DynamoDbStore, working: Duration) -> anyhow::Result<ToolEndpoint> {
    let endpoint = ToolEndpoint::start_working(Arc::new(LoadObserver::new()), working).await?;
    let tool = json!({
        "toolSpec": {
            "name": TOOL,
            "description": "Looks something up.",
            "inputSchema": { "json": { "type": "object", "properties": { "call": { "type": "string" } } } },
        },
        "handler": { "type": "http", "url": endpoint.url(), "body": "arguments" },
    });
    let attributes = json!({
        "prompt": "You tell stories.",
        "tools": [tool],
        "messages": { "failure": APOLOGY, "busy": BUSY, "resumed": RESUMED },
        "conversationRelayParams": {
            "welcomeGreeting": "Hello, what may I tell you?",
            "interruptible": "any",
            "events": "speaker-events tokens-played",
        },
    });
    let attributes = attributes.as_object().cloned().unwrap_or_default();
    samples::change(&Configuration { use_case: USE_CASE.to_owned(), attributes }, store).await?;
    Ok(endpoint)
}

fn closing(topic: &str) -> String {
    format!("That was all about {topic}.")
}

/// Tells a story about whatever the caller's last words name, and looks it up before when told to.
#[derive(Debug)]
struct Storyteller;

impl Brain for Storyteller {
    fn answer(&self, request: &ConverseRequest) -> Answer {
        let words = request.last_user_text();
        // A caller who got no answer may have asked for two things by now; the last one counts.
        let asked = words.rsplit_once("about ").map_or("nothing", |(_, topic)| topic);
        let topic = asked.split(',').next().unwrap_or(asked);
        let looks_up = words.rfind("Look up") > words.rfind("Tell me");
        if looks_up && request.tool_results_of_last_message().is_empty() {
            let id = format!("look-up-{}", request.messages().len());
            return Answer::text("One moment, I look it up.").then_tool(id, TOOL, json!({ "call": "chaos" }));
        }
        let filling: Vec<&str> = FILLING.into_iter().cycle().take(WORDS).collect();
        Answer::text(format!("The story of {topic}: {}. {}", filling.join(" "), closing(topic)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn answer_to(messages: &Value) -> Answer {
        Storyteller.answer(&ConverseRequest::new("m", json!({ "messages": messages })))
    }

    #[test]
    fn the_last_question_is_answered_and_looked_up_when_told_to() {
        let plain = format!("{} {}", question_to_look_up("rain").says, question("snow").says);
        let plain = json!([{ "role": "user", "content": [{ "text": plain }] }]);
        assert!(answer_to(&plain).full_text().ends_with("That was all about snow."));
        assert!(answer_to(&plain).tool_calls().is_empty());
        let mut looked_up =
            json!([{ "role": "user", "content": [{ "text": question_to_look_up("rain").says }] }]);
        assert_eq!(answer_to(&looked_up).tool_calls().len(), 1);
        let result = json!({ "role": "user", "content": [{ "toolResult": { "toolUseId": "look-up-1" } }] });
        looked_up.as_array_mut().unwrap().push(result);
        let answer = answer_to(&looked_up);
        assert!(answer.tool_calls().is_empty());
        assert!(answer.full_text().ends_with("That was all about rain."));
    }
}
