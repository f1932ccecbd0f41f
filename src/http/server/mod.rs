//! Accepts connections and serves the routes on them, within limits of number, size and time.
//!
//! Says nothing about who may do what: a request is anybody's until a route finds it signed.

mod activity;
mod connection;
mod doors;
mod source;
mod throttle;
mod timely_body;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

use self::connection::{Ends, attend, http};
use self::doors::Doors;
use crate::config::ConnectionSettings;
use crate::metrics::Metrics;

pub(super) use self::doors::Visitor;

/// Until the next try, when the system has no more files or memory for connections.
const RECOVERING: Duration = Duration::from_millis(500);

/// Where connections come from.
pub(super) trait Accept: Send {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // Without this the kernel holds small messages back for some 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY was refused");
        }
        Ok((stream, peer))
    }
}

/// Serves until `stop` is cancelled and the requests that are under way then are answered; connections that are upgraded
/// live on. Dropped before, it closes what it has.
pub(super) async fn serve(
    mut listener: impl Accept,
    routes: Router,
    limits: ConnectionSettings,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let (doors, connections) = (Doors::new(limits, metrics), TaskTracker::new());
    let http = Arc::new(http(connections.clone()));
    let gone = CancellationToken::new();
    let _gone = gone.clone().drop_guard();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (io, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                recover(&error, &stop).await;
                continue;
            }
        };
        let (http, routes, doors) = (Arc::clone(&http), routes.clone(), doors.clone());
        let ends = Ends { leave: gone.child_token(), stop: stop.clone() };
        connections.spawn(async move { attend(&http, routes, doors, (io, peer.ip()), ends).await });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// A connection that failed before it was accepted is its peer's affair. Anything else is ours, and is over when others
/// have ended.
async fn recover(error: &io::Error, stop: &CancellationToken) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    error!(%error, "no connection can be accepted at the moment");
    tokio::select! {
        () = stop.cancelled() => {}
        () = sleep(RECOVERING) => {}
    }
}
