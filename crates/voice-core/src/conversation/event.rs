//! What goes into a conversation and what comes out of it. Both enums are closed on purpose.

mod printed;

use std::sync::Arc;

use serde_json::Value;

use crate::history::Record;
use crate::message::{GenerationId, RunId};
use crate::ports::{Blocked, SessionChange, ToolResult};
use crate::use_case::{Tool, UseCase};

#[derive(Clone, PartialEq)]
pub enum Event {
    /// A final utterance. A sentence may come as several.
    CallerSaid {
        text: String,
        /// As the carrier heard it: a BCP 47 tag, or only its primary part.
        language: Option<String>,
    },
    /// The caller is heard speaking; words may follow.
    CallerSpeaking,
    /// The caller is not heard any more.
    CallerPaused,
    /// The caller talked over the agent and the carrier dropped what it had not played. `heard` is the fragment of the
    /// clause that was cut; clauses before it came as [`Event::Played`].
    CallerInterrupted {
        heard: String,
    },
    /// One key of the keypad.
    KeyPressed {
        key: char,
    },
    /// A clause was played to its end.
    Played {
        text: String,
    },
    GenerationText {
        generation: GenerationId,
        text: String,
    },
    /// A complete tool call; `arguments` is JSON text as the model wrote it.
    GenerationToolCall {
        generation: GenerationId,
        id: String,
        name: String,
        arguments: String,
    },
    GenerationFinished {
        generation: GenerationId,
        /// Tokens of this generation, read and written.
        tokens: u64,
        /// A guardrail stood in its way, and what it says instead was held back.
        blocked: Option<Blocked>,
    },
    GenerationFailed {
        generation: GenerationId,
    },
    /// What a generation that came to no end, because it was cancelled or failed, has cost as far as can be told.
    TokensSpent {
        tokens: u64,
    },
    ToolFinished {
        run: RunId,
        result: ToolResult,
    },
    /// The carrier lost the session for a moment and has it again. What it had not played is gone.
    Reconnected,
    /// The caller is gone, or the session is: another one may go on with the call.
    CallerHungUp,
    /// The instant last returned by `next_deadline` has passed.
    DeadlineReached,
}

#[derive(Clone, PartialEq)]
pub enum Action {
    /// Ask the model to answer the history as it is now.
    StartGeneration {
        generation: GenerationId,
    },
    CancelGeneration {
        generation: GenerationId,
    },
    StartTool {
        run: RunId,
        tool: Arc<Tool>,
        input: Value,
    },
    CancelTool {
        run: RunId,
    },
    /// Send text to be spoken; `last` ends the talk cycle.
    Say {
        text: String,
        last: bool,
    },
    /// Go on in one of the use case's languages; `hear` when the caller is to be understood in it as well.
    SwitchLanguage {
        code: String,
        hear: bool,
    },
    SendDigits {
        digits: String,
    },
    /// Play the recording at this URL, behind what was said.
    Play {
        source: String,
    },
    /// Generations and tools are those of this use case from now on.
    ChangeUseCase(Arc<UseCase>),
    /// Write to the journal.
    Record(Record),
    /// Write what outlives the session, in order with the records.
    Remember(SessionChange),
    End(EndReason),
}

#[derive(Clone, PartialEq, Eq)]
pub enum EndReason {
    CallerHungUp,
    /// The agent ended the call.
    AgentEnded {
        handoff_data: Option<String>,
    },
    /// The call goes to a person.
    HandedOff {
        handoff_data: String,
    },
    /// No model answered, and the call goes to this target of the use case.
    Rescued {
        target: String,
    },
    /// The caller fell silent.
    CallerSilent,
    /// The call lasted as long as it may.
    TimeUp,
    /// The call cost as much as it may.
    BudgetSpent,
}
