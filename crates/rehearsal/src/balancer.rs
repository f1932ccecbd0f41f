//! A stand-in for the load balancer in front of the service's tasks: it asks every target whether it is ready, gives each
//! new connection to one that is, and copies bytes both ways.
//!
//! It knows nothing of requests: it balances connections. A client that opens one for each request (see
//! [`crate::twilio::Carrier::with_fresh_connections`]) is therefore balanced per request, as an Application Load Balancer
//! does it. Connections stay with their target when that stops being ready, as sockets of calls do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

mod probe;
mod targets;
#[cfg(test)]
mod tests;

use targets::Targets;
pub use targets::{Policy, TargetState};

/// More connections than this wait until one ends.
const MOST_CONNECTIONS: usize = 8192;
const CONNECTING: Duration = Duration::from_secs(2);
const STOPPING: Duration = Duration::from_secs(5);
/// A listener that has no descriptor left tries again after this time.
const ACCEPTING_AGAIN: Duration = Duration::from_millis(50);

/// A running balancer. It ends all its connections at [`shutdown`](Self::shutdown), or when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    targets: Targets,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Balancer {
    /// Listens on a free port of loopback, without any target.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(policy: Policy) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the balancer cannot listen")?;
        let address = listener.local_addr()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let targets = Targets::new(policy);
        let front = Front { targets: targets.clone(), tasks: tasks.clone(), stop: stop.clone() };
        tasks.spawn(stop.clone().run_until_cancelled_owned(front.serve(listener)));
        let guard = stop.clone().drop_guard();
        Ok(Self { address, targets, tasks, stop, _stop_when_dropped: guard })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the target from now on whether it is ready; it gets no connection before it has said so. Adding one that is
    /// there changes nothing.
    pub fn add(&self, target: SocketAddr) {
        if let Some(removed) = self.targets.add(target) {
            let probing = probe::keep_asking(target, self.targets.clone());
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = removed.cancelled() => {}
                    () = probing => {}
                }
            });
        }
    }

    /// Gives the target no more connections; those that it has stay.
    pub fn remove(&self, target: SocketAddr) {
        self.targets.remove(target);
    }

    /// The targets in the order in which they were added.
    pub fn targets(&self) -> Vec<TargetState> {
        self.targets.states()
    }

    /// Changes whenever a target comes, goes, or is ready or not.
    pub fn watch_targets(&self) -> watch::Receiver<u64> {
        self.targets.changes()
    }

    /// Waits until the target has said that it is ready.
    ///
    /// # Errors
    /// When it has not within this time.
    pub async fn ready(&self, target: SocketAddr, within: Duration) -> anyhow::Result<()> {
        let is_ready = |state: &TargetState| state.address == target && state.ready;
        let mut changes = self.watch_targets();
        let ready = changes.wait_for(|_| self.targets().iter().any(is_ready));
        let waited = timeout(within, ready).await;
        waited.with_context(|| format!("{target} was not ready within {within:?}"))?.map(drop)?;
        Ok(())
    }

    /// Ends all connections and waits for their tasks.
    ///
    /// # Errors
    /// When they do not end in time.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.close();
        timeout(STOPPING, self.tasks.wait()).await.context("the balancer did not stop in time")
    }
}

/// What accepts connections.
struct Front {
    targets: Targets,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Front {
    async fn serve(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, "the balancer could not accept a connection");
                    sleep(ACCEPTING_AGAIN).await;
                    continue;
                }
            };
            let (targets, stop) = (self.targets.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                let _place = place;
                stop.run_until_cancelled(pass(client, &targets)).await;
            });
        }
    }
}

/// Carries one connection to its end. Without a target that takes it, the client's connection is closed.
async fn pass(mut client: TcpStream, targets: &Targets) {
    for target in targets.candidates() {
        let connected = timeout(CONNECTING, TcpStream::connect(target.address)).await;
        let Ok(Ok(mut server)) = connected else {
            tracing::debug!(target = %target.address, "a target that was ready took no connection");
            continue;
        };
        let _counted = target.count();
        if let Err(error) = client.set_nodelay(true).and_then(|()| server.set_nodelay(true)) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        // Whatever ends a connection is seen by both sides, whose business it is.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    tracing::warn!("a connection found no target that is ready");
}
