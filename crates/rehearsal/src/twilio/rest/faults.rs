//! What is to go wrong with requests, for tests of how the service takes it.

/// How a request goes wrong. It changes nothing and sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with Twilio's code 20429.
    Throttled,
    /// Another status, such as 500, with code 20500.
    Status(u16),
    /// No answer until the client gives up.
    Hang,
}

/// The faults that are still to come, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Planned>);

#[derive(Debug)]
struct Planned {
    path: String,
    fault: Fault,
    times: usize,
}

impl Faults {
    pub(super) fn add(&mut self, path: String, fault: Fault, times: usize) {
        self.0.push(Planned { path, fault, times });
    }

    /// The fault of the next request to this path.
    pub(super) fn take(&mut self, path: &str) -> Option<Fault> {
        self.0.retain(|planned| planned.times > 0);
        let planned = self.0.iter_mut().find(|planned| path.contains(&planned.path))?;
        planned.times -= 1;
        Some(planned.fault)
    }
}
