//! What a process uses, and has used so far, read from Linux' `/proc`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, in which `/proc` counts, is 100 on every architecture that the service is built for.
const TICK: Duration = Duration::from_millis(10);

/// A process to be measured.
#[derive(Clone, Debug)]
pub struct Process {
    directory: PathBuf,
}

/// Resident memory in kilobytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub now_kb: u64,
    /// The most that it ever was.
    pub peak_kb: u64,
}

/// What a process holds open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    pub sockets: u64,
    pub pipes: u64,
    /// Event queues, timers and the like.
    pub anonymous: u64,
    /// What has a path: files and devices.
    pub files: u64,
}

impl Process {
    pub fn of(pid: u32) -> Self {
        Self { directory: format!("/proc/{pid}").into() }
    }

    pub fn ourselves() -> Self {
        Self { directory: "/proc/self".into() }
    }

    /// Processor time in user and kernel mode.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(&self.read("stat")?).with_context(|| format!("unreadable {}/stat", self.directory.display()))
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of(&self.read("status")?)
            .with_context(|| format!("unreadable {}/status", self.directory.display()))
    }

    pub fn threads(&self) -> anyhow::Result<u64> {
        number_of(&self.read("status")?, "Threads:")
            .with_context(|| format!("unreadable {}/status", self.directory.display()))
    }

    pub fn descriptors(&self) -> anyhow::Result<Descriptors> {
        let mut descriptors = Descriptors::default();
        for target in self.open_descriptors()? {
            descriptors.add(&target);
        }
        Ok(descriptors)
    }

    /// The connections that lead to a port of the process's own: those of its clients, whether they are used or not.
    pub fn clients_of(&self, port: u16) -> anyhow::Result<u64> {
        let table = self.read("net/tcp")?;
        let clients = clients_in(&table, port);
        let targets: HashSet<String> = self.open_descriptors()?.into_iter().collect();
        let own = clients.iter().filter(|inode| targets.contains(&format!("socket:[{inode}]")));
        Ok(own.count() as u64)
    }

    /// What the descriptors lead to; one that is closed meanwhile is left out.
    fn open_descriptors(&self) -> anyhow::Result<Vec<String>> {
        let path = self.directory.join("fd");
        let entries = std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let targets = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
        Ok(targets.map(|target| target.to_string_lossy().into_owned()).collect())
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
    Some(Memory { now_kb: number_of(status, "VmRSS:")?, peak_kb: number_of(status, "VmHWM:")? })
}

fn number_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

impl Descriptors {
    fn add(&mut self, target: &str) {
        let kind = match target.split_once(':') {
            Some(("socket", _)) => &mut self.sockets,
            Some(("pipe", _)) => &mut self.pipes,
            Some(("anon_inode", _)) => &mut self.anonymous,
            _ => &mut self.files,
        };
        *kind += 1;
    }
}

/// The inodes of the sockets in the kernel's table whose local port is this, except those that listen.
fn clients_in(table: &str, port: u16) -> Vec<&str> {
    const LISTENING: &str = "0A";
    let port = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, ..] = fields.as_slice() else { return None };
            let is_client = local.ends_with(&port) && *state != LISTENING;
            is_client.then(|| fields.get(9).copied()).flatten()
        })
        .collect()
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
    fn descriptors_are_told_apart() {
        let mut descriptors = Descriptors::default();
        for target in ["socket:[12]", "socket:[13]", "pipe:[14]", "anon_inode:[eventpoll]", "/dev/null"] {
            descriptors.add(target);
        }
        assert_eq!(descriptors, Descriptors { sockets: 2, pipes: 1, anonymous: 1, files: 1 });
    }

    #[test]
    fn clients_are_found_by_the_local_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 100 1\n\
            1: 0100007F:0BB8 0100007F:C350 01 00000000:00000000 00:00000000 00000000  0 0 101 1\n\
            2: 0100007F:C350 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000  0 0 102 1\n";
        assert_eq!(clients_in(table, 3000), ["101"]);
        assert!(clients_in(table, 3001).is_empty());
    }

    #[test]
    fn our_own_clients_are_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ourselves = Process::ourselves();
        assert_eq!(ourselves.clients_of(address.port()).unwrap(), 0);
        let _client = std::net::TcpStream::connect(address).unwrap();
        let _accepted = listener.accept().unwrap();
        assert_eq!(ourselves.clients_of(address.port()).unwrap(), 1);
        assert!(ourselves.descriptors().unwrap().sockets >= 3);
        assert!(ourselves.threads().unwrap() > 0);
    }

    #[test]
    fn we_can_measure_ourselves() {
        let memory = Process::ourselves().memory().unwrap();
        assert!(memory.now_kb > 0 && memory.peak_kb >= memory.now_kb);
        Process::ourselves().cpu().unwrap();
        assert!(Process::of(u32::MAX).cpu().is_err());
    }
}
