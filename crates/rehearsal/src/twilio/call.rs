//! A call as its caller holds it: what the caller does goes in, what happens comes out, both through bounded queues.
//! The call itself runs in a task of the carrier; dropping the [`Call`] hangs up.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::event::{CallEvent, CallerAct};

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
#[derive(Clone, Debug, Deserialize, Serialize)]
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
