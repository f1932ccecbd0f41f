//! The one live generation: its words, its tool calls, and how it ends.

use std::time::Instant;

use super::patience::Patience;
use super::rescue::Rescuers;
use super::tool_runs::Waiter;
use super::{Action, Arguments, Conversation, EndReason, Phase};
use crate::history::Sequence;
use crate::message::{GenerationId, ToolCall, ToolCallId};
use crate::ports::Blocked;
use crate::speech_filter::SpeechFilter;
use crate::use_case::Sentences;

#[derive(Debug)]
pub(super) struct Generation {
    id: GenerationId,
    /// How often tools have run since the caller last spoke.
    round: u32,
    filter: SpeechFilter,
    patience: Patience,
    /// The agent's message, once it has a word.
    message: Option<Sequence>,
    tool_calls: Vec<(ToolCall, Arguments)>,
}

/// What Bedrock takes as the name of a tool or the id of a call.
const LONGEST_NAME: usize = 64;
/// After this many rounds of tools in one turn no more are run: the model is told to answer.
pub(super) const MAX_TOOL_ROUNDS: u32 = 8;

impl Generation {
    pub(super) const fn id(&self) -> GenerationId {
        self.id
    }

    pub(super) const fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) const fn patience_mut(&mut self) -> &mut Patience {
        &mut self.patience
    }
}

impl Conversation {
    /// Asks the model to answer. A call that has cost what it may gets no answer to new words, only the end.
    pub(super) fn generate(&mut self, now: Instant, round: u32, actions: &mut Vec<Action>) {
        self.generate_after(now, round, Patience::new(now), actions);
    }

    /// The same for a caller who has been waiting already, while tools ran.
    pub(super) fn generate_after(
        &mut self,
        now: Instant,
        round: u32,
        patience: Patience,
        actions: &mut Vec<Action>,
    ) {
        self.interrupted_at = None;
        if round == 0 && self.tokens_are_spent() {
            return self.close(now, EndReason::BudgetSpent, self.sentences().limit.clone(), actions);
        }
        let id = self.new_generation_id();
        self.phase = Phase::Generating(Generation {
            id,
            round,
            filter: SpeechFilter::default(),
            patience,
            message: None,
            tool_calls: Vec::new(),
        });
        actions.push(Action::StartGeneration { generation: id });
    }

    /// Cancels the live generation; what it said so far is a message.
    pub(super) fn stop_generation(&mut self, actions: &mut Vec<Action>) {
        let Phase::Generating(generation) = &self.phase else { return };
        let (id, said_something) = (generation.id, generation.message.is_some());
        self.phase = Phase::Listening;
        actions.push(Action::CancelGeneration { generation: id });
        if said_something {
            self.history.close_agent(Vec::new());
            self.end_talk_cycle(actions);
        }
    }

    pub(super) fn generation_text(
        &mut self,
        now: Instant,
        id: GenerationId,
        text: &str,
        actions: &mut Vec<Action>,
    ) {
        if let Phase::Generating(live) = &mut self.phase
            && live.id == id
        {
            let speakable = live.filter.push(text);
            self.say_generated(now, speakable, actions);
        }
    }

    /// Speaks words of the live generation.
    fn say_generated(&mut self, now: Instant, text: String, actions: &mut Vec<Action>) {
        let Phase::Generating(live) = &mut self.phase else {
            return;
        };
        if text.is_empty() {
            return;
        }
        live.patience.renew(now);
        let message = *live.message.get_or_insert_with(|| self.history.open_agent());
        self.history.append_agent(&text);
        self.say(now, Some(message), text, actions);
    }

    pub(super) fn generation_tool_call(
        &mut self,
        id: GenerationId,
        call_id: &str,
        name: &str,
        arguments: &str,
    ) {
        let Phase::Generating(live) = &mut self.phase else {
            return;
        };
        let call_id = ToolCallId(legal(call_id));
        if live.id != id || live.tool_calls.iter().any(|(call, _)| call.id == call_id) {
            return;
        }
        let (input, arguments) = match serde_json::from_str(arguments) {
            Ok(input @ serde_json::Value::Object(_)) => (input, Arguments::Sound),
            _ if arguments.trim().is_empty() => (serde_json::json!({}), Arguments::Sound),
            _ => (serde_json::json!({}), Arguments::Broken),
        };
        live.tool_calls.push((ToolCall { id: call_id, name: legal(name), input }, arguments));
    }

    pub(super) fn generation_finished(
        &mut self,
        now: Instant,
        id: GenerationId,
        tokens: u64,
        blocked: Option<Blocked>,
        actions: &mut Vec<Action>,
    ) {
        let rest = match &mut self.phase {
            Phase::Generating(live) if live.id == id => live.filter.finish(),
            _ => return,
        };
        self.rescuers = Rescuers::Unasked;
        self.limits.count_tokens(tokens);
        if let Some(blocked) = blocked {
            if blocked == Blocked::Input {
                self.history.withhold_callers_words(WITHHELD);
            }
            let sentence = refusal(self.sentences(), blocked).to_owned();
            return self.answer_instead(now, sentence, actions);
        }
        self.say_generated(now, rest, actions);
        let Phase::Generating(generation) = std::mem::replace(&mut self.phase, Phase::Listening) else {
            return;
        };
        let calls = generation.tool_calls;
        if calls.is_empty() || generation.round > MAX_TOOL_ROUNDS {
            if generation.message.is_none() {
                // Neither a word nor something to do: silence would be the worst answer.
                return self.apologise(now, actions);
            }
            self.history.close_agent(Vec::new());
            return self.end_talk_cycle(actions);
        }
        if generation.message.is_none() {
            self.history.open_agent();
        }
        self.history.close_agent(calls.iter().map(|(call, _)| call.clone()).collect());
        self.end_talk_cycle(actions);
        let Generation { id, round, patience, .. } = generation;
        self.run_tools(now, Waiter { generation: id, round, patience }, calls, actions);
    }

    /// The model did not answer: the caller hears a sentence instead.
    pub(super) fn apologise(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.answer_instead(now, self.sentences().failure.clone(), actions);
    }

    /// Ends the agent's message with a sentence that the model did not write. Its tool calls are forgotten.
    pub(super) fn answer_instead(&mut self, now: Instant, sentence: String, actions: &mut Vec<Action>) {
        let open = match std::mem::replace(&mut self.phase, Phase::Listening) {
            Phase::Generating(generation) => generation.message,
            _ => None,
        };
        let (message, sentence) = match open {
            Some(message) => (message, format!(" {sentence}")),
            None => (self.history.open_agent(), sentence),
        };
        self.history.append_agent(&sentence);
        self.history.close_agent(Vec::new());
        self.say(now, Some(message), sentence, actions);
        self.end_talk_cycle(actions);
    }
}

/// Stands for words that a guardrail refused: in the next turn nobody would assess them again.
const WITHHELD: &str = "(The caller said something that may not be talked about.)";

/// What is said when a guardrail stood in the way.
fn refusal(sentences: &Sentences, blocked: Blocked) -> &str {
    let (input, output) = (sentences.blocked_input.as_deref(), sentences.blocked_output.as_deref());
    let (first, second) = match blocked {
        Blocked::Input => (input, output),
        Blocked::Output => (output, input),
    };
    first.or(second).unwrap_or(&sentences.failure)
}

/// A name that may stand in a dialogue. A model can make up any, and one that its API refuses would end every later turn.
fn legal(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().map(legal).take(LONGEST_NAME).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}
