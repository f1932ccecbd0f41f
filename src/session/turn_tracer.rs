//! Watches a session and says how each turn of the agent went, in parts.
//!
//! Pure: every observation carries its instant, and the wall clock is read once, by whoever makes the tracer. So no part
//! can be negative, and none jumps when the machine's clock is set. It decides nothing and never holds a word.

mod turn;

use std::time::{Duration, Instant, SystemTime};

use voice_core::message::{GenerationId, OutcomeStatus, RunId};
use voice_core::ports::{FailedAttempt, GenerationReport, Trigger, TurnEnd, TurnTrace};

use turn::{Cause, Turn};

/// What the driver has seen.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    /// The session goes on with a call that had begun before.
    Began(Trigger),
    /// The carrier hears the caller speaking, or no more.
    CallerSpeaking(bool),
    /// Final words are there.
    CallerSaid,
    KeyPressed,
    CallerInterrupted,
    /// The conversation goes on as another use case.
    UseCase(&'a str),
    GenerationStarted(GenerationId),
    /// The model has sent text that can be spoken.
    GenerationSpoke,
    /// The model asks for a tool.
    ToolAskedFor,
    AttemptFailed(FailedAttempt),
    /// With or without success; cancelled ones are cut off.
    GenerationEnded {
        report: &'a GenerationReport,
        how: Finish,
    },
    ToolStarted {
        run: &'a RunId,
        tool: &'a str,
    },
    /// `None` when it was cancelled or given up.
    ToolEnded {
        run: &'a RunId,
        status: Option<OutcomeStatus>,
    },
    /// Text went out to be spoken.
    TextSent(&'a str),
    /// The carrier plays, or no more.
    AgentSpeaking(bool),
    /// A clause was played to its end.
    Played(&'a str),
}

/// How a generation came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Completed,
    CutOff,
}

/// One per session.
#[derive(Debug)]
pub(super) struct TurnTracer {
    /// One moment, by the monotonic clock and by that of the wall.
    origin: (Instant, SystemTime),
    use_case: String,
    /// What the next turn reacts to.
    cause: Option<Cause>,
    /// When the caller was heard falling silent last, and speaking again.
    caller_paused: Option<Instant>,
    caller_spoke: Option<Instant>,
    turn: Option<Turn>,
    finished: Vec<TurnTrace>,
}

/// From falling silent to words no more than this can pass; what is longer belongs to a noise before.
const LONGEST_TRANSCRIPTION: Duration = Duration::from_secs(10);
/// A key that nothing was asked of the model for within this time was answered by the menu itself.
const KEYS_MATTER: Duration = Duration::from_secs(10);

impl TurnTracer {
    pub(super) fn new(now: Instant, wall: SystemTime, use_case: &str) -> Self {
        Self {
            origin: (now, wall),
            use_case: use_case.to_owned(),
            cause: None,
            caller_paused: None,
            caller_spoke: None,
            turn: None,
            finished: Vec::new(),
        }
    }

    pub(super) fn see(&mut self, now: Instant, seen: Seen<'_>) {
        match seen {
            Seen::Began(trigger) => self.cause = Some(Cause { trigger, at: now, transcription: None }),
            Seen::CallerSpeaking(true) => {
                self.caller_paused = None;
                self.caller_spoke = Some(now);
            }
            Seen::CallerSpeaking(false) => self.caller_paused = Some(now),
            Seen::CallerSaid => self.caller_said(now),
            Seen::KeyPressed => {
                if !self.turn.as_ref().is_some_and(Turn::waits_for_tools) {
                    self.cause = Some(Cause { trigger: Trigger::Key, at: now, transcription: None });
                }
            }
            Seen::UseCase(name) => name.clone_into(&mut self.use_case),
            Seen::GenerationStarted(id) => self.reaction(now, id).generation_started(now, id),
            Seen::ToolStarted { run, tool } => {
                self.reaction(now, run.generation).tool_started(now, run, tool);
            }
            of_a_turn => {
                if let Some(turn) = &mut self.turn {
                    turn.see(now, of_a_turn);
                }
            }
        }
    }

    /// The conversation has reacted to all that was seen: a turn to which nothing more can come is over.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some((end, at)) = self.turn.as_ref().and_then(|turn| turn.is_over(now)) {
            self.finish(end, at);
        }
    }

    /// The session ends.
    pub(super) fn leave(&mut self, now: Instant) {
        if let Some((end, at)) = self.turn.as_ref().map(|turn| turn.left(now)) {
            self.finish(end, at);
        }
    }

    /// A turn that is over, oldest first.
    pub(super) fn take_finished(&mut self) -> Option<TurnTrace> {
        if self.finished.is_empty() { None } else { Some(self.finished.remove(0)) }
    }

    fn caller_said(&mut self, now: Instant) {
        // What is said while tools run is answered together with their outcomes.
        if self.turn.as_ref().is_some_and(Turn::waits_for_tools) {
            return;
        }
        self.replace_turn(now);
        let paused = self.caller_paused.take().map(|paused| now.saturating_duration_since(paused));
        let transcription = paused.filter(|took| *took <= LONGEST_TRANSCRIPTION);
        self.cause = Some(Cause { trigger: Trigger::Words, at: now, transcription });
    }

    /// The turn that a generation or a tool belongs to: the one that goes on, or a new one.
    fn reaction(&mut self, now: Instant, id: GenerationId) -> &mut Turn {
        self.cause.take_if(|cause| {
            cause.trigger == Trigger::Key && now.saturating_duration_since(cause.at) > KEYS_MATTER
        });
        if self.cause.is_some() || !self.turn.as_ref().is_some_and(Turn::goes_on) {
            self.replace_turn(now);
        }
        // Nothing was said and no key was pressed: an interruption that no words followed is answered.
        let nothing = Cause { trigger: Trigger::Silence, at: now, transcription: None };
        let cause = self.cause.take();
        self.turn.get_or_insert_with(|| Turn::new(id, &self.use_case, cause.unwrap_or(nothing)))
    }

    /// Something new begins, which ends the turn before it.
    fn replace_turn(&mut self, now: Instant) {
        let caller_spoke = self.caller_spoke;
        if let Some((end, at)) = self.turn.as_ref().map(|turn| turn.replaced(now, caller_spoke)) {
            self.finish(end, at);
        }
    }

    fn finish(&mut self, end: TurnEnd, at: Instant) {
        let (origin, wall) = self.origin;
        if let Some(turn) = self.turn.take() {
            let started_at = wall + turn.started().saturating_duration_since(origin);
            self.finished.push(turn.into_trace(started_at, end, at));
        }
    }
}

#[cfg(test)]
mod tests;
