//! Turns an answer into the exact sequence of events, waits and faults that a stream would show. It is pure:
//! time passes and bytes move elsewhere.

use std::time::Duration;

use serde_json::{Value, json};

use super::Pace;
use super::answer::{Answer, Part};
use super::guardrail;
use super::request::ConverseRequest;
use super::usage::usage;

/// How many characters of a tool's input go in one event.
const INPUT_FRAGMENT: usize = 12;

/// One thing to do while an answer is streamed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cue {
    /// Let time pass.
    Wait(Duration),
    /// Send an event.
    Event { name: &'static str, payload: Value },
    /// Send an event that carries a token of text, counted from 0.
    Token { index: u32, payload: Value },
    /// Send an exception; nothing follows it.
    Exception { name: String, message: String },
    /// Do nothing more, with the connection open.
    Stall,
    /// Abort the connection.
    Cut,
}

/// Plans an answer at a pace. The request is what the usage is counted from.
pub(super) fn plan(answer: &Answer, pace: Pace, request: &ConverseRequest) -> Vec<Cue> {
    let mut planner = Planner::new(pace.between_tokens);
    planner.wait(answer.first_token.unwrap_or(pace.first_token));
    for part in &answer.parts {
        match part {
            Part::Text(tokens) => planner.text(tokens),
            Part::Tool { id, name, input } => planner.tool(id, name, input),
            Part::Pause(length) => planner.wait(*length),
            Part::Stall => return planner.end_with(Cue::Stall),
            Part::Cut => return planner.end_with(Cue::Cut),
            Part::Exception { name, message } => {
                return planner.end_with(Cue::Exception { name: name.clone(), message: message.clone() });
            }
        }
    }
    planner.finish(answer, request)
}

/// What Converse calls the reason for which the answer ended.
pub(super) fn stop_reason(answer: &Answer) -> &str {
    let calls_tool = answer.parts.iter().any(|part| matches!(part, Part::Tool { .. }));
    let derived = if calls_tool { "tool_use" } else { "end_turn" };
    answer.stop_reason.as_deref().unwrap_or(derived)
}

struct Planner {
    cues: Vec<Cue>,
    between_tokens: Duration,
    /// All waits so far, which is what the answer takes.
    waited: Duration,
    stage: Stage,
    /// The index of the content block that is open or comes next.
    block: u32,
    /// Tokens of text so far.
    text_tokens: u32,
    /// Tokens so far, fragments of tool inputs included.
    tokens: u32,
}

/// Where in the message the plan is.
#[derive(PartialEq)]
enum Stage {
    BeforeMessage,
    BetweenBlocks,
    InText,
}

impl Planner {
    fn new(between_tokens: Duration) -> Self {
        Self {
            cues: Vec::new(),
            between_tokens,
            waited: Duration::ZERO,
            stage: Stage::BeforeMessage,
            block: 0,
            text_tokens: 0,
            tokens: 0,
        }
    }

    fn text(&mut self, tokens: &[String]) {
        for token in tokens {
            self.start_message();
            // Models send no contentBlockStart for text: a text block starts with its first delta.
            self.stage = Stage::InText;
            self.pace();
            let payload = json!({"contentBlockIndex": self.block, "delta": {"text": token}});
            self.cues.push(Cue::Token { index: self.text_tokens, payload });
            self.text_tokens += 1;
        }
    }

    fn tool(&mut self, id: &str, name: &str, input: &str) {
        self.start_message();
        self.close_text();
        let start = json!({"toolUse": {"toolUseId": id, "name": name}});
        self.event("contentBlockStart", json!({"contentBlockIndex": self.block, "start": start}));
        for fragment in fragments(input) {
            self.pace();
            let delta = json!({"toolUse": {"input": fragment}});
            self.event("contentBlockDelta", json!({"contentBlockIndex": self.block, "delta": delta}));
        }
        self.close_block();
    }

