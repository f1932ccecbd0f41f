//! Journals before a table in trouble, in paused time.

mod bounds;
mod taking_over;

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_util::task::TaskTracker;
use voice_core::history::{Record, Sequence};
use voice_core::message::GenerationId;
use voice_core::ports::{
    BoxFuture, CallStore, Claim, Journaled, KnownSession, Ownership, StoreError, StoreErrorKind, Trigger,
    TurnEnd,
};

use super::backlog::{ROOM, WORTH_A_REQUEST};
use super::writer::AFTER_THE_CALL;
use super::*;
use crate::metrics::Metrics;
use crate::session::Unobserved;
use crate::session::tests::{HungTools, Model, known, prepared};

/// What the table was made to do, in order. Answers come from `answers`, which see the instant of the request.
struct Table {
    began: Instant,
    writes: Mutex<Vec<(Duration, Write)>>,
    answers: Box<Answers>,
    /// Requests that are under way, and the most there were.
    at_once: Mutex<(usize, usize)>,
}

/// When it was asked, and for what.
type Answers = dyn Fn(Duration, &Write) -> Answer + Send + Sync;

#[derive(Clone, Debug, PartialEq)]
enum Write {
    Open,
    Claim,
    Turn(String, Sequence),
    Traces(Vec<u32>),
    Close(EndedBecause),
}

/// What becomes of a request.
#[derive(Clone, Copy)]
enum Answer {
    Done,
    Failed(StoreErrorKind),
    /// It was done, and the answer is lost.
    DoneUnknown,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Table")
    }
}

/// How long the table takes.
const TAKES: Duration = Duration::from_millis(5);

impl Table {
    fn new(answers: impl Fn(Duration, &Write) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            writes: Mutex::default(),
            answers: Box::new(answers),
            at_once: Mutex::default(),
        })
    }

    async fn take(&self, write: Write) -> Result<(), StoreError> {
        let answer = (self.answers)(self.began.elapsed(), &write);
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        tokio::time::sleep(TAKES).await;
        self.at_once.lock().unwrap().0 -= 1;
        let unavailable = StoreError { kind: StoreErrorKind::Unavailable, source: None };
        match answer {
            Answer::Failed(kind) => Err(StoreError { kind, source: None }),
            Answer::Done | Answer::DoneUnknown => {
                self.writes.lock().unwrap().push((self.began.elapsed(), write));
                if let Answer::Done = answer { Ok(()) } else { Err(unavailable) }
            }
        }
    }

    fn writes(&self) -> Vec<Write> {
        self.writes.lock().unwrap().iter().map(|(_, write)| write.clone()).collect()
    }

    fn turns(&self, call: &str) -> Vec<Sequence> {
        let turn = |write: Write| match write {
            Write::Turn(of, sequence) if of == call => Some(sequence),
            _ => None,
        };
        self.writes().into_iter().filter_map(turn).collect()
    }

    fn traces(&self) -> Vec<u32> {
        let traces = |write| if let Write::Traces(ids) = write { ids } else { Vec::new() };
        self.writes().into_iter().flat_map(traces).collect()
    }
}

impl CallStore for Table {
    fn open_session(&self, _: Session) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.take(Write::Open))
    }

    fn claim_session<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Claim,
    ) -> BoxFuture<'a, Result<Ownership, StoreError>> {
        Box::pin(async { self.take(Write::Claim).await.map(|()| Ownership::Ours(known())) })
    }

    fn count_resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn read_session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn close_session<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        because: EndedBecause,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.take(Write::Close(because)))
    }

    fn write_turn<'a>(
        &'a self,
        call_sid: &'a str,
        _: u64,
        turn: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.take(Write::Turn(call_sid.to_owned(), turn.record.sequence)))
    }

    fn change_session<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: SessionChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn write_traces<'a>(
        &'a self,
        _: &'a str,
        traces: &'a [TurnTrace],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.take(Write::Traces(traces.iter().map(|trace| trace.turn.0).collect())))
    }

    fn read_journal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>> {
        Box::pin(async { Ok(Journaled::default()) })
    }
}

