//! What a session does with each thing that wakes it: it becomes an event of the conversation.

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};
use voice_core::conversation::Event;
use voice_core::ports::{ModelEvent, ModelFailureKind};
use voice_protocols::relay::Inbound;

use super::super::frame::{Frame, SocketError};
use super::super::frame_rate::Admission;
use super::super::relay_codec::from_wire;
use super::super::turn_tracer::{Finish, Seen};
use super::{
    BETWEEN_PINGS, Ending, LARGEST_MESSAGE, MOST_MALFORMED, MOST_RECONNECTIONS, PEER_SILENCE, READ_AHEAD,
    RelaySession, SessionInput, WRITING,
};
use crate::metrics::Counter;

impl<S> RelaySession<S>
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    /// Deals with one input; some of them end the session.
    pub(super) async fn take(&mut self, input: SessionInput) -> Option<Ending> {
        match input {
            SessionInput::Frame(Some(Ok(Frame::Close(code)))) if code.is_normal() => {
                return Some(Ending::CallerLeft);
            }
            SessionInput::Frame(Some(Ok(Frame::Close(_))) | None) => return Some(Ending::SocketLost),
            SessionInput::Frame(Some(Ok(Frame::Oversize))) => {
                self.ports.metrics.count(Counter::FramesMalformed);
                return Some(Ending::MessageTooLarge);
            }
            SessionInput::Frame(Some(Ok(frame))) => return self.take_frame(&frame),
            SessionInput::Frame(Some(Err(error))) => {
                debug!(call.sid = %self.call.context.call_sid, %error, "the socket failed");
                return Some(Ending::SocketLost);
            }
            SessionInput::Model(event) => self.take_model_events(event),
            SessionInput::Tool(run, result) => {
                self.tools.remove(&run);
                self.saw(Seen::ToolEnded { run: &run, status: Some(result.outcome.status) });
                self.handle(Event::ToolFinished { run, result });
            }
            SessionInput::Deadline => {
                let now = Instant::now();
                if now.duration_since(self.last_sign_of_life) > PEER_SILENCE {
                    return Some(Ending::PeerSilent);
                }
                if now >= self.next_ping {
                    self.next_ping = now + BETWEEN_PINGS;
                    if timeout(WRITING, self.socket.send(Frame::Ping)).await.is_err() {
                        return Some(Ending::PeerSilent);
                    }
                }
                self.handle(Event::DeadlineReached);
            }
            SessionInput::HandOver => self.departure.ask(Instant::now()),
            SessionInput::Written => return self.depart().await,
            SessionInput::Leave => {}
        }
        None
    }

    /// A frame of a peer that keeps to its rate; what comes too fast is not looked at.
    fn take_frame(&mut self, frame: &Frame) -> Option<Ending> {
        let now = Instant::now();
        self.last_sign_of_life = now;
        match self.frame_rate.admit(now) {
            Admission::Taken => {}
            Admission::Dropped => {
                self.ports.metrics.count(Counter::FramesDropped);
                return None;
            }
            Admission::Flooded => {
                self.ports.metrics.count(Counter::FramesDropped);
                warn!(call.sid = %self.call.context.call_sid, "a socket is flooded with messages");
                return Some(Ending::ProtocolBroken);
            }
        }
        match frame {
            Frame::Text(text) => self.take_message(text),
            Frame::Binary => self.refuse_message(),
            Frame::Other | Frame::Ping | Frame::Oversize | Frame::Close(_) => None,
        }
    }

    fn take_message(&mut self, text: &str) -> Option<Ending> {
        let parsed = if text.len() > LARGEST_MESSAGE { None } else { Inbound::parse(text).ok() };
        let Some(message) = parsed else { return self.refuse_message() };
        self.malformed_in_a_row = 0;
        match &message {
            Inbound::Unknown { .. } => self.ports.metrics.count(Counter::FramesUnknown),
            Inbound::Error(report) => {
                self.ports.metrics.count(Counter::FramesRejectedByTwilio);
                warn!(call.sid = %self.call.context.call_sid, code = report.code(), "Twilio rejected a message of ours");
            }
            Inbound::Interrupt(_) => self.ports.metrics.count(Counter::Interruptions),
            Inbound::Setup(setup) if setup.call_sid != self.call.context.call_sid => {
                self.ports.metrics.count(Counter::SessionsRefused);
                return Some(Ending::ProtocolBroken);
            }
            // The first one has been read before the session began.
            Inbound::Setup(_) => return self.take_reconnection(),
            _ => {}
        }
        self.saw_message(&message);
        match from_wire(message) {
            Some(event) => self.handle(event),
            None => self.report_turns(),
        }
        None
    }

    /// The carrier lost us and is there again, on what is the same socket to us.
    fn take_reconnection(&mut self) -> Option<Ending> {
        self.reconnections += 1;
        if self.reconnections > MOST_RECONNECTIONS {
            self.ports.metrics.count(Counter::ResumesRefused);
            return Some(Ending::LostTooOften);
        }
        self.ports.metrics.count(Counter::CallsResumed);
        self.handle(Event::Reconnected);
        None
    }

    /// Counts a message that cannot be understood; too many in a row end the session.
    fn refuse_message(&mut self) -> Option<Ending> {
        self.ports.metrics.count(Counter::FramesMalformed);
        self.malformed_in_a_row += 1;
        (self.malformed_in_a_row >= MOST_MALFORMED).then_some(Ending::ProtocolBroken)
    }

    /// Takes an event of the model and those that are ready behind it, so that they go out together.
    fn take_model_events(&mut self, first: Option<ModelEvent>) {
        let mut next = Some(first);
        for _ in 0..READ_AHEAD {
            let Some(event) = next.take() else { return };
            self.take_model_event(event);
            next = self.generation.as_mut().and_then(|live| live.stream.next().now_or_never());
        }
        if let Some(event) = next {
            self.take_model_event(event);
        }
    }

    fn take_model_event(&mut self, event: Option<ModelEvent>) {
        let Some(live) = &mut self.generation else { return };
        let generation = live.id;
        if let Some(event) = &event {
            live.receive(event);
        }
        match event {
            Some(ModelEvent::Text(text)) => {
                self.saw(Seen::GenerationSpoke);
                self.handle(Event::GenerationText { generation, text });
            }
            Some(ModelEvent::ToolCall { id, name, arguments }) => {
                self.saw(Seen::ToolAskedFor);
                self.handle(Event::GenerationToolCall { generation, id, name, arguments });
            }
            // Nothing that the conversation would have to know.
            Some(ModelEvent::AttemptFailed(attempt)) => self.saw(Seen::AttemptFailed(attempt)),
            Some(ModelEvent::Finished(completion)) => {
                let mut report = live.report();
                self.generation = None;
                report.model = Some(completion.model);
                report.stop_reason = Some(completion.stop_reason);
                report.usage = completion.usage;
                let mut tokens = 0;
                if let Some(usage) = completion.usage {
                    tokens = usage.input + usage.cache_read + usage.cache_write + usage.output;
                    self.ports
                        .metrics
                        .add(Counter::TokensIn, usage.input + usage.cache_read + usage.cache_write);
                    self.ports.metrics.add(Counter::TokensOut, usage.output);
                }
                self.saw(Seen::GenerationEnded { report: &report, how: Finish::Completed });
                self.notes.generation_ended(report);
                let blocked = completion.blocked;
                self.handle(Event::GenerationFinished { generation, tokens, blocked });
            }
            Some(ModelEvent::Failed(failure)) if !live.has_received() && is_free(failure.kind) => {
                self.ports.metrics.count(Counter::GenerationsFailed);
                let report = live.refused();
                self.generation = None;
                self.saw(Seen::GenerationEnded { report: &report, how: Finish::CutOff });
                self.notes.generation_ended(report);
                self.handle(Event::GenerationFailed { generation });
            }
            Some(ModelEvent::Failed(_)) | None => {
                self.ports.metrics.count(Counter::GenerationsFailed);
                let report = live.broken_off("failed");
                self.generation = None;
                let tokens = self.note_broken_off(report);
                self.handle(Event::GenerationFailed { generation });
                self.handle(Event::TokensSpent { tokens });
            }
        }
    }
}

/// Whether a failure means that no model has read the request.
const fn is_free(failure: ModelFailureKind) -> bool {
    match failure {
        ModelFailureKind::Throttled | ModelFailureKind::Refused | ModelFailureKind::Unavailable => true,
        ModelFailureKind::TimedOut | ModelFailureKind::Broken => false,
    }
}
