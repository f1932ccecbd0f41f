//! One light caller: places its call, waits until everybody has, talks for its turns, hangs up.
//! It answers like Twilio with an instant voice, without the queues and events of a [`crate::twilio::Call`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;
use voice_protocols::relay::Inbound;

use super::delays::Turn;
use super::plan::{CONNECT_TIMEOUT, TURN_TIMEOUT};
use crate::twilio::twiml::{Document, Relay, Verb};
use crate::twilio::{
    CallEvent, CallIdentity, CallOptions, ConnectEnding, Leg, Line, Output, RelaySettings, RelaySocket,
    SessionResult, SpeechPace, relay_setup, sid,
};

const WORDS: [&str; 4] =
    ["What do you have today?", "One pepperoni pizza please.", "And what does it cost?", "Thank you, go on."];
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a caller is to do.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) line: Arc<Line>,
    pub(super) webhook: String,
    pub(super) options: CallOptions,
    pub(super) turns: u32,
    pub(super) think: Duration,
    /// Before the webhook.
    pub(super) wait_to_call: Duration,
    /// Before the first turn.
    pub(super) wait_to_talk: Duration,
}

/// What a caller experienced.
#[derive(Debug, Default)]
pub(super) struct Experience {
    pub(super) call_sid: String,
    pub(super) webhook: Option<Duration>,
    pub(super) turns: Vec<Turn>,
    /// Why the caller gave up.
    pub(super) error: Option<String>,
}

impl Part {
    /// Plays the part. `connected` is dropped when the call stands or has failed; turns begin when `talk` turns true.
    pub(super) async fn play(self, connected: mpsc::Sender<()>, talk: watch::Receiver<bool>) -> Experience {
        let identity = CallIdentity::of(&self.options);
        let mut experience = Experience { call_sid: identity.call_sid.clone(), ..Experience::default() };
        if let Err(error) = self.attempt(&identity, &mut experience, connected, talk).await {
            // Without the call's id, so that the same error of many calls counts as the same.
            experience.error = Some(format!("{error:#}").replace(&identity.call_sid, "CA…"));
        }
        experience
    }

    async fn attempt(
        &self,
        identity: &CallIdentity,
        experience: &mut Experience,
        connected: mpsc::Sender<()>,
        mut talk: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        sleep(self.wait_to_call).await;
        let opening = timeout(CONNECT_TIMEOUT, self.open(identity, experience));
        let (mut session, action) = opening.await.map_err(|_| anyhow!("no session in time"))??;
        drop(connected);
        session.attend_until(async { talk.wait_for(|talk| *talk).await.is_ok() }).await?;
        session.attend_until(sleep(self.wait_to_talk)).await?;
        for turn in 0..self.turns {
            if turn > 0 {
                session.attend_until(sleep(self.think)).await?;
            }
            let words = WORDS[turn as usize % WORDS.len()];
            let answer = timeout(TURN_TIMEOUT, session.turn(words));
            experience
                .turns
                .push(answer.await.map_err(|_| anyhow!("no complete answer in {TURN_TIMEOUT:?}"))??);
        }
        self.hang_up(identity, session, action).await
    }

    async fn open(
        &self,
        identity: &CallIdentity,
        experience: &mut Experience,
    ) -> anyhow::Result<(Session, Option<String>)> {
        let asked = Instant::now();
        let answer = self.line.post(&self.webhook, &identity.voice_webhook("ringing")).await?;
        experience.webhook = Some(asked.elapsed());
        if answer.status != 200 {
            bail!("the voice webhook answered {}", answer.status);
        }
        let verbs = Document::parse(&answer.body).context("the voice webhook answered no TwiML")?.verbs;
        let connect = verbs.into_iter().find_map(|verb| match verb {
            Verb::Connect { action, relay } => Some((action, relay)),
            _ => None,
        });
        let (action, relay) = connect.context("the voice webhook answered without a relay")?;
        Ok((Session::open(&self.line, identity, &relay).await?, action))
    }

