//! One turn while it goes on: what has happened in it, and whether it is over.

use std::time::{Duration, Instant, SystemTime};

use voice_core::message::{GenerationId, OutcomeStatus, RunId};
use voice_core::ports::{GenerationReport, GenerationTrace, ToolTrace, Trigger, TurnEnd, TurnTrace};

use super::{Finish, Seen};

/// What a turn reacts to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) trigger: Trigger,
    pub(super) at: Instant,
    pub(super) transcription: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Turn {
    id: GenerationId,
    use_case: String,
    cause: Cause,
    generations: Vec<GenerationTrace>,
    tools: Vec<ToolTrace>,
    stage: Stage,
    speech: Option<Speech>,
    interrupted: Option<Instant>,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// More of the model.
    Generating { asked_for_tools: bool },
    /// Outcomes of tools, behind which the model goes on.
    Tools,
    /// Nothing but the end of what is being spoken.
    Speaking,
}

/// What the agent says in the turn.
#[derive(Debug)]
struct Speech {
    first_text: Instant,
    last_text: Instant,
    first_audio: Option<Instant>,
    /// The carrier has stopped playing.
    silent: Option<Instant>,
    /// Letters and digits that went out.
    sent: usize,
    /// Those that were played; absent when the carrier does not tell.
    played: Option<usize>,
    /// All of it was played.
    heard: Option<Instant>,
}

impl Turn {
    pub(super) fn new(id: GenerationId, use_case: &str, cause: Cause) -> Self {
        Self {
            id,
            use_case: use_case.to_owned(),
            cause,
            generations: Vec::new(),
            tools: Vec::new(),
            stage: Stage::Speaking,
            speech: None,
            interrupted: None,
        }
    }

    pub(super) const fn started(&self) -> Instant {
        self.cause.at
    }

    pub(super) fn generation_started(&mut self, now: Instant, id: GenerationId) {
        self.stage = Stage::Generating { asked_for_tools: false };
        self.generations.push(GenerationTrace {
            id,
            begun: self.since(now),
            first_text: None,
            ended: None,
            model: None,
            stop_reason: None,
            usage: None,
            estimated: false,
            failed_attempts: Vec::new(),
        });
    }

    pub(super) fn tool_started(&mut self, now: Instant, run: &RunId, tool: &str) {
        self.stage = Stage::Tools;
        let (run, tool, begun) = (run.clone(), tool.to_owned(), self.since(now));
        self.tools.push(ToolTrace { run, tool, begun, ended: None, status: None });
    }

    pub(super) fn see(&mut self, now: Instant, seen: Seen<'_>) {
        match seen {
            Seen::CallerInterrupted => self.interrupted = self.interrupted.or(Some(now)),
            Seen::GenerationSpoke => {
                let since = self.since(now);
                if let Some(generation) = self.live_generation() {
                    generation.first_text.get_or_insert(since);
                }
            }
            Seen::ToolAskedFor => {
                if let Stage::Generating { asked_for_tools } = &mut self.stage {
                    *asked_for_tools = true;
                }
            }
            Seen::AttemptFailed(attempt) => {
                if let Some(generation) = self.live_generation() {
                    generation.failed_attempts.push(attempt);
                }
            }
            Seen::GenerationEnded { report, how } => self.generation_ended(now, report, how),
            Seen::ToolEnded { run, status } => self.tool_ended(now, run, status),
            Seen::TextSent(text) => self.text_sent(now, letters(text)),
            Seen::AgentSpeaking(true) => {
                if let Some(speech) = &mut self.speech {
                    speech.first_audio.get_or_insert(now);
                    speech.silent = None;
                }
            }
            Seen::AgentSpeaking(false) => {
                if let Some(speech) = &mut self.speech {
                    speech.silent = Some(now);
                }
            }
            Seen::Played(text) => {
                if let Some(speech) = &mut self.speech {
                    speech.played(now, letters(text));
                }
            }
            Seen::Began(_)
            | Seen::CallerSpeaking(_)
            | Seen::CallerSaid
            | Seen::KeyPressed
            | Seen::UseCase(_)
            | Seen::GenerationStarted(_)
            | Seen::ToolStarted { .. } => {}
        }
    }

    /// Whether tools run whose outcomes the model waits for.
    pub(super) fn waits_for_tools(&self) -> bool {
        self.stage == Stage::Tools && self.interrupted.is_none() && self.is_running_tools()
    }

    /// Whether a generation that nothing else asked for belongs to it.
    pub(super) fn goes_on(&self) -> bool {
        self.interrupted.is_none() && self.stage != Stage::Speaking
    }

    /// How and when it ended, if nothing more can come.
    pub(super) fn is_over(&self, now: Instant) -> Option<(TurnEnd, Instant)> {
        let waits = match self.stage {
            Stage::Tools if self.interrupted.is_some() => self.is_running_tools(),
            Stage::Generating { .. } | Stage::Tools => true,
            Stage::Speaking => false,
        };
        if waits {
            return None;
        }
        match (&self.speech, self.interrupted) {
            (Some(_), Some(interrupted)) => Some((TurnEnd::Interrupted, interrupted)),
            (None, _) => Some((TurnEnd::Superseded, now)),
            (Some(speech), None) => speech.heard().map(|heard| (TurnEnd::Heard, heard)),
        }
    }

