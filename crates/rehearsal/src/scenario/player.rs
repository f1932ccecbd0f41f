//! Plays a scenario: performs each step's deed and waits until its expectations are met and the agent has finished.

use std::time::{Duration, Instant};

use super::file::Scenario;
use super::history;
use super::report::{Check, Line, Outcome, Report, StepReport};
use super::step::{Deed, Step, Want};
use super::table::{self, Table};
use super::turn::{Speech, Turn};
use crate::bedrock::BedrockStandIn;
use crate::twilio::{Call, CallOptions, CallerAct, Carrier};

/// How long the agent may go on speaking once everything expected of a step was met.
const LONGEST_SPEECH: Duration = Duration::from_mins(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What a scenario is played on.
///
/// The carrier needs a voice with a pace for scenarios that interrupt: with an instant one, everything has been
/// heard before the caller can speak.
#[derive(Clone, Debug)]
pub struct Stage {
    pub carrier: Carrier,
    /// The model stand-in that the service uses. Without it, `[[model]]` entries and checks of the history fail.
    pub bedrock: Option<BedrockStandIn>,
    /// The table that the service uses. Without it, what `[table]` expects to be in it is missed.
    pub table: Option<Table>,
}

/// Plays a scenario from the first ring to the hang-up. What goes wrong is in the report.
pub async fn run(scenario: &Scenario, stage: &Stage) -> Report {
    let mut report = Report { title: scenario.title.clone(), steps: Vec::new(), problems: Vec::new() };
    if let Err(problem) = set_model(scenario, stage) {
        report.problems.push(problem);
        return report;
    }
    match stage.carrier.call(options(scenario)).await {
        Ok(call) => play(scenario, stage, call, &mut report).await,
        Err(error) => report.problems.push(format!("{error:#}")),
    }
    if !scenario.items.is_empty() {
        report.steps.push(table::check(stage.table.as_ref(), &scenario.items).await);
    }
    report
}

fn set_model(scenario: &Scenario, stage: &Stage) -> Result<(), String> {
    match &stage.bedrock {
        Some(bedrock) => scenario.model.iter().for_each(|answer| bedrock.script(answer.clone())),
        None if scenario.model.is_empty() => {}
        None => {
            return Err("the scenario has [[model]] entries, but this stage has no model stand-in".to_owned());
        }
    }
    Ok(())
}

fn options(scenario: &Scenario) -> CallOptions {
    let default = CallOptions::default();
    CallOptions {
        from: scenario.caller.clone().unwrap_or(default.from),
        to: scenario.called.clone().unwrap_or(default.to),
        use_case: scenario.use_case.clone(),
        ..CallOptions::default()
    }
}

async fn play(scenario: &Scenario, stage: &Stage, call: Call, report: &mut Report) {
    let mut player = Player { call, stage, is_speaking: false, is_over: false };
    for (number, step) in scenario.steps.iter().enumerate() {
        let next = scenario.steps.get(number + 1);
        let is_cut_short = next.is_some_and(|next| matches!(next.deed, Deed::BargeIn { .. }));
        let (step_report, problems) = player.step(step, is_cut_short).await;
        report.steps.push(step_report);
        report.problems.extend(problems);
    }
    if !player.is_over
        && let Err(error) = player.call.hang_up().await
    {
        report.problems.push(format!("after the last step: {error:#}"));
    }
}

struct Player<'a> {
    call: Call,
    stage: &'a Stage,
    is_speaking: bool,
    is_over: bool,
}