fn ports(table: &Arc<Table>, journals: Journals) -> Ports {
    Ports {
        model: Arc::new(Model::default()),
        tools: Arc::new(HungTools::default()),
        store: table.clone(),
        metrics: Metrics::default(),
        observer: Arc::new(Unobserved),
        journals,
        tasks: TaskTracker::new(),
        owner: "test".into(),
    }
}

/// The journal of a call that was answered here.
fn answered(call_sid: &str, ports: &Ports) -> Journal {
    let standing = Standing::ToBeClaimed(prepared().session(Vec::new()));
    Journal::open(call_sid, standing, &Storage::default(), ports, CancellationToken::new())
}

/// The journal of a call that is ours already.
fn claimed(call_sid: &str, ports: &Ports) -> Journal {
    let standing = Standing::Claimed { epoch: 1 };
    Journal::open(call_sid, standing, &Storage::default(), ports, CancellationToken::new())
}

fn turn(sequence: Sequence) -> JournaledTurn {
    let message = Arc::new(Message::Caller { text: "Hello".to_owned() });
    let record = Record { sequence, message: Some(message), said: None };
    JournaledTurn { at: String::new(), record, generation: None }
}

fn trace(id: u32) -> TurnTrace {
    TurnTrace {
        turn: GenerationId(id),
        use_case: String::new(),
        trigger: Trigger::Words,
        started_at: std::time::SystemTime::UNIX_EPOCH,
        transcription: None,
        generations: Vec::new(),
        tools: Vec::new(),
        first_text: None,
        first_audio: None,
        ended: Duration::ZERO,
        end: TurnEnd::Heard,
    }
}

/// Out of reach for the first so many seconds.
fn outage(seconds: u64) -> impl Fn(Duration, &Write) -> Answer {
    move |at, _| {
        if at < Duration::from_secs(seconds) {
            Answer::Failed(StoreErrorKind::Unavailable)
        } else {
            Answer::Done
        }
    }
}

/// A call that is over, of which three messages wait for the table.
pub(crate) struct EndedInOutage {
    pub(crate) ports: Ports,
    /// How many of them the table has.
    pub(crate) written: Box<dyn Fn() -> u64>,
}

/// The table is out of reach for so many seconds from now.
pub(crate) fn ended_in_an_outage(seconds: u64) -> EndedInOutage {
    let table = Table::new(outage(seconds));
    let ports = ports(&table, Journals::default());
    let journal = answered("CA1", &ports);
    (0..3).for_each(|sequence| journal.write(turn(sequence)));
    let written = Box::new(move || table.turns("CA1").len() as u64);
    EndedInOutage { ports, written }
}

const FIVE_MINUTES: u64 = 300;

