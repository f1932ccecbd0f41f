//! `<Connect>`: hands the call to a relay session, and decides what its end leads to.

use std::time::Instant;

use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;
use voice_protocols::relay::{Inbound, Setup};

use super::{Course, Next};
use crate::twilio::event::CallEvent;
use crate::twilio::form::{CallIdentity, ConnectEnding, Direction, SessionResult, sid};
use crate::twilio::leg::{Leg, Output};
use crate::twilio::line::RelaySocket;
use crate::twilio::relay_session::{self, SessionEnd};
use crate::twilio::reporter::Unheard;
use crate::twilio::settings::RelaySettings;
use crate::twilio::twiml::Relay;

/// How often Twilio tries to open a lost socket again, as far as the stand-in goes: it is not documented.
const RECONNECTS: u32 = 3;

/// The socket of the session that is going on.
#[derive(Debug)]
pub(in crate::twilio) struct OpenRelay(RelaySocket);

impl Course {
    pub(super) async fn connect(
        &mut self,
        base: &str,
        action: Option<&str>,
        relay: &Relay,
    ) -> Result<Next, Unheard> {
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
                let at = Instant::now();
                let next = self.fetch(base, action, self.identity.connect_action(&ending)).await?;
                if !is_over && matches!(next, Next::Document { .. }) {
                    self.reporter.report(CallEvent::ActionAnswered { at, took: at.elapsed() }).await?;
                }
                next
            }
            None => Next::Verb,
        };
        Ok(if is_over { self.hung_up() } else { next })
    }

    /// Ends the session that was broken off because the call goes on with other TwiML. Its action is not asked: nobody
    /// wants to know how to go on.
    pub(super) async fn close_relay(&mut self) -> Result<(), Unheard> {
        let Some(OpenRelay(mut socket)) = self.relays.open.take() else { return Ok(()) };
        relay_session::close(&mut socket, CloseCode::Normal, "The call goes on elsewhere").await;
        self.reporter.report(SessionEnd::completed().event()).await
    }

    /// Holds a session to its end, over several sockets if the TwiML asks for that.
    async fn hold_session(&mut self, session_id: &str, relay: &Relay) -> Result<SessionEnd, Unheard> {
        let mut leg = Leg::new(RelaySettings::of(relay), self.pace);
        let setup = setup(&self.identity, session_id, relay, self.relays.before == 0);
        let setup = || Output::Send(Inbound::Setup(Box::new(setup.clone())));
        if let Err(end) = self.open_socket(session_id, relay).await? {
            return Ok(end);
        }
        self.relays.before += 1;
        let mut outputs = vec![setup()];
        outputs.extend(leg.open(Instant::now()));
        loop {
            let end = match &mut self.relays.open {
                Some(OpenRelay(socket)) => {
                    relay_session::run(socket, &mut leg, outputs, &mut self.acts, &self.reporter).await?
                }
                None => SessionEnd::completed(),
            };
            self.relays.open = None;
            if !(leg.reconnects() && end.is_loss()) {
                return Ok(end);
            }
            self.reporter.report(CallEvent::SocketLost).await?;
            let Some(kept) = self.reopen(&mut leg, session_id, relay).await? else {
                return Ok(SessionEnd::completed());
            };
            if self.relays.open.is_none() {
                return Ok(end);
            }
            outputs = vec![setup()];
            outputs.extend(kept);
        }
    }

    /// Opens the socket; the error is how the session ends without one.
    async fn open_socket(
        &mut self,
        session_id: &str,
        relay: &Relay,
    ) -> Result<Result<(), SessionEnd>, Unheard> {
        let socket = match self.line.connect(&relay.url).await {
            Ok(socket) => socket,
            Err(error) => {
                self.reporter.report(CallEvent::Protocol(format!("{error:#}"))).await?;
                let end = SessionEnd::failed(64102, "Unable to connect to the websocket URL", None);
                return Ok(Err(end));
            }
        };
        self.relays.open = Some(OpenRelay(socket));
        let path = Url::parse(&relay.url).map_or_else(|_| relay.url.clone(), |url| url.path().to_owned());
        self.reporter.report(CallEvent::Connected { session_id: session_id.to_owned(), path }).await?;
        Ok(Ok(()))
    }

    /// Tries to open a socket again that was lost. Returns what happened meanwhile; nothing when the caller has hung up.
    async fn reopen(
        &mut self,
        leg: &mut Leg,
        session_id: &str,
        relay: &Relay,
    ) -> Result<Option<Vec<Output>>, Unheard> {
        let mut kept = Vec::new();
        for _ in 0..RECONNECTS {
            let more = relay_session::keep(leg, self.failure_delay, &mut self.acts, &self.reporter).await?;
            let Some(more) = more else { return Ok(None) };
            kept.extend(more);
            if self.open_socket(session_id, relay).await?.is_ok() {
                break;
            }
        }
        Ok(Some(kept))
    }
}

/// The first frame of a session, as Twilio fills it. A call that Twilio received still rings during the setup of its
/// first session.
pub(crate) fn setup(identity: &CallIdentity, session_id: &str, relay: &Relay, is_first: bool) -> Setup {
    let rings = is_first && identity.direction == Direction::Inbound;
    Setup {
        session_id: session_id.to_owned(),
        account_sid: identity.account_sid.clone(),
        call_sid: identity.call_sid.clone(),
        from: identity.from.clone(),
        to: identity.to.clone(),
        direction: identity.direction.as_str().to_owned(),
        call_type: "PSTN".to_owned(),
        call_status: if rings { "RINGING" } else { "IN_PROGRESS" }.to_owned(),
        custom_parameters: relay.parameters.clone(),
        ..Setup::default()
    }
}
