//! `<Connect>`: hands the call to a relay session, and decides what its end leads to.

use std::time::Instant;

use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;
use voice_protocols::relay::Setup;

use super::{Course, Next};
use crate::twilio::event::CallEvent;
use crate::twilio::form::{CallIdentity, ConnectEnding, Direction, SessionResult, sid};
use crate::twilio::leg::Leg;
use crate::twilio::line::RelaySocket;
use crate::twilio::relay_session::{self, SessionEnd};
use crate::twilio::reporter::Unheard;
use crate::twilio::settings::RelaySettings;
use crate::twilio::twiml::Relay;

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

    async fn hold_session(&mut self, session_id: &str, relay: &Relay) -> Result<SessionEnd, Unheard> {
        let socket = match self.line.connect(&relay.url).await {
            Ok(socket) => socket,
            Err(error) => {
                self.reporter.report(CallEvent::Protocol(format!("{error:#}"))).await?;
                return Ok(SessionEnd::failed(64102, "Unable to connect to the websocket URL", None));
            }
        };
        let OpenRelay(socket) = self.relays.open.insert(OpenRelay(socket));
        let path = Url::parse(&relay.url).map_or_else(|_| relay.url.clone(), |url| url.path().to_owned());
        self.reporter.report(CallEvent::Connected { session_id: session_id.to_owned(), path }).await?;
        let leg = Leg::new(RelaySettings::of(relay), self.pace);
        let setup = setup(&self.identity, session_id, relay, self.relays.before == 0);
        self.relays.before += 1;
        let end = relay_session::run(socket, leg, setup, &mut self.acts, &self.reporter).await;
        self.relays.open = None;
        end
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
