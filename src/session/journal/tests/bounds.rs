//! How much may wait of all calls together.

use super::super::backlog::Push;
use super::*;

#[tokio::test(start_paused = true)]
async fn all_calls_together_have_a_bound_too() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::with_room_for(6));
    let (first, second) = (claimed("CA1", &ports), claimed("CA2", &ports));
    for id in 0..3 {
        first.observe(trace(id));
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.observe(trace(id));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(ports.journals.waiting(), 6);
    for sequence in 0..8 {
        second.write(turn(sequence));
    }
    assert_eq!(ports.metrics.value(Counter::TelemetryShed), 6);
    assert_eq!((ports.metrics.value(Counter::JournalLost), ports.journals.waiting()), (2, 6));
    second.written().await;
    assert_eq!(table.turns("CA2"), [0, 1, 2, 3, 4, 5]);
    drop(first);
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