    /// How it ends when the next turn begins before this one was seen to end.
    pub(super) fn replaced(&self, now: Instant, caller_spoke: Option<Instant>) -> (TurnEnd, Instant) {
        let Some(speech) = &self.speech else { return (TurnEnd::Superseded, now) };
        if let Some(interrupted) = self.interrupted {
            return (TurnEnd::Interrupted, interrupted);
        }
        if let Stage::Generating { .. } = self.stage {
            return (TurnEnd::Interrupted, now);
        }
        // The caller answers, so it was heard; when, is known the better the more the carrier tells.
        let behind = |at: &Instant| *at >= speech.last_text;
        let heard = speech.heard().or(speech.silent.filter(behind)).or(caller_spoke.filter(behind));
        (TurnEnd::Heard, heard.unwrap_or(now))
    }

    /// How it ends when the session does.
    pub(super) fn left(&self, now: Instant) -> (TurnEnd, Instant) {
        match (&self.speech, self.interrupted, self.stage) {
            (Some(_), Some(interrupted), _) => (TurnEnd::Interrupted, interrupted),
            (Some(speech), None, Stage::Speaking | Stage::Tools) => {
                speech.heard().map_or((TurnEnd::Left, now), |heard| (TurnEnd::Heard, heard))
            }
            _ => (TurnEnd::Left, now),
        }
    }

    pub(super) fn into_trace(self, started_at: SystemTime, end: TurnEnd, at: Instant) -> TurnTrace {
        let generations = self.generations.iter();
        let parts = generations.flat_map(|part| [Some(part.begun), part.first_text, part.ended]);
        let tools = self.tools.iter().flat_map(|tool| [Some(tool.begun), tool.ended]);
        // What was heard early may have been generated to its end a little later.
        let ended = parts.chain(tools).flatten().fold(self.since(at), Duration::max);
        let first_text = self.speech.as_ref().map(|speech| self.since(speech.first_text));
        let first_audio = self.speech.as_ref().and_then(|speech| speech.first_audio);
        let first_audio = first_audio.map(|audio| self.since(audio));
        TurnTrace {
            turn: self.id,
            trigger: self.cause.trigger,
            started_at,
            transcription: self.cause.transcription,
            first_text,
            first_audio,
            ended: [first_text, first_audio].into_iter().flatten().fold(ended, Duration::max),
            end,
            use_case: self.use_case,
            generations: self.generations,
            tools: self.tools,
        }
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.cause.at)
    }

    fn live_generation(&mut self) -> Option<&mut GenerationTrace> {
        match self.stage {
            Stage::Generating { .. } => self.generations.last_mut(),
            Stage::Tools | Stage::Speaking => None,
        }
    }

    fn is_running_tools(&self) -> bool {
        self.tools.iter().any(|tool| tool.ended.is_none())
    }

    fn generation_ended(&mut self, now: Instant, report: &GenerationReport, how: Finish) {
        let since = self.since(now);
        let Stage::Generating { asked_for_tools } = self.stage else { return };
        self.stage = if asked_for_tools && how == Finish::Completed { Stage::Tools } else { Stage::Speaking };
        let Some(generation) = self.generations.last_mut() else { return };
        generation.ended = Some(since);
        generation.model.clone_from(&report.model);
        generation.stop_reason.clone_from(&report.stop_reason);
        generation.usage = report.usage;
        generation.estimated = report.estimated;
    }

    fn tool_ended(&mut self, now: Instant, run: &RunId, status: Option<OutcomeStatus>) {
        let since = self.since(now);
        let running = |tool: &&mut ToolTrace| tool.run == *run && tool.ended.is_none();
        if let Some(tool) = self.tools.iter_mut().find(running) {
            (tool.ended, tool.status) = (Some(since), status);
        }
    }

    fn text_sent(&mut self, now: Instant, letters: usize) {
        let speech = self.speech.get_or_insert_with(|| Speech::begun(now));
        speech.last_text = now;
        speech.sent += letters;
        speech.heard = None;
    }
}

impl Speech {
    const fn begun(now: Instant) -> Self {
        Self {
            first_text: now,
            last_text: now,
            first_audio: None,
            silent: None,
            sent: 0,
            played: None,
            heard: None,
        }
    }

    fn played(&mut self, now: Instant, letters: usize) {
        let played = self.played.unwrap_or_default() + letters;
        self.played = Some(played);
        if played >= self.sent {
            self.heard.get_or_insert(now);
        }
    }

    /// When all that was sent had been played, as far as the carrier tells.
    fn heard(&self) -> Option<Instant> {
        // Silence before the first word of this turn was played belongs to the turn before.
        let silent = self.silent.filter(|silent| self.first_audio.is_some() && *silent >= self.last_text);
        match self.played {
            Some(_) => self.heard,
            None => silent,
        }
    }
}

/// Carriers tell what they played with spaces and marks of their own.
fn letters(text: &str) -> usize {
    text.chars().filter(|letter| letter.is_alphanumeric()).count()
}
