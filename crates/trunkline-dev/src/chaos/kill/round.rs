//! One round: calls begin, their process is killed, they go on and end, and their journals are read.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use rehearsal::load::ToolEndpoint;
use rehearsal::twilio::Party;

use super::super::cluster::Cluster;
use super::super::figures::Delays;
use super::super::record::{self, Record};
use super::super::talk::{Crowd, Direction, Experience, Outcome, Stage};
use super::moment::Moment;
use super::{CALLS_END, JOURNALED, RoundReport, lines, part};

/// How long all callers may take to have heard the answer to a line.
const ANSWERED: Duration = Duration::from_mins(1);

pub(super) struct Round<'a> {
    pub(super) number: usize,
    pub(super) calls: usize,
    pub(super) moment: Moment,
    pub(super) undisturbed: &'a Record,
}

impl Round<'_> {
    /// # Errors
    /// When the calls do not come to the moment, or not to their end.
    pub(super) async fn play(
        &self,
        cluster: &mut Cluster,
        tool: &ToolEndpoint,
        table: &Client,
    ) -> anyhow::Result<RoundReport> {
        let direction = Arc::new(Direction::strict(self.calls));
        let crowd = Crowd::call_once(&cluster.carrier, part(&direction).for_each(self.calls));
        let line = self.moment.line();
        for number in 0..line {
            direction.allow(number + 1);
            direction.all(ANSWERED, |stage| has_answer(stage, number)).await?;
        }
        let before = Moment::before(cluster, tool);
        direction.allow(line + 1);
        self.moment.come(&before, self.calls, &direction, cluster, tool).await?;
        let in_the_moment =
            direction.stages().into_iter().filter(|stage| self.moment.has_come(*stage)).count();
        cluster.kill_first().await?;
        direction.allow(lines().len());
        let experiences = crowd.finish(CALLS_END).await?;
        let mut report = RoundReport {
            number: self.number,
            killed_while: self.moment.name(),
            calls: self.calls,
            in_the_moment,
            resumed: Delays::default(),
            silences: Delays::default(),
            tool_runs_lost: 0,
            complaints: Vec::new(),
        };
        report.promise_the_moment();
        // Every caller has one thing looked up, in the answer that is broken off or behind it.
        let runs = tool.arrived().borrow().saturating_sub(before.tool_requests);
        report.promise_tool_runs(runs);
        for experience in &experiences {
            self.judge(experience, &mut report);
            self.compare(experience, table, &mut report).await?;
        }
        Ok(report)
    }

    /// What the caller noticed.
    fn judge(&self, experience: &Experience, report: &mut RoundReport) {
        let RoundReport { resumed, silences, complaints, .. } = report;
        let mut complain =
            |reason: String| complaints.push(format!("{reason}, while {}", self.moment.name()));
        if let Some(error) = &experience.error {
            complain(experience.without_id(error));
        }
        experience.problems.iter().for_each(|problem| complain(experience.without_id(problem)));
        experience.spoken.iter().for_each(|words| complain(format!("a caller was told {words:?}")));
        if !matches!(experience.ended, Some((Party::Caller, _))) {
            complain("a call did not end by its caller's hanging up".to_owned());
        }
        match experience.resumes.as_slice() {
            [resume] => match (resume.asked, resume.first_token) {
                (Some(asked), Some(token)) => resumed.add(token.saturating_duration_since(asked)),
                _ => complain("a call did not go on".to_owned()),
            },
            resumes => complain(format!("a call was connected again {} times", resumes.len())),
        }
        for (number, turn) in experience.turns.iter().enumerate() {
            silences.add(turn.longest_silence);
            // What was not yet heard of an answer that was complete is gone with the line.
            let may_be_cut = self.moment == Moment::StillPlaying && number == self.moment.line();
            match turn.outcome {
                Outcome::Whole => {}
                Outcome::Cut if may_be_cut => {}
                Outcome::Cut => complain("an answer was cut off".to_owned()),
                Outcome::Unanswered => complain("a line was not answered".to_owned()),
            }
            if turn.repeated {
                complain("a line had to be said again".to_owned());
            }
        }
    }

    /// What the table knows.
    async fn compare(
        &self,
        experience: &Experience,
        table: &Client,
        report: &mut RoundReport,
    ) -> anyhow::Result<()> {
        let Some(call_sid) = &experience.call_sid else { return Ok(()) };
        if let Err(error) = record::ended(table, call_sid, JOURNALED).await {
            report.complaints.push(format!("{error:#}, while {}", self.moment.name()));
        }
        let record = record::read(table, call_sid).await?;
        if !record.is_in_order() {
            report.complaints.push("a session wrote behind the one that followed it".to_owned());
        }
        report.tool_runs_lost += record.failed_tool_runs();
        for line in lines() {
            match record.times_said(&line.says) {
                1 => {}
                0 => report.complaints.push(format!("a caller's turn is lost, while {}", self.moment.name())),
                _ => report
                    .complaints
                    .push(format!("a caller's turn is doubled, while {}", self.moment.name())),
            }
        }
        if let Some(difference) = record.difference(self.undisturbed) {
            report.complaints.push(format!("{difference}, while {}", self.moment.name()));
        }
        Ok(())
    }
}

fn has_answer(stage: Stage, line: usize) -> bool {
    match stage {
        Stage::Answered(at) => at >= line,
        Stage::Listening(at) | Stage::Waiting(at) | Stage::Told(at) | Stage::WhollyTold(at) => at > line,
        Stage::Calling => false,
        Stage::Over => true,
    }
}
