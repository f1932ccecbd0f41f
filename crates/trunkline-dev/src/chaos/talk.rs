//! A caller's part in a call: they say their lines one after the other, hear each answer out, and hang up. What they
//! experienced is noted, and judged elsewhere.

mod crowd;
mod direction;
mod ear;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rehearsal::twilio::{Call, CallEvent, CallOptions, CallerAct, Carrier, Party};
use tokio::time::timeout_at;

pub(super) use crowd::Crowd;
pub(super) use direction::{Direction, Stage};
use ear::Ear;

/// How long the greeting may take to be heard.
const GREETING: Duration = Duration::from_secs(30);
/// How long a call may be connected again without the caller's giving up.
const RECONNECTING: Duration = Duration::from_secs(30);
/// A caller to whom nothing more is said for so long believes that the answer is over, whatever it lacks.
const NOTHING_FOLLOWS: Duration = Duration::from_secs(6);
const HANGING_UP: Duration = Duration::from_secs(20);

/// Something to say.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) says: String,
    /// By which the whole answer can be told from a part of it.
    pub(super) last_words: String,
}

/// What a caller is to do.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The caller's place in `direction`.
    pub(super) caller: usize,
    pub(super) options: CallOptions,
    pub(super) lines: Vec<Line>,
    /// What the agent says when it is back and has nothing to answer: the caller is to go on.
    pub(super) bridge: &'static str,
    /// Between an answer and the next line.
    pub(super) think: Duration,
    /// How long an answer may take until it is heard.
    pub(super) patience: Duration,
    pub(super) direction: Arc<Direction>,
}

/// What a caller experienced.
#[derive(Debug, Default)]
pub(super) struct Experience {
    /// Absent when the service could not be called at all.
    pub(super) call_sid: Option<String>,
    pub(super) turns: Vec<Turn>,
    /// Sessions that began.
    pub(super) sessions: usize,
    /// One for each session that was lost, or ended, while the caller was there.
    pub(super) resumes: Vec<Resume>,
    /// What TwiML had said, for example that all lines are busy.
    pub(super) spoken: Vec<String>,
    /// What the service did wrong, in words.
    pub(super) problems: Vec<String>,
    /// Who hung up, and why.
    pub(super) ended: Option<(Party, String)>,
    /// Why the caller gave up.
    pub(super) error: Option<String>,
}

/// A line and its answer.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// From the line to the first word that came.
    pub(super) waited: Option<Duration>,
    /// Everything that was sent to be spoken since the line was said, in all sessions.
    pub(super) told: String,
    /// The longest time in which the caller waited and heard nothing.
    pub(super) longest_silence: Duration,
    pub(super) outcome: Outcome,
    /// The line was said twice, because a session was lost and no answer came after it.
    pub(super) repeated: bool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The whole answer was heard.
    Whole,
    /// Something was heard, but not the whole answer.
    Cut,
    /// Nothing was heard before the caller lost patience.
    Unanswered,
}

/// A call that was connected again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resume {
    /// The service ended the session to have it go on elsewhere, rather than losing it.
    pub(super) handed_over: bool,
    /// When the session was gone.
    pub(super) gone: Instant,
    /// When the next one stood; absent when none did.
    pub(super) connected: Option<Instant>,
    /// When the carrier asked what to do next; absent when it got no answer.
    pub(super) asked: Option<Instant>,
    /// The first words to be spoken after that, be it an answer or a bridge. When none came before it broke again, none.
    pub(super) first_token: Option<Instant>,
}

impl Resume {
    /// How long the line was dead, whoever's turn it was; none when it stayed so.
    pub(super) fn dead_for(&self) -> Option<Duration> {
        self.connected.map(|connected| connected.saturating_duration_since(self.gone))
    }
}

impl Experience {
    /// The words without the call's id, so that the same reason of many calls counts as the same.
    pub(super) fn without_id(&self, words: &str) -> String {
        match &self.call_sid {
            Some(call_sid) => words.replace(call_sid, "CA…"),
            None => words.to_owned(),
        }
    }
}

/// Plays a part to its end. Whatever goes wrong is part of the experience.
pub(super) async fn talk(carrier: &Carrier, part: Part) -> Experience {
    let (direction, caller) = (Arc::clone(&part.direction), part.caller);
    let mut experience = Experience::default();
    match carrier.call(part.options.clone()).await {
        Ok(call) => {
            experience.call_sid = Some(call.sid.clone());
            let mut caller = Caller { part, ear: Ear::default(), experience: &mut experience, call };
            if let Err(error) = caller.converse().await {
                caller.experience.error = Some(format!("{error:#}"));
            }
            caller.hang_up().await;
        }
        Err(error) => experience.error = Some(format!("{error:#}")),
    }
    direction.set(caller, Stage::Over);
    experience
}

struct Caller<'a> {
    part: Part,
    call: Call,
    ear: Ear,
    experience: &'a mut Experience,
}

