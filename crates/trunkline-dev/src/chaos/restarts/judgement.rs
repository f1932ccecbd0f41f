//! Whether callers noticed that tasks were replaced: what they heard, and what the table has of their calls.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use rehearsal::twilio::Party;

use super::super::Verdict;
use super::super::dialogue::APOLOGY;
use super::super::figures::{Complaints, Delays, seconds};
use super::super::record;
use super::super::talk::{Experience, Line, Outcome, Turn};

const JOURNALED: Duration = Duration::from_secs(30);

/// Of all calls of a run.
#[derive(Debug)]
pub(super) struct Judgement {
    lines: Vec<Line>,
    most_silence: Duration,
    calls: usize,
    handed_over: usize,
    lost: usize,
    cut: usize,
    repeated: usize,
    apologies: usize,
    turned_away: usize,
    /// From the carrier's question to the first words.
    resumed: Delays,
    silences: Delays,
    waits: Delays,
    complaints: Complaints,
}

impl Judgement {
    pub(super) fn new(lines: Vec<Line>, most_silence: Duration) -> Self {
        Self {
            lines,
            most_silence,
            calls: 0,
            handed_over: 0,
            lost: 0,
            cut: 0,
            repeated: 0,
            apologies: 0,
            turned_away: 0,
            resumed: Delays::default(),
            silences: Delays::default(),
            waits: Delays::default(),
            complaints: Complaints::default(),
        }
    }

    /// What the caller experienced.
    pub(super) fn hear(&mut self, experience: &Experience) {
        self.calls += 1;
        if let Some(error) = &experience.error {
            self.complaints.add(experience.without_id(error));
        }
        for problem in &experience.problems {
            self.complaints.add(experience.without_id(problem));
        }
        if !experience.spoken.is_empty() {
            self.turned_away += 1;
            self.complaints.add("a caller was turned away");
        }
        if !matches!(experience.ended, Some((Party::Caller, _))) {
            self.complaints.add("a call was dropped");
        }
        for resume in &experience.resumes {
            if resume.handed_over {
                self.handed_over += 1;
            } else {
                self.lost += 1;
            }
            if let (Some(asked), Some(token)) = (resume.asked, resume.first_token) {
                self.resumed.add(token.saturating_duration_since(asked));
            }
        }
        experience.turns.iter().for_each(|turn| self.hear_turn(turn));
    }

    fn hear_turn(&mut self, turn: &Turn) {
        self.silences.add(turn.longest_silence);
        turn.waited.into_iter().for_each(|wait| self.waits.add(wait));
        if turn.longest_silence > self.most_silence {
            self.complaints.add(format!("a silence was longer than {}", seconds(self.most_silence)));
        }
        self.repeated += usize::from(turn.repeated);
        if turn.told.contains(APOLOGY) {
            self.apologies += 1;
            self.complaints.add("the agent apologised");
        }
        match turn.outcome {
            Outcome::Whole => {}
            Outcome::Cut => self.cut += 1,
            Outcome::Unanswered => self.complaints.add("a line was not answered"),
        }
    }

    /// What the table has: every line once, unless the caller had to say it again.
    pub(super) async fn look_up(&mut self, experience: &Experience, table: &Client) -> anyhow::Result<()> {
        let Some(call_sid) = &experience.call_sid else { return Ok(()) };
        if let Err(error) = record::ended(table, call_sid, JOURNALED).await {
            self.complaints.add(format!("{error:#}"));
        }
        let record = record::read(table, call_sid).await?;
        if !record.is_in_order() {
            self.complaints.add("a session wrote behind the one that followed it");
        }
        for (line, turn) in self.lines.iter().zip(&experience.turns) {
            match record.times_said(&line.says) {
                0 => self.complaints.add("a caller's turn is lost"),
                1 => {}
                2 if turn.repeated => {}
                _ => self.complaints.add("a caller's turn is doubled"),
            }
        }
        Ok(())
    }

    /// The text with what was counted.
    pub(super) fn verdict(self, mut text: String) -> Verdict {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{} calls; {} sessions were handed over, {} lost; {} answers were cut, {} lines said again, \
             {} apologies, {} callers turned away\nfrom the carrier's question to the first words p50 {}, p99 {}, \
             longest {}; \
             from words to the first of the answer p50 {}, p99 {}; longest silence {}",
            self.calls,
            self.handed_over,
            self.lost,
            self.cut,
            self.repeated,
            self.apologies,
            self.turned_away,
            seconds(self.resumed.percentile(50)),
            seconds(self.resumed.percentile(99)),
            seconds(self.resumed.longest()),
            seconds(self.waits.percentile(50)),
            seconds(self.waits.percentile(99)),
            seconds(self.silences.longest()),
        );
        self.complaints.verdict(text)
    }
}
