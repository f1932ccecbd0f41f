//! What a session tells those who watch it: what the tracer of its turns sees, finished turns, and how it ended.

use std::time::SystemTime;

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use voice_core::conversation::{EndReason, Opening};
use voice_core::ports::{EndedBecause, Trigger};
use voice_protocols::relay::{Inbound, Info};

use super::super::frame::{Frame, SocketError};
use super::super::observer::SessionTrace;
use super::super::turn_tracer::Seen;
use super::{Ending, RelaySession};

/// When a session began, by both clocks, and which of its call's it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub(super) at: Instant,
    pub(super) wall: SystemTime,
    pub(super) resumes: u64,
}

impl<S> RelaySession<S>
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    pub(super) fn saw(&mut self, seen: Seen<'_>) {
        self.tracer.see(Instant::now().into_std(), seen);
    }

    /// What the agent reacts to if it begins.
    pub(super) fn saw_opening(&mut self) {
        match self.opening {
            Opening::Fresh => {}
            Opening::Resumed | Opening::Continued => self.saw(Seen::Began(Trigger::Resumed)),
            Opening::Returned { .. } => self.saw(Seen::Began(Trigger::Returned)),
        }
    }

    /// What a message of the carrier tells of turns.
    pub(super) fn saw_message(&mut self, message: &Inbound) {
        match message {
            Inbound::Prompt(prompt) if prompt.last && !prompt.voice_prompt.trim().is_empty() => {
                self.saw(Seen::CallerSaid);
            }
            Inbound::Dtmf(_) => self.saw(Seen::KeyPressed),
            Inbound::Interrupt(_) => self.saw(Seen::CallerInterrupted),
            Inbound::Info(Info::ClientSpeaking(on)) => self.saw(Seen::CallerSpeaking(*on)),
            Inbound::Info(Info::AgentSpeaking(on)) => self.saw(Seen::AgentSpeaking(*on)),
            Inbound::Info(Info::TokensPlayed(text)) => self.saw(Seen::Played(text)),
            _ => {}
        }
    }

    /// Tells of the turns that are over by now.
    pub(super) fn report_turns(&mut self) {
        self.tracer.settle(Instant::now().into_std());
        self.pass_turns_on();
    }

    /// Tells how the session ended, and of the turn that its end cut off.
    pub(super) fn report_end(&mut self, because: EndedBecause) {
        self.tracer.leave(Instant::now().into_std());
        self.pass_turns_on();
        let session = SessionTrace {
            started_at: self.began.wall,
            duration: self.began.at.elapsed(),
            resumes: self.began.resumes,
            call_started_at: self.call.answered_at.timestamp().into(),
            ending: because.as_str(),
            is_last: because.is_final(),
        };
        self.ports.observer.session_ended(&self.call.context, &session);
        self.journal.ends(because);
    }

    fn pass_turns_on(&mut self) {
        while let Some(turn) = self.tracer.take_finished() {
            self.ports.observer.turn_ended(&self.call.context, &turn);
            self.journal.observe(turn);
        }
    }

    /// Why the session ends, in the words of the table.
    pub(super) fn because(&self, ending: Ending) -> EndedBecause {
        match (&self.ended, ending) {
            (Some(reason), Ending::CallerLeft | Ending::AgentEnded) => of_reason(reason),
            (None, Ending::CallerLeft) => EndedBecause::CallerHungUp,
            (None, Ending::AgentEnded) => EndedBecause::AgentEnded,
            (_, Ending::SocketLost) => EndedBecause::Lost,
            (_, Ending::TakenOver) => EndedBecause::TakenOver,
            (_, Ending::HandedOver) => EndedBecause::Moved,
            (_, Ending::LostTooOften) => EndedBecause::LostTooOften,
            (_, Ending::ShuttingDown) => EndedBecause::ShutDown,
            (_, Ending::ProtocolBroken | Ending::MessageTooLarge | Ending::PeerSilent) => {
                EndedBecause::CarrierFailed
            }
        }
    }
}

const fn of_reason(reason: &EndReason) -> EndedBecause {
    match reason {
        EndReason::CallerHungUp => EndedBecause::CallerHungUp,
        EndReason::AgentEnded { .. } => EndedBecause::AgentEnded,
        EndReason::HandedOff { .. } | EndReason::Rescued { .. } => EndedBecause::HandedOver,
        EndReason::CallerSilent => EndedBecause::CallerSilent,
        EndReason::TimeUp => EndedBecause::TimeLimit,
        EndReason::BudgetSpent => EndedBecause::Budget,
    }
}