impl Player<'_> {
    /// Plays one step. `is_cut_short` leaves the agent's speech to the step that interrupts it.
    async fn step(&mut self, step: &Step, is_cut_short: bool) -> (StepReport, Vec<String>) {
        let mut scene = Scene {
            turn: Turn::new(self.is_speaking, self.is_over),
            began: Instant::now(),
            met: vec![None; step.wants.len()],
        };
        self.perform(&step.deed, &mut scene, step.within).await;
        let is_to_finish = !is_cut_short && !matches!(step.deed, Deed::Wait(_));
        self.watch(step, is_to_finish, &mut scene).await;
        self.is_speaking = scene.turn.is_speaking();
        self.is_over = scene.turn.is_call_over();
        let checks = self.checks(step, &scene);
        (StepReport { lines: scene.turn.lines, checks }, scene.turn.problems)
    }

    async fn perform(&mut self, deed: &Deed, scene: &mut Scene, within: Duration) {
        match deed {
            Deed::Listen => {}
            Deed::Wait(time) => {
                let until = Instant::now() + *time;
                while Instant::now() < until && self.take_event(scene, until).await.is_some() {}
            }
            Deed::Act(acts) => {
                scene.turn.lines.extend(line_of(acts));
                for act in acts {
                    self.act(act.clone(), scene).await;
                }
            }
            Deed::BargeIn { cue, acts } => self.barge_in(cue, acts, scene, within).await,
        }
    }

    /// Has the caller interrupt at the cue. What was said before that is not part of the step.
    async fn barge_in(&mut self, cue: &str, acts: &[CallerAct], scene: &mut Scene, within: Duration) {
        let Some((first, others)) = acts.split_first() else { return };
        self.act(CallerAct::OnceHeard { cue: cue.to_owned(), act: Box::new(first.clone()) }, scene).await;
        let wanted = match first {
            CallerAct::HangUp | CallerAct::DropSocket => Speech::BrokenOff,
            _ => Speech::Interrupted,
        };
        let latest = Instant::now() + within.max(LONGEST_SPEECH);
        loop {
            let until = scene.turn.settles_at().unwrap_or(latest);
            match self.take_event(scene, until).await {
                Some(speech) if speech == wanted => break scene.turn.forget_said(),
                Some(_) if !scene.turn.is_call_over() && Instant::now() < latest => {}
                Some(_) | None => break self.miss_cue(cue, scene),
            }
        }
        let lines = &mut scene.turn.lines;
        let cause = lines.len().saturating_sub(usize::from(wanted == Speech::BrokenOff));
        lines.splice(cause..cause, line_of(acts));
        for act in others {
            self.act(act.clone(), scene).await;
        }
        scene.restart();
    }

    fn miss_cue(&self, cue: &str, scene: &mut Scene) {
        let heard = scene.turn.heard().trim().to_owned();
        scene.turn.problems.push(format!(
            "nothing was interrupted after \"{cue}\" in the call {}; heard was \"{heard}\"",
            self.call.sid
        ));
    }

    async fn act(&mut self, act: CallerAct, scene: &mut Scene) {
        if let Err(error) = self.call.act(act).await {
            scene.turn.problems.push(format!("{error:#}"));
        }
    }

    /// Takes events until everything wanted has happened and the agent is through, or time is up.
    async fn watch(&mut self, step: &Step, is_to_finish: bool, scene: &mut Scene) {
        let latest = scene.began + step.within;
        loop {
            scene.note_what_is_met(&step.wants);
            let is_met = scene.is_met(&step.wants);
            let is_only_looking =
                matches!(step.deed, Deed::Listen) && !step.wants.is_empty() && scene.turn.is_quiet();
            if scene.turn.is_call_over() || (is_met && (!is_to_finish || is_only_looking)) {
                return;
            }
            let settles_at = scene.turn.settles_at().filter(|_| is_met);
            if settles_at.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            // A step in which nothing is said ends with its time; speech that has begun may be finished.
            let is_speech_due = is_met && (scene.turn.is_finishing() || settles_at.is_some());
            let until = if is_speech_due { settles_at.unwrap_or(latest + LONGEST_SPEECH) } else { latest };
            if self.take_event(scene, until).await.is_none() && settles_at.is_none() {
                return;
            }
        }
    }

    /// What the next event until then did to the agent's speech, or nothing when none came.
    async fn take_event(&mut self, scene: &mut Scene, until: Instant) -> Option<Speech> {
        let left = until.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
        let event = self.call.next_event(left).await.ok()?;
        Some(scene.turn.add(event))
    }

    fn checks(&self, step: &Step, scene: &Scene) -> Vec<Check> {
        let wants = step.wants.iter().zip(&scene.met).map(|(want, met)| {
            let result = match met {
                Some(after) => Ok(*after),
                None if want.is_about_model() => {
                    history::check(self.stage.bedrock.as_ref(), want).map(|()| scene.began.elapsed())
                }
                None => Err(scene.instead_of(want)),
            };
            check(describe(want), want.words().map_or("the end of the call", String::as_str), result)
        });
        let absent = step.absent.iter().map(|words| {
            let is_absent = !super::turn::contains(scene.turn.said(), words);
            let result =
                if is_absent { Ok(scene.began.elapsed()) } else { Err(scene.turn.said().to_owned()) };
            check(format!("not said: \"{words}\""), "its absence", result)
        });
        wants.chain(absent).collect()
    }
}

