//! Where telephones of other processes reach the carrier.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Lifted, Purpose, Told};
use crate::twilio::rest::{RestStandIn, Sent};
use crate::twilio::{Call, CallEvent, Callee, CallerAct, Carrier, Part};

const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a telephone must say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody waits longer for a call, or stays in one.
const LONGEST: Duration = Duration::from_hours(24);

/// Takes telephones in until it is dropped.
#[derive(Debug)]
pub struct PhoneExchange {
    address: SocketAddr,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    carrier: Carrier,
    rest: RestStandIn,
    token: String,
}

impl PhoneExchange {
    /// Listens on a free port of this machine, for telephones that know the token.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(carrier: Carrier, rest: RestStandIn, token: String) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the exchange for telephones cannot listen")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { carrier, rest, token });
        let router = Router::new().route("/phone", any(lift)).with_state(shared);
        let stopping = CancellationToken::new();
        let stop = stopping.clone().drop_guard();
        TaskTracker::new().spawn(stopping.run_until_cancelled_owned(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the exchange for telephones stopped");
            }
        }));
        Ok(Self { address, _stop: stop })
    }

    /// What a [`super::PhoneLine`] wants to know.
    pub fn url(&self) -> String {
        format!("ws://{}/phone", self.address)
    }
}

async fn lift(State(shared): State<Arc<Shared>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != Some(format!("Bearer {}", shared.token).as_str()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(async move |socket| {
        if let Err(error) = Box::pin(serve(&shared, socket)).await {
            tracing::debug!(error = %error, "a telephone left");
        }
    })
}

async fn serve(shared: &Shared, socket: WebSocket) -> anyhow::Result<()> {
    let mut phone = Phone { socket };
    let first = timeout(PATIENCE, phone.hear()).await.context("it did not say what it wants")??;
    let Lifted { purpose, pace } = serde_json::from_str(&first)?;
    let carrier = shared.carrier.clone().with_pace(pace.into());
    let mut sent = shared.rest.watch();
    match purpose {
        Purpose::Call(options) => {
            let person = options.from.clone();
            match carrier.call(options).await {
                Ok(call) => phone.hold(call, &person, &mut sent).await,
                Err(error) => phone.tell(&Told::Failed(format!("{error:#}"))).await,
            }
        }
        Purpose::Answer { number } => {
            let board = shared.rest.switchboard();
            let carrier = carrier.with_switchboard(board);
            let mut placed = carrier.placed_calls();
            board.set_callee(number.clone(), Callee { part: Part::Live, ..Callee::default() });
            phone.tell(&Told::Ready).await?;
            let call = tokio::select! {
                call = timeout(LONGEST, placed.recv()) => call?.context("another telephone answers now")?,
                heard = phone.hear() => bail!("it hung up before it rang: {heard:?}"),
            };
            let held = phone.hold(call, &number, &mut sent).await;
            board.set_callee(number, Callee::default());
            held
        }
    }
}

/// A telephone with its receiver off the hook.
struct Phone {
    socket: WebSocket,
}

impl Phone {
    /// Carries acts and events until the call is over or the telephone is gone, which hangs up.
    async fn hold(
        &mut self,
        mut call: Call,
        person: &str,
        sent: &mut broadcast::Receiver<Sent>,
    ) -> anyhow::Result<()> {
        self.tell(&Told::Began { sid: call.sid.clone() }).await?;
        loop {
            tokio::select! {
                event = call.next_event(LONGEST) => {
                    let event = event?;
                    let is_over = matches!(event, CallEvent::HungUp { .. });
                    self.tell(&Told::Event(event)).await?;
                    if is_over {
                        return Ok(());
                    }
                }
                act = self.hear() => {
                    let act: CallerAct = serde_json::from_str(&act?)?;
                    // A call that takes no more acts is over, as its events are about to tell.
                    let _ = call.act(act).await;
                }
                message = received(sent, person) => self.tell(&Told::Event(message)).await?,
            }
        }
    }

    async fn tell(&mut self, told: &Told) -> anyhow::Result<()> {
        let text = serde_json::to_string(told)?;
        Ok(timeout(SEND_TIMEOUT, self.socket.send(Message::text(text))).await??)
    }

    /// The next text; nothing is lost when this is dropped while it waits.
    async fn hear(&mut self) -> anyhow::Result<String> {
        loop {
            match self.socket.recv().await.context("the socket is gone")?? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(_) => bail!("the receiver is back on the hook"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }
}

/// The next message to somebody.
async fn received(sent: &mut broadcast::Receiver<Sent>, person: &str) -> CallEvent {
    loop {
        match sent.recv().await {
            Ok(Sent::Message(message)) if message.to == person => {
                return CallEvent::Received { from: message.from, text: message.body };
            }
            Ok(Sent::Code(code)) if code.to == person => {
                let text = format!("Your verification code is {}.", code.code);
                return CallEvent::Received { from: format!("Twilio Verify ({})", code.channel), text };
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
