//! Drives one relay session: the socket, the caller's acts and the playback clock around one leg.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::acts::Acts;
use super::event::{CallEvent, CallerAct};
use super::form::SessionResult;
use super::leg::{Finish, Leg, Output};
use super::line::RelaySocket;
use super::reporter::{Reporter, Unheard};

/// No call is longer than Twilio's longest.
const MAX_SESSION: Duration = Duration::from_hours(24);
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Twilio keeps so many events for a socket that it opens again.
const MOST_KEPT: usize = 500;
/// How long a closed socket waits for the service to agree.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionEnd {
    pub(super) result: SessionResult,
    close_code: Option<u16>,
}

/// Runs a session until either side ends it. `outputs` come first, and begin with the `setup`. Whoever breaks it off by dropping this closes the socket with [`close`].
pub(super) async fn run(
    socket: &mut RelaySocket,
    leg: &mut Leg,
    mut outputs: Vec<Output>,
    acts: &mut Acts,
    reporter: &Reporter,
) -> Result<SessionEnd, Unheard> {
    let mut session = Session { socket, reporter };
    let longest = Instant::now() + MAX_SESSION;
    let mut cue: Option<Cue> = None;
    loop {
        if let Some(end) = session.perform(outputs).await? {
            return Ok(end);
        }
        let cue_at = cue.as_ref().and_then(|cue| leg.when_heard(&cue.words));
        let deadline = [leg.next_deadline(), cue_at].into_iter().flatten().fold(longest, Instant::min);
        let step = tokio::select! {
            frame = session.socket.next() => on_frame(leg, frame),
            act = acts.next() => on_act(leg, act),
            () = sleep_until(deadline.into()) => match cue.take_if(|_| cue_at == Some(deadline)) {
                Some(cue) => on_act(leg, *cue.act),
                None => Step::after_waiting(leg, longest),
            },
        };
        outputs = match step {
            Step::Outputs(outputs) => outputs,
            Step::SendRaw(text) => match session.send(Message::text(text)).await {
                Some(end) => return Ok(end),
                None => Vec::new(),
            },
            Step::Await(next) => {
                cue = Some(next);
                Vec::new()
            }
            Step::HangUp => {
                close(session.socket, CloseCode::Normal, "Call ended").await;
                return Ok(SessionEnd::completed());
            }
            Step::Over(end) => {
                session.answer_close().await;
                return Ok(end);
            }
        };
    }
}

/// Keeps a session whose socket was lost: the agent falls silent, and what the caller does within `gap` is kept. Returns
/// what has to be sent once there is a socket again; nothing when the caller has hung up.
pub(super) async fn keep(
    leg: &mut Leg,
    gap: Duration,
    acts: &mut Acts,
    reporter: &Reporter,
) -> Result<Option<Vec<Output>>, Unheard> {
    let mut kept = Vec::new();
    let mut outputs = leg.fall_silent(Instant::now());
    let over = sleep(gap);
    tokio::pin!(over);
    loop {
        for output in outputs {
            match output {
                Output::Report(event) => reporter.report(event).await?,
                Output::Send(_) if kept.len() < MOST_KEPT => kept.push(output),
                Output::Send(_) | Output::Finish(_) => {}
            }
        }
        outputs = tokio::select! {
            biased;
            () = &mut over => return Ok(Some(kept)),
            act = acts.next() => match on_act(leg, act) {
                Step::Outputs(outputs) => outputs,
                Step::HangUp => return Ok(None),
                Step::SendRaw(_) | Step::Await(_) | Step::Over(_) => Vec::new(),
            },
        };
    }
}

/// The socket with the way to report what happens on it.
struct Session<'a> {
    socket: &'a mut RelaySocket,
    reporter: &'a Reporter,
}

/// What one turn of the loop came to.
enum Step {
    Outputs(Vec<Output>),
    SendRaw(String),
    Await(Cue),
    HangUp,
    Over(SessionEnd),
}

/// An act that waits until words are heard.
struct Cue {
    words: String,
    act: Box<CallerAct>,
}