/// What is known of a step while it is played.
struct Scene {
    turn: Turn,
    began: Instant,
    /// For each want, when it was met.
    met: Vec<Option<Duration>>,
}

impl Scene {
    fn restart(&mut self) {
        self.began = Instant::now();
    }

    fn note_what_is_met(&mut self, wants: &[Want]) {
        for (want, met) in wants.iter().zip(&mut self.met) {
            if met.is_none() && self.turn.has(want) {
                *met = Some(self.began.elapsed());
            }
        }
    }

    fn is_met(&self, wants: &[Want]) -> bool {
        wants.iter().zip(&self.met).all(|(want, met)| want.is_about_model() || met.is_some())
    }

    fn instead_of(&self, want: &Want) -> String {
        match want {
            Want::Heard(_) => self.turn.heard().to_owned(),
            _ => self.turn.said().to_owned(),
        }
    }
}

fn check(expectation: String, expected: &str, result: Result<Duration, String>) -> Check {
    let outcome = match result {
        Ok(after) => Outcome::Met { after },
        Err(got) => Outcome::Missed { expected: expected.to_owned(), got },
    };
    Check { expectation, outcome }
}

fn describe(want: &Want) -> String {
    match want {
        Want::Said(words) => format!("said: \"{words}\""),
        Want::Heard(words) => format!("heard: \"{words}\""),
        Want::Dialled(words) => format!("dialled: \"{words}\""),
        Want::Ended => "the call is over".to_owned(),
        Want::ModelLastUser(words) => format!("the model was asked: \"{words}\""),
        Want::ModelHistory(words) => format!("the model knows: \"{words}\""),
        Want::ModelHistoryAbsent(words) => format!("the model does not know: \"{words}\""),
    }
}

fn line_of(acts: &[CallerAct]) -> Option<Line> {
    let keys = acts.iter().filter_map(|act| if let CallerAct::Press(key) = act { Some(*key) } else { None });
    Some(match acts.first()? {
        CallerAct::Say(words) | CallerAct::Partial(words) | CallerAct::SayIn { words, .. } => {
            Line::Caller(words.clone())
        }
        CallerAct::SayInPieces(pieces) => Line::Caller(pieces.join(" / ")),
        CallerAct::Press(_) => Line::Caller(format!("[{}]", keys.collect::<String>())),
        CallerAct::Interrupt => Line::Caller("(noise)".to_owned()),
        CallerAct::HangUp => Line::Caller("(hangs up)".to_owned()),
        CallerAct::HangUpParty => Line::Note("the person at the other end hangs up".to_owned()),
        CallerAct::DropSocket => Line::Note("the socket is lost".to_owned()),
        CallerAct::SendRaw(_) | CallerAct::OnceHeard { .. } => return None,
    })
}
