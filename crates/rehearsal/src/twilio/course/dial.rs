//! `<Dial>`: somebody is called and connected with the caller, or the caller enters a conference room.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Course, Next};
use crate::twilio::callee::{Callee, Part, Script};
use crate::twilio::event::{CallEvent, CallerAct};
use crate::twilio::form::{fields, sid};
use crate::twilio::reporter::Unheard;
use crate::twilio::rooms::{Happening, RoomState, Seat};
use crate::twilio::twiml::{Dial, DialTarget};

/// How a `<Dial>` ended.
struct DialEnd {
    /// Twilio's `DialCallStatus`.
    status: &'static str,
    /// Since the connection, when there was one.
    seconds: Option<u64>,
    /// The caller hung up, or was hung up.
    is_caller_gone: bool,
}

/// Who ended a conversation.
enum Gone {
    Caller,
    Other,
}

impl Course {
    pub(super) async fn dial(&mut self, base: &str, dial: Dial) -> Result<Next, Unheard> {
        let end = match &dial.to {
            DialTarget::Party(address) => self.call_somebody(address, &dial).await?,
            DialTarget::Conference { room, starts_on_enter, ends_on_exit } => {
                let seat = self.board.rooms().enter(room, *starts_on_enter, *ends_on_exit);
                self.confer(room, seat).await?
            }
        };
        let mut form = fields(&[("DialCallStatus", end.status), ("DialCallSid", &sid("CA"))]);
        if let Some(seconds) = end.seconds {
            form.extend(fields(&[("DialCallDuration", &seconds.to_string()), ("DialBridged", "true")]));
        }
        self.conclude(base, dial.action.as_deref(), end.is_caller_gone, form).await
    }

    async fn call_somebody(&mut self, address: &str, dial: &Dial) -> Result<DialEnd, Unheard> {
        self.reporter.report(CallEvent::Dialled(address.to_owned())).await?;
        if let Some(caller_id) = dial.caller_id.as_ref().filter(|id| !is_caller_id(id)) {
            // Twilio does not place such a call.
            let problem = format!("<Dial> has the callerId {caller_id:?}, which is no number");
            self.reporter.report(CallEvent::Protocol(problem)).await?;
            return Ok(DialEnd { status: "failed", seconds: None, is_caller_gone: false });
        }
        let callee = self.board.callee(address);
        let longest = Duration::from_secs(dial.timeout_seconds.into());
        if let Next::End { .. } = self.pass(callee.ringing(longest, self.pace)).await {
            return Ok(DialEnd { status: "canceled", seconds: None, is_caller_gone: true });
        }
        if let Some(status) = callee.answers.refusal() {
            return Ok(DialEnd { status, seconds: None, is_caller_gone: false });
        }
        let began = Instant::now();
        let gone = self.converse(address, callee).await?;
        Ok(DialEnd {
            status: "completed",
            seconds: Some(began.elapsed().as_secs()),
            is_caller_gone: matches!(gone, Gone::Caller),
        })
    }

    /// The caller and whoever answered talk until either hangs up.
    pub(super) async fn converse_with(&mut self, address: &str) -> Result<bool, Unheard> {
        let callee = self.board.callee(address);
        Ok(matches!(self.converse(address, callee).await?, Gone::Caller))
    }

    async fn converse(&mut self, address: &str, callee: Callee) -> Result<Gone, Unheard> {
        self.reporter.report(CallEvent::Bridged { to: address.to_owned() }).await?;
        let script = match callee.part {
            Part::Scripted(script) => script,
            // Whoever plays live parts does so with calls of their own, which this is not.
            Part::Live => Script::default(),
        };
        for words in &script.says {
            self.reporter.report(CallEvent::PersonSaid(words.clone())).await?;
        }
        let over = sleep(script.talk(self.pace));
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(Gone::Other),
                act = self.acts.next() => match act {
                    CallerAct::HangUp => return Ok(Gone::Caller),
                    CallerAct::HangUpParty => return Ok(Gone::Other),
                    act => words_of(act).iter().for_each(|words| self.board.tell(address, words)),
                },
            }
        }
    }

    /// The call stays in the room until it leaves, or the room is over.
    async fn confer(&mut self, room: &str, mut seat: Seat) -> Result<DialEnd, Unheard> {
        let began = Instant::now();
        self.reporter.report(in_room(room, seat.state())).await?;
        let is_caller_gone = loop {
            tokio::select! {
                happening = seat.next() => match happening {
                    Happening::Changed(RoomState::Over) => break false,
                    Happening::Changed(state) => self.reporter.report(in_room(room, state)).await?,
                    Happening::Words(words) => self.reporter.report(CallEvent::PersonSaid(words)).await?,
                    Happening::Dismissed => break true,
                },
                act = self.acts.next() => match act {
                    CallerAct::HangUp => break true,
                    CallerAct::HangUpParty => seat.dismiss_others(),
                    act => words_of(act).iter().for_each(|words| seat.say(words)),
                },
            }
        };
        drop(seat);
        Ok(DialEnd { status: "completed", seconds: Some(began.elapsed().as_secs()), is_caller_gone })
    }
}

fn in_room(room: &str, state: RoomState) -> CallEvent {
    let room = room.to_owned();
    match state {
        RoomState::Talking => CallEvent::Joined { room },
        RoomState::Waiting | RoomState::Over => CallEvent::Holding { room },
    }
}

/// What is heard at the other end of what a caller does.
fn words_of(act: CallerAct) -> Vec<String> {
    match act {
        CallerAct::Say(words) | CallerAct::SayIn { words, .. } | CallerAct::Partial(words) => vec![words],
        CallerAct::SayInPieces(pieces) => pieces,
        _ => Vec::new(),
    }
}

/// A number, or the user of a SIP address.
fn is_caller_id(id: &str) -> bool {
    id.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        || id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte))
}
