//! One caller of a run with misfortunes: says something, waits for what comes, and notes when it came. What the caller
//! does when, and whether that was good, is decided elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rehearsal::twilio::{Call, CallEvent, CallOptions, CallerAct, Carrier};
use tokio::time::timeout;

/// From dialling to a session or to a busy line. Twilio waits 15 seconds for TwiML.
const DIALLING: Duration = Duration::from_secs(20);
/// A hang-up is over when the service has answered the action callback.
const HANGING_UP: Duration = Duration::from_secs(20);

/// A caller whose call stands.
#[derive(Debug)]
pub(super) struct Caller {
    call: Call,
    /// The voice webhook's answer took so long.
    pub(super) webhook: Duration,
    /// How often the call was connected again.
    pub(super) resumes: u32,
    /// What the service did wrong, in words.
    pub(super) problems: Vec<String>,
    is_heard_speaking: bool,
}

/// What came of dialling.
#[derive(Debug)]
pub(super) enum Dialled {
    Connected(Box<Caller>),
    /// A sentence and no session: all lines are taken.
    TurnedAway(String),
}

/// Something that the caller said, and what the agent said to it.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) asked: Instant,
    /// What was sent to be spoken, piece by piece.
    pub(super) told: Vec<(Instant, String)>,
    /// The agent gave up the floor. Otherwise the caller lost patience, or was told to wait no longer.
    pub(super) is_complete: bool,
}

impl Caller {
    /// # Errors
    /// When neither a session nor a sentence comes in time.
    pub(super) async fn dial(carrier: &Carrier, options: CallOptions) -> anyhow::Result<Dialled> {
        let mut call = timeout(DIALLING, carrier.call(options)).await.context("the webhook hangs")??;
        let (mut webhook, mut said) = (Duration::ZERO, String::new());
        loop {
            match call.next_event(DIALLING).await? {
                CallEvent::Answered { took, .. } => webhook = took,
                CallEvent::Spoken(text) => said.push_str(&text),
                CallEvent::Connected { .. } => {
                    let caller =
                        Self { call, webhook, resumes: 0, problems: Vec::new(), is_heard_speaking: false };
                    return Ok(Dialled::Connected(Box::new(caller)));
                }
                CallEvent::HungUp { .. } if !said.is_empty() => return Ok(Dialled::TurnedAway(said)),
                CallEvent::HungUp { reason, .. } => bail!("the call was over at once: {reason}"),
                CallEvent::Refused { status } => bail!("the voice webhook answered {status}"),
                CallEvent::Protocol(problem) => bail!("{problem}"),
                _ => {}
            }
        }
    }

    /// Dials, and fails when there is no line free.
    pub(super) async fn connect(carrier: &Carrier, options: CallOptions) -> anyhow::Result<Self> {
        match Self::dial(carrier, options).await? {
            Dialled::Connected(caller) => Ok(*caller),
            Dialled::TurnedAway(said) => bail!("turned away with {said:?}"),
        }
    }

    pub(super) fn sid(&self) -> &str {
        &self.call.sid
    }

    /// Says something and takes what comes until the agent gives up the floor, or for `patience`.
    pub(super) async fn turn(&mut self, words: &str, patience: Duration) -> anyhow::Result<Turn> {
        let mut turn = Turn { asked: Instant::now(), told: Vec::new(), is_complete: false };
        self.act(CallerAct::Say(words.to_owned())).await?;
        self.listen(patience, &mut turn).await?;
        Ok(turn)
    }

    pub(super) async fn act(&mut self, act: CallerAct) -> anyhow::Result<()> {
        self.call.act(act).await
    }

    /// Takes what happens for a while, whatever it is.
    pub(super) async fn attend(&mut self, length: Duration) -> anyhow::Result<()> {
        self.attend_while(length, |_| true).await
    }

    /// Takes what happens until the agent is not heard any more, or for `longest`.
    pub(super) async fn hear_out(&mut self, longest: Duration) -> anyhow::Result<()> {
        self.attend_while(longest, |caller| caller.is_heard_speaking).await
    }