    /// Hangs up and posts the `action` callback, as Twilio does, so that the service can forget the call.
    async fn hang_up(
        &self,
        identity: &CallIdentity,
        session: Session,
        action: Option<String>,
    ) -> anyhow::Result<()> {
        let (session_id, began) = (session.id.clone(), session.began);
        session.close().await;
        let Some(action) = action else { return Ok(()) };
        let seconds = began.elapsed().as_secs();
        let ending = ConnectEnding { session_id, seconds, result: SessionResult::Completed };
        let url =
            if action.contains("://") { action } else { Url::parse(&self.webhook)?.join(&action)?.into() };
        let answer = self.line.post(&url, &identity.connect_action(&ending)).await?;
        if answer.status != 200 {
            bail!("the action callback answered {}", answer.status);
        }
        Ok(())
    }
}

/// A relay session and its socket.
struct Session {
    id: String,
    began: Instant,
    socket: RelaySocket,
    leg: Leg,
}

impl Session {
    async fn open(line: &Line, identity: &CallIdentity, relay: &Relay) -> anyhow::Result<Self> {
        let id = sid("VX");
        let mut socket = line.connect(&relay.url).await?;
        let setup = Inbound::Setup(Box::new(relay_setup(identity, &id, relay, true)));
        socket.send(Message::text(setup.to_json())).await?;
        let leg = Leg::new(RelaySettings::of(relay), SpeechPace::INSTANT);
        let mut session = Self { id, began: Instant::now(), socket, leg };
        let greeting = session.leg.open(Instant::now());
        session.perform(greeting, &mut Words::default()).await?;
        Ok(session)
    }

    /// Says something and reads until the agent's last token.
    async fn turn(&mut self, words: &str) -> anyhow::Result<Turn> {
        let asked = Instant::now();
        let prompt = self.leg.say(asked, &[words.to_owned()]);
        let mut answer = Words::default();
        self.perform(prompt, &mut answer).await?;
        while !answer.is_complete {
            let outputs = self.next_outputs().await?;
            self.perform(outputs, &mut answer).await?;
        }
        Ok(Turn { asked, words: answer.received })
    }

    /// Keeps the session alive until `over` is.
    async fn attend_until<T>(&mut self, over: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::pin!(over);
        let mut ignored = Words::default();
        loop {
            // Only the waiting is given up, never a half-written answer.
            let outputs = tokio::select! {
                result = &mut over => return Ok(result),
                outputs = self.next_outputs() => outputs?,
            };
            self.perform(outputs, &mut ignored).await?;
        }
    }

    /// Waits for the next frame or the next thing to report, and tells what to do about it.
    async fn next_outputs(&mut self) -> anyhow::Result<Vec<Output>> {
        let deadline = self.leg.next_deadline();
        tokio::select! {
            frame = self.socket.next() => match frame.context("the service closed the socket")?? {
                Message::Text(text) => Ok(self.leg.receive(Instant::now(), text.as_str())),
                Message::Close(_) => bail!("the service closed the socket"),
                Message::Binary(_) => Ok(self.leg.receive_binary()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Vec::new()),
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                Ok(self.leg.advance(Instant::now()))
            }
        }
    }

    async fn perform(&mut self, outputs: Vec<Output>, words: &mut Words) -> anyhow::Result<()> {
        let mut is_to_flush = false;
        for output in outputs {
            match output {
                Output::Send(message) => {
                    self.socket.feed(Message::text(message.to_json())).await?;
                    is_to_flush = true;
                }
                Output::Report(CallEvent::Token { text, last, at }) => words.add(&text, last, at),
                Output::Report(CallEvent::Protocol(problem)) => bail!("{problem}"),
                Output::Report(_) => {}
                Output::Finish(_) => bail!("the service ended the session"),
            }
        }
        if is_to_flush {
            self.socket.flush().await?;
        }
        Ok(())
    }

    async fn close(mut self) {
        let closing = async {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "Call ended".into() };
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // The turns are over; a service that does not close its side shows in its memory, not here.
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// The words of an answer as they come.
#[derive(Debug, Default)]
struct Words {
    received: Vec<Instant>,
    is_complete: bool,
}

impl Words {
    fn add(&mut self, text: &str, last: bool, at: Instant) {
        self.received.extend(text.split_whitespace().map(|_| at));
        self.is_complete |= last;
    }
}
