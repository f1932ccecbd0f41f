//! Sessions over sockets in memory and in paused time, with a model, tools and a store made by hand.

mod store;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::message::{Message, ToolOutcome};
use voice_core::ports::{
    BoxFuture, CallContext, Completion, Direction, EndedBecause, GenerationRequest, LanguageModel,
    ModelEvent, ModelStream, StoreErrorKind, ToolRequest, ToolResult, ToolRunner,
};
use voice_core::private::Private;
use voice_core::use_case::{Handler, Sentences, Tool, UseCase};

use super::observation_tests::Watcher;
use super::{
    CloseCode, Frame, Journals, Leave, Ports, PreparedCall, SessionStart, SocketError, run, setup_fits,
};
use crate::metrics::{Counter, Metrics};

pub(super) use store::{Store, known};

pub(super) const CALL: &str = "CA00000000000000000000000000000001";
pub(super) const SETUP: &str = r#"{"type":"setup","callSid":"CA00000000000000000000000000000001"}"#;

/// Our end of a socket whose other end is in the hands of the test.
struct Socket {
    inbound: mpsc::Receiver<Frame>,
    outbound: mpsc::Sender<Frame>,
}

impl Stream for Socket {
    type Item = Result<Frame, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbound.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

impl Sink<Frame> for Socket {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), SocketError> {
        self.outbound.try_send(frame).map_err(|error| SocketError(Box::new(error)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers with what the test sends; each generation takes over the next channel.
#[derive(Debug, Default)]
pub(super) struct Model {
    scripts: Mutex<Vec<Vec<ModelEvent>>>,
    pub(super) histories: Mutex<Vec<Vec<Message>>>,
    /// The use case and the system prompt of each request.
    pub(super) asked_as: Mutex<Vec<(String, String)>>,
}

impl LanguageModel for Model {
    fn generate(&self, request: GenerationRequest) -> ModelStream {
        self.histories
            .lock()
            .unwrap()
            .push(request.history.iter().map(|message| (**message).clone()).collect());
        let asked_as = (request.use_case.name.clone(), request.system.to_string());
        self.asked_as.lock().unwrap().push(asked_as);
        let mut scripts = self.scripts.lock().unwrap();
        let script = if scripts.is_empty() { Vec::new() } else { scripts.remove(0) };
        let ends =
            script.iter().any(|event| matches!(event, ModelEvent::Finished(_) | ModelEvent::Failed(_)));
        let events = futures_util::stream::iter(script);
        if ends {
            Box::pin(events)
        } else {
            Box::pin(futures_util::StreamExt::chain(events, futures_util::stream::pending()))
        }
    }
}

/// Never comes to an end; counts what was dropped.
#[derive(Debug, Default)]
pub(super) struct HungTools {
    dropped: Arc<Mutex<u32>>,
}

struct CountDrop(Arc<Mutex<u32>>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

impl ToolRunner for HungTools {
    fn run(&self, _: ToolRequest) -> BoxFuture<'static, ToolResult> {
        let guard = CountDrop(Arc::clone(&self.dropped));
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

/// A session that runs, and everything around it.
pub(super) struct Stage {
    pub(super) to_session: mpsc::Sender<Frame>,
    from_session: mpsc::Receiver<Frame>,
    pub(super) model: Arc<Model>,
    tools: Arc<HungTools>,
    store: Arc<Store>,
    metrics: Metrics,
    pub(super) watcher: Arc<Watcher>,
    tasks: TaskTracker,
    taken_over: CancellationToken,
    started: Instant,
}

impl Stage {
    pub(super) fn start(scripts: Vec<Vec<ModelEvent>>, store: Store) -> Self {
        let tools = Arc::new(HungTools::default());
        let stage = Self::of(prepared(), tools.clone(), scripts, store);
        Self { tools, ..stage }
    }

    /// A session of this call, with these tools.
    pub(super) fn of(
        call: PreparedCall,
        tools: Arc<dyn ToolRunner>,
        scripts: Vec<Vec<ModelEvent>>,
        store: Store,
    ) -> Self {
        let (to_session, inbound) = mpsc::channel(100);
        let (outbound, from_session) = mpsc::channel(1000);
        let model = Arc::new(Model { scripts: Mutex::new(scripts), ..Model::default() });
        let (store, tasks) = (Arc::new(store), TaskTracker::new());
        let (metrics, watcher) = (Metrics::default(), Arc::new(Watcher::default()));
        let ports = Ports {
            model: model.clone(),
            tools,
            store: store.clone(),
            metrics: metrics.clone(),
            observer: watcher.clone(),
            journals: Journals::default(),
            tasks: tasks.clone(),
            owner: "test".into(),
        };
        let taken_over = CancellationToken::new();
        let session = call.session(Vec::new());
        let mut socket = Socket { inbound, outbound };
        let leave = Leave { now: taken_over.clone(), shutting_down: CancellationToken::new() };
        tasks.spawn(async move {
            // As the socket's route does it.
            if setup_fits(&mut socket, CALL, &ports).await.is_none() {
                let _ = socket.outbound.send(Frame::Close(CloseCode::Policy)).await;
                return;
            }
            let journal = run(socket, call, SessionStart::Fresh(session), ports, leave).await;
            journal.written().await;
        });
        let started = Instant::now();
        let tools = Arc::default();
        Self { to_session, from_session, model, tools, store, metrics, watcher, tasks, taken_over, started }
    }

    pub(super) async fn set_up(scripts: Vec<Vec<ModelEvent>>, store: Store) -> Self {
        let stage = Self::start(scripts, store);
        stage.send(SETUP).await;
        stage
    }

    pub(super) async fn send(&self, text: &str) {
        self.to_session.send(Frame::Text(text.to_owned())).await.unwrap();
    }

    pub(super) async fn say(&self, words: &str) {
        self.send(&json!({ "type": "prompt", "voicePrompt": words, "last": true }).to_string()).await;
    }

    pub(super) async fn next(&mut self) -> Frame {
        tokio::time::timeout(Duration::from_mins(10), self.from_session.recv()).await.unwrap().unwrap()
    }

    /// The next text message, as JSON; pings are passed over.
    pub(super) async fn next_json(&mut self) -> Value {
        loop {
            match self.next().await {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
                Frame::Ping => {}
                other => panic!("not a message: {other:?}"),
            }
        }
    }

    pub(super) async fn close_code(&mut self) -> CloseCode {
        loop {
            if let Frame::Close(code) = self.next().await {
                return code;
            }
        }
    }

    /// The caller hangs up, and everything comes to its end.
    pub(super) async fn end(self) -> (Arc<Store>, Metrics) {
        drop(self.to_session);
        self.tasks.close();
        tokio::time::timeout(Duration::from_mins(5), self.tasks.wait()).await.unwrap();
        (self.store, self.metrics)
    }
}

pub(super) fn prepared() -> PreparedCall {
    let tool = Tool {
        timeout: Duration::from_secs(4),
        filler: Some("Let me look.".to_owned()),
        ..Tool::new("slow", Handler::CurrentTime)
    };
    let use_case = UseCase { tools: vec![Arc::new(tool)], ..UseCase::new("test", "") };
    let context = CallContext {
        call_sid: CALL.to_owned(),
        account_sid: String::new(),
        from: Private::new(String::new()),
        to: Private::new(String::new()),
        use_case: "test".to_owned(),
        caller: None,
        direction: Direction::Inbound,
        variables: Private::default(),
    };
    PreparedCall {
        context: Arc::new(context),
        use_case: Arc::new(use_case),
        system: "Be kind.".into(),
        models: Arc::new(["m".to_owned()]),
        relay_attributes: BTreeMap::new(),
        default_model: None,
        answered_at: jiff::Zoned::default(),
    }
}

pub(super) fn text(text: &str) -> ModelEvent {
    ModelEvent::Text(text.to_owned())
}

pub(super) fn finished() -> ModelEvent {
    ModelEvent::Finished(Completion {
        stop_reason: "end_turn".to_owned(),
        usage: None,
        model: "m".to_owned(),
        blocked: None,
    })
}

pub(super) fn said(token: &str, last: bool) -> Value {
    json!({ "type": "text", "token": token, "last": last })
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_ready_together_go_out_together() {
    let mut stage =
        Stage::set_up(vec![vec![text("Good "), text("day."), finished()]], Store::default()).await;
    stage.say("Hello").await;
    assert_eq!(stage.next_json().await, said("Good day.", true));
    let (store, metrics) = stage.end().await;
    assert_eq!(metrics.value(Counter::Generations), 1);
    assert_eq!(store.closed.lock().unwrap().get(CALL), Some(&(1, EndedBecause::Lost)));
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_setup_is_closed_in_time() {
    let mut stage = Stage::start(Vec::new(), Store::default());
    assert_eq!(stage.close_code().await, CloseCode::Policy);
    assert_eq!(stage.started.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn setup_must_be_for_this_call() {
    let mut stage = Stage::start(Vec::new(), Store::default());
    stage.send(r#"{"type":"setup","callSid":"CA2"}"#).await;
    assert_eq!(stage.close_code().await, CloseCode::Policy);
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_understood_end_it_only_in_a_row() {
    let mut stage = Stage::set_up(vec![vec![text("Hi."), finished()]], Store::default()).await;
    let oversize = format!(r#"{{"type":"prompt","voicePrompt":"{}"}}"#, "x".repeat(70_000));
    for nonsense in std::iter::repeat_n("{", 18).chain([oversize.as_str()]) {
        stage.send(nonsense).await;
    }
    stage.send(r#"{"type":"novelty","of":"tomorrow"}"#).await;
    stage.say("Hello").await;
    assert_eq!(stage.next_json().await, said("Hi.", true), "the call goes on");
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 19);
    assert_eq!(stage.metrics.value(Counter::FramesUnknown), 1);
    for _ in 0..20 {
        stage.send("not json").await;
    }
    assert_eq!(stage.close_code().await, CloseCode::Policy);
}

#[tokio::test(start_paused = true)]
async fn a_slow_tool_is_bridged_and_given_up() {
    let call =
        ModelEvent::ToolCall { id: "t".to_owned(), name: "slow".to_owned(), arguments: "{}".to_owned() };
    let scripts = vec![vec![call, finished()], vec![text("I could not."), finished()]];
    let mut stage = Stage::set_up(scripts, Store::default()).await;
    stage.say("Look it up.").await;
    assert_eq!(stage.next_json().await, said("Let me look.", true));
    assert_eq!(stage.started.elapsed(), Duration::from_millis(1500));
    assert_eq!(stage.next_json().await, said("I could not.", true));
    assert_eq!(stage.started.elapsed(), Duration::from_millis(4250));
    assert_eq!(*stage.tools.dropped.lock().unwrap(), 1, "the run is dropped");
    let histories = stage.model.histories.lock().unwrap().clone();
    let outcome: &ToolOutcome = match histories[1].last() {
        Some(Message::Outcomes { outcomes, .. }) => &outcomes[0],
        other => panic!("no outcome: {other:?}"),
    };
    assert!(outcome.content["error"].as_str().unwrap().contains("too long"));
}

#[tokio::test(start_paused = true)]
async fn an_interruption_drops_the_generation_and_closes_the_talk_cycle() {
    let mut stage = Stage::set_up(vec![vec![text("We open at nine")]], Store::default()).await;
    stage.say("Hours?").await;
    assert_eq!(stage.next_json().await, said("We open at nine", false));
    stage.send(r#"{"type":"interrupt","utteranceUntilInterrupt":"We open"}"#).await;
    assert_eq!(stage.next_json().await, said("", true));
    let (store, _) = stage.end().await;
    let written = store.written.lock().unwrap().clone();
    let heard = Message::Agent { text: "We open".to_owned(), tool_calls: Vec::new() };
    assert_eq!(written.last(), Some(&(1, 1, Some(heard))));
}

#[tokio::test(start_paused = true)]
async fn a_table_out_of_reach_holds_up_no_turn_and_is_written_in_order_afterwards() {
    let outage = vec![StoreErrorKind::Unavailable; 12];
    let scripts = vec![vec![text("One."), finished()], vec![text("Two."), finished()]];
    let mut stage = Stage::set_up(scripts, Store { failures: Mutex::new(outage), ..Store::default() }).await;
    for (words, answer) in [("First?", "One."), ("Second?", "Two.")] {
        stage.say(words).await;
        assert_eq!(stage.next_json().await, said(answer, true));
        stage.send(&json!({ "type": "info", "name": "tokensPlayed", "value": answer }).to_string()).await;
    }
    assert_eq!(stage.started.elapsed(), Duration::ZERO, "nothing waited");
    let (store, metrics) = stage.end().await;
    assert_eq!(store.written(), [0, 1, 2, 3]);
    assert_eq!(metrics.value(Counter::JournalRetries), 12);
    assert_eq!(metrics.value(Counter::JournalLost), 0);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_overtaken_falls_silent() {
    let mut stage = Stage::set_up(vec![vec![text("One."), finished()]], Store::default()).await;
    stage.say("First?").await;
    assert_eq!(stage.next_json().await, said("One.", true));
    stage.store.failures.lock().unwrap().push(StoreErrorKind::Conflict);
    stage.say("Second?").await;
    assert_eq!(stage.close_code().await, CloseCode::Normal);
    assert_eq!(stage.metrics.value(Counter::JournalFenced), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_taken_over_goes_and_leaves_its_journal_written() {
    let mut stage = Stage::set_up(vec![vec![text("One."), finished()]], Store::default()).await;
    stage.say("First?").await;
    assert_eq!(stage.next_json().await, said("One.", true));
    stage.taken_over.cancel();
    assert_eq!(stage.close_code().await, CloseCode::Normal);
    let (store, _) = stage.end().await;
    assert!(store.written().starts_with(&[0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_even_answer_pings_is_given_up() {
    let mut stage = Stage::set_up(Vec::new(), Store::default()).await;
    assert_eq!(stage.next().await, Frame::Ping);
    assert_eq!(stage.started.elapsed(), Duration::from_secs(25));
    stage.to_session.send(Frame::Other).await.unwrap();
    assert_eq!(stage.close_code().await, CloseCode::Policy);
    assert!(stage.started.elapsed() > Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_failed_model_is_apologised_for() {
    let failure = voice_core::ports::ModelFailure { kind: voice_core::ports::ModelFailureKind::Throttled };
    let mut stage = Stage::set_up(vec![vec![ModelEvent::Failed(failure)]], Store::default()).await;
    stage.say("Hello").await;
    assert_eq!(stage.next_json().await, said(&Sentences::default().failure, true));
}
