//! Whether callers noticed that tasks were replaced: what they heard, and what the table has of their calls.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use rehearsal::twilio::Party;

use super::super::Verdict;
use super::super::dialogue::APOLOGY;
use super::super::figures::{Complaints, Delays, seconds};
use super::super::record;
use super::super::talk::{Experience, Line, Outcome, Resume, Turn};

const JOURNALED: Duration = Duration::from_secs(30);

/// Of all calls of a run.
#[derive(Debug)]
pub(super) struct Judgement {
    lines: Vec<Line>,
    most_silence: Duration,
    most_repeated: usize,
    calls: usize,
    handed_over: usize,
    lost: usize,
    cut: usize,
    repeated: usize,
    apologies: usize,
    turned_away: usize,
    /// From the carrier's question to the first words.
    resumed: Delays,
    /// From the end of a session to the beginning of the next.
    dead: Delays,
    silences: Delays,
    waits: Delays,
    complaints: Complaints,
}

impl Judgement {
    pub(super) fn new(lines: Vec<Line>, most_silence: Duration, most_repeated: usize) -> Self {
        Self {
            lines,
            most_silence,
            most_repeated,
            calls: 0,
            handed_over: 0,
            lost: 0,
            cut: 0,
            repeated: 0,
            apologies: 0,
            turned_away: 0,
            resumed: Delays::default(),
            dead: Delays::default(),
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
        experience.resumes.iter().for_each(|resume| self.see_resume(resume));
        experience.turns.iter().for_each(|turn| self.hear_turn(turn));
    }

    fn see_resume(&mut self, resume: &Resume) {
        if resume.handed_over {
            self.handed_over += 1;
        } else {
            self.lost += 1;
            self.complaints.add("a session was lost");
        }
        match resume.dead_for() {
            Some(dead) => {
                self.dead.add(dead);
                if dead > self.most_silence {
                    self.complaints
                        .add(format!("a line was dead for more than {}", seconds(self.most_silence)));
                }
            }
            None => self.complaints.add("a call was not connected again"),
        }
        if let (Some(asked), Some(token)) = (resume.asked, resume.first_token) {
            self.resumed.add(token.saturating_duration_since(asked));
        }
    }

    fn hear_turn(&mut self, turn: &Turn) {
        self.silences.add(turn.longest_silence);
        turn.waited.into_iter().for_each(|wait| self.waits.add(wait));
        // A line that was said again was waited for in vain; that is judged by how many there are.
        if turn.longest_silence > self.most_silence && !turn.repeated {
            self.complaints.add(format!("a silence was longer than {}", seconds(self.most_silence)));
        }
        self.repeated += usize::from(turn.repeated);
        if turn.told.contains(APOLOGY) {
            self.apologies += 1;
            self.complaints.add("the agent apologised");
        }
        match turn.outcome {
            Outcome::Whole => {}
            Outcome::Cut => {
                self.cut += 1;
                self.complaints.add("an answer was cut off");
            }
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
    pub(super) fn verdict(mut self, mut text: String) -> Verdict {
        if self.repeated > self.most_repeated {
            self.complaints.add(format!(
                "{} lines had to be said again, not {} at most",
                self.repeated, self.most_repeated
            ));
        }
        if self.handed_over == 0 {
            self.complaints.add("no session was handed over, so that was not tried");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{} calls; {} sessions were handed over, {} lost; {} answers were cut, {} lines said again, \
             {} apologies, {} callers turned away\nfrom the carrier's question to the first words p50 {}, p99 {}, \
             longest {}; line dead p99 {}, longest {}; \
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
            seconds(self.dead.percentile(99)),
            seconds(self.dead.longest()),
            seconds(self.waits.percentile(50)),
            seconds(self.waits.percentile(99)),
            seconds(self.silences.longest()),
        );
        self.complaints.verdict(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const MOST: Duration = Duration::from_secs(4);

    fn resume(handed_over: bool, dead_for: Duration) -> Resume {
        let gone = Instant::now();
        Resume { handed_over, gone, connected: Some(gone + dead_for), asked: None, first_token: None }
    }

    fn turn(outcome: Outcome, repeated: bool) -> Turn {
        let longest_silence = if repeated { MOST * 2 } else { Duration::ZERO };
        Turn { waited: None, told: String::new(), longest_silence, outcome, repeated }
    }

    /// Whether a run with one call passes, in which a session was handed over and besides happened what is given.
    fn passes(resumes: &[Resume], turns: &[Turn], most_repeated: usize) -> bool {
        let mut judgement = Judgement::new(Vec::new(), MOST, most_repeated);
        judgement.hear(&Experience {
            resumes: resumes.to_vec(),
            turns: turns.to_vec(),
            ended: Some((Party::Caller, String::new())),
            ..Experience::default()
        });
        judgement.verdict(String::new()).passed
    }

    #[test]
    fn what_a_caller_can_notice_of_a_restart_fails_the_run() {
        let good = resume(true, Duration::from_secs(1));
        assert!(passes(&[good], &[turn(Outcome::Whole, false)], 0));
        assert!(!passes(&[], &[], 0), "nothing was handed over");
        assert!(!passes(&[good, resume(false, Duration::from_secs(1))], &[], 0), "a session was lost");
        assert!(!passes(&[resume(true, MOST * 2)], &[], 0), "the line was dead for long");
        assert!(!passes(&[good, Resume { connected: None, ..good }], &[], 0), "the line stayed dead");
        assert!(!passes(&[good], &[turn(Outcome::Cut, false)], 0), "an answer was cut off");
        assert!(!passes(&[good], &[turn(Outcome::Whole, true)], 0), "a line was said twice");
        assert!(passes(&[good], &[turn(Outcome::Whole, true)], 1), "that was allowed once");
    }
}
