//! Tool runs of one generation: their policy, their deadlines, and exactly one outcome each.

mod terminal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effects::{Aftermath, Turn};
use super::generation::MAX_TOOL_ROUNDS;
use super::patience::Patience;
use super::{Action, Arguments, Conversation, Phase};
use crate::message::{GenerationId, Message, OutcomeStatus, RunId, ToolCall, ToolOutcome};
use crate::ports::ToolResult;
use crate::use_case::{OnInterrupt, Tool};

/// The runs of one message of the agent, until all have an outcome.
#[derive(Debug)]
pub(super) struct ToolRuns {
    generation: GenerationId,
    round: u32,
    runs: Vec<Run>,
    then: Then,
    /// What the caller said meanwhile.
    words: String,
    farewell: Farewell,
    filler: Filler,
    /// How long the caller has been without a word, from before the tools began.
    patience: Patience,
}

/// Who waits for the outcomes of a message's tools.
#[derive(Clone, Copy)]
pub(super) struct Waiter {
    pub(super) generation: GenerationId,
    /// How often tools have run since the caller last spoke.
    pub(super) round: u32,
    pub(super) patience: Patience,
}

/// What follows when all runs have an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The model goes on.
    Answer,
    /// The caller interrupted and has the floor.
    Listen,
}

/// The sentence that tells the caller to wait, said once.
#[derive(Clone, Copy, Debug)]
enum Filler {
    Due(Instant),
    /// The agent's own words were still playing when it was due.
    Postponed(Instant),
    Done,
}

/// Whether the agent has said anything, behind whatever else is played, before a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Missing,
    Said,
}

#[derive(Debug)]
struct Run {
    call: ToolCall,
    state: RunState,
}

#[derive(Debug)]
enum RunState {
    /// It ends the call or the like: it waits until the agent's words were heard and the caller has nothing to say to
    /// them, at the latest until `release`.
    Held {
        tool: Arc<Tool>,
        release: Instant,
    },
    Running {
        tool: Arc<Tool>,
        deadline: Instant,
    },
    Settled(ToolOutcome),
}

/// How a run is settled without having told its outcome.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// Decided here.
    NotDone(&'static str),
    /// It had begun, and may have had an effect.
    Unknown(&'static str),
}

/// Whoever runs a tool keeps its time-out, and tells, counts and logs that it was missed. Only when nothing is heard of the
/// run for this much longer is it given up here.
pub const TOOL_OVERTIME: Duration = Duration::from_millis(250);
/// Silence during a tool run that a caller bears without a word.
const FILLER_AFTER: Duration = Duration::from_millis(1500);

impl ToolRuns {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let runs = self.runs.iter().filter_map(|run| match &run.state {
            RunState::Held { release, .. } => Some(*release),
            RunState::Running { deadline, .. } => Some(*deadline),
            RunState::Settled(_) => None,
        });
        let filler = match self.filler {
            Filler::Due(due) | Filler::Postponed(due) if self.is_waited_for() => Some(due),
            Filler::Due(_) | Filler::Postponed(_) | Filler::Done => None,
        };
        let patience = self.is_waited_for().then(|| self.patience.ends());
        runs.chain(filler).chain(patience).min()
    }

    /// Whether the caller waits for a run. One that is held back waits for the caller.
    fn is_waited_for(&self) -> bool {
        self.then == Then::Answer && self.runs.iter().any(|run| matches!(run.state, RunState::Running { .. }))
    }

    fn id_of(&self, call: &ToolCall) -> RunId {
        RunId { generation: self.generation, call: call.id.clone() }
    }

    /// Settles every run on which there is a verdict, and cancels those that have started.
    fn settle(&mut self, actions: &mut Vec<Action>, verdict: impl Fn(&RunState) -> Option<Verdict>) {
        let generation = self.generation;
        for run in &mut self.runs {
            let Some(verdict) = verdict(&run.state) else {
                continue;
            };
            if let RunState::Running { .. } = run.state {
                actions.push(Action::CancelTool { run: RunId { generation, call: run.call.id.clone() } });
            }
            let id = run.call.id.clone();
            run.state = RunState::Settled(match verdict {
                Verdict::NotDone(reason) => ToolOutcome::error(id, reason),
                Verdict::Unknown(reason) => ToolOutcome::unknown(id, reason),
            });
        }
    }

    fn hold_until(&mut self, instant: Instant) {
        self.releases().for_each(|release| *release = instant);
    }

    fn hasten_to(&mut self, instant: Instant) {
        self.releases().for_each(|release| *release = instant.min(*release));
    }

    /// Of what is held back.
    fn releases(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.runs.iter_mut().filter_map(|run| match &mut run.state {
            RunState::Held { release, .. } => Some(release),
            RunState::Running { .. } | RunState::Settled(_) => None,
        })
    }

    fn is_settled(&self) -> bool {
        self.runs.iter().all(|run| matches!(run.state, RunState::Settled(_)))
    }
}

