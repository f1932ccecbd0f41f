//! Drives one conversation over ConversationRelay: messages in, actions out.
//!
//! Owns the socket, one conversation, and whatever the conversation has started. Everything that can wake it is one
//! [`SessionInput`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::{Instrument, debug, info, warn};
use voice_core::conversation::{Action, Background, Conversation, EndReason, Event, Opening};
use voice_core::history::{History, Record};
use voice_core::message::{GenerationId, RunId, ToolOutcome};
use voice_core::ports::{
    GenerationReport, GenerationRequest, JournaledTurn, ModelEvent, Session, ToolRequest, ToolResult,
};
use voice_core::use_case::Tool;
use voice_protocols::relay::{Inbound, Outbound};

use super::frame::{CloseCode, Frame, SocketError};
use super::generation::{LiveGeneration, Notes};
use super::handshake::close;
use super::journal::{Journal, Standing};
use super::relay_codec::{from_wire, to_wire};
use super::{Ports, PreparedCall};
use crate::metrics::Counter;

/// How a session begins.
#[derive(Debug)]
pub enum SessionStart {
    /// The call was answered by this process and nothing was said yet.
    Fresh(Session),
    /// The call was answered, and perhaps carried, by another session. `greeted` when the carrier does not greet any more;
    /// `returned` says why a person did not take the call that was handed over.
    Claimed { epoch: u64, history: History, greeted: bool, returned: Option<String> },
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
            SessionStart::Claimed { epoch, history, greeted, returned } => {
                let sessions_before = u32::try_from(epoch).unwrap_or(u32::MAX / GENERATIONS_PER_SESSION);
                let first_generation = sessions_before.saturating_mul(GENERATIONS_PER_SESSION);
                let greeting = call.greeting().filter(|_| !greeted);
                let conversation = Conversation::resume(
                    use_case,
                    history,
                    first_generation,
                    greeting,
                    Background::default(),
                );
                let opening = if greeted { Opening::Resumed } else { Opening::Fresh };
                let opening = returned.map_or(opening, |reason| Opening::Returned { reason });
                (conversation, Standing::Claimed { epoch }, opening)
            }
        };
        let journal = Journal::open(call_sid, standing, &ports, leave.now.clone());
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
                    _ => Ending::AgentEnded,
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

    /// Deals with one input; some of them end the session.
    async fn take(&mut self, input: SessionInput) -> Option<Ending> {
        match input {
            SessionInput::Frame(Some(Ok(Frame::Text(text)))) => {
                self.last_sign_of_life = Instant::now();
                return self.take_message(&text);
            }
            SessionInput::Frame(Some(Ok(Frame::Binary))) => return self.refuse_message(),
            SessionInput::Frame(Some(Ok(Frame::Other | Frame::Ping))) => {
                self.last_sign_of_life = Instant::now();
            }
            SessionInput::Frame(Some(Ok(Frame::Close(_))) | None) => return Some(Ending::CallerLeft),
            SessionInput::Frame(Some(Err(error))) => {
                debug!(call.sid = %self.call.context.call_sid, %error, "the socket failed");
                return Some(Ending::CallerLeft);
            }
            SessionInput::Model(event) => self.take_model_events(event),
            SessionInput::Tool(run, result) => {
                self.tools.remove(&run);
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
            SessionInput::Leave => {}
        }
        None
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
            // A second one on the same socket says nothing new, unless it is for another call.
            Inbound::Setup(setup) if setup.call_sid != self.call.context.call_sid => {
                self.ports.metrics.count(Counter::SessionsRefused);
                return Some(Ending::ProtocolBroken);
            }
            _ => {}
        }
        if let Some(event) = from_wire(message) {
            self.handle(event);
        }
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
        match event {
            Some(ModelEvent::Text(text)) => {
                if live.first_text.is_none() {
                    live.first_text = Some(live.started.elapsed());
                }
                self.handle(Event::GenerationText { generation, text });
            }
            Some(ModelEvent::ToolCall { id, name, arguments }) => {
                self.handle(Event::GenerationToolCall { generation, id, name, arguments });
            }
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
                self.notes.generation_ended(report);
                let blocked = completion.blocked;
                self.handle(Event::GenerationFinished { generation, tokens, blocked });
            }
            Some(ModelEvent::Failed(_)) | None => {
                let mut report = live.report();
                self.generation = None;
                report.stop_reason = Some("failed".to_owned());
                self.notes.generation_ended(report);
                self.handle(Event::GenerationFailed { generation });
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        self.conversation.handle(Instant::now().into_std(), event, &mut actions);
        self.perform(actions);
    }

    fn perform(&mut self, mut actions: Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::StartGeneration { generation } => self.start_generation(generation),
                Action::CancelGeneration { generation } => {
                    if let Some(live) = self.generation.take_if(|live| live.id == generation) {
                        let stop_reason = Some("cancelled".to_owned());
                        self.notes.generation_ended(GenerationReport { stop_reason, ..live.report() });
                    }
                }
                Action::StartTool { run, tool, input } => self.start_tool(run, tool, input),
                Action::CancelTool { run } => {
                    if let Some(running) = self.tools.remove(&run) {
                        running.abort();
                    }
                }
                Action::Say { text, last } => self.say(text, last),
                Action::Record(record) => self.record(record),
                Action::End(reason) => {
                    if let EndReason::AgentEnded { handoff_data } = &reason {
                        self.outgoing.push(Outbound::End { handoff_data: handoff_data.clone() });
                    }
                    self.ended = Some(reason);
                }
                // Nothing asks for these yet.
                _ => {}
            }
        }
        self.actions = actions;
        self.notes.forget_unclaimed();
    }

    fn start_generation(&mut self, generation: GenerationId) {
        self.generations += 1;
        self.ports.metrics.count(Counter::Generations);
        let stream = self.ports.model.generate(GenerationRequest {
            call: Arc::clone(&self.call.context),
            generation,
            use_case: Arc::clone(&self.call.use_case),
            system: Arc::clone(&self.call.system),
            models: Arc::clone(&self.call.models),
            history: self.conversation.messages(),
        });
        self.generation =
            Some(LiveGeneration { id: generation, stream, started: Instant::now(), first_text: None });
    }

    fn start_tool(&mut self, run: RunId, tool: Arc<Tool>, input: serde_json::Value) {
        let deadline = tool.timeout;
        let (call, owner) = (Arc::clone(&self.call.context), Arc::clone(&self.ports.owner));
        let use_case = Arc::clone(&self.call.use_case);
        let request = ToolRequest { run: run.clone(), tool, input, call, use_case, owner };
        let running = self.ports.tools.run(request);
        let results = self.to_results.clone();
        let span =
            tracing::info_span!("tool", call.sid = %self.call.context.call_sid, generation = %run.generation);
        let id = run.clone();
        let task = async move {
            // The core counts the same time; this holds when the call is over and the core with it.
            let result = timeout(deadline, running).await.unwrap_or_else(|_| ToolResult {
                outcome: ToolOutcome::error(run.call.clone(), "The tool took too long."),
                effect: None,
            });
            // The call may be over.
            let _ = results.send((run, result)).await;
        };
        let handle = self.ports.tasks.spawn(task.instrument(span));
        self.tools.insert(id, handle.abort_handle());
    }

    /// Queues text; what is ready at once goes out in one message.
    fn say(&mut self, text: String, last: bool) {
        if let Some(Outbound::Text(waiting)) = self.outgoing.last_mut()
            && !waiting.last
        {
            waiting.token.push_str(&text);
            waiting.last = last;
            return;
        }
        self.outgoing.push(to_wire(text, last));
    }

    fn record(&mut self, record: Record) {
        let (at, generation) = self.notes.of(&record);
        self.journal.write(JournaledTurn { at, record, generation });
    }

    async fn flush(&mut self) -> Result<(), Ending> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + WRITING;
        for message in self.outgoing.drain(..) {
            match timeout_at(deadline, self.socket.feed(Frame::Text(message.to_json()))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Ending::CallerLeft),
                Err(_) => return Err(Ending::PeerSilent),
            }
        }
        match timeout_at(deadline, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::CallerLeft),
            Err(_) => Err(Ending::PeerSilent),
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
                let closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
                let _ = timeout(CLOSING_FOLLOWS, closed).await;
                close(&mut self.socket, CloseCode::Normal).await;
            }
            Ending::CallerLeft | Ending::TakenOver => close(&mut self.socket, CloseCode::Normal).await,
            Ending::ShuttingDown => close(&mut self.socket, CloseCode::Restart).await,
            Ending::ProtocolBroken | Ending::PeerSilent => close(&mut self.socket, CloseCode::Policy).await,
        }
        self.journal
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
