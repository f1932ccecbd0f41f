//! Plays the steps of a call: performs each step's deed and waits until its expectations are met and the agent has
//! finished.

use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::doing::{Doing, line_of};
use super::happenings::Happenings;
use super::report::{Report, StepReport};
use super::run::Stage;
use super::scene::Scene;
use super::step::{Deed, Step};
use super::turn::{Speech, Turn};
use crate::twilio::rest::{RestStandIn, Sent};
use crate::twilio::{Call, CallerAct};

/// How long the agent may go on speaking once everything expected of a step was met.
const LONGEST_SPEECH: Duration = Duration::from_mins(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Plays all steps, and hangs up if the call is not over then.
pub(super) async fn play(steps: &[Step], cast: Cast<'_>, call: Call, report: &mut Report) {
    let mut player = Player {
        call,
        happenings: Happenings::default(),
        sent: cast.stage.rest.as_ref().map(RestStandIn::watch),
        cast,
        is_speaking: false,
        is_over: false,
    };
    for (number, step) in steps.iter().enumerate() {
        let next = steps.get(number + 1);
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

/// Who plays on which stage.
#[derive(Debug)]
pub(super) struct Cast<'a> {
    pub(super) stage: &'a Stage,
    /// The number of the person who holds the call.
    pub(super) person: String,
}

struct Player<'a> {
    call: Call,
    cast: Cast<'a>,
    happenings: Happenings,
    /// Wakes when a message was sent, if messages can be.
    sent: Option<broadcast::Receiver<Sent>>,
    is_speaking: bool,
    is_over: bool,
}

impl Player<'_> {
    /// Plays one step. `is_cut_short` leaves the agent's speech to the step that interrupts it.
    async fn step(&mut self, step: &Step, is_cut_short: bool) -> (StepReport, Vec<String>) {
        let mut scene = Scene::new(Turn::new(self.is_speaking, self.is_over), step);
        self.perform(&step.deed, &mut scene, step.within).await;
        let is_to_finish = !is_cut_short && !matches!(step.deed, Deed::Wait(_));
        self.watch(step, is_to_finish, &mut scene).await;
        self.is_speaking = scene.turn.is_speaking();
        self.is_over = scene.turn.is_call_over();
        let checks = scene.checks(step, self.cast.stage.bedrock.as_ref(), &self.happenings);
        (StepReport { lines: scene.turn.lines, checks }, scene.turn.problems)
    }

    async fn perform(&mut self, deed: &Deed, scene: &mut Scene, within: Duration) {
        match deed {
            Deed::Listen => {}
            Deed::Wait(time) => {
                let until = Instant::now() + *time;
                while Instant::now() < until && self.take_event(scene, until).await.is_some() {}
            }
            Deed::Act(doing) => {
                let acts = self.acts(doing, scene);
                scene.turn.lines.extend(line_of(&acts));
                for act in acts {
                    self.act(act, scene).await;
                }
            }
            Deed::BargeIn { cue, doing } => {
                let acts = self.acts(doing, scene);
                self.barge_in(cue, &acts, scene, within).await;
            }
        }
    }

    /// What the caller does, with the code that was sent to them in its place.
    fn acts(&self, doing: &Doing, scene: &mut Scene) -> Vec<CallerAct> {
        if !doing.needs_code() {
            return doing.acts("");
        }
        let code = self.cast.stage.rest.as_ref().and_then(|rest| rest.code_for(&self.cast.person));
        if code.is_none() {
            scene.turn.problems.push("the caller was to say a code, and none was sent to them".to_owned());
        }
        doing.acts(&code.unwrap_or_default())
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
            let messages = self.cast.stage.rest.as_ref().map(RestStandIn::messages).unwrap_or_default();
            scene.note_what_is_met(&step.wants, &mut self.happenings, &messages);
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
        let event = tokio::select! {
            biased;
            event = self.call.next_event(left) => event.ok()?,
            () = message(self.sent.as_mut()) => return Some(Speech::GoesOn),
        };
        self.happenings.note(&event);
        Some(scene.turn.add(event))
    }
}

/// Waits until a message was sent, for ever when none can be.
async fn message(sent: Option<&mut broadcast::Receiver<Sent>>) {
    let is_open = match sent {
        // Who was too slow has missed messages, and so looks at them now.
        Some(sent) => !matches!(sent.recv().await, Err(broadcast::error::RecvError::Closed)),
        None => false,
    };
    if !is_open {
        std::future::pending::<()>().await;
    }
}
