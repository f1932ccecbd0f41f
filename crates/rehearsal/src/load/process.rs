//! What a process has used so far, read from Linux' `/proc`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, in which `/proc` counts, is 100 on every architecture that the service is built for.
const TICK: Duration = Duration::from_millis(10);

/// A process to be measured.
#[derive(Clone, Debug)]
pub(super) struct Process {
    directory: PathBuf,
}

/// Resident memory in kilobytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) now_kb: u64,
    /// The most that it ever was.
    pub(super) peak_kb: u64,
}

impl Process {
    pub(super) fn of(pid: u32) -> Self {
        Self { directory: format!("/proc/{pid}").into() }
    }

    pub(super) fn ourselves() -> Self {
        Self { directory: "/proc/self".into() }
    }

    /// Processor time in user and kernel mode.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(&self.read("stat")?).with_context(|| format!("unreadable {}/stat", self.directory.display()))
    }

    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        memory_of(&self.read("status")?)
            .with_context(|| format!("unreadable {}/status", self.directory.display()))
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = self.directory.join(file);
        // The kernel makes these files on the spot: reading them does not wait for a disk.
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn cpu_of(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn memory_of(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory { now_kb: field("VmRSS:")?, peak_kb: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "77 (a (b) c) S 1 77 77 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("77 (x) S 1"), None);
    }

    #[test]
    fn memory_is_found_by_name() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
        assert_eq!(memory_of(status), Some(Memory { now_kb: 1024, peak_kb: 2048 }));
        assert_eq!(memory_of("Name:\tx\n"), None);
    }

    #[test]
    fn we_can_measure_ourselves() {
        let memory = Process::ourselves().memory().unwrap();
        assert!(memory.now_kb > 0 && memory.peak_kb >= memory.now_kb);
        Process::ourselves().cpu().unwrap();
        assert!(Process::of(u32::MAX).cpu().is_err());
    }
}