impl Conversation {
    /// Runs the calls of a message that has just entered history.
    pub(super) fn run_tools(
        &mut self,
        now: Instant,
        waiter: Waiter,
        calls: Vec<(ToolCall, Arguments)>,
        actions: &mut Vec<Action>,
    ) {
        let Waiter { generation, round, patience } = waiter;
        let wordless = matches!(self.history.last(), Some(Message::Agent { text, .. }) if text.is_empty());
        let mut runs = ToolRuns {
            generation,
            round,
            runs: Vec::with_capacity(calls.len()),
            then: Then::Answer,
            words: String::new(),
            farewell: if wordless { Farewell::Missing } else { Farewell::Said },
            filler: Filler::Due(now + FILLER_AFTER),
            patience,
        };
        for (call, arguments) in calls {
            let state = match self.admit(round, &call, arguments) {
                Ok(tool) if is_terminal(&tool) => RunState::Held { tool, release: now },
                Ok(tool) => start(runs.id_of(&call), &call, tool, now, actions),
                Err(reason) => RunState::Settled(ToolOutcome::error(call.id.clone(), reason)),
            };
            runs.runs.push(Run { call, state });
        }
        self.phase = Phase::RunningTools(runs);
        self.hold_terminal_runs(now);
        self.hold_back_after_failure(actions);
        self.go_on_when_settled(now, actions);
    }

    /// The tool to run, which counts as run from here on; or what the model is told instead.
    fn admit(&mut self, round: u32, call: &ToolCall, arguments: Arguments) -> Result<Arc<Tool>, String> {
        if round >= MAX_TOOL_ROUNDS {
            return Err(
                "No more tools can be run in this turn. Answer the caller with what you know.".to_owned()
            );
        }
        let Some(tool) = self.use_case.tools.iter().find(|tool| tool.name == call.name) else {
            let names: Vec<&str> = self.use_case.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Err(format!("There is no tool of this name. The tools are: {}.", names.join(", ")));
        };
        let refusal = if arguments == Arguments::Broken {
            "The arguments are not a JSON object."
        } else if tool.requires_verified && !self.verified {
            "Not done: the caller has to be verified first. Verify who they are, then call this tool again."
        } else if self.tool_runs_are_spent() && !tool.handler.ends_the_conversation() {
            // What ends the call stays possible, because nothing else is left to do.
            "Not done: no more tools can be run in this call. Tell the caller, and go on without them."
        } else {
            let tool = Arc::clone(tool);
            self.limits.count_tool_run();
            return Ok(tool);
        };
        Err(refusal.to_owned())
    }

    pub(super) fn tool_finished(
        &mut self,
        now: Instant,
        id: &RunId,
        result: ToolResult,
        actions: &mut Vec<Action>,
    ) {
        let objects_by = self.words_come_by(now);
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        if runs.generation != id.generation {
            return;
        }
        let Some(run) = runs.runs.iter_mut().find(|run| run.call.id == id.call) else {
            return;
        };
        let RunState::Running { tool, .. } = &run.state else {
            return;
        };
        let turn = match tool {
            tool if !is_terminal(tool) => Turn::NotFinal,
            _ if runs.then == Then::Answer && runs.words.is_empty() && objects_by.is_none() => {
                Turn::Completed
            }
            _ => Turn::Disturbed,
        };
        let effect = result.effect.filter(|_| result.outcome.status == OutcomeStatus::Success);
        let aftermath =
            effect.map_or(Aftermath::GoesOn, |effect| self.apply_effect(now, effect, turn, actions));
        let outcome = match &aftermath {
            Aftermath::Refused(reason) => ToolOutcome::error(id.call.clone(), *reason),
            Aftermath::GoesOn | Aftermath::Ends(_) => ToolOutcome { id: id.call.clone(), ..result.outcome },
        };
        self.settle_run(outcome);
        match aftermath {
            Aftermath::Ends(reason) => return self.end(reason, actions),
            Aftermath::Refused(_) if turn == Turn::Disturbed => self.hear_caller_out(now),
            Aftermath::Refused(_) | Aftermath::GoesOn => {}
        }
        self.hold_back_after_failure(actions);
        self.go_on_when_settled(now, actions);
    }

    fn settle_run(&mut self, outcome: ToolOutcome) {
        if let Phase::RunningTools(runs) = &mut self.phase
            && let Some(run) = runs.runs.iter_mut().find(|run| run.call.id == outcome.id)
        {
            run.state = RunState::Settled(outcome);
        }
    }

    /// The caller speaks while tools run: the words go to the model with the outcomes.
    pub(super) fn caller_said_during_tools(&mut self, now: Instant, text: &str, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        if !runs.words.is_empty() {
            runs.words.push(' ');
        }
        runs.words.push_str(text.trim());
        runs.then = Then::Answer;
        runs.settle(actions, |state| {
            matches!(state, RunState::Held { .. })
                .then_some(Verdict::NotDone("Not done: the caller went on speaking."))
        });
        self.go_on_when_settled(now, actions);
    }

