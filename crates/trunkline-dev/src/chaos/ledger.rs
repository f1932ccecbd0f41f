//! Compares the journals of calls with what was said in them.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::Value;
use tokio::time::sleep;
use trunkline::store::DynamoDbStore;
use trunkline::telemetry::causes;
use voice_core::history::Sequence;
use voice_core::message::Message;
use voice_core::ports::{CallStore as _, RecordStore as _};

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A call that is over, and what its journal must hold.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) call_sid: String,
    /// What the caller said and was told, in order.
    pub(super) turns: Vec<(String, String)>,
}

/// What came of the journals.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) complete: usize,
    /// How long it took from `since` until the last of them was complete.
    pub(super) took: Duration,
    /// What is wrong with the others.
    pub(super) shortfalls: Vec<String>,
}

/// Looks at the journals until all of them are as they must be, or until `patience` is over, which begins at `since`.
pub(super) async fn audit(
    store: &DynamoDbStore,
    mut accounts: Vec<Account>,
    since: Instant,
    patience: Duration,
) -> anyhow::Result<Audit> {
    let mut complete = 0;
    loop {
        let mut shortfalls = Vec::new();
        let mut missing = Vec::new();
        for account in accounts {
            match shortfall(store, &account).await? {
                None => complete += 1,
                Some(shortfall) => {
                    shortfalls.push(shortfall);
                    missing.push(account);
                }
            }
        }
        let took = since.elapsed();
        if missing.is_empty() || took >= patience {
            return Ok(Audit { complete, took, shortfalls });
        }
        accounts = missing;
        sleep(BETWEEN_LOOKS).await;
    }
}

/// What is wrong with a call's journal, if anything is.
async fn shortfall(store: &DynamoDbStore, account: &Account) -> anyhow::Result<Option<String>> {
    let journal = store.read_journal(&account.call_sid).await;
    let journal = journal.map_err(|error| anyhow!("a journal was not read: {}", causes(&error)))?;
    if let Some(wrong) = wrong_with(&journal.turns, &account.turns) {
        return Ok(Some(wrong));
    }
    let session = store.get_record(&account.call_sid, "connection").await;
    let session = session.map_err(|error| anyhow!("a session was not read: {}", causes(&error)))?;
    let status = session.as_ref().and_then(|session| session.get("status")).and_then(Value::as_str);
    Ok((status != Some("ended")).then(|| format!("the session is {}", status.unwrap_or("not there"))))
}

/// Compares a journal with what was said. What the agent says before the caller does is not compared.
fn wrong_with(journal: &[(Sequence, Option<Message>)], said: &[(String, String)]) -> Option<String> {
    for pair in journal.windows(2) {
        if pair[1].0 != pair[0].0 + 1 {
            return Some(format!("{} follows {} in the journal", pair[1].0, pair[0].0));
        }
    }
    if let Some((first, _)) = journal.first().filter(|(first, _)| *first > 1) {
        return Some(format!("the journal begins with {first}"));
    }
    let messages = journal.iter().filter_map(|(_, message)| message.as_ref());
    let messages = messages.skip_while(|message| matches!(message, Message::Agent { .. }));
    let journaled: Vec<String> = messages.map(spoken).collect();
    let expected: Vec<String> = said
        .iter()
        .flat_map(|(caller, agent)| [format!("caller: {caller}"), format!("agent: {agent}")])
        .collect();
    if journaled == expected {
        return None;
    }
    let same = journaled.iter().zip(&expected).take_while(|(one, other)| one == other).count();
    Some(match (journaled.get(same), expected.get(same)) {
        (Some(journaled), Some(expected)) => {
            format!("message {same} is {journaled:?} in the journal and was {expected:?}")
        }
        (Some(_), None) => format!("{} messages too many in the journal", journaled.len() - expected.len()),
        _ => format!("the last {} of {} messages are not journaled", expected.len() - same, expected.len()),
    })
}

fn spoken(message: &Message) -> String {
    let (who, text) = match message {
        Message::Caller { text } => ("caller", text),
        Message::Agent { text, .. } => ("agent", text),
        Message::Outcomes { text, .. } => ("outcomes", text),
    };
    format!("{who}: {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(messages: &[(Sequence, &str)]) -> Vec<(Sequence, Option<Message>)> {
        let message = |text: &str| match text.split_once(": ") {
            Some(("caller", text)) => Message::Caller { text: text.to_owned() },
            _ => Message::Agent { text: text.trim_start_matches("agent: ").to_owned(), tool_calls: vec![] },
        };
        messages.iter().map(|(sequence, text)| (*sequence, Some(message(text)))).collect()
    }

    #[test]
    fn a_journal_is_right_when_it_holds_what_was_said_in_order() {
        let said = vec![("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())];
        let right =
            [(0, "agent: Hello"), (1, "caller: a"), (2, "agent: b"), (3, "caller: c"), (4, "agent: d")];
        assert_eq!(wrong_with(&journal(&right), &said), None);
        assert_eq!(wrong_with(&journal(&right[1..]), &said), None);
        let wrong = |messages: &[_]| wrong_with(&journal(messages), &said).unwrap_or_default();
        assert!(wrong(&right[..3]).contains("the last 2 of 4"));
        assert!(wrong(&right[2..]).contains("begins with 2"));
        assert!(wrong(&[right[0], right[1], right[3]]).contains("3 follows 1"));
        let swapped = [(1, "caller: a"), (2, "agent: d"), (3, "caller: c"), (4, "agent: b")];
        assert!(wrong(&swapped).contains("message 1 is"));
    }
}