fn on_frame(leg: &mut Leg, frame: Option<Result<Message, SocketError>>) -> Step {
    match frame {
        Some(Ok(Message::Text(text))) => Step::Outputs(leg.receive(Instant::now(), text.as_str())),
        Some(Ok(Message::Binary(_))) => Step::Outputs(leg.receive_binary()),
        Some(Ok(Message::Close(frame))) => {
            Step::Over(SessionEnd::lost(Some(frame.map_or(1005, |frame| frame.code.into()))))
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Step::Outputs(Vec::new()),
        Some(Err(_)) | None => Step::Over(SessionEnd::lost(None)),
    }
}

fn on_act(leg: &mut Leg, act: CallerAct) -> Step {
    let now = Instant::now();
    Step::Outputs(match act {
        CallerAct::Say(words) => leg.say(now, &[words]),
        CallerAct::SayIn { words, lang } => leg.say_in(now, &words, &lang),
        CallerAct::SayInPieces(pieces) => leg.say(now, &pieces),
        CallerAct::Partial(words) => leg.say_partially(now, &words),
        CallerAct::Press(digit) => leg.press(now, digit),
        CallerAct::Interrupt => leg.make_noise(now),
        CallerAct::OnceHeard { cue, act } => return Step::Await(Cue { words: cue, act }),
        CallerAct::SendRaw(text) => return Step::SendRaw(text),
        CallerAct::DropSocket => return Step::Over(SessionEnd::lost(None)),
        CallerAct::HangUp => return Step::HangUp,
        // Nobody but the agent is at the other end.
        CallerAct::HangUpParty => Vec::new(),
    })
}

impl Step {
    fn after_waiting(leg: &mut Leg, longest: Instant) -> Self {
        if Instant::now() >= longest {
            return Self::Over(SessionEnd::failed(64104, "Maximum call duration exceeded", None));
        }
        Self::Outputs(leg.advance(Instant::now()))
    }
}

impl Session<'_> {
    async fn perform(&mut self, outputs: Vec<Output>) -> Result<Option<SessionEnd>, Unheard> {
        for output in outputs {
            let end = match output {
                Output::Send(message) => self.send(Message::text(message.to_json())).await,
                Output::Report(event) => {
                    self.reporter.report(event).await?;
                    None
                }
                Output::Finish(finish) => Some(self.finish(finish).await),
            };
            if end.is_some() {
                return Ok(end);
            }
        }
        Ok(None)
    }

    /// Sends a frame, or tells how the session ended because that was not possible.
    async fn send(&mut self, message: Message) -> Option<SessionEnd> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(self.close_reason().await),
            Err(_) => Some(SessionEnd::lost(None)),
        }
    }

    /// A frame could not be sent; the service's close frame may be waiting to be read.
    async fn close_reason(&mut self) -> SessionEnd {
        let code = timeout(CLOSE_TIMEOUT, async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(frame) = message {
                    return Some(frame.map_or(1005, |frame| frame.code.into()));
                }
            }
            None
        });
        SessionEnd::lost(code.await.unwrap_or_default())
    }

    async fn finish(&mut self, finish: Finish) -> SessionEnd {
        match finish {
            Finish::Ended { handoff_data } => {
                close(self.socket, CloseCode::Normal, "Closing websocket session").await;
                SessionEnd { result: SessionResult::Ended { handoff_data }, close_code: Some(1000) }
            }
            Finish::TooManyMalformed => {
                close(self.socket, CloseCode::Invalid, "Too many consecutive malformed messages.").await;
                SessionEnd::lost(Some(1007))
            }
        }
    }

    /// If the service closed the socket, sends the reply that the protocol wants.
    async fn answer_close(&mut self) {
        // Nobody is left to care when it cannot be sent.
        let _ = timeout(CLOSE_TIMEOUT, self.socket.flush()).await;
    }
}

/// Closes the socket and waits a moment for the other side; what it still sends is lost.
pub(super) async fn close(socket: &mut RelaySocket, code: CloseCode, reason: &'static str) {
    let closing = async {
        let frame = CloseFrame { code, reason: reason.into() };
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A service that does not answer the close changes nothing for the caller.
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
}

impl SessionEnd {
    /// The call is over, or goes on with other TwiML.
    pub(super) fn completed() -> Self {
        Self { result: SessionResult::Completed, close_code: Some(1000) }
    }

    pub(super) fn failed(code: u32, message: &'static str, close_code: Option<u16>) -> Self {
        Self { result: SessionResult::Failed { code, message }, close_code }
    }

    /// The socket is gone, or the service closed it, which Twilio takes for the same.
    fn lost(close_code: Option<u16>) -> Self {
        Self::failed(64105, "Websocket ended", close_code)
    }

    /// Whether Twilio may connect again.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.result, SessionResult::Failed { code: 64105, .. }) && self.close_code != Some(1007)
    }

    pub(super) fn event(&self) -> CallEvent {
        let handoff_data = match &self.result {
            SessionResult::Ended { handoff_data } => handoff_data.clone(),
            SessionResult::Completed | SessionResult::Failed { .. } => None,
        };
        let status = self.result.session_status().to_owned();
        CallEvent::SessionEnded { status, handoff_data, close_code: self.close_code }
    }
}
