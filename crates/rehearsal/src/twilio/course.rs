//! The course of one call: executes TwiML verb by verb, from its first document to the hang-up. What REST changes of the
//! call meanwhile takes the place of what is being executed. Each verb that takes time has a file of its own.

mod connect;
mod dial;
mod gather;
mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use url::Url;

use self::connect::OpenRelay;
use super::acts::Acts;
use super::event::{CallEvent, CallerAct, Party};
use super::form::CallIdentity;
use super::line::{Answer, Line};
use super::live_calls::{CallStatus, LiveCall, Update};
use super::playback::SpeechPace;
use super::reporter::{Reporter, Unheard};
use super::switchboard::Switchboard;
use super::twiml::{Document, Verb};

pub(crate) use self::connect::setup;

/// A service that answers every callback with more TwiML would otherwise keep a call for ever.
const MAX_DOCUMENTS: usize = 200;

/// Everything that a call needs on its way.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) line: Arc<Line>,
    pub(super) board: Switchboard,
    pub(super) call: Arc<LiveCall>,
    pub(super) identity: CallIdentity,
    pub(super) pace: SpeechPace,
    pub(super) failure_delay: Duration,
    pub(super) acts: Acts,
    pub(super) reporter: Reporter,
    pub(super) relays: Relays,
}

/// The relay sessions of a call.
#[derive(Debug, Default)]
pub(super) struct Relays {
    /// How many there were before.
    before: u32,
    open: Option<OpenRelay>,
}

/// Who ended a call, and why.
pub(super) type Ended = (Party, String);

/// What follows a verb.
#[derive(Debug)]
pub(super) enum Next {
    Verb,
    Document { url: String, verbs: Vec<Verb> },
    End { by: Party, reason: String },
}

impl Course {
    /// Follows the answer to the voice webhook of a call that Twilio received, until the call is over.
    pub(super) async fn run(
        mut self,
        url: String,
        answer: Answer,
        took: Duration,
        mut updates: mpsc::Receiver<Update>,
    ) {
        let ended = async {
            let start = self.take(url, &answer, took).await?;
            let (by, reason) = self.follow(start, &mut updates).await?;
            self.call.set(CallStatus::Completed);
            self.end(by, reason).await
        };
        if ended.await.is_err() {
            self.forget();
        }
    }

    /// Executes documents until nothing follows.
    pub(super) async fn follow(
        &mut self,
        start: Next,
        updates: &mut mpsc::Receiver<Update>,
    ) -> Result<Ended, Unheard> {
        let mut next = start;
        for _ in 0..MAX_DOCUMENTS {
            let (url, verbs) = match next {
                Next::Document { url, verbs } => (url, verbs),
                Next::End { by, reason } => return Ok((by, reason)),
                Next::Verb => return Ok((Party::Service, "the TwiML came to its end".to_owned())),
            };
            let update = tokio::select! {
                biased;
                Some(update) = updates.recv() => update,
                followed = self.execute(&url, verbs) => {
                    next = followed?;
                    continue;
                }
            };
            self.close_relay().await?;
            next = self.obey(update, Vec::new()).await?;
        }
        Ok((Party::Service, format!("more than {MAX_DOCUMENTS} TwiML documents in one call")))
    }

    /// The first document of a call that was just answered; `more` goes with the request for it.
    pub(super) async fn begin(
        &mut self,
        first: Update,
        more: Vec<(String, String)>,
    ) -> Result<Next, Unheard> {
        match first {
            Update::Fetch(url) => {
                let mut form = self.identity.voice_webhook("in-progress");
                form.extend(more);
                let asked = Instant::now();
                match self.line.post(&url, &form).await {
                    Ok(answer) => self.take(url, &answer, asked.elapsed()).await,
                    Err(error) => self.fault(format!("{error:#}")).await,
                }
            }
            Update::Twiml(twiml) => {
                let event = CallEvent::Answered { twiml: twiml.clone(), took: Duration::ZERO };
                self.reporter.report(event).await?;
                self.obey(Update::Twiml(twiml), more).await
            }
        }
    }

    /// The last event of the call.
    pub(super) async fn end(&self, by: Party, reason: String) -> Result<(), Unheard> {
        let status = self.call.status().as_str().to_owned();
        self.reporter.report(CallEvent::HungUp { by, reason, status }).await
    }

    /// Nobody holds the call any more.
    pub(super) fn forget(&self) {
        self.call.set(CallStatus::Completed);
        tracing::debug!(
            call.sid = self.identity.call_sid,
            "a call was dropped because nobody took its events"
        );
    }