#[tokio::test(start_paused = true)]
async fn an_outage_of_five_minutes_loses_nothing_of_calls_that_go_on_begin_or_end_in_it() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::default());
    let (goes_on, ended) = (answered("goes on", &ports), answered("ended", &ports));
    for sequence in 0..5 {
        goes_on.write(turn(sequence));
        ended.write(turn(sequence));
        goes_on.observe(trace(sequence));
    }
    ended.ends(EndedBecause::CallerHungUp);
    let ending = ended.written();
    tokio::pin!(ending);
    assert!(futures_util::FutureExt::now_or_never(&mut ending).is_none());
    advance(Duration::from_secs(200)).await;
    let begun = answered("begun", &ports);
    begun.write(turn(0));
    tokio::time::sleep(Duration::from_mins(2)).await;
    goes_on.write(turn(5));
    for journal in [goes_on, begun] {
        journal.ends(EndedBecause::AgentEnded);
        journal.written().await;
    }
    ending.await;
    assert_eq!((table.turns("goes on"), table.turns("begun")), ((0..6).collect(), vec![0]));
    assert_eq!(table.turns("ended"), [0, 1, 2, 3, 4]);
    assert_eq!(table.traces(), [0, 1, 2, 3, 4]);
    let claims = table.writes().into_iter().filter(|write| *write == Write::Claim).count();
    assert_eq!((claims, ports.journals.waiting()), (3, 0));
    assert_eq!(table.writes()[0], Write::Claim, "nothing is written before the call is ours");
    assert_eq!(
        (ports.metrics.value(Counter::JournalLost), ports.metrics.value(Counter::TelemetryShed)),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn catching_up_comes_neither_at_once_nor_all_together() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::default());
    let journals: Vec<_> = (0..200).map(|call| claimed(&format!("CA{call}"), &ports)).collect();
    for journal in &journals {
        (0..10).for_each(|sequence| journal.write(turn(sequence)));
    }
    tokio::time::sleep(Duration::from_secs(FIVE_MINUTES)).await;
    table.at_once.lock().unwrap().1 = 0;
    // A call that has nothing waiting does not queue behind those that have.
    let live = claimed("live", &ports);
    live.write(turn(0));
    tokio::time::sleep(2 * TAKES).await;
    assert_eq!(table.turns("live"), [0]);
    let began = Instant::now();
    for journal in journals {
        journal.written().await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let most = table.at_once.lock().unwrap().1;
    assert!((2..=21).contains(&most), "{most} writes at once");
    for call in 0..200 {
        assert_eq!(table.turns(&format!("CA{call}")), (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_telemetry_goes_before_any_message() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::default());
    let journal = claimed("CA1", &ports);
    let room = u32::try_from(ROOM).unwrap();
    for id in 0..room {
        journal.observe(trace(id));
    }
    for sequence in 0..room - 1 {
        journal.write(turn(sequence));
    }
    assert_eq!(ports.metrics.value(Counter::TelemetryShed), u64::from(room) - 1);
    // Telemetry has no claim on the place of anything but telemetry.
    journal.observe(trace(room));
    journal.write(turn(room - 1));
    journal.observe(trace(room + 1));
    assert_eq!(ports.metrics.value(Counter::TelemetryShed), u64::from(room) + 2);
    assert_eq!(ports.metrics.value(Counter::JournalLost), 0);
    journal.write(turn(room));
    journal.write(turn(room + 1));
    assert_eq!(ports.metrics.value(Counter::JournalLost), 2, "nothing else was left to give up");
    journal.written().await;
    assert_eq!((table.turns("CA1"), table.traces()), ((0..room).collect(), vec![]));
}

#[tokio::test(start_paused = true)]
async fn telemetry_costs_one_request_for_ten_turns_and_waits_for_no_more_than_half_a_minute() {
    let table = Table::new(|_, _| Answer::Done);
    let ports = ports(&table, Journals::default());
    let journal = claimed("CA1", &ports);
    let (turns, enough) = (35_u32, u32::try_from(WORTH_A_REQUEST).unwrap());
    for id in 0..turns {
        journal.write(turn(2 * id));
        journal.write(turn(2 * id + 1));
        journal.observe(trace(id));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let requests =
        |table: &Table| table.writes().into_iter().filter(|write| matches!(write, Write::Traces(_))).count();
    assert_eq!(requests(&table), (turns / enough) as usize);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(table.traces().len(), turns as usize, "the last five were not kept for more");
    journal.observe(trace(turns));
    journal.ends(EndedBecause::HandedOver);
    journal.written().await;
    let writes = table.writes();
    let last = &writes[writes.len() - 2..];
    assert_eq!(last, [Write::Close(EndedBecause::HandedOver), Write::Traces(vec![turns])]);
}

#[tokio::test(start_paused = true)]
async fn messages_do_not_wait_for_telemetry_that_is_refused() {
    let table = Table::new(|_, write| match write {
        Write::Traces(_) => Answer::Failed(StoreErrorKind::Unavailable),
        _ => Answer::Done,
    });
    let ports = ports(&table, Journals::default());
    let journal = claimed("CA1", &ports);
    for id in 0..20 {
        journal.observe(trace(id));
    }
    tokio::time::sleep(2 * TAKES).await;
    let began = Instant::now();
    journal.write(turn(0));
    while table.turns("CA1").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() <= 3 * TAKES, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_repeated_before_anything_else() {
    let answers = Mutex::new(0);
    let table = Table::new(move |_, _| {
        let mut asked = answers.lock().unwrap();
        *asked += 1;
        if *asked % 2 == 1 { Answer::DoneUnknown } else { Answer::Done }
    });
    let ports = ports(&table, Journals::default());
    let journal = answered("CA1", &ports);
    (0..3).for_each(|sequence| journal.write(turn(sequence)));
    journal.written().await;
    assert_eq!(table.turns("CA1"), [0, 0, 1, 1, 2, 2]);
    assert_eq!(ports.metrics.value(Counter::JournalLost), 0);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_overtaken_writes_no_more_but_what_it_observed() {
    let table = Table::new(|_, write| match write {
        Write::Turn(_, 1) => Answer::Failed(StoreErrorKind::Conflict),
        _ => Answer::Done,
    });
    let ports = ports(&table, Journals::default());
    let leave = CancellationToken::new();
    let standing = Standing::Claimed { epoch: 1 };
    let journal = Journal::open("CA1", standing, &Storage::default(), &ports, leave.clone());
    (0..4).for_each(|sequence| journal.write(turn(sequence)));
    leave.cancelled().await;
    journal.write(turn(4));
    journal.observe(trace(7));
    journal.written().await;
    assert_eq!(table.writes(), [Write::Turn("CA1".to_owned(), 0), Write::Traces(vec![7])]);
    assert_eq!(
        (ports.metrics.value(Counter::JournalFenced), ports.metrics.value(Counter::JournalLost)),
        (1, 3),
        "what was waiting will never be written"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_reached_when_everything_before_it_is_written() {
    let table = Table::new(outage(10));
    let ports = ports(&table, Journals::default());
    let journal = claimed("CA1", &ports);
    (0..3).for_each(|sequence| journal.write(turn(sequence)));
    let mark = journal.mark();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(!mark.is_cancelled());
    mark.cancelled().await;
    assert_eq!(table.turns("CA1"), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_can_never_be_claimed_says_so() {
    let table = Table::new(outage(u64::MAX));
    let ports = ports(&table, Journals::default());
    let journal = answered("CA1", &ports);
    journal.write(turn(0));
    journal.observe(trace(0));
    let began = Instant::now();
    journal.written().await;
    assert!((AFTER_THE_CALL..AFTER_THE_CALL + Duration::from_secs(10)).contains(&began.elapsed()));
    let counted = [Counter::JournalUnclaimed, Counter::JournalLost, Counter::TelemetryShed];
    assert_eq!(counted.map(|counter| ports.metrics.value(counter)), [1, 1, 1]);
    assert_eq!(ports.journals.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_still_waits_when_the_process_goes_is_counted() {
    let table = Table::new(outage(u64::MAX));
    let ports = ports(&table, Journals::default());
    let (one, other) = (claimed("CA1", &ports), answered("CA2", &ports));
    one.write(turn(0));
    one.observe(trace(0));
    other.write(turn(0));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((ports.journals.waiting(), ports.journals.abandon(), ports.journals.waiting()), (3, 2, 0));
    let counted = [Counter::JournalUnclaimed, Counter::JournalLost, Counter::TelemetryShed];
    assert_eq!(counted.map(|counter| ports.metrics.value(counter)), [1, 2, 1]);
    assert_eq!(ports.journals.abandon(), 0, "nothing is counted twice");
}
