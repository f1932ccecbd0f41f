//! What a service's process holds at a moment, read from outside, and how that changes.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rehearsal::load::{Descriptors, Process};

use crate::service_process::ServiceProcess;

/// Reads what a process holds.
#[derive(Debug)]
pub(super) struct Gauge {
    process: Process,
    port: u16,
}

/// What a process held at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Duration,
    memory_kb: u64,
    /// Connections of calls and webhooks.
    clients: u64,
    /// All of them, with the listener and the connections to table and model.
    descriptors: Descriptors,
    threads: u64,
}

impl Gauge {
    pub(super) fn of(service: &ServiceProcess) -> anyhow::Result<Self> {
        let process = Process::of(service.id().context("the service has ended")?);
        Ok(Self { process, port: service.address().port() })
    }

    pub(super) fn read(&self, began: Instant) -> anyhow::Result<Sample> {
        Ok(Sample {
            at: began.elapsed(),
            memory_kb: self.process.memory()?.now_kb,
            clients: self.process.clients_of(self.port)?,
            descriptors: self.process.descriptors()?,
            threads: self.process.threads()?,
        })
    }
}

impl Sample {
    pub(super) const HEADING: &str =
        "            memory, kB   clients  sockets    pipes   queues    files  threads";

    /// The listener and the connections to others.
    fn own_sockets(&self) -> u64 {
        self.descriptors.sockets.saturating_sub(self.clients)
    }

    /// Whether nothing is open that was not open `before`.
    pub(super) fn is_at_rest(&self, before: &Self) -> bool {
        self.left_over(before).iter().all(|(_, number)| *number == 0)
    }

    /// What is open that was not open `before`. Idle connections are none of a caller's.
    pub(super) fn left_over(&self, before: &Self) -> [(&'static str, usize); 6] {
        let (now, then) = (self.descriptors, before.descriptors);
        let more = |now: u64, then: u64| usize::try_from(now.saturating_sub(then)).unwrap_or(usize::MAX);
        [
            ("connections of callers", more(self.clients, 0)),
            ("sockets", more(self.own_sockets(), before.own_sockets())),
            ("pipes", more(now.pipes, then.pipes)),
            ("event queues", more(now.anonymous, then.anonymous)),
            ("files", more(now.files, then.files)),
            ("threads", more(self.threads, before.threads)),
        ]
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Descriptors { sockets, pipes, anonymous, files } = self.descriptors;
        write!(
            formatter,
            "{:>14}{:>10}{sockets:>9}{pipes:>9}{anonymous:>9}{files:>9}{:>9}",
            self.memory_kb, self.clients, self.threads
        )
    }
}

/// How much more memory the second half needs at its end than at its beginning: between the medians of its first and its
/// last quarter. None without enough samples.
pub(super) fn growth_kb(samples: &[Sample]) -> Option<i64> {
    let half: Vec<u64> = samples.iter().skip(samples.len() / 2).map(|sample| sample.memory_kb).collect();
    let quarter = (half.len() / 4).max(1);
    if half.len() < 2 * quarter {
        return None;
    }
    let (first, last) = (median(&half[..quarter])?, median(&half[half.len() - quarter..])?);
    Some(i64::try_from(last).ok()? - i64::try_from(first).ok()?)
}

fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// Writes a line for each sample.
pub(super) fn write_csv(path: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let mut text = "seconds,memory_kb,clients,sockets,pipes,queues,files,threads\n".to_owned();
    for sample in samples {
        let Descriptors { sockets, pipes, anonymous, files } = sample.descriptors;
        let _ = writeln!(
            text,
            "{},{},{},{sockets},{pipes},{anonymous},{files},{}",
            sample.at.as_secs(),
            sample.memory_kb,
            sample.clients,
            sample.threads
        );
    }
    std::fs::write(path, text).with_context(|| format!("{} was not written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(memory_kb: u64, clients: u64, sockets: u64) -> Sample {
        let descriptors = Descriptors { sockets, ..Descriptors::default() };
        Sample { at: Duration::ZERO, memory_kb, clients, descriptors, threads: 3 }
    }

    #[test]
    fn growth_is_that_of_the_second_half() {
        let memory = |kilobytes: &[u64]| {
            growth_kb(&kilobytes.iter().map(|memory| sample(*memory, 0, 0)).collect::<Vec<_>>())
        };
        let (first, last) = ([100, 999, 101], [104, 110, 111]);
        let half = [&first[..], &[500; 6], &last].concat();
        assert_eq!(memory(&[&[1; 12], half.as_slice()].concat()), Some(110 - 101));
        assert_eq!(memory(&[100, 100, 100, 90]), Some(-10));
        assert_eq!(memory(&[1]), None);
        assert_eq!(memory(&[]), None);
    }

    #[test]
    fn what_is_left_over_is_what_was_not_there_before() {
        let before = sample(0, 2, 7);
        assert!(sample(0, 0, 5).is_at_rest(&before));
        assert!(!sample(0, 1, 6).is_at_rest(&before), "a caller's connection");
        assert!(!sample(0, 0, 6).is_at_rest(&before), "another socket");
    }
}
