//! Drives one conversation over ConversationRelay: messages in, actions out.
//!
//! Owns the socket, one conversation, and whatever the conversation has started. Everything that can wake it is one
//! [`SessionInput`].

mod actions;
mod inputs;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Sink, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::info;
use voice_core::conversation::{Action, Background, Conversation, EndReason, Event, Opening};
use voice_core::history::History;
use voice_core::message::RunId;
use voice_core::ports::{ModelEvent, Session, ToolResult};
use voice_protocols::relay::Outbound;

use super::frame::{CloseCode, Frame, SocketError};
use super::frame_rate::FrameRate;
use super::generation::{LiveGeneration, Notes};
use super::handshake::close;
use super::journal::{Journal, Standing};
use super::{Ports, PreparedCall};
use crate::metrics::Counter;

/// How a session begins.
#[derive(Debug)]
pub enum SessionStart {
    /// The call was answered by this process and nothing was said yet.
    Fresh(Session),
    /// The call was answered, and perhaps carried, by another session. `greeted` when the carrier does not greet any more.
    Claimed {
        epoch: u64,
        history: History,
        background: Background,
        greeted: bool,
        /// Why the caller is back, when the call was handed over before.
        returned: Option<String>,
    },
}

/// Everything that can wake a session.
enum SessionInput {
    Frame(Option<Result<Frame, SocketError>>),
    Model(Option<ModelEvent>),
    Tool(RunId, ToolResult),
    Deadline,
    Leave,
}

/// When a session must go although the caller is there.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Cancelled when a newer session has the call, here or elsewhere, and when the service shuts down.
    pub now: CancellationToken,
    pub shutting_down: CancellationToken,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    CallerLeft,
    AgentEnded,
    TakenOver,
    ShuttingDown,
    ProtocolBroken,
    /// The call is not lost by it: Twilio asks what comes next, and is told to connect it again.
    MessageTooLarge,
    PeerSilent,
}

/// A larger message is not read.
pub(super) const LARGEST_MESSAGE: usize = 64 * 1024;
/// So many messages in a row that cannot be understood end the session.
pub(super) const MOST_MALFORMED: u32 = 20;
/// Keeps idle connections open through load balancers, which close them after a minute.
const BETWEEN_PINGS: Duration = Duration::from_secs(25);
/// A peer that has not even answered pings for this long is gone.
const PEER_SILENCE: Duration = Duration::from_secs(80);
/// A peer that does not read for this long is gone.
pub(super) const WRITING: Duration = Duration::from_secs(10);
/// After our `end` the carrier closes the socket.
const CLOSING_FOLLOWS: Duration = Duration::from_secs(3);
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
    let started = Instant::now();
    let ending = session.converse(&leave).await;
    info!(
        call.sid = %session.call.context.call_sid,
        ending = ?ending,
        generations = session.generations,
        duration_ms = millis(started.elapsed()),
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
        let (conversation, standing, opening) = match start {
            SessionStart::Fresh(session) => {
                (Conversation::new(use_case, call.greeting()), Standing::ToBeClaimed(session), Opening::Fresh)
            }
            SessionStart::Claimed { epoch, history, background, greeted, returned } => {
                let sessions_before = u32::try_from(epoch).unwrap_or(u32::MAX / GENERATIONS_PER_SESSION);
                let first_generation = sessions_before.saturating_mul(GENERATIONS_PER_SESSION);
                let greeting = call.greeting().filter(|_| !greeted);
                let conversation =
                    Conversation::resume(use_case, history, first_generation, greeting, background);
                let opening = match returned {
                    Some(reason) => Opening::Returned { reason },
                    None if greeted => Opening::Resumed,
                    None => Opening::Fresh,
                };
                (conversation, Standing::Claimed { epoch }, opening)
            }
        };
        let journal = Journal::open(call_sid, standing, &call.use_case.storage, &ports, leave.now.clone());
        let now = Instant::now();
        let (to_results, results) = mpsc::channel(TOOL_RESULTS);
        Self {
            socket,
            call,
            ports,
            conversation,
            journal,
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
            last_sign_of_life: now,
            next_ping: now + BETWEEN_PINGS,
            ended: None,
        }
    }

    async fn converse(&mut self, leave: &Leave) -> Ending {
        let told_to_leave = leave.now.cancelled();
        tokio::pin!(told_to_leave);
        // One timer for the whole session: registering one for every token is dear.
        let timer = sleep_until(self.next_ping);
        tokio::pin!(timer);
        let mut actions = Vec::new();
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
                    | EndReason::CallerSilent
                    | EndReason::TimeUp
                    | EndReason::BudgetSpent => Ending::AgentEnded,
                };
            }
            let input = self.next_input(told_to_leave.as_mut(), timer.as_mut()).await;
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
        mut timer: Pin<&mut Sleep>,
    ) -> SessionInput {
        let deadline = self.conversation.next_deadline().map(Instant::from_std);
        let wake_at = deadline.map_or(self.next_ping, |deadline| deadline.min(self.next_ping));
        if timer.deadline() != wake_at {
            timer.as_mut().reset(wake_at);
        }
        let generation = async {
            match &mut self.generation {
                Some(live) => live.stream.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = told_to_leave => SessionInput::Leave,
            frame = self.socket.next() => SessionInput::Frame(frame),
            event = generation => SessionInput::Model(event),
            Some((run, result)) = self.results.recv() => SessionInput::Tool(run, result),
            () = timer => SessionInput::Deadline,
        }
    }

    async fn finish(mut self, ending: Ending) -> Journal {
        if !self.conversation.is_ended() {
            self.handle(Event::CallerHungUp);
        }
        self.generation = None;
        match ending {
            Ending::AgentEnded => {
                // Closing first would look like a failure to the carrier.
                self.until_closed().await;
                close(&mut self.socket, CloseCode::Normal).await;
            }
            Ending::CallerLeft | Ending::TakenOver => close(&mut self.socket, CloseCode::Normal).await,
            Ending::ShuttingDown => close(&mut self.socket, CloseCode::Restart).await,
            Ending::PeerSilent => close(&mut self.socket, CloseCode::Policy).await,
            Ending::ProtocolBroken | Ending::MessageTooLarge => {
                let too_large = ending == Ending::MessageTooLarge;
                let code = if too_large { CloseCode::TooLarge } else { CloseCode::Policy };
                close(&mut self.socket, code).await;
                // What the peer is still sending would reset the connection, and our reason would not arrive.
                self.until_closed().await;
            }
        }
        self.journal
    }

    /// What still comes is not looked at.
    async fn until_closed(&mut self) {
        let closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(CLOSING_FOLLOWS, closed).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
