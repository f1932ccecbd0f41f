//! The course of one call: executes TwiML verb by verb, from the answer to the voice webhook to the hang-up.
//! A `<Connect>` is handed to a relay session; what its end leads to is decided here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use url::Url;
use voice_protocols::relay::Setup;

use super::call::{CallEvent, CallerAct, Party};
use super::form::{CallIdentity, ConnectEnding, SessionResult, sid};
use super::leg::Leg;
use super::line::{Answer, Line};
use super::playback::SpeechPace;
use super::relay_session::{self, SessionEnd};
use super::settings::RelaySettings;
use super::twiml::{Document, Relay, Verb};

/// A service that answers every callback with more TwiML would otherwise keep a call for ever.
const MAX_DOCUMENTS: usize = 200;
/// How long a call waits for a reader who does not take its events.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that a call needs on its way.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) line: Arc<Line>,
    pub(super) identity: CallIdentity,
    pub(super) pace: SpeechPace,
    pub(super) failure_delay: Duration,
    /// How many relay sessions the call has had.
    pub(super) sessions_before: u32,
    pub(super) acts: mpsc::Receiver<CallerAct>,
    pub(super) reporter: Reporter,
}

/// The way of events to the holder of the call.
#[derive(Debug)]
pub(super) struct Reporter {
    events: mpsc::Sender<CallEvent>,
}

/// Nobody reads the call's events any more, so that it cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes the events of the call")]
pub(super) struct Unheard;

/// What follows a verb.
enum Next {
    Verb,
    Document { url: String, verbs: Vec<Verb> },
    End { by: Party, reason: String },
}

impl Course {
    /// Follows the answer to the voice webhook until the call is over.
    pub(super) async fn run(mut self, url: String, answer: Answer, first: CallEvent) {
        let is_told = match self.follow(url, answer, first).await {
            Ok((by, reason)) => self.reporter.report(CallEvent::HungUp { by, reason }).await,
            Err(unheard) => Err(unheard),
        };
        if is_told.is_err() {
            tracing::debug!(
                call.sid = self.identity.call_sid,
                "a call was dropped because nobody took its events"
            );
        }
    }

    async fn follow(
        &mut self,
        url: String,
        answer: Answer,
        first: CallEvent,
    ) -> Result<(Party, String), Unheard> {
        self.reporter.report(first).await?;
        let mut document = self.read(url, &answer).await?;
        for _ in 0..MAX_DOCUMENTS {
            match document {
                Next::Document { url, verbs } => document = self.execute(&url, verbs).await?,
                Next::End { by, reason } => return Ok((by, reason)),
                Next::Verb => return Ok((Party::Service, "the TwiML came to its end".to_owned())),
            }
        }
        Ok((Party::Service, format!("more than {MAX_DOCUMENTS} TwiML documents in one call")))
    }

    async fn read(&self, url: String, answer: &Answer) -> Result<Next, Unheard> {
        let problem = if answer.status != 200 {
            format!("{url} answered status {}", answer.status)
        } else if !answer.is_xml {
            format!("{url} answered something else than XML")
        } else {
            match Document::parse(&answer.body) {
                Ok(document) => {
                    return Ok(Next::Document { url, verbs: document.verbs });
                }
                Err(error) => format!("{url} answered no TwiML: {error}"),
            }
        };
        self.fault(problem).await
    }

    async fn execute(&mut self, url: &str, verbs: Vec<Verb>) -> Result<Next, Unheard> {
        for verb in verbs {
            match self.perform(url, verb).await? {
                Next::Verb => {}
                next => return Ok(next),
            }
        }
        Ok(Next::Verb)
    }

    async fn perform(&mut self, url: &str, verb: Verb) -> Result<Next, Unheard> {
        match verb {
            Verb::Connect { action, relay } => self.connect(url, action.as_deref(), &relay).await,
            Verb::Say(text) => {
                let time = self.pace.time_to_say(&text);
                self.reporter.report(CallEvent::Spoken(text)).await?;
                Ok(self.pass(time).await)
            }
            Verb::Pause { .. } if self.pace.is_instant() => Ok(Next::Verb),
            Verb::Pause { seconds } => Ok(self.pass(Duration::from_secs(seconds.into())).await),
            Verb::Hangup => Ok(hung_up_by_service("<Hangup>")),
            Verb::Redirect(target) => {
                self.fetch(url, &target, self.identity.voice_webhook("in-progress")).await
            }
            Verb::Dial(target) => {
                self.reporter.report(CallEvent::Dialled(target)).await?;
                Ok(hung_up_by_service("the call was given to the dialled party"))
            }
            Verb::Unknown(name) => {
                self.reporter.report(CallEvent::Protocol(format!("{url} used <{name}>"))).await?;
                Ok(Next::Verb)
            }
        }
    }

