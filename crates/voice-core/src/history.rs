//! The dialogue as the model may see it: what was said by the caller, and what the caller heard.
//!
//! Every way to change it keeps the rules of model APIs: the first message is the caller's, sides alternate, no text is
//! blank, each tool call is answered by exactly one outcome in the next message. It does not know what plays or runs.

use std::fmt;
use std::sync::Arc;

use crate::message::{Message, ToolCall, ToolCallId, ToolOutcome};

/// The place of a message in a call's journal, counted from 0. A dropped message leaves a gap.
pub type Sequence = u32;

/// A message that changed, for the journal.
#[derive(Clone, PartialEq)]
pub struct Record {
    pub sequence: Sequence,
    /// `None` when nothing of it was heard, so that it is no part of the dialogue.
    pub message: Option<Arc<Message>>,
    /// All text that was sent to be spoken; only for the agent's messages.
    pub said: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    next: Sequence,
    changed: Vec<Record>,
}

struct Entry {
    sequence: Sequence,
    message: Arc<Message>,
    said: Option<Arc<str>>,
}

impl fmt::Debug for Record {
    /// Leaves out the words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Record");
        shown.field("sequence", &self.sequence).field("message", &self.message).finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    /// Leaves out the words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Entry");
        shown.field("sequence", &self.sequence).field("message", &self.message).finish_non_exhaustive()
    }
}

/// The model sees at most this many messages; a call of hours stays within a model's context.
const WINDOW: usize = 400;

impl History {
    /// Rebuilds it from a journal. Messages that break the rules (a crash may leave some) are mended.
    ///
    /// `recorded` are the outcomes of tool runs that completed, perhaps after the session that started them was gone. They
    /// stand in for what that session did not know; what it did know, or decided, it has told the model.
    pub fn restore(
        records: impl IntoIterator<Item = (Sequence, Option<Message>)>,
        recorded: &[ToolOutcome],
    ) -> Self {
        let mut history = Self::default();
        for (sequence, message) in records {
            history.next = history.next.max(sequence);
            match message {
                None => {}
                Some(Message::Caller { text }) => {
                    history.settle_unanswered(recorded);
                    history.push_caller(&text);
                }
                Some(Message::Agent { text, tool_calls }) => {
                    history.settle_unanswered(recorded);
                    if history.last().is_some_and(Message::is_callers) {
                        history.push_agent(&text, tool_calls);
                    }
                }
                Some(Message::Outcomes { outcomes, text }) => {
                    let known = |outcome: ToolOutcome| match recorded_for(recorded, &outcome.id) {
                        Some(recorded) if outcome.is_unknown() => recorded,
                        _ => outcome,
                    };
                    history.push_outcomes(outcomes.into_iter().map(known).collect(), &text);
                }
            }
            history.next = history.next.max(sequence + 1);
        }
        history.changed.clear();
        // What the model is about to be told of runs that nobody waits for any more is new to the journal.
        history.settle_unanswered(recorded);
        history
    }

    /// A history that knows nothing of the messages before `sequence` and leaves them alone.
    pub fn starting_at(sequence: Sequence) -> Self {
        Self { next: sequence, ..Self::default() }
    }

