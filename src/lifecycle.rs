//! From start to stop: serve, stop taking calls when told to, let calls end, hand the others to another task, then go.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::app::App;
use crate::http;
use crate::session::{Calls, Journals};

const BETWEEN_SUMMARIES: Duration = Duration::from_mins(1);
/// How long a call that is to be handed over may take to come to the end of a turn. What follows is counted so that all of
/// it, behind `DRAIN_SECONDS` as it is by default, stays below the two minutes that ECS waits at most.
const HANDING_OVER: Duration = Duration::from_secs(20);
/// Sessions that were told to go write their journals.
const GOING: Duration = Duration::from_secs(15);
/// Twilio asks what comes next within a second and a half of a session's end. It may ask this process.
const ASKING: Duration = Duration::from_secs(2);
/// Requests under way are answered within this time.
const ANSWERING: Duration = Duration::from_secs(2);
/// Who is told twice to stop takes no longer than this for each of the last two steps.
const AT_ONCE: Duration = Duration::from_millis(400);

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What a service is told about its end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled when no new calls are to be taken, and those in progress may come to their end.
    pub gently: CancellationToken,
    /// Cancelled when everything is to end at once.
    pub now: CancellationToken,
}

impl From<CancellationToken> for Stop {
    /// Nobody is in a hurry.
    fn from(gently: CancellationToken) -> Self {
        Self { gently, ..Self::default() }
    }
}

/// Serves until told to stop; then no new call is taken, and those in progress may end by themselves, are handed over, or
/// else are closed.
pub async fn serve(listener: TcpListener, app: App, stop: impl Into<Stop>) -> std::io::Result<()> {
    let App { service, drain, telemetry } = app;
    let stop = stop.into();
    let (tasks, metrics, calls) =
        (service.ports.tasks.clone(), service.ports.metrics.clone(), service.calls.clone());
    let journals = service.ports.journals.clone();
    let (draining, shutting_down) = (service.draining.clone(), service.shutting_down.clone());
    let closed = CancellationToken::new();
    let server = http::serve(listener, service, closed.clone());
    tokio::pin!(server);
    let mut summaries = interval(BETWEEN_SUMMARIES);
    summaries.tick().await;
    loop {
        tokio::select! {
            result = &mut server => return result,
            () = stop.gently.cancelled() => break,
            () = stop.now.cancelled() => break,
            _ = summaries.tick() => info!(calls = calls.active(), tasks = tasks.len(), counters = metrics.summary(), "so far"),
        }
    }
    draining.cancel();
    info!(calls = calls.active(), "draining: no new calls are taken");
    let leaving = Leaving { calls, journals: journals.clone(), tasks, shutting_down, drain };
    tokio::select! {
        result = &mut server => return result,
        () = leaving.gently() => {}
        () = stop.now.cancelled() => {}
    }
    if stop.now.is_cancelled() {
        leaving.at_once().await;
    }
    journals.abandon();
    closed.cancel();
    let answered = timeout(ANSWERING, &mut server);
    let in_time = tokio::select! {
        answered = answered => answered.is_ok(),
        () = async { stop.now.cancelled().await; sleep(AT_ONCE).await } => false,
    };
    if !in_time {
        warn!("some requests were not answered in time");
    }
    info!(counters = metrics.summary(), "stopped");
    telemetry.shut_down().await;
    Ok(())
}

/// What has to come to its end before the listener may.
struct Leaving {
    calls: Calls,
    journals: Journals,
    tasks: TaskTracker,
    shutting_down: CancellationToken,
    /// How long calls may go on.
    drain: Duration,
}

impl Leaving {
    async fn gently(&self) {
        if timeout(self.drain, self.settled()).await.is_ok() || self.calls.active() == 0 {
            return self.go().await;
        }
        info!(calls = self.calls.active(), "calls in progress are handed to another task");
        self.calls.hand_over();
        if timeout(HANDING_OVER, self.deserted()).await.is_ok() {
            return self.go().await;
        }
        warn!(calls = self.calls.active(), "some calls came to no rest; their sockets are closed");
        tokio::join!(self.go(), sleep(ASKING));
    }

    /// Closes what is left, and lets the journals be written.
    async fn go(&self) {
        self.shutting_down.cancel();
        self.tasks.close();
        if timeout(GOING, self.tasks.wait()).await.is_err() {
            warn!(tasks = self.tasks.len(), "some tasks did not end in time");
        }
    }

    async fn at_once(&self) {
        warn!(calls = self.calls.active(), "told to stop once more: everything ends now");
        self.shutting_down.cancel();
        self.tasks.close();
        if timeout(AT_ONCE, self.tasks.wait()).await.is_err() {
            warn!(tasks = self.tasks.len(), "some tasks were broken off");
        }
    }

    /// Waits until there is no call, and none comes back either.
    async fn deserted(&self) {
        while self.calls.active() > 0 {
            self.quiet().await;
            sleep(ASKING).await;
        }
    }

    /// Waits until there is no call, and all that was said in calls is written. Should the table be out of reach, it has the
    /// whole time that calls have to come back.
    async fn settled(&self) {
        loop {
            self.quiet().await;
            if self.journals.are_closed() {
                return;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Waits until there is no call.
    async fn quiet(&self) {
        while self.calls.active() > 0 {
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Stops gently at the first SIGTERM or SIGINT, and at once at the second. `tasks` are not waited for by the service: this
/// one listens as long as the process lives.
pub fn stop_signal(tasks: &TaskTracker) -> std::io::Result<Stop> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Stop::default();
    let told = stop.clone();
    tasks.spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        told.gently.cancel();
        either(&mut terminate, &mut interrupt).await;
        told.now.cancel();
    });
    Ok(stop)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;
    use crate::session::{EndedInOutage, ended_in_an_outage};

    #[tokio::test(start_paused = true)]
    async fn the_time_of_calls_is_also_that_of_their_journals() {
        for (outage, drain, lost) in [(20, 75, 0), (20, 0, 3)] {
            let EndedInOutage { ports, written } = ended_in_an_outage(outage);
            let (calls, shutting_down) = (Calls::new(1), CancellationToken::new());
            let (journals, tasks) = (ports.journals.clone(), ports.tasks.clone());
            let drain = Duration::from_secs(drain);
            Leaving { calls, journals, tasks, shutting_down, drain }.gently().await;
            ports.journals.abandon();
            assert_eq!((ports.metrics.value(Counter::JournalLost), written()), (lost, 3 - lost));
        }
    }
}
