//! A call that goes on in a newer session, while what was said in the older one still waits for the table.

use super::super::journals::Lane;
use super::*;
use crate::session::Calls;

#[tokio::test(start_paused = true)]
async fn who_takes_a_call_over_after_an_outage_finds_all_that_was_said_in_it() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::default());
    let calls = Calls::new(1).with_journals(ports.journals.clone());
    let leave = CancellationToken::new();
    let (older, _) = calls.go_live("CA1", calls.readmit("CA1"), leave.clone()).await;
    let journal = answered("CA1", &ports);
    ports.tasks.spawn(async move {
        leave.cancelled().await;
        (0..3).for_each(|sequence| journal.write(turn(sequence)));
        journal.written().await;
        drop(older);
    });
    tokio::time::sleep(Duration::from_secs(FIVE_MINUTES - 1)).await;
    // Others catch up as well, and leave no room.
    let mut others = Vec::new();
    for _ in 0..20 {
        for lane in [Lane::Live, Lane::Over] {
            others.extend(futures_util::FutureExt::now_or_never(ports.journals.enter(lane)).flatten());
        }
    }
    let began = Instant::now();
    let (_newer, took_over) = calls.go_live("CA1", calls.readmit("CA1"), CancellationToken::new()).await;
    assert!(took_over && began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(table.turns("CA1"), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_call_over_in_an_outage_waits_for_it_no_longer_than_is_bearable() {
    let table = Table::new(outage(FIVE_MINUTES));
    let ports = ports(&table, Journals::default());
    let calls = Calls::new(1).with_journals(ports.journals.clone());
    // Its session has gone from among the live ones; only its journal is left.
    drop(answered("CA1", &ports));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (tried, began) = (ports.metrics.value(Counter::JournalRetries), Instant::now());
    drop(calls.go_live("CA1", calls.readmit("CA1"), CancellationToken::new()).await);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    let tried = ports.metrics.value(Counter::JournalRetries) - tried;
    assert!((30..110).contains(&tried), "{tried} times");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(ports.metrics.value(Counter::JournalRetries) < tried + 50, "it is not urgent for ever");
}
