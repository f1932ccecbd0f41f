//! Who talks to whom, as a request of Twilio says it. A use case may say that the table keeps no numbers, and the table can
//! be out of reach; Twilio tells them each time.

use voice_core::ports::{Direction, KnownSession};
use voice_core::private::Private;
use voice_protocols::relay::Setup;
use voice_protocols::webhook::VoiceWebhook;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) from: Private<String>,
    pub(super) to: Private<String>,
    pub(super) direction: Direction,
}

impl Parties {
    /// Those of the form that belongs to a call.
    pub(super) fn of_form(params: &[(String, String)]) -> Self {
        VoiceWebhook::from_params(params.to_vec()).map(|webhook| Self::of(&webhook)).unwrap_or_default()
    }

    pub(super) fn of(webhook: &VoiceWebhook) -> Self {
        Self {
            from: Private::new(webhook.from.clone()),
            to: Private::new(webhook.to.clone()),
            direction: direction(&webhook.direction),
        }
    }

    pub(super) fn of_setup(setup: &Setup) -> Self {
        Self {
            from: Private::new(setup.from.clone()),
            to: Private::new(setup.to.clone()),
            direction: direction(&setup.direction),
        }
    }

    /// Those that the table knows; where it knows none, these.
    pub(super) fn unless_known(self, session: &KnownSession) -> Self {
        let known = Self { from: session.from.clone(), to: session.to.clone(), direction: session.direction };
        if known.is_blank() { self } else { known }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.from.expose().is_empty() && self.to.expose().is_empty()
    }

    /// The number of the agent.
    pub(super) const fn own_number(&self) -> &Private<String> {
        match self.direction {
            Direction::Inbound => &self.to,
            Direction::Outbound => &self.from,
        }
    }
}

fn direction(text: &str) -> Direction {
    if text.starts_with("outbound-api") { Direction::Outbound } else { Direction::Inbound }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A call between these two of which nothing else is remarkable.
    pub(in crate::http) fn known_session(from: &str, to: &str) -> KnownSession {
        let text = |text: &str| Private::new(text.to_owned());
        KnownSession {
            epoch: 1,
            resumes: 0,
            started_at: String::new(),
            use_case: "desk".to_owned(),
            account_sid: String::new(),
            from: text(from),
            to: text(to),
            direction: Direction::Inbound,
            variables: Private::default(),
            language: None,
            verified: false,
            rested: false,
        }
    }

    #[test]
    fn what_the_table_knows_comes_first_and_blanks_are_no_knowledge() {
        let text = |text: &str| Private::new(text.to_owned());
        let form = [("CallSid", "CA1"), ("From", "+1800"), ("To", "+1415"), ("Direction", "outbound-api")];
        let form: Vec<_> =
            form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let seen = Parties::of_form(&form);
        assert_eq!((seen.own_number(), seen.direction), (&text("+1800"), Direction::Outbound));
        let setup = Setup { from: "+1415".to_owned(), to: "+1800".to_owned(), ..Setup::default() };
        assert_eq!(Parties::of_setup(&setup).own_number(), &text("+1800"));
        assert_eq!(seen.clone().unless_known(&known_session("", "")), seen);
        let known = seen.unless_known(&known_session("+1416", ""));
        assert_eq!((known.from, known.to, known.direction), (text("+1416"), text(""), Direction::Inbound));
    }
}