    fn finish(mut self, answer: &Answer, request: &ConverseRequest) -> Vec<Cue> {
        self.start_message();
        self.close_text();
        self.event("messageStop", json!({"stopReason": stop_reason(answer)}));
        let latency = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX);
        let usage = usage(request, self.tokens);
        let mut metadata = json!({"usage": usage, "metrics": {"latencyMs": latency}});
        if let Some(trace) = guardrail::trace(answer.blocked, request) {
            metadata["trace"] = trace;
        }
        self.event("metadata", metadata);
        self.cues
    }

    fn end_with(mut self, cue: Cue) -> Vec<Cue> {
        self.cues.push(cue);
        self.cues
    }

    fn start_message(&mut self) {
        if self.stage == Stage::BeforeMessage {
            self.stage = Stage::BetweenBlocks;
            self.event("messageStart", json!({"role": "assistant"}));
        }
    }

    fn close_text(&mut self) {
        if self.stage == Stage::InText {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        self.event("contentBlockStop", json!({"contentBlockIndex": self.block}));
        self.stage = Stage::BetweenBlocks;
        self.block += 1;
    }

    /// Counts a token, and waits before it unless it is the first.
    fn pace(&mut self) {
        if self.tokens > 0 {
            self.wait(self.between_tokens);
        }
        self.tokens += 1;
    }

    fn wait(&mut self, length: Duration) {
        if !length.is_zero() {
            self.waited += length;
            self.cues.push(Cue::Wait(length));
        }
    }

    fn event(&mut self, name: &'static str, payload: Value) {
        self.cues.push(Cue::Event { name, payload });
    }
}

/// Cuts a tool's input where a model might: anywhere but inside a character. Without input there is one empty
/// fragment, as models send it.
fn fragments(input: &str) -> Vec<String> {
    let characters: Vec<char> = input.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }
    characters.chunks(INPUT_FRAGMENT).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(answer: &Answer, pace: Pace) -> Vec<Cue> {
        plan(answer, pace, &ConverseRequest::new("m", json!({})))
    }

    fn names(cues: &[Cue]) -> Vec<&str> {
        cues.iter()
            .map(|cue| match cue {
                Cue::Wait(_) => "wait",
                Cue::Event { name, .. } => name,
                Cue::Token { .. } => "token",
                Cue::Exception { .. } => "exception",
                Cue::Stall => "stall",
                Cue::Cut => "cut",
            })
            .collect()
    }

    #[test]
    fn text_then_a_tool_are_two_blocks() {
        let answer = Answer::text("One").then_text(" moment").then_tool("t", "f", json!({"a": 1}));
        let cues = planned(&answer, Pace::default());
        assert_eq!(
            names(&cues),
            [
                "messageStart",
                "token",
                "token",
                "contentBlockStop",
                "contentBlockStart",
                "contentBlockDelta",
                "contentBlockStop",
                "messageStop",
                "metadata"
            ]
        );
        let Cue::Event { payload, .. } = &cues[4] else { panic!("{cues:?}") };
        assert_eq!(payload["contentBlockIndex"], 1);
        assert!(
            cues.contains(&Cue::Event { name: "messageStop", payload: json!({"stopReason": "tool_use"}) })
        );
    }

    #[test]
    fn waits_stand_before_the_first_token_and_between_tokens() {
        let pace =
            Pace { first_token: Duration::from_millis(300), between_tokens: Duration::from_millis(20) };
        let cues = planned(&Answer::text("a b c"), pace);
        assert_eq!(names(&cues)[..7], ["wait", "messageStart", "token", "wait", "token", "wait", "token"]);
        assert_eq!(cues[0], Cue::Wait(pace.first_token));
        let Some(Cue::Event { payload, .. }) = cues.last() else { panic!("{cues:?}") };
        assert_eq!(payload["metrics"]["latencyMs"], 340);
        assert_eq!(payload["usage"]["outputTokens"], 3);
    }

    #[test]
    fn a_slow_first_token_overrides_the_pace() {
        let cues = planned(&Answer::text("a").slow_first_token(Duration::from_secs(9)), Pace::default());
        assert_eq!(cues[0], Cue::Wait(Duration::from_secs(9)));
    }

    #[test]
    fn nothing_follows_a_fault() {
        let text = || Answer::text("a");
        assert_eq!(names(&planned(&text().stall().then_text("b"), Pace::default())).last(), Some(&"stall"));
        assert_eq!(names(&planned(&text().cut().then_text("b"), Pace::default())).last(), Some(&"cut"));
        assert_eq!(names(&planned(&Answer::empty().exception("x", "y"), Pace::default())), ["exception"]);
        assert_eq!(names(&planned(&Answer::stall_before_first_token(), Pace::default())), ["stall"]);
    }

    #[test]
    fn an_input_is_fragmented_between_characters() {
        let input = "{\"street\":\"Äußere Brücke 12\"}";
        assert!(fragments(input).len() > 1);
        assert_eq!(fragments(input).concat(), input);
        assert_eq!(fragments(""), [""]);
    }
}