    /// Takes the answer to the first request of the call.
    async fn take(&self, url: String, answer: &Answer, took: Duration) -> Result<Next, Unheard> {
        let event = if answer.status == 200 {
            CallEvent::Answered { twiml: answer.body.clone(), took }
        } else {
            CallEvent::Refused { status: answer.status }
        };
        self.reporter.report(event).await?;
        self.read(url, answer).await
    }

    async fn obey(&self, update: Update, more: Vec<(String, String)>) -> Result<Next, Unheard> {
        match update {
            Update::Fetch(url) => {
                let mut form = self.identity.voice_webhook("in-progress");
                form.extend(more);
                self.fetch(&url, &url, form).await
            }
            Update::Twiml(twiml) => self.parse(self.line.public_url(&[]), &twiml).await,
        }
    }

    async fn read(&self, url: String, answer: &Answer) -> Result<Next, Unheard> {
        if answer.status != 200 {
            return self.fault(format!("{url} answered status {}", answer.status)).await;
        }
        if !answer.is_xml {
            return self.fault(format!("{url} answered something else than XML")).await;
        }
        self.parse(url, &answer.body).await
    }

    async fn parse(&self, url: String, twiml: &str) -> Result<Next, Unheard> {
        match Document::parse(twiml) {
            Ok(document) => Ok(Next::Document { url, verbs: document.verbs }),
            Err(error) => self.fault(format!("{url} answered no TwiML: {error}")).await,
        }
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
            Verb::Connect { action, relay } => Box::pin(self.connect(url, action.as_deref(), &relay)).await,
            Verb::Say(_) | Verb::Play(_) | Verb::Pause { .. } => {
                let time = self.utter(verb).await?;
                Ok(self.pass(time).await)
            }
            Verb::Hangup => Ok(hung_up_by_service("<Hangup>")),
            Verb::Redirect(target) => {
                self.fetch(url, &target, self.identity.voice_webhook("in-progress")).await
            }
            Verb::Dial(dial) => Box::pin(self.dial(url, dial)).await,
            Verb::Gather(gather) => Box::pin(self.gather(url, gather)).await,
            Verb::Enqueue(enqueue) => Box::pin(self.enqueue(url, enqueue)).await,
            Verb::Unknown(name) => {
                self.reporter.report(CallEvent::Protocol(format!("{url} used <{name}>"))).await?;
                Ok(Next::Verb)
            }
        }
    }

    /// Begins to speak, to play or to be silent; returns how long that takes.
    async fn utter(&mut self, verb: Verb) -> Result<Duration, Unheard> {
        match verb {
            Verb::Say(text) => {
                let time = self.pace.time_to_say(&text);
                self.reporter.report(CallEvent::Spoken(text)).await?;
                Ok(time)
            }
            Verb::Play(source) => {
                self.reporter.report(CallEvent::Played { source }).await?;
                Ok(Duration::ZERO)
            }
            Verb::Pause { seconds } if !self.pace.is_instant() => Ok(Duration::from_secs(seconds.into())),
            _ => Ok(Duration::ZERO),
        }
    }

    /// Lets time pass in which the caller can only hang up.
    async fn pass(&mut self, time: Duration) -> Next {
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Next::Verb,
                act = self.acts.next() => if act == CallerAct::HangUp {
                    return self.hung_up();
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

    /// Tells the service how a verb ended, and goes on with what it answers, or behind the verb when it gave no address.
    async fn conclude(
        &self,
        base: &str,
        action: Option<&str>,
        is_over: bool,
        more: Vec<(String, String)>,
    ) -> Result<Next, Unheard> {
        let status = if is_over { "completed" } else { "in-progress" };
        let next = match action {
            Some(action) => {
                let mut form = self.identity.voice_webhook(status);
                form.extend(more);
                self.fetch(base, action, form).await?
            }
            None => Next::Verb,
        };
        Ok(if is_over { self.hung_up() } else { next })
    }

    async fn fault(&self, problem: String) -> Result<Next, Unheard> {
        self.reporter.report(CallEvent::Protocol(problem.clone())).await?;
        Ok(Next::End { by: Party::Service, reason: problem })
    }

    /// The end of a call whose person hung up, or which was ended for them.
    fn hung_up(&self) -> Next {
        if self.acts.are_cut_by_service() {
            return hung_up_by_service("the call was completed through REST");
        }
        Next::End { by: Party::Caller, reason: "the caller hung up".to_owned() }
    }
}

fn hung_up_by_service(reason: &str) -> Next {
    Next::End { by: Party::Service, reason: reason.to_owned() }
}
