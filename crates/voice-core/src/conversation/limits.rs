//! How long a call may last and what it may cost: the warning, and the end when it is too much.

use std::time::{Duration, Instant};

use super::{Action, Conversation, EndReason, Opening, Phase};
use crate::ports::Spent;
use crate::use_case::UseCase;

#[derive(Debug)]
pub(super) struct Limits {
    /// When this session began, and how long the call had lasted then.
    begun: Option<Instant>,
    elapsed: Duration,
    spent: Spent,
    warning: Warning,
}

/// The sentence that tells the caller that the time is nearly up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warning {
    /// Nobody has set a limit, or the moment was missed.
    None,
    Due(Instant),
    /// It is time, and somebody is speaking.
    Waiting,
    Said,
}

/// A warning that was missed is made up for while at least this much time remains.
const WORTH_A_WARNING: Duration = Duration::from_secs(5);

impl Limits {
    pub(super) const fn resumed(spent: Spent, elapsed: Duration) -> Self {
        Self { begun: None, elapsed, spent, warning: Warning::None }
    }

    pub(super) const fn have_begun(&self) -> bool {
        self.begun.is_some()
    }

    pub(super) fn count_tokens(&mut self, tokens: u64) {
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
    }

    pub(super) fn count_tool_run(&mut self) {
        self.spent.tool_runs = self.spent.tool_runs.saturating_add(1);
    }

    /// The moment when the call has lasted `length`; never, when that lies beyond what a clock can show.
    fn after(&self, length: Duration) -> Option<Instant> {
        self.begun?.checked_add(length.saturating_sub(self.elapsed))
    }

    /// When the time is up.
    fn end(&self, use_case: &UseCase) -> Option<Instant> {
        let limits = [use_case.max_duration.map(|most| most.limit), use_case.budget.duration];
        limits.into_iter().flatten().min().and_then(|limit| self.after(limit))
    }

    /// Decides when the caller is warned, by the limits of a use case that has just become valid.
    fn plan_warning(&mut self, now: Instant, use_case: &UseCase) {
        let warned_already = self.warning == Warning::Said;
        let due = use_case.max_duration.and_then(|most| {
            self.after(most.limit.saturating_sub(most.warn_before)).filter(|_| !most.warn_before.is_zero())
        });
        let worth_it = self.end(use_case).is_some_and(|end| now + WORTH_A_WARNING <= end);
        self.warning = match due {
            Some(due) if due > now => Warning::Due(due),
            _ if warned_already => Warning::Said,
            Some(_) if worth_it => Warning::Waiting,
            Some(_) | None => Warning::None,
        };
    }
}

impl Conversation {
    pub(super) fn begin_limits(&mut self, now: Instant, opening: &Opening) {
        self.limits.begun = Some(now);
        self.limits.plan_warning(now, &self.use_case);
        // What was due before this session began, an earlier one has said, if there was one.
        if *opening != Opening::Fresh && self.limits.warning == Warning::Waiting {
            self.limits.warning = Warning::Said;
        }
    }

    /// The conversation goes on as another use case.
    pub(super) fn change_limits(&mut self, now: Instant) {
        self.limits.plan_warning(now, &self.use_case);
    }

    /// Whatever has happened, afterwards the call is held to its limits.
    pub(super) fn keep_limits(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Ended) {
            return;
        }
        if self.end_in_time(now, actions) {
            return;
        }
        if let Warning::Due(due) = self.limits.warning
            && due <= now
        {
            self.limits.warning = Warning::Waiting;
        }
        let Some(free_since) = self.floor_is_free_since(now) else {
            return;
        };
        if self.tokens_are_spent() {
            self.close(now, EndReason::BudgetSpent, self.sentences().limit.clone(), actions);
        } else if self.limits.warning == Warning::Waiting {
            self.limits.warning = Warning::Said;
            self.say_prompt(now, self.sentences().time_warning.clone(), actions);
        } else {
            self.keep_silence(now, free_since, actions);
        }
    }

    /// Ends a call that has lasted as long as it may; whether it does.
    pub(super) fn end_in_time(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let time_is_up = self.limits.end(&self.use_case).is_some_and(|end| end <= now);
        if time_is_up {
            self.close(now, EndReason::TimeUp, self.sentences().limit.clone(), actions);
        }
        time_is_up
    }

    /// Whether something waits for the floor to be free, besides the limits of silence.
    pub(super) fn limits_want_the_floor(&self) -> bool {
        self.limits.warning == Warning::Waiting || self.tokens_are_spent()
    }

    /// The call has cost as many tokens as it may.
    pub(super) fn tokens_are_spent(&self) -> bool {
        self.use_case.budget.tokens.is_some_and(|most| self.limits.spent.tokens > most)
    }

    /// The call has run as many tools as it may.
    pub(super) fn tool_runs_are_spent(&self) -> bool {
        self.use_case.budget.tool_runs.is_some_and(|most| self.limits.spent.tool_runs >= most)
    }

    pub(super) fn limit_deadline(&self) -> Option<Instant> {
        let warning = match self.limits.warning {
            Warning::Due(due) => Some(due),
            Warning::None | Warning::Waiting | Warning::Said => None,
        };
        warning.into_iter().chain(self.limits.end(&self.use_case)).min()
    }
}
