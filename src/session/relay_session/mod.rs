//! Drives one conversation over ConversationRelay: messages in, actions out.
//!
//! Owns the socket, one conversation, and whatever the conversation has started. Everything that can wake it is one
//! [`SessionInput`].

mod actions;
mod departure;
mod inputs;
mod observation;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Sink, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::info;
use voice_core::conversation::{Action, Background, Conversation, EndReason, Event, Opening};
use voice_core::history::History;
use voice_core::message::RunId;
use voice_core::ports::{ModelEvent, Session, SessionChange, ToolResult};
use voice_protocols::relay::Outbound;

use self::departure::Departure;
use super::frame::{CloseCode, Frame, SocketError};
use super::frame_rate::FrameRate;
use super::generation::{LiveGeneration, Notes};
use super::handshake::{close, part, wait_for_close};
use super::journal::{Journal, Standing};
use super::relay_codec::Parting;
use super::turn_tracer::TurnTracer;
use super::{Ports, PreparedCall};
use crate::metrics::Counter;
use observation::Beginning;

/// How a session begins.
#[derive(Debug)]
pub enum SessionStart {
    /// The call was answered by this process and nothing was said yet.
    Fresh(Session),
    /// The call was answered, and perhaps carried, by another session. Only a fresh one is greeted by the carrier.
    Claimed { epoch: u64, history: History, background: Background, opening: Opening },
}

/// Everything that can wake a session.
enum SessionInput {
    Frame(Option<Result<Frame, SocketError>>),
    Model(Option<ModelEvent>),
    Tool(RunId, ToolResult),
    Deadline,
    /// The call is to be handed to another task.
    HandOver,
    /// What another task has to know of the call is in the table.
    Written,
    Leave,
}

/// When a session must go although the caller is there.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Cancelled when a newer session has the call, here or elsewhere, and when the service shuts down.
    pub now: CancellationToken,
    /// Cancelled when another task is to take the call, as soon as nothing is lost by it.
    pub handing_over: CancellationToken,
    pub shutting_down: CancellationToken,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    CallerLeft,
    /// The caller may still be there.
    SocketLost,
    AgentEnded,
    TakenOver,
    /// The carrier was told to ask who takes the call now.
    HandedOver,
    /// The line was lost too often.
    LostTooOften,
    ShuttingDown,
    ProtocolBroken,
    /// The call is not lost by it: Twilio asks what comes next, and is told to connect it again.
    MessageTooLarge,
    PeerSilent,
}

impl Ending {
    /// Whether the caller may still be there, so that another session goes on with the call.
    const fn leaves_the_caller(self) -> bool {
        match self {
            Self::SocketLost
            | Self::TakenOver
            | Self::HandedOver
            | Self::ShuttingDown
            | Self::ProtocolBroken
            | Self::MessageTooLarge
            | Self::PeerSilent => true,
            Self::CallerLeft | Self::AgentEnded | Self::LostTooOften => false,
        }
    }
}

/// A larger message is not read.
pub(super) const LARGEST_MESSAGE: usize = 64 * 1024;
/// So many messages in a row that cannot be understood end the session.
pub(super) const MOST_MALFORMED: u32 = 20;
/// A line that is lost more often is of no use to the caller.
const MOST_RECONNECTIONS: u32 = 10;
/// Keeps idle connections open through load balancers, which close them after a minute.
const BETWEEN_PINGS: Duration = Duration::from_secs(25);
/// A peer that has not even answered pings for this long is gone.
const PEER_SILENCE: Duration = Duration::from_secs(80);
/// A peer that does not read for this long is gone.
pub(super) const WRITING: Duration = Duration::from_secs(10);
/// Generation ids of a resumed call start beyond those of the sessions before it.
const GENERATIONS_PER_SESSION: u32 = 1 << 16;
/// Messages of the model that are read at once before they are written.
const READ_AHEAD: usize = 32;
const TOOL_RESULTS: usize = 32;