    /// Lets time pass in which the caller can only hang up.
    async fn pass(&mut self, time: Duration) -> Next {
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Next::Verb,
                act = self.acts.recv() => match act {
                    Some(CallerAct::HangUp) | None => return hung_up_by_caller(),
                    Some(_) => {}
                },
            }
        }
    }

    async fn fetch(&self, base: &str, target: &str, form: Vec<(String, String)>) -> Result<Next, Unheard> {
        let Ok(url) = Url::parse(base).and_then(|base| base.join(target)) else {
            return self.fault(format!("{base} named the unusable address {target:?}")).await;
        };
        let url = if target.contains("://") { target.to_owned() } else { url.into() };
        match self.line.post(&url, &form).await {
            Ok(answer) => self.read(url, &answer).await,
            Err(error) => self.fault(format!("{error:#}")).await,
        }
    }

    async fn fault(&self, problem: String) -> Result<Next, Unheard> {
        self.reporter.report(CallEvent::Protocol(problem.clone())).await?;
        Ok(Next::End { by: Party::Service, reason: problem })
    }

    async fn connect(&mut self, base: &str, action: Option<&str>, relay: &Relay) -> Result<Next, Unheard> {
        let (session_id, began) = (sid("VX"), Instant::now());
        let end = self.hold_session(&session_id, relay).await?;
        let is_over = matches!(end.result, SessionResult::Completed);
        self.reporter.report(end.event()).await?;
        if matches!(end.result, SessionResult::Failed { .. }) {
            sleep(self.failure_delay).await;
        }
        let next = match action {
            Some(action) => {
                let ending =
                    ConnectEnding { session_id, seconds: began.elapsed().as_secs(), result: end.result };
                self.fetch(base, action, self.identity.connect_action(&ending)).await?
            }
            None => Next::Verb,
        };
        Ok(if is_over { hung_up_by_caller() } else { next })
    }

    async fn hold_session(&mut self, session_id: &str, relay: &Relay) -> Result<SessionEnd, Unheard> {
        let socket = match self.line.connect(&relay.url).await {
            Ok(socket) => socket,
            Err(error) => {
                self.reporter.report(CallEvent::Protocol(format!("{error:#}"))).await?;
                return Ok(SessionEnd::failed(64102, "Unable to connect to the websocket URL", None));
            }
        };
        let path = Url::parse(&relay.url).map_or_else(|_| relay.url.clone(), |url| url.path().to_owned());
        self.reporter.report(CallEvent::Connected { session_id: session_id.to_owned(), path }).await?;
        let leg = Leg::new(RelaySettings::of(relay), self.pace);
        let setup = setup(&self.identity, session_id, relay, self.sessions_before == 0);
        self.sessions_before += 1;
        relay_session::run(socket, leg, setup, &mut self.acts, &self.reporter).await
    }
}

/// The first frame of a session, as Twilio fills it. An inbound call still rings during its first session's setup.
pub(crate) fn setup(identity: &CallIdentity, session_id: &str, relay: &Relay, is_first: bool) -> Setup {
    Setup {
        session_id: session_id.to_owned(),
        account_sid: identity.account_sid.clone(),
        call_sid: identity.call_sid.clone(),
        from: identity.from.clone(),
        to: identity.to.clone(),
        direction: "inbound".to_owned(),
        call_type: "PSTN".to_owned(),
        call_status: if is_first { "RINGING" } else { "IN_PROGRESS" }.to_owned(),
        custom_parameters: relay.parameters.clone(),
        ..Setup::default()
    }
}

impl Reporter {
    pub(super) fn new(events: mpsc::Sender<CallEvent>) -> Self {
        Self { events }
    }

    pub(super) async fn report(&self, event: CallEvent) -> Result<(), Unheard> {
        self.events.send_timeout(event, REPORT_TIMEOUT).await.map_err(|_| Unheard)
    }
}

fn hung_up_by_service(reason: &str) -> Next {
    Next::End { by: Party::Service, reason: reason.to_owned() }
}

fn hung_up_by_caller() -> Next {
    Next::End { by: Party::Caller, reason: "the caller hung up".to_owned() }
}
