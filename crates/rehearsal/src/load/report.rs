//! What a load run found, and the verdict. It measures nothing itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::percentile::Distribution;
use super::plan::{Limits, LoadPlan};

const ERRORS_SHOWN: usize = 8;

/// The findings of a run.
#[derive(Clone, Debug)]
pub struct LoadReport {
    pub plan: LoadPlan,
    /// Turns that were answered to the last token.
    pub turns: u64,
    /// From the first word of the first caller to the last answer.
    pub talk_time: Duration,
    /// Prompt written to model request at the stand-in.
    pub request_delay: Distribution,
    /// First token at the stand-in to its frame at the caller.
    pub first_token_delay: Distribution,
    /// The sum of both, for each turn.
    pub added_delay: Distribution,
    /// Token at the stand-in to its frame at the caller, for every token.
    pub token_delay: Distribution,
    /// Tool call at the model stand-in to the next request there, less the tool's own time. Empty without tools.
    pub dispatch_delay: Distribution,
    /// Voice webhook to its answer.
    pub twiml: Distribution,
    /// The service, when its process id was given.
    pub service: Option<ProcessCost>,
    /// Processor time of the callers' own process, for fairness: callers that are busy themselves measure late.
    pub callers_cpu: Duration,
    /// How often each thing went wrong.
    pub errors: BTreeMap<String, u64>,
}

/// What the service used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessCost {
    /// Processor time during the turns.
    pub cpu: Duration,
    /// Resident memory before the calls, after one call that warmed the service up.
    pub memory_before_kb: u64,
    /// Resident memory with all calls standing and nobody talking.
    pub memory_idle_kb: u64,
    /// The most that the process ever had.
    pub memory_peak_kb: u64,
}

/// One limit with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub name: &'static str,
    /// None when it could not be measured, which misses the limit.
    pub measured: Option<f64>,
    pub limit: f64,
    pub unit: &'static str,
}

impl LoadReport {
    /// Whether every limit was kept.
    pub fn passed(&self) -> bool {
        self.verdicts().iter().all(Verdict::is_kept)
    }

    /// A verdict for each limit that the plan gives.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let Limits {
            added_p50_ms,
            added_p99_ms,
            cpu_per_turn_ms,
            memory_per_call_kb,
            errors,
            twiml_p99_ms,
            dispatch_p99_ms,
        } = self.plan.limits;
        let added = |percent| self.added_delay.percentile_ms(percent);
        let judged = [
            ("added delay p50", added(50), added_p50_ms, "ms"),
            ("added delay p99", added(99), added_p99_ms, "ms"),
            ("CPU per turn", self.cpu_per_turn_ms(), cpu_per_turn_ms, "ms"),
            ("memory per call", self.memory_per_call_kb(), memory_per_call_kb, "kB"),
            ("voice webhook p99", self.twiml.percentile_ms(99), twiml_p99_ms, "ms"),
            ("tool dispatch p99", self.dispatch_delay.percentile_ms(99), dispatch_p99_ms, "ms"),
            ("errors", Some(approximately(self.error_count())), Some(approximately(errors)), ""),
        ];
        let verdict = |(name, measured, limit, unit): (_, _, Option<f64>, _)| {
            limit.map(|limit| Verdict { name, measured, limit, unit })
        };
        judged.into_iter().filter_map(verdict).collect()
    }

    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Processor time of the service for each answered turn, with tokens, journal and everything.
    pub fn cpu_per_turn_ms(&self) -> Option<f64> {
        let service = self.service.filter(|_| self.turns > 0)?;
        Some(service.cpu.as_secs_f64() * 1000.0 / approximately(self.turns))
    }

    /// Growth of the service's resident memory from no call to all calls, for each.
    pub fn memory_per_call_kb(&self) -> Option<f64> {
        let service = self.service?;
        let growth = service.memory_idle_kb.saturating_sub(service.memory_before_kb);
        Some(approximately(growth) / f64::from(self.plan.calls))
    }

    fn turns_per_second(&self) -> f64 {
        approximately(self.turns) / self.talk_time.as_secs_f64().max(0.001)
    }
}

impl Verdict {
    pub fn is_kept(&self) -> bool {
        self.measured.is_some_and(|measured| measured <= self.limit)
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} calls, {} of {} turns answered in {:.2?} ({:.1} turns/s), {} errors",
            self.plan.calls,
            self.turns,
            u64::from(self.plan.calls) * u64::from(self.plan.turns),
            self.talk_time,
            self.turns_per_second(),
            self.error_count(),
        )?;
        writeln!(
            formatter,
            "{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "ms", "p50", "p90", "p99", "max", "samples"
        )?;
        let dispatch = self.plan.tools.map(|_| ("tool dispatch", &self.dispatch_delay));
        let delays = [
            ("added by the service", &self.added_delay),
            ("  prompt to model request", &self.request_delay),
            ("  first token to caller", &self.first_token_delay),
            ("every token to caller", &self.token_delay),
            ("voice webhook", &self.twiml),
        ];
        for (name, distribution) in delays.into_iter().chain(dispatch) {
            writeln!(formatter, "{name:<28}{distribution}{:>10}", distribution.len())?;
        }
        self.write_cost(formatter)?;
        for (error, times) in self.errors.iter().take(ERRORS_SHOWN) {
            writeln!(formatter, "error, {times} times: {error}")?;
        }
        for verdict in self.verdicts() {
            writeln!(formatter, "{verdict}")?;
        }
        Ok(())
    }
}

impl LoadReport {
    fn write_cost(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cost) = self.service {
            writeln!(
                formatter,
                "service: {:.2} ms CPU per turn; memory {} kB before, {} kB idle ({:.1} kB per call), {} kB peak",
                self.cpu_per_turn_ms().unwrap_or_default(),
                cost.memory_before_kb,
                cost.memory_idle_kb,
                self.memory_per_call_kb().unwrap_or_default(),
                cost.memory_peak_kb,
            )?;
        }
        let turns = approximately(self.turns.max(1));
        let callers = self.callers_cpu.as_secs_f64() * 1000.0 / turns;
        writeln!(formatter, "callers and stand-ins here: {callers:.2} ms CPU per turn")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_kept() { "PASS" } else { "FAIL" };
        let unit = self.unit;
        match self.measured {
            Some(measured) => {
                write!(
                    formatter,
                    "{verdict}  {:<20} {measured:.2} {unit} (limit {} {unit})",
                    self.name, self.limit
                )
            }
            None => {
                write!(formatter, "{verdict}  {:<20} not measured (limit {} {unit})", self.name, self.limit)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of turns, errors and kilobytes stay far below 2^52")]
fn approximately(count: u64) -> f64 {
    count as f64
}