impl Caller<'_> {
    async fn converse(&mut self) -> anyhow::Result<()> {
        let greeted = self.attend(GREETING, Ear::is_quiet).await?;
        if !greeted {
            bail!("no greeting was heard");
        }
        for (number, line) in self.part.lines.clone().into_iter().enumerate() {
            self.part.direction.set(self.part.caller, Stage::Listening(number));
            self.wait_for_turn(number).await?;
            self.turn(number, &line).await?;
            self.part.direction.set(self.part.caller, Stage::Answered(number));
        }
        Ok(())
    }

    /// Listens until the line may be said. Nobody talks while the line is dead, or before the agent has finished.
    async fn wait_for_turn(&mut self, number: usize) -> anyhow::Result<()> {
        let direction = Arc::clone(&self.part.direction);
        let allowed = direction.allowed(number);
        tokio::pin!(allowed);
        loop {
            tokio::select! {
                () = &mut allowed => break,
                event = self.call.next_event(Duration::MAX) => self.take(event?)?,
            }
        }
        self.attend(self.part.think, |_| false).await?;
        if !self.attend(RECONNECTING, Ear::is_quiet).await? {
            bail!("the call was not connected again");
        }
        Ok(())
    }

    async fn turn(&mut self, number: usize, line: &Line) -> anyhow::Result<()> {
        let (said_at, resumes) = (Instant::now(), self.experience.resumes.len());
        self.ear.listen(said_at);
        self.say(number, line).await?;
        let mut deadline = said_at + self.part.patience;
        let mut repeated = false;
        while !is_over(line, &self.ear, self.experience.resumes.len() > resumes) {
            let is_asked = self.ear.is_quiet() && self.ear.was_told(self.part.bridge);
            let quiet_for_good = self.ear.quiet_since().map(|since| since + NOTHING_FOLLOWS);
            let give_up = quiet_for_good.map_or(deadline, |quiet| quiet.min(deadline));
            if repeated || !is_asked {
                if self.event_until(give_up).await? {
                    continue;
                }
                if repeated || give_up == deadline || self.experience.resumes.len() == resumes {
                    break;
                }
            }
            // The answer was lost with the session: people ask again.
            repeated = true;
            deadline = Instant::now() + self.part.patience;
            self.ear.listen_again(Instant::now());
            self.say(number, line).await?;
        }
        self.experience.turns.push(self.ear.turn(said_at, Instant::now(), &line.last_words, repeated));
        Ok(())
    }

    async fn say(&mut self, number: usize, line: &Line) -> anyhow::Result<()> {
        self.call.act(CallerAct::Say(line.says.clone())).await?;
        self.part.direction.set(self.part.caller, Stage::Waiting(number));
        Ok(())
    }

    /// Takes what happens until `enough`, for `within` at most; returns whether it was enough.
    async fn attend(&mut self, within: Duration, enough: impl Fn(&Ear) -> bool) -> anyhow::Result<bool> {
        let deadline = Instant::now() + within;
        while !enough(&self.ear) {
            if !self.event_until(deadline).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next thing that happens; false when nothing did.
    async fn event_until(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        match timeout_at(deadline.into(), self.call.next_event(Duration::MAX)).await {
            Ok(event) => self.take(event?).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn take(&mut self, event: CallEvent) -> anyhow::Result<()> {
        let now = Instant::now();
        match event {
            CallEvent::Connected { .. } => {
                self.experience.sessions += 1;
                let resume = self.experience.resumes.last_mut();
                let handed_over = resume.is_some_and(|resume| {
                    resume.connected.get_or_insert(now);
                    resume.handed_over
                });
                self.ear.connected(handed_over, now);
            }
            CallEvent::Greeting(text) => self.ear.told(&text, true, now),
            CallEvent::Token { text, last, at } => {
                if !text.trim().is_empty()
                    && let Some(resume) = self.experience.resumes.last_mut()
                {
                    resume.first_token.get_or_insert(at);
                }
                self.ear.told(&text, last, at);
                self.part.direction.advance(self.part.caller, last);
            }
            CallEvent::Heard(text) => self.ear.heard(&text),
            CallEvent::AgentSpeaking(speaking) => self.ear.speaking(speaking, now),
            CallEvent::SessionEnded { status, .. } => {
                let handed_over = status == "ended";
                let resume =
                    Resume { handed_over, gone: now, connected: None, asked: None, first_token: None };
                self.experience.resumes.push(resume);
                self.ear.lost(now);
            }
            CallEvent::ActionAnswered { at, .. } => {
                if let Some(resume) = self.experience.resumes.last_mut() {
                    resume.asked = Some(at);
                }
            }
            CallEvent::Spoken(text) => self.experience.spoken.push(text),
            CallEvent::Protocol(problem) => self.experience.problems.push(problem),
            CallEvent::Refused { status } => {
                self.experience.problems.push(format!("the voice webhook answered {status}"));
            }
            CallEvent::HungUp { by, reason, .. } => {
                let text = reason.clone();
                self.experience.ended = Some((by, reason));
                bail!("the call was over before the lines were: {text}");
            }
            _ => {}
        }
        Ok(())
    }

    /// Hangs up, and waits until the service was told.
    async fn hang_up(&mut self) {
        if self.experience.ended.is_some() {
            return;
        }
        if let Err(error) = self.end().await {
            self.experience.error.get_or_insert(format!("{error:#}"));
        }
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        // The service may have hung up first; the events tell.
        let _ = self.call.act(CallerAct::HangUp).await;
        let deadline = Instant::now() + HANGING_UP;
        loop {
            let event = timeout_at(deadline.into(), self.call.next_event(Duration::MAX)).await;
            match event.context("the hang-up was not noticed")?? {
                CallEvent::HungUp { by, reason, .. } => {
                    self.experience.ended = Some((by, reason));
                    return Ok(());
                }
                CallEvent::Protocol(problem) => self.experience.problems.push(problem),
                _ => {}
            }
        }
    }
}

/// Whether nothing more of the answer is to come. When a session was lost behind the last words of the answer, what the
/// caller did not hear of it is lost too, and the agent says something else.
fn is_over(line: &Line, ear: &Ear, was_lost: bool) -> bool {
    ear.is_quiet()
        && (ear.has_heard(&line.last_words)
            || (was_lost && ear.was_told(&line.last_words) && ear.was_told_in_this_session()))
}
