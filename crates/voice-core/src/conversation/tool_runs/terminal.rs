//! Runs that end the call or the like: how long they are held back, and what is said before.
//!
//! They wait until the agent's words were heard and the caller, if heard, has said something or nothing.

use std::sync::Arc;
use std::time::Instant;

use super::{FILLER_AFTER, Farewell, Filler, Run, RunState, Then, Verdict, start};
use crate::conversation::closing::LAST_WORD;
use crate::conversation::{Action, Conversation, Phase, WORDS_FOLLOW};
use crate::message::{OutcomeStatus, RunId};
use crate::use_case::Handler;

impl Conversation {
    /// Starts what waited for the agent's words to be heard, once everything else has its outcome.
    pub(super) fn release_terminal_runs(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else { return };
        let is_due = |run: &Run| matches!(run.state, RunState::Held { release, .. } if release <= now);
        if !runs.runs.iter().any(is_due) {
            return;
        }
        let busy = runs.runs.iter().any(|run| matches!(run.state, RunState::Running { .. }));
        if busy {
            return self.hold_terminal_runs(now);
        }
        if let Some(farewell) = self.farewell() {
            return self.say_farewell(now, farewell, actions);
        }
        let Phase::RunningTools(runs) = &mut self.phase else { return };
        // The caller has not waited for these so far.
        runs.filler = Filler::Due(now + FILLER_AFTER);
        let generation = runs.generation;
        for run in runs.runs.iter_mut().filter(|run| is_due(run)) {
            if let RunState::Held { tool, .. } = &run.state {
                let id = RunId { generation, call: run.call.id.clone() };
                run.state = start(id, &run.call, Arc::clone(tool), now, actions);
            }
        }
    }

    /// Reckons anew how long terminal runs wait: something is played, or the caller is heard or not heard any more.
    pub(in crate::conversation) fn hold_terminal_runs(&mut self, now: Instant) {
        // Nothing tells when a recording is over but words behind it.
        let heard = if self.voice.ends_with_recording() && self.farewell().is_some() {
            now + LAST_WORD
        } else {
            self.when_heard(now)
        };
        let release = self.words_come_by(now).map_or(heard, |by| by.max(heard));
        if let Phase::RunningTools(runs) = &mut self.phase {
            runs.hold_until(release);
        }
    }

    /// The agent's words may all have been heard: what waited for that comes soon, unless the caller speaks up.
    pub(in crate::conversation) fn hasten_terminal_runs(&mut self, now: Instant) {
        if !self.voice.is_idle() {
            return;
        }
        let soon = now + LAST_WORD;
        let soon = self.words_come_by(now).map_or(soon, |by| by.max(soon));
        if let Phase::RunningTools(runs) = &mut self.phase {
            runs.hasten_to(soon);
        }
    }

    /// Plays a recording behind what was said. What ends the call waits for it, and says a farewell behind it.
    pub(in crate::conversation) fn play(&mut self, now: Instant, source: String, actions: &mut Vec<Action>) {
        self.voice.push_recording(now);
        actions.push(Action::Play { source });
        if let Phase::RunningTools(runs) = &mut self.phase {
            runs.farewell = Farewell::Missing;
        }
        self.hold_terminal_runs(now);
    }

    /// By when it is known whether a caller who is heard, or presses keys, has anything to say.
    pub(super) fn words_come_by(&self, now: Instant) -> Option<Instant> {
        self.quiet.words_come_by(now).into_iter().chain(self.keypad.due()).max()
    }

    /// The caller may be about to say what keeps the call: the agent waits for it, but not for ever.
    pub(super) fn hear_caller_out(&mut self, now: Instant) {
        let Some(by) = self.words_come_by(now) else { return };
        self.interrupted_at = Some(by.checked_sub(WORDS_FOLLOW).unwrap_or(now));
        if let Phase::RunningTools(runs) = &mut self.phase {
            runs.then = Then::Listen;
        }
    }

    /// Nothing ends the call when something else of the same message failed: the caller has to hear of it.
    pub(super) fn hold_back_after_failure(&mut self, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else { return };
        let failed = |run: &Run| matches!(&run.state, RunState::Settled(outcome) if outcome.status == OutcomeStatus::Error);
        if runs.runs.iter().any(failed) {
            runs.settle(actions, |state| {
                matches!(state, RunState::Held { .. })
                    .then_some(Verdict::NotDone("Not done: another tool failed."))
            });
        }
    }

    /// The caller has not heard the agent's last words, so nothing ends the call upon them.
    pub(in crate::conversation) fn drop_terminal_runs(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else { return };
        runs.settle(actions, |state| {
            matches!(state, RunState::Held { .. }).then_some(Verdict::NotDone(
                "Not done: the line was lost for a moment, and the caller has not heard your last words.",
            ))
        });
        self.go_on_when_settled(now, actions);
    }

    /// What is yet to be said before a tool ends the conversation, which must not break off without a word.
    fn farewell(&self) -> Option<String> {
        let Phase::RunningTools(runs) = &self.phase else { return None };
        if runs.farewell == Farewell::Said {
            return None;
        }
        let held = |wanted: &Handler| {
            let is_wanted =
                |run: &Run| matches!(&run.state, RunState::Held { tool, .. } if tool.handler == *wanted);
            runs.runs.iter().any(is_wanted)
        };
        if held(&Handler::EndCall) {
            Some(self.sentences().goodbye.clone())
        } else if held(&Handler::TransferToHuman) {
            Some(self.sentences().waiting.clone())
        } else {
            None
        }
    }

    fn say_farewell(&mut self, now: Instant, farewell: String, actions: &mut Vec<Action>) {
        self.say_aside(now, farewell, actions);
        if let Phase::RunningTools(runs) = &mut self.phase {
            runs.farewell = Farewell::Said;
        }
        self.hold_terminal_runs(now);
    }
}