    /// The last messages, oldest first, beginning with one in which only the caller speaks.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        let mut start = self.entries.len().saturating_sub(WINDOW);
        while start > 0 && !matches!(*self.entries[start].message, Message::Caller { .. }) {
            start -= 1;
        }
        self.entries[start..].iter().map(|entry| Arc::clone(&entry.message)).collect()
    }

    pub fn last(&self) -> Option<&Message> {
        self.entries.last().map(|entry| &*entry.message)
    }

    /// Takes what has changed since the last time, in the order in which it changed.
    pub fn take_changes(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.changed)
    }

    /// Adds words of the caller; they join the caller's last message when the agent has not answered it.
    pub fn push_caller(&mut self, words: &str) {
        let words = words.trim();
        if words.is_empty() {
            return;
        }
        match self.entries.last_mut().filter(|entry| entry.message.is_callers()) {
            Some(entry) => {
                append_callers(Arc::make_mut(&mut entry.message), words);
                self.note_last();
            }
            None => self.push(Message::Caller { text: words.to_owned() }),
        }
    }

    /// Takes back the caller's last words, when the dialogue ends with them: the model must not read them after all.
    pub fn withhold_callers_words(&mut self, instead: &str) {
        let Some(entry) = self.entries.last_mut() else { return };
        match Arc::make_mut(&mut entry.message) {
            Message::Caller { text } => instead.clone_into(text),
            Message::Outcomes { text, .. } if !text.is_empty() => instead.clone_into(text),
            Message::Outcomes { .. } | Message::Agent { .. } => return,
        }
        self.note_last();
    }

    /// Adds a whole message of the agent.
    pub fn push_agent(&mut self, text: &str, tool_calls: Vec<ToolCall>) -> Sequence {
        let sequence = self.open_agent();
        self.append_agent(text);
        self.close_agent(tool_calls);
        sequence
    }

    /// Begins a message of the agent, which must be ended with [`Self::close_agent`] before anything else is added.
    pub fn open_agent(&mut self) -> Sequence {
        let sequence = self.next;
        self.next += 1;
        let message = Arc::new(Message::Agent { text: String::new(), tool_calls: Vec::new() });
        self.entries.push(Entry { sequence, message, said: None });
        sequence
    }

    /// Adds text to the open message of the agent.
    pub fn append_agent(&mut self, addition: &str) {
        if let Some(entry) = self.entries.last_mut()
            && let Message::Agent { text, .. } = Arc::make_mut(&mut entry.message)
        {
            text.push_str(addition);
        }
    }

    /// Ends the open message of the agent. One without text and calls vanishes.
    pub fn close_agent(&mut self, calls: Vec<ToolCall>) {
        let Some(entry) = self.entries.last_mut() else {
            return;
        };
        let Message::Agent { text, tool_calls } = Arc::make_mut(&mut entry.message) else {
            return;
        };
        text.truncate(text.trim_end().len());
        *tool_calls = calls;
        if text.is_empty() && tool_calls.is_empty() {
            self.entries.pop();
            return;
        }
        entry.said = Some(Arc::from(text.as_str()));
        self.note_last();
    }

    /// Answers the tool calls of the last message; outcomes without a call are dropped, missing ones are made up as errors.
    pub fn push_outcomes(&mut self, mut outcomes: Vec<ToolOutcome>, words: &str) {
        let calls = self.unanswered();
        if calls.is_empty() {
            return self.push_caller(words);
        }
        let outcomes = calls
            .into_iter()
            .map(|call| match outcomes.iter().position(|outcome| outcome.id == call.id) {
                Some(index) => outcomes.swap_remove(index),
                None => ToolOutcome::unknown(call.id, "The outcome of this run is not known."),
            })
            .collect();
        self.push(Message::Outcomes { outcomes, text: words.trim().to_owned() });
    }

    /// Cuts a message of the agent back to what was heard of it. What was not heard at all is no part of the dialogue,
    /// and the caller's messages around it become one.
    pub fn cut(&mut self, sequence: Sequence, heard: &str) {
        let Some(index) = self.entries.iter().position(|entry| entry.sequence == sequence) else {
            return;
        };
        let entry = &mut self.entries[index];
        let Message::Agent { text, tool_calls } = Arc::make_mut(&mut entry.message) else {
            return;
        };
        heard.trim_end().clone_into(text);
        if !text.is_empty() || !tool_calls.is_empty() {
            let record = entry.record();
            return self.changed.push(record);
        }
        let removed = self.entries.remove(index);
        self.changed.push(Record { sequence, message: None, said: removed.said });
        self.join_callers(index);
    }

    /// Joins two messages of the caller that became neighbours at `index`.
    fn join_callers(&mut self, index: usize) {
        let Some(previous) = index.checked_sub(1) else {
            return;
        };
        let both_callers = [previous, index]
            .into_iter()
            .all(|index| self.entries.get(index).is_some_and(|entry| entry.message.is_callers()));
        if !both_callers {
            return;
        }
        let later = self.entries.remove(index);
        if let Message::Caller { text } = &*later.message {
            append_callers(Arc::make_mut(&mut self.entries[previous].message), text);
        }
        self.changed.push(self.entries[previous].record());
        self.changed.push(Record { sequence: later.sequence, message: None, said: None });
    }

    fn unanswered(&self) -> Vec<ToolCall> {
        match self.last() {
            Some(Message::Agent { tool_calls, .. }) => tool_calls.clone(),
            _ => Vec::new(),
        }
    }

    fn settle_unanswered(&mut self, recorded: &[ToolOutcome]) {
        let calls = self.unanswered();
        if !calls.is_empty() {
            let outcomes = calls.iter().filter_map(|call| recorded_for(recorded, &call.id)).collect();
            self.push_outcomes(outcomes, "");
        }
    }

    fn push(&mut self, message: Message) {
        self.entries.push(Entry { sequence: self.next, message: Arc::new(message), said: None });
        self.next += 1;
        self.note_last();
    }

    fn note_last(&mut self) {
        self.changed.extend(self.entries.last().map(Entry::record));
    }
}

impl Entry {
    fn record(&self) -> Record {
        Record { sequence: self.sequence, message: Some(Arc::clone(&self.message)), said: self.said.clone() }
    }
}

/// Ids may repeat in a call; the last run is meant.
fn recorded_for(recorded: &[ToolOutcome], id: &ToolCallId) -> Option<ToolOutcome> {
    recorded.iter().rev().find(|outcome| outcome.id == *id).cloned()
}

