//! What a session does when the conversation asks for it: generations, tool runs, messages, the journal.

use std::sync::Arc;

use futures_util::{Sink, SinkExt, Stream};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, info};
use voice_core::conversation::{Action, EndReason, Event, TOOL_OVERTIME};
use voice_core::history::Record;
use voice_core::message::{GenerationId, RunId, ToolOutcome};
use voice_core::ports::{GenerationReport, GenerationRequest, JournaledTurn, ToolRequest, ToolResult};
use voice_core::use_case::{Tool, UseCase};
use voice_protocols::relay::{Outbound, Play};

use super::super::frame::{Frame, SocketError};
use super::super::generation::LiveGeneration;
use super::super::relay_codec::{end_to_wire, language_to_wire, to_wire};
use super::super::turn_tracer::{Finish, Seen};
use super::{Ending, RelaySession, WRITING};
use crate::metrics::Counter;

impl<S> RelaySession<S>
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    pub(super) fn handle(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        self.conversation.handle(Instant::now().into_std(), event, &mut actions);
        self.perform(actions);
    }

    pub(super) fn perform(&mut self, mut actions: Vec<Action>) {
        let mut spent = 0;
        for action in actions.drain(..) {
            match action {
                Action::StartGeneration { generation } => self.start_generation(generation),
                Action::CancelGeneration { generation } => {
                    if let Some(live) = self.generation.take_if(|live| live.id == generation) {
                        spent += self.note_broken_off(live.broken_off("cancelled"));
                    }
                }
                Action::StartTool { run, tool, input } => self.start_tool(run, tool, input),
                Action::CancelTool { run } => {
                    self.saw(Seen::ToolEnded { run: &run, status: None });
                    if let Some(running) = self.tools.remove(&run) {
                        running.abort();
                    }
                }
                Action::Say { text, last } => self.say(text, last),
                Action::SwitchLanguage { code, hear } => self.outgoing.push(language_to_wire(code, hear)),
                Action::SendDigits { digits } => self.outgoing.push(Outbound::SendDigits { digits }),
                Action::Play { source } => self.outgoing.push(Outbound::Play(Play::once(source))),
                Action::ChangeUseCase(use_case) => self.change_use_case(use_case),
                Action::Record(record) => self.record(record),
                Action::Remember(change) => self.journal.remember(change),
                Action::End(reason) => self.end(reason),
            }
        }
        self.actions = actions;
        self.notes.forget_unclaimed();
        self.report_turns();
        // Not before everything is done that the conversation has decided.
        if spent > 0 {
            self.handle(Event::TokensSpent { tokens: spent });
        }
    }

    /// Notes how a generation went that came to no end; returns what it has cost.
    pub(super) fn note_broken_off(&mut self, report: GenerationReport) -> u64 {
        let tokens = report.usage.map_or(0, |usage| usage.input + usage.output);
        self.saw(Seen::GenerationEnded { report: &report, how: Finish::CutOff });
        self.notes.generation_ended(report);
        tokens
    }

    /// Goes on as somebody else. What the carrier was told when it connected (voice, hints) stays as it is.
    fn change_use_case(&mut self, use_case: Arc<UseCase>) {
        info!(call.sid = %self.call.context.call_sid, use_case = %use_case.name, "the conversation goes on as another use case");
        self.saw(Seen::UseCase(&use_case.name));
        let storage = self.journal.follow(&use_case.storage);
        // Tools store their outcomes by the same rules.
        let use_case = if *storage == use_case.storage {
            use_case
        } else {
            Arc::new(UseCase { storage: storage.clone(), ..(*use_case).clone() })
        };
        self.call = self.call.as_use_case(use_case);
    }

    fn end(&mut self, reason: EndReason) {
        self.outgoing.extend(end_to_wire(&reason));
        self.ended = Some(reason);
    }

    fn start_generation(&mut self, generation: GenerationId) {
        self.generations += 1;
        self.saw(Seen::GenerationStarted(generation));
        self.ports.metrics.count(Counter::Generations);
        let request = GenerationRequest {
            call: Arc::clone(&self.call.context),
            generation,
            use_case: Arc::clone(&self.call.use_case),
            system: Arc::clone(&self.call.system),
            models: Arc::clone(&self.call.models),
            history: self.conversation.messages(),
        };
        self.generation = Some(LiveGeneration::start(&*self.ports.model, request));
    }

    fn start_tool(&mut self, run: RunId, tool: Arc<Tool>, input: serde_json::Value) {
        self.saw(Seen::ToolStarted { run: &run, tool: &tool.name });
        let deadline = tool.timeout + TOOL_OVERTIME;
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
                outcome: ToolOutcome::unknown(run.call.clone(), "The tool took too long."),
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
        if !text.is_empty() {
            self.saw(Seen::TextSent(&text));
        }
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

    pub(super) async fn flush(&mut self) -> Result<(), Ending> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + WRITING;
        for message in self.outgoing.drain(..) {
            match timeout_at(deadline, self.socket.feed(Frame::Text(message.to_json()))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Ending::SocketLost),
                Err(_) => return Err(Ending::PeerSilent),
            }
        }
        match timeout_at(deadline, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::SocketLost),
            Err(_) => Err(Ending::PeerSilent),
        }
    }
}