    /// Loses the socket, and takes what happens until the call is connected again, or for `longest`; returns whether it is.
    pub(super) async fn lose_the_socket(&mut self, longest: Duration) -> anyhow::Result<bool> {
        let resumes = self.resumes;
        self.is_heard_speaking = false;
        self.act(CallerAct::DropSocket).await?;
        self.attend_while(longest, |caller| caller.resumes == resumes).await?;
        Ok(self.resumes > resumes)
    }

    /// Hangs up and waits until the service was told.
    pub(super) async fn hang_up(mut self) -> anyhow::Result<Vec<String>> {
        let mut problems = std::mem::take(&mut self.problems);
        let events = timeout(HANGING_UP, self.call.hang_up()).await.context("the hang-up hangs")??;
        problems.extend(events.into_iter().filter_map(|event| match event {
            CallEvent::Protocol(problem) => Some(problem),
            _ => None,
        }));
        Ok(problems)
    }

    async fn attend_while(
        &mut self,
        longest: Duration,
        wanted: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let over = tokio::time::Instant::now() + longest;
        while wanted(self) {
            match tokio::time::timeout_at(over, self.call.next_event(Duration::MAX)).await {
                Ok(event) => self.take(event?)?,
                Err(_) => break,
            };
        }
        Ok(())
    }

    async fn listen(&mut self, patience: Duration, turn: &mut Turn) -> anyhow::Result<()> {
        let over = tokio::time::Instant::now() + patience;
        while !turn.is_complete {
            let Ok(event) = tokio::time::timeout_at(over, self.call.next_event(Duration::MAX)).await else {
                return Ok(());
            };
            if let Some((at, text, last)) = self.take(event?)? {
                turn.is_complete = last;
                if !text.is_empty() {
                    turn.told.push((at, text));
                }
            }
        }
        Ok(())
    }

    /// Notes an event; returns what is to be spoken, and whether it is the last of its talk cycle.
    fn take(&mut self, event: CallEvent) -> anyhow::Result<Option<(Instant, String, bool)>> {
        match event {
            CallEvent::Token { text, last, at } => return Ok(Some((at, text, last))),
            CallEvent::AgentSpeaking(speaking) => self.is_heard_speaking = speaking,
            CallEvent::Connected { .. } => self.resumes += 1,
            CallEvent::Spoken(text) => self.problems.push(format!("a sentence without a session: {text}")),
            CallEvent::Protocol(problem) => self.problems.push(problem),
            CallEvent::HungUp { reason, .. } => bail!("the call was over: {reason}"),
            _ => {}
        }
        Ok(None)
    }
}

impl Turn {
    /// All that was sent to be spoken, with single spaces.
    pub(super) fn text(&self) -> String {
        let told: String = self.told.iter().map(|(_, text)| text.as_str()).collect();
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn first_word(&self) -> Option<Instant> {
        self.told.first().map(|(at, _)| *at)
    }

    /// The longest time without anything to be spoken, from the caller's words to the last piece.
    pub(super) fn longest_silence(&self) -> Duration {
        let times = std::iter::once(self.asked).chain(self.told.iter().map(|(at, _)| *at));
        let times: Vec<Instant> = times.collect();
        let gaps = times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0]));
        gaps.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_from_the_callers_words_and_between_pieces() {
        let asked = Instant::now();
        let at = |milliseconds| asked + Duration::from_millis(milliseconds);
        let told = |times: &[u64]| times.iter().map(|time| (at(*time), "word ".to_owned())).collect();
        let turn = |times| Turn { asked, told: told(times), is_complete: true };
        assert_eq!(turn(&[30, 50, 120, 130]).longest_silence(), Duration::from_millis(70));
        assert_eq!(turn(&[90, 100]).longest_silence(), Duration::from_millis(90));
        assert_eq!(turn(&[90, 100]).text(), "word word");
    }
}