fn append_callers(message: &mut Message, words: &str) {
    if let Message::Caller { text } | Message::Outcomes { text, .. } = message {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: ToolCallId(id.to_owned()), name: "look_up".to_owned(), input: json!({}) }
    }

    fn caller(text: &str) -> Message {
        Message::Caller { text: text.to_owned() }
    }

    fn agent(text: &str) -> Message {
        Message::Agent { text: text.to_owned(), tool_calls: Vec::new() }
    }

    fn shown(history: &History) -> Vec<Message> {
        history.messages().iter().map(|message| (**message).clone()).collect()
    }

    #[test]
    fn an_outcome_that_nobody_waits_for_any_more_is_new_to_the_journal() {
        let records = [
            caller("Where is my order?"),
            Message::Agent { text: String::new(), tool_calls: vec![call("a")] },
        ];
        let mut history = History::restore((0..).zip(records.map(Some)), &[]);
        let changed = history.take_changes();
        assert_eq!(changed.iter().map(|record| record.sequence).collect::<Vec<_>>(), [2]);
        assert!(matches!(changed[0].message.as_deref(), Some(Message::Outcomes { .. })));
        assert!(history.take_changes().is_empty());
    }

    #[test]
    fn a_message_of_which_nothing_was_heard_vanishes_and_the_callers_words_join() {
        let mut history = History::default();
        history.push_caller("Do you have");
        let sequence = history.push_agent("We have many things.", Vec::new());
        history.push_caller("pizza?");
        history.take_changes();
        history.cut(sequence, " ");
        assert_eq!(shown(&history), [caller("Do you have pizza?")]);
        let changed: Vec<_> = history
            .take_changes()
            .into_iter()
            .map(|record| (record.sequence, record.message.is_some()))
            .collect();
        assert_eq!(changed, [(1, false), (0, true), (2, false)]);
    }

    #[test]
    fn a_cut_keeps_the_calls_of_a_message() {
        let mut history = History::default();
        history.push_caller("Order.");
        let sequence = history.push_agent("I will do that.", vec![call("a")]);
        history.push_outcomes(vec![ToolOutcome::success(call("a").id, json!({"ok": true}))], "");
        history.cut(sequence, "");
        assert!(
            matches!(&shown(&history)[1], Message::Agent { text, tool_calls } if text.is_empty() && tool_calls.len() == 1)
        );
    }

    #[test]
    fn every_call_gets_exactly_one_outcome() {
        let mut history = History::default();
        history.push_caller("Order.");
        history.push_agent("", vec![call("a"), call("b")]);
        let stray = ToolOutcome::success(call("z").id, json!({}));
        history
            .push_outcomes(vec![stray, ToolOutcome::success(call("b").id, json!({"n": 1}))], " and hurry ");
        let Message::Outcomes { outcomes, text } = history.last().unwrap() else {
            panic!("outcomes are last")
        };
        assert_eq!(outcomes.iter().map(|outcome| outcome.id.0.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(text, "and hurry");
    }

    #[test]
    fn a_journal_with_holes_is_mended() {
        let history = History::restore(
            [
                (0, Some(agent("Lost beginning."))),
                (1, Some(caller("Hello?"))),
                (2, Some(Message::Agent { text: String::new(), tool_calls: vec![call("a")] })),
                (5, Some(caller("Are you there?"))),
                (6, None),
            ],
            &[],
        );
        let messages = shown(&history);
        assert_eq!(messages[0], caller("Hello?"));
        assert!(
            matches!(&messages[2], Message::Outcomes { outcomes, text } if outcomes.len() == 1 && text == "Are you there?")
        );
        assert_eq!(history.next, 7, "the place of a dropped message is not used again");
    }

    #[test]
    fn an_outcome_that_came_after_the_session_was_gone_is_remembered() {
        let placed = ToolOutcome::success(call("a").id, json!({"placed": true}));
        let asked = Message::Agent { text: String::new(), tool_calls: vec![call("a")] };
        let lost = ToolOutcome::unknown(call("a").id, "The call ended before the outcome was known.");
        let told = Message::Outcomes { outcomes: vec![lost], text: "Hello?".to_owned() };
        for records in [
            vec![(0, Some(caller("Order."))), (1, Some(asked.clone())), (2, Some(told))],
            vec![(0, Some(caller("Order."))), (1, Some(asked))],
        ] {
            let history = History::restore(records, std::slice::from_ref(&placed));
            assert!(
                matches!(history.last(), Some(Message::Outcomes { outcomes, .. }) if outcomes[0] == placed)
            );
        }
    }

    #[test]
    fn what_the_session_decided_of_a_run_stays() {
        let asked = Message::Agent { text: String::new(), tool_calls: vec![call("a")] };
        let decided = ToolOutcome::error(call("a").id, "Not done: the caller went on speaking.");
        let told = Message::Outcomes { outcomes: vec![decided.clone()], text: String::new() };
        let records = [(0, Some(caller("A person."))), (1, Some(asked)), (2, Some(told))];
        let transferred = ToolOutcome::success(call("a").id, json!({"transferred": true}));
        let history = History::restore(records, &[transferred]);
        assert!(matches!(history.last(), Some(Message::Outcomes { outcomes, .. }) if outcomes[0] == decided));
    }

    #[test]
    fn the_model_sees_a_window_that_begins_with_the_caller() {
        let mut history = History::default();
        for turn in 0..300 {
            history.push_caller(&format!("question {turn}"));
            history.push_agent("answer", Vec::new());
        }
        let messages = shown(&history);
        assert!(messages.len() <= WINDOW + 1);
        assert!(matches!(&messages[0], Message::Caller { .. }));
        assert_eq!(messages.last().unwrap(), &agent("answer"));
    }
}