/// Runs a session to its end and closes `socket`, which has shown its `setup` before. The journal may still have to be
/// written when this returns.
pub async fn run<S>(socket: S, call: PreparedCall, start: SessionStart, ports: Ports, leave: Leave) -> Journal
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    ports.metrics.count(Counter::SessionsStarted);
    let mut session = RelaySession::new(socket, call, start, ports, &leave);
    let ending = session.converse(&leave).await;
    info!(
        call.sid = %session.call.context.call_sid,
        ending = ?ending,
        generations = session.generations,
        duration_ms = millis(session.began.at.elapsed()),
        "the session ended"
    );
    session.finish(ending).await
}

struct RelaySession<S> {
    socket: S,
    call: PreparedCall,
    ports: Ports,
    conversation: Conversation,
    journal: Journal,
    began: Beginning,
    tracer: TurnTracer,
    generation: Option<LiveGeneration>,
    notes: Notes,
    opening: Opening,
    tools: HashMap<RunId, AbortHandle>,
    results: mpsc::Receiver<(RunId, ToolResult)>,
    to_results: mpsc::Sender<(RunId, ToolResult)>,
    actions: Vec<Action>,
    outgoing: Vec<Outbound>,
    malformed_in_a_row: u32,
    frame_rate: FrameRate,
    generations: u32,
    /// How often the carrier came back on the same line.
    reconnections: u32,
    departure: Departure,
    last_sign_of_life: Instant,
    next_ping: Instant,
    ended: Option<EndReason>,
}