    /// The caller talked over the agent while tools run.
    pub(super) fn interrupt_tools(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        runs.then = Then::Listen;
        runs.settle(actions, |state| match state {
            RunState::Held { .. } => Some(Verdict::NotDone("Not done: the caller interrupted.")),
            RunState::Running { tool, .. } if tool.on_interrupt == OnInterrupt::Cancel => {
                Some(Verdict::NotDone("Cancelled: the caller interrupted."))
            }
            RunState::Running { .. } | RunState::Settled(_) => None,
        });
        self.go_on_when_settled(now, actions);
    }

    pub(super) fn tool_deadlines(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.release_terminal_runs(now, actions);
        let idle = self.voice.is_idle();
        let silent = self.voice.heard_at_latest(now) <= now;
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        runs.settle(actions, |state| match state {
            RunState::Running { deadline, .. } if *deadline <= now => {
                Some(Verdict::Unknown("The tool took too long. Whether it had an effect is not known."))
            }
            _ => None,
        });
        if runs.is_waited_for() {
            match runs.filler {
                Filler::Due(due) if due <= now && !idle => {
                    runs.filler = Filler::Postponed(now + FILLER_AFTER);
                }
                Filler::Due(due) | Filler::Postponed(due) if due <= now => self.say_filler(now, actions),
                Filler::Due(_) | Filler::Postponed(_) | Filler::Done => {}
            }
        }
        self.bridge_tools_silence(now, silent, actions);
        self.hold_back_after_failure(actions);
        self.go_on_when_settled(now, actions);
    }

    /// Tells the caller to wait once more when the tools have kept them without a word for too long.
    fn bridge_tools_silence(&mut self, now: Instant, silent: bool, actions: &mut Vec<Action>) {
        if let Phase::RunningTools(runs) = &mut self.phase
            && runs.is_waited_for()
            && runs.patience.is_over(now, silent)
        {
            self.say_aside(now, self.sentences().waiting.clone(), actions);
        }
    }

    fn say_filler(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        runs.filler = Filler::Done;
        runs.patience.renew(now);
        let filler = runs.runs.iter().find_map(|run| match &run.state {
            RunState::Running { tool, .. } => tool.filler.clone(),
            RunState::Held { .. } | RunState::Settled(_) => None,
        });
        let filler = filler.unwrap_or_else(|| self.sentences().waiting.clone());
        self.say_aside(now, filler, actions);
    }

    /// The call is over: runs that may be dropped are, the others go on to their end without us.
    pub(super) fn abandon_tools(&mut self, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        runs.settle(actions, |state| match state {
            RunState::Running { tool, .. } if tool.on_interrupt == OnInterrupt::Finish => None,
            RunState::Running { .. } => {
                Some(Verdict::Unknown("Broken off: the call ended. Whether it had an effect is not known."))
            }
            RunState::Held { .. } => Some(Verdict::NotDone("Not done: the call ended.")),
            RunState::Settled(_) => None,
        });
        let outcomes = runs.runs.drain(..).map(|run| match run.state {
            RunState::Settled(outcome) => outcome,
            RunState::Held { .. } | RunState::Running { .. } => {
                ToolOutcome::unknown(run.call.id, "The call ended before the outcome was known.")
            }
        });
        let (outcomes, words) = (outcomes.collect(), std::mem::take(&mut runs.words));
        self.history.push_outcomes(outcomes, &words);
    }

    fn go_on_when_settled(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::RunningTools(runs) = &mut self.phase else {
            return;
        };
        if !runs.is_settled() {
            return;
        }
        let outcomes = std::mem::take(&mut runs.runs).into_iter().filter_map(|run| match run.state {
            RunState::Settled(outcome) => Some(outcome),
            RunState::Held { .. } | RunState::Running { .. } => None,
        });
        self.history.push_outcomes(outcomes.collect(), &runs.words);
        let (then, spoke, round, patience) = (runs.then, !runs.words.is_empty(), runs.round, runs.patience);
        self.phase = Phase::Listening;
        match then {
            // New words of the caller begin a new turn.
            Then::Answer if spoke => self.generate(now, 0, actions),
            Then::Answer => self.generate_after(now, round + 1, patience, actions),
            Then::Listen => {}
        }
    }
}

fn start(run: RunId, call: &ToolCall, tool: Arc<Tool>, now: Instant, actions: &mut Vec<Action>) -> RunState {
    let deadline = now + tool.timeout + TOOL_OVERTIME;
    actions.push(Action::StartTool { run, tool: Arc::clone(&tool), input: call.input.clone() });
    RunState::Running { tool, deadline }
}

fn is_terminal(tool: &Tool) -> bool {
    tool.terminal || tool.handler.ends_the_conversation()
}
