//! What the TwiML tells the socket that it leads to: custom parameters that come back in `setup`.

use std::collections::BTreeMap;

use voice_core::conversation::Opening;
use voice_core::ports::KnownSession;

use super::returning::{RETURNED, Returned};

/// Why, and when, Twilio was told to connect a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The epoch that the call had then. TwiML of a release that does not tell it is taken at its word.
    pub(super) epoch: Option<u64>,
    pub(super) cause: Cause,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// The call was answered.
    #[default]
    Usual,
    /// Its socket was lost, perhaps before anything came of it.
    Lost,
    /// Another task handed the call over between two turns.
    HandedOver,
    /// Nobody took the call that was transferred.
    Returned(Returned),
}

const EPOCH: &str = "epoch";
const HANDED_OVER: &str = "handedOver";
const LOST: &str = "lost";

impl Arrival {
    pub(super) const fn at(epoch: u64, cause: Cause) -> Self {
        Self { epoch: Some(epoch), cause }
    }

    pub(super) fn write_to(self, parameters: &mut BTreeMap<String, String>) {
        parameters.extend(self.epoch.map(|epoch| (EPOCH.to_owned(), epoch.to_string())));
        let cause = match self.cause {
            Cause::Usual => return,
            Cause::Lost => (LOST, "true"),
            Cause::HandedOver => (HANDED_OVER, "true"),
            Cause::Returned(returned) => (RETURNED, returned.code()),
        };
        parameters.insert(cause.0.to_owned(), cause.1.to_owned());
    }

    pub(super) fn read_from(parameters: &BTreeMap<String, String>) -> Self {
        let returned = parameters.get(RETURNED).and_then(|code| Returned::from_code(code));
        let cause = match returned {
            Some(returned) => Cause::Returned(returned),
            None if parameters.contains_key(HANDED_OVER) => Cause::HandedOver,
            None if parameters.contains_key(LOST) => Cause::Lost,
            None => Cause::Usual,
        };
        Self { epoch: parameters.get(EPOCH).and_then(|epoch| epoch.parse().ok()), cause }
    }

    /// Whether nobody has carried the call before. A process that answered it does not know of a socket that went to
    /// another one.
    pub(super) fn is_new_call(self) -> bool {
        self.cause == Cause::Usual && self.epoch.unwrap_or_default() == 0
    }

    /// Whether this socket is the first that the TwiML led to. Twilio opens others behind it, with the same parameters,
    /// when it was told to reconnect by itself.
    pub(super) fn is_first(self, claimed: &KnownSession) -> bool {
        self.epoch.is_none_or(|epoch| epoch + 1 >= claimed.epoch)
    }

    /// How the session finds its caller that has made `claimed` its own.
    pub(super) fn opening(self, claimed: &KnownSession) -> Opening {
        match self.cause {
            Cause::Returned(returned) if self.is_first(claimed) => {
                Opening::Returned { reason: returned.words().to_owned() }
            }
            Cause::HandedOver if self.is_first(claimed) => Opening::Continued,
            _ if claimed.epoch <= 1 && claimed.resumes == 0 => Opening::Fresh,
            _ if claimed.rested => Opening::Continued,
            _ => Opening::Resumed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parties::tests::known_session;

    fn claimed(epoch: u64, resumes: u64, rested: bool) -> KnownSession {
        KnownSession { epoch, resumes, rested, ..known_session("+1415", "+1800") }
    }

    #[test]
    fn what_was_told_comes_back() {
        for cause in [Cause::Usual, Cause::Lost, Cause::HandedOver, Cause::Returned(Returned::Busy)] {
            let (arrival, mut parameters) = (Arrival::at(3, cause), BTreeMap::new());
            arrival.write_to(&mut parameters);
            assert_eq!(Arrival::read_from(&parameters), arrival);
        }
        assert_eq!(Arrival::read_from(&BTreeMap::new()), Arrival::default());
        assert!(Arrival::default().is_new_call() && Arrival::at(0, Cause::Usual).is_new_call());
        assert!(!Arrival::at(0, Cause::Lost).is_new_call() && !Arrival::at(1, Cause::Usual).is_new_call());
    }

    #[test]
    fn what_the_twiml_tells_holds_for_its_first_socket_only() {
        let returned = Opening::Returned { reason: Returned::Busy.words().to_owned() };
        for (cause, epoch, resumes, rested, opening) in [
            (Cause::Usual, 1, 0, false, Opening::Fresh),
            (Cause::Usual, 1, 1, false, Opening::Resumed),
            (Cause::Usual, 2, 1, false, Opening::Resumed),
            (Cause::Usual, 2, 1, true, Opening::Continued),
            (Cause::HandedOver, 2, 0, false, Opening::Continued),
            (Cause::HandedOver, 3, 1, false, Opening::Resumed),
            (Cause::Returned(Returned::Busy), 2, 0, true, returned),
            (Cause::Returned(Returned::Busy), 3, 1, false, Opening::Resumed),
        ] {
            let told = Arrival::at(if cause == Cause::Usual { epoch - 1 } else { 1 }, cause);
            assert_eq!(told.opening(&claimed(epoch, resumes, rested)), opening, "{cause:?} {epoch}");
        }
        assert!(!Arrival::at(0, Cause::Usual).is_first(&claimed(2, 0, false)));
    }
}
