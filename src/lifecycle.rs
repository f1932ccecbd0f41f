//! From start to stop: serve, stop taking calls when told to, let calls end, then go.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::App;
use crate::http;

const BETWEEN_SUMMARIES: Duration = Duration::from_mins(1);
/// Sessions that were told to go write their journals.
const GOING: Duration = Duration::from_secs(15);
/// Requests under way are answered within this time.
const ANSWERING: Duration = Duration::from_secs(2);

/// Serves until `stop` is cancelled; then no new call is taken, and those in progress may end by themselves.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) -> std::io::Result<()> {
    let App { service, drain } = app;
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
            () = stop.cancelled() => break,
            _ = summaries.tick() => info!(calls = calls.active(), counters = metrics.summary(), "so far"),
        }
    }
    draining.cancel();
    info!(calls = calls.active(), "draining: no new calls are taken");
    let quiet = async {
        while calls.active() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        result = &mut server => return result,
        () = quiet => {}
        () = sleep(drain) => warn!(calls = calls.active(), "calls in progress are ended"),
    }
    shutting_down.cancel();
    tasks.close();
    // Twilio asks at once what comes after the sessions that end here, so requests are answered a little longer.
    tokio::select! {
        result = &mut server => return result,
        () = tasks.wait() => {}
        () = sleep(GOING) => warn!(tasks = tasks.len(), "some tasks did not end in time"),
    }
    journals.abandon();
    closed.cancel();
    if timeout(ANSWERING, &mut server).await.is_err() {
        warn!("some requests were not answered in time");
    }
    info!(counters = metrics.summary(), "stopped");
    Ok(())
}

/// A token that is cancelled by SIGTERM or SIGINT.
pub fn stop_signal(tasks: &tokio_util::task::TaskTracker) -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = told.cancelled() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
