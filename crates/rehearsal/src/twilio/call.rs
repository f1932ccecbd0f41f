//! A call as its caller holds it: what the caller does goes in, what happens comes out, both through bounded queues.
//! The call itself runs in a task of the carrier; dropping the [`Call`] hangs up.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What a hang-up may take until the service has been told.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(20);
const ACT_TIMEOUT: Duration = Duration::from_secs(5);

/// One telephone call in progress.
#[derive(Debug)]
pub struct Call {
    /// Twilio's `CallSid`.
    pub sid: String,
    pub(super) acts: mpsc::Sender<CallerAct>,
    pub(super) events: mpsc::Receiver<CallEvent>,
}

/// Who calls whom, and how the voice webhook tells it.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// E.164, as the webhook's `From` gives it.
    pub from: String,
    /// E.164, as the webhook's `To` gives it.
    pub to: String,
    /// Posts to `/twiml/{useCase}` instead of `/twiml`.
    pub use_case: Option<String>,
    /// A random one when absent.
    pub call_sid: Option<String>,
    /// Further form fields of every webhook.
    pub extra_params: Vec<(String, String)>,
}

/// What a caller can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerAct {
    /// One utterance with one final transcript; an interruption if the agent is being heard.
    Say(String),
    /// One utterance that the recogniser finalises in several pieces.
    SayInPieces(Vec<String>),
    /// Speech that is not finished. It is transcribed only if the session asked for partial prompts.
    Partial(String),
    /// One key: `0` to `9`, `*`, `#`.
    Press(char),
    /// A noise that interrupts without words.
    Interrupt,
    /// Waits until the caller has heard these words, in the middle of a clause if need be, and then does the act.
    /// Only one such act can wait; words that were heard since the caller spoke last count.
    OnceHeard {
        cue: String,
        act: Box<CallerAct>,
    },
    HangUp,
    /// The network loses the socket; the call stays.
    DropSocket,
    /// A text frame of any content, for tests of what the service does with it.
    SendRaw(String),
}

/// What happens in a call, in order. [`CallEvent::HungUp`] is the last.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallEvent {
    /// The voice webhook was answered with TwiML.
    Answered {
        twiml: String,
        took: Duration,
    },
    /// The voice webhook was answered with another status than 200.
    Refused {
        status: u16,
    },
    /// A relay session began; `path` is that of its socket.
    Connected {
        session_id: String,
        path: String,
    },
    /// The welcome greeting that the TwiML asks for; it is heard like other speech.
    Greeting(String),
    /// The service sent text to be spoken.
    Token {
        text: String,
        last: bool,
        at: Instant,
    },
    /// A clause was played to its end.
    Heard(String),
    AgentSpeaking(bool),
    /// The caller interrupted; `heard` is the part of the current clause that was played.
    Interrupted {
        heard: String,
    },
    /// The caller spoke or pressed a key, but the session's attributes keep that from the service.
    Ignored(String),
    /// A sound file was played.
    Played {
        source: String,
    },
    /// Keys that the agent pressed.
    Digits(String),
    /// The service changed the session's languages.
    Language {
        tts_language: Option<String>,
        transcription_language: Option<String>,
    },
    /// A relay session is over. `status` is Twilio's `SessionStatus`; `close_code` is that of whoever closed first,
    /// and absent when the socket was lost.
    SessionEnded {
        status: String,
        handoff_data: Option<String>,
        close_code: Option<u16>,
    },
    /// The text of a `<Say>`.
    Spoken(String),
    /// The target of a `<Dial>`.
    Dialled(String),
    HungUp {
        by: Party,
        reason: String,
    },
    /// Something that the service did wrong, in words.
    Protocol(String),
}

/// A side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    Caller,
    Service,
}

impl Call {
    /// Lets the caller do something. Fails once the call is over.
    pub async fn act(&self, act: CallerAct) -> anyhow::Result<()> {
        match timeout(ACT_TIMEOUT, self.acts.send(act)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => bail!("the call {} is over", self.sid),
            Err(_) => bail!("the call {} takes no more acts", self.sid),
        }
    }

    /// The next thing that happens, if it does so `within` this time.
    pub async fn next_event(&mut self, within: Duration) -> anyhow::Result<CallEvent> {
        match timeout(within, self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => bail!("the call {} is over", self.sid),
            Err(_) => bail!("nothing happened within {within:?} in the call {}", self.sid),
        }
    }

    /// Skips events until `wanted` finds something in one. The error tells what came instead.
    pub async fn wait_for<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&CallEvent) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + within;
        let mut skipped = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event =
                self.next_event(left).await.map_err(|error| anyhow!("{error}; before that: {skipped:?}"))?;
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
            skipped.push(event);
        }
    }

    /// The text of the agent's next talk cycle: every token up to the one that says that it is the last.
    pub async fn agent_turn(&mut self, within: Duration) -> anyhow::Result<String> {
        let mut said = String::new();
        self.wait_for(within, |event| {
            let CallEvent::Token { text, last, .. } = event else {
                return None;
            };
            said.push_str(text);
            last.then(|| said.clone())
        })
        .await
    }

    /// Hangs up, waits until the service was told, and returns what had happened meanwhile.
    pub async fn hang_up(mut self) -> anyhow::Result<Vec<CallEvent>> {
        // The service may have hung up first; the events tell.
        let _ = self.act(CallerAct::HangUp).await;
        let mut events = Vec::new();
        loop {
            let event = self.next_event(HANG_UP_TIMEOUT).await?;
            let is_over = matches!(event, CallEvent::HungUp { .. });
            events.push(event);
            if is_over {
                return Ok(events);
            }
        }
    }
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            from: "+14155550100".to_owned(),
            to: "+18005550199".to_owned(),
            use_case: None,
            call_sid: None,
            extra_params: Vec::new(),
        }
    }
}
