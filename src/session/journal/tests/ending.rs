//! What becomes of a journal at its end: of the call, of the process, of its ownership.

use super::*;

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

#[test]
fn an_entry_is_counted_before_it_can_be_written() {
    const ENTRIES: usize = 20_000;
    let (journals, metrics) = (Journals::default(), Metrics::default());
    let backlog = journals.open("CA1", &metrics);
    let most = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut most = 0;
            for _ in 0..ENTRIES {
                while backlog.is_empty() {
                    std::thread::yield_now();
                }
                backlog.written();
                most = most.max(journals.waiting());
            }
            most
        });
        for _ in 0..ENTRIES {
            while let Push::Lost { .. } = backlog.push(Entry::Mark(CancellationToken::new())) {
                std::thread::yield_now();
            }
        }
        writer.join().unwrap()
    });
    assert!(most <= ROOM as u64, "{most} of {ROOM} at most");
    assert_eq!((journals.waiting(), metrics.journal_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn five_minutes_of_as_many_calls_as_there_may_be_fit() {
    let (calls, messages, turns) = (500, 50, 25);
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::for_calls(calls));
    let journals: Vec<_> = (0..calls).map(|call| claimed(&format!("CA{call}"), &ports)).collect();
    for journal in &journals {
        (0..messages).for_each(|sequence| journal.write(turn(sequence)));
        (0..turns).for_each(|id| journal.observe(trace(id)));
    }
    assert_eq!(ports.journals.waiting(), 500 * 75);
    let counted = [Counter::JournalLost, Counter::TelemetryShed].map(|counter| ports.metrics.value(counter));
    assert_eq!(counted, [0, 0]);
}