impl<S> RelaySession<S>
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    fn new(socket: S, call: PreparedCall, start: SessionStart, ports: Ports, leave: &Leave) -> Self {
        let call_sid = &call.context.call_sid;
        let use_case = Arc::clone(&call.use_case);
        let (conversation, standing, opening, resumes) = match start {
            SessionStart::Fresh(session) => {
                let conversation = Conversation::new(use_case, call.greeting());
                (conversation, Standing::ToBeClaimed(session), Opening::Fresh, 0)
            }
            SessionStart::Claimed { epoch, history, background, opening } => {
                let sessions_before = u32::try_from(epoch).unwrap_or(u32::MAX / GENERATIONS_PER_SESSION);
                let first_generation = sessions_before.saturating_mul(GENERATIONS_PER_SESSION);
                let greeting = call.greeting().filter(|_| opening == Opening::Fresh);
                let conversation =
                    Conversation::resume(use_case, history, first_generation, greeting, background);
                (conversation, Standing::Claimed { epoch }, opening, epoch.saturating_sub(1))
            }
        };
        let journal = Journal::open(call_sid, standing, &call.use_case.storage, &ports, leave.now.clone());
        let now = Instant::now();
        let began = Beginning { at: now, wall: SystemTime::now(), resumes };
        let tracer = TurnTracer::new(now.into_std(), began.wall, &call.use_case.name);
        let (to_results, results) = mpsc::channel(TOOL_RESULTS);
        Self {
            socket,
            call,
            ports,
            conversation,
            journal,
            began,
            tracer,
            generation: None,
            notes: Notes::default(),
            opening,
            tools: HashMap::new(),
            results,
            to_results,
            actions: Vec::new(),
            outgoing: Vec::new(),
            malformed_in_a_row: 0,
            frame_rate: FrameRate::new(now),
            generations: 0,
            reconnections: 0,
            departure: Departure::begin(now, &leave.handing_over),
            last_sign_of_life: now,
            next_ping: now + BETWEEN_PINGS,
            ended: None,
        }
    }

    async fn converse(&mut self, leave: &Leave) -> Ending {
        let (told_to_leave, told_to_hand_over) = (leave.now.cancelled(), leave.handing_over.cancelled());
        tokio::pin!(told_to_leave, told_to_hand_over);
        // One timer for the whole session: registering one for every token is dear.
        let timer = sleep_until(self.next_ping);
        tokio::pin!(timer);
        let mut actions = Vec::new();
        self.saw_opening();
        self.conversation.begin(Instant::now().into_std(), self.opening.clone(), &mut actions);
        self.perform(actions);
        loop {
            if let Err(ending) = self.flush().await {
                return ending;
            }
            if let Some(reason) = &self.ended {
                return match reason {
                    EndReason::CallerHungUp => Ending::CallerLeft,
                    EndReason::AgentEnded { .. }
                    | EndReason::HandedOff { .. }
                    | EndReason::Rescued { .. }
                    | EndReason::CallerSilent
                    | EndReason::TimeUp
                    | EndReason::BudgetSpent => Ending::AgentEnded,
                };
            }
            self.prepare_departure();
            let input =
                self.next_input(told_to_leave.as_mut(), told_to_hand_over.as_mut(), timer.as_mut()).await;
            if let SessionInput::Leave = input {
                return if leave.shutting_down.is_cancelled() {
                    Ending::ShuttingDown
                } else {
                    Ending::TakenOver
                };
            }
            if let Some(ending) = self.take(input).await {
                return ending;
            }
        }
    }

    async fn next_input(
        &mut self,
        told_to_leave: Pin<&mut WaitForCancellationFuture<'_>>,
        told_to_hand_over: Pin<&mut WaitForCancellationFuture<'_>>,
        mut timer: Pin<&mut Sleep>,
    ) -> SessionInput {
        let deadline = self.conversation.next_deadline().map(Instant::from_std);
        let deadlines = deadline.into_iter().chain(self.departure.next_look(Instant::now()));
        let wake_at = deadlines.fold(self.next_ping, Instant::min);
        if timer.deadline() != wake_at {
            timer.as_mut().reset(wake_at);
        }
        let generation = async {
            match &mut self.generation {
                Some(live) => live.stream.next().await,
                None => std::future::pending().await,
            }
        };
        let (is_unasked, departure) = (self.departure.is_unasked(), &self.departure);
        tokio::select! {
            biased;
            () = told_to_leave => SessionInput::Leave,
            () = told_to_hand_over, if is_unasked => SessionInput::HandOver,
            frame = self.socket.next() => SessionInput::Frame(frame),
            // Behind whatever the caller has done until now.
            () = departure.written() => SessionInput::Written,
            event = generation => SessionInput::Model(event),
            Some((run, result)) = self.results.recv() => SessionInput::Tool(run, result),
            () = timer => SessionInput::Deadline,
        }
    }

    /// Brings the journal up to what was heard, and closes the socket.
    ///
    /// What was said and not reported as played is cut from history here, because this session alone knows of it. A process
    /// that is killed cannot do that: then the journal holds each answer that the model had finished as if it was heard to
    /// its end, and nothing of one that it had not, so that the next session answers that turn again. In both cases the
    /// caller's words are there as soon as they were written, a few milliseconds after they came.
    async fn finish(mut self, ending: Ending) -> Journal {
        let rested = self.conversation.is_at_rest(Instant::now().into_std());
        let because = self.because(ending);
        if !self.conversation.is_ended() {
            self.handle(Event::CallerHungUp);
        }
        if rested && ending.leaves_the_caller() {
            self.journal.remember(SessionChange::Rested);
        }
        self.generation = None;
        self.report_end(because);
        match ending {
            Ending::AgentEnded | Ending::HandedOver => {
                wait_for_close(&mut self.socket).await;
                close(&mut self.socket, CloseCode::Normal).await;
            }
            Ending::LostTooOften => part(&mut self.socket, Parting::LostTooOften).await,
            Ending::CallerLeft | Ending::SocketLost | Ending::TakenOver => {
                close(&mut self.socket, CloseCode::Normal).await;
            }
            Ending::ShuttingDown => close(&mut self.socket, CloseCode::Restart).await,
            Ending::PeerSilent => close(&mut self.socket, CloseCode::Policy).await,
            Ending::ProtocolBroken | Ending::MessageTooLarge => {
                let too_large = ending == Ending::MessageTooLarge;
                let code = if too_large { CloseCode::TooLarge } else { CloseCode::Policy };
                close(&mut self.socket, code).await;
                // What the peer is still sending would reset the connection, and our reason would not arrive.
                wait_for_close(&mut self.socket).await;
            }
        }
        self.journal
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
