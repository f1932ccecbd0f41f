//! A telephone that holds its calls through an exchange in another process.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::task::TaskTracker;

use super::{Lifted, Purpose, Told};
use crate::twilio::{Call, CallEvent, CallOptions, CallerAct, SpeechPace};

const EVENTS: usize = 1024;
const ACTS: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The exchange itself waits for the service's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// No call is longer.
const LONGEST: Duration = Duration::from_hours(24);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The way to an exchange.
#[derive(Debug)]
pub struct PhoneLine {
    url: String,
    token: String,
    pace: SpeechPace,
    tasks: TaskTracker,
}

/// A telephone that waits for its call. Dropping it puts the receiver back.
#[derive(Debug)]
pub struct Hook {
    socket: Box<Socket>,
    tasks: TaskTracker,
}

impl PhoneLine {
    /// `url` and `token` are those of the [`super::PhoneExchange`].
    pub fn new(url: impl Into<String>, token: impl Into<String>, pace: SpeechPace) -> Self {
        Self { url: url.into(), token: token.into(), pace, tasks: TaskTracker::new() }
    }

    /// Calls the service. Returns once its webhook was answered.
    pub async fn call(&self, options: CallOptions) -> anyhow::Result<Call> {
        let hook = self.lift(Purpose::Call(options)).await?;
        hook.begin(ANSWER_TIMEOUT).await
    }

    /// Waits for a call to a number; returns once one would arrive.
    pub async fn answer(&self, number: &str) -> anyhow::Result<Hook> {
        let mut hook = self.lift(Purpose::Answer { number: number.to_owned() }).await?;
        match hook.hear(ANSWER_TIMEOUT).await? {
            Told::Ready => Ok(hook),
            other => bail!("the exchange answered {other:?}"),
        }
    }

    async fn lift(&self, purpose: Purpose) -> anyhow::Result<Hook> {
        let mut request = self.url.as_str().into_client_request()?;
        let token = HeaderValue::from_str(&format!("Bearer {}", self.token))?;
        request.headers_mut().insert("authorization", token);
        let connected = timeout(CONNECT_TIMEOUT, connect_async(request)).await;
        let connected = connected.map_err(|_| anyhow!("no exchange at {} answers", self.url))?;
        let (socket, _) = connected.with_context(|| format!("no exchange at {}", self.url))?;
        let mut hook = Hook { socket: Box::new(socket), tasks: self.tasks.clone() };
        let lifted = Lifted { purpose, pace: self.pace.into() };
        hook.say(&serde_json::to_string(&lifted)?).await?;
        Ok(hook)
    }
}

impl Hook {
    /// The call, if it comes within this time.
    pub async fn call(self, within: Duration) -> anyhow::Result<Call> {
        self.begin(within).await
    }

    async fn begin(mut self, within: Duration) -> anyhow::Result<Call> {
        let sid = match self.hear(within).await? {
            Told::Began { sid } => sid,
            Told::Failed(reason) => bail!("{reason}"),
            other => bail!("the exchange answered {other:?}"),
        };
        let (acts_in, acts) = mpsc::channel(ACTS);
        let (events_in, events) = mpsc::channel(EVENTS);
        self.tasks.clone().spawn(async move {
            if let Err(error) = self.carry(acts, events_in).await {
                tracing::debug!(error = %error, "a call was cut off");
            }
        });
        Ok(Call { sid, acts: acts_in, events })
    }

    /// Carries acts and events until either end is gone.
    async fn carry(
        mut self,
        mut acts: mpsc::Receiver<CallerAct>,
        events: mpsc::Sender<CallEvent>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                told = self.hear(LONGEST) => match told? {
                    Told::Event(event) => events.send_timeout(event, SEND_TIMEOUT).await?,
                    other => bail!("the exchange said {other:?}"),
                },
                act = acts.recv() => {
                    let act = act.context("the call was dropped")?;
                    self.say(&serde_json::to_string(&act)?).await?;
                }
            }
        }
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(timeout(SEND_TIMEOUT, self.socket.send(Message::text(text))).await??)
    }

    /// The next thing that the exchange says; nothing is lost when this is dropped while it waits.
    async fn hear(&mut self, within: Duration) -> anyhow::Result<Told> {
        loop {
            match timeout(within, self.socket.next()).await?.context("the exchange is gone")?? {
                Message::Text(text) => return Ok(serde_json::from_str(text.as_str())?),
                Message::Close(_) => bail!("the exchange closed the line"),
                _ => {}
            }
        }
    }
}
