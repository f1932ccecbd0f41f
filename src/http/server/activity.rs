//! What a connection is doing, and how long it may take for that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::doors::Place;

/// From the first byte of a request, or from the beginning, to the end of its head.
const HEAD: Duration = Duration::from_secs(10);
/// Between requests. A load balancer of AWS closes after 60 s by default, and must be the one who does: a request that
/// meets a connection which we close is answered with 502.
const IDLE: Duration = Duration::from_secs(90);
/// Handlers have deadlines of their own; this is beyond all of them.
const SERVING: Duration = Duration::from_mins(1);

/// Cheap to clone; clones are about the same connection.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// HTTP/2: bytes between requests may be about anything.
    multiplexed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Reading { since: Instant },
    Serving { requests: u32, since: Instant },
    Idle { since: Instant },
}

impl Activity {
    pub(super) fn new() -> Self {
        let phase = Phase::Reading { since: Instant::now() };
        Self(Arc::new(Mutex::new(State { phase, multiplexed: false })))
    }

    /// When the connection has taken too long, should nothing happen until then.
    pub(super) fn deadline(&self) -> Instant {
        match self.state().phase {
            Phase::Reading { since } => since + HEAD,
            Phase::Serving { since, .. } => since + SERVING,
            Phase::Idle { since } => since + IDLE,
        }
    }

    /// A request is served until what is returned is dropped.
    pub(super) fn serve(&self, multiplexed: bool) -> Serving {
        let mut state = self.state();
        state.multiplexed = multiplexed;
        let others = if let Phase::Serving { requests, .. } = state.phase { requests } else { 0 };
        state.phase = Phase::Serving { requests: others + 1, since: Instant::now() };
        Serving(self.clone())
    }

    fn bytes_came(&self) {
        let mut state = self.state();
        if let Phase::Idle { .. } = state.phase
            && !state.multiplexed
        {
            state.phase = Phase::Reading { since: Instant::now() };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is one assignment, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Serving(Activity);

impl Drop for Serving {
    fn drop(&mut self) {
        let (mut state, since) = (self.0.state(), Instant::now());
        state.phase = match state.phase {
            Phase::Serving { requests, .. } if requests > 1 => {
                Phase::Serving { requests: requests - 1, since }
            }
            _ => Phase::Idle { since },
        };
    }
}

/// A connection whose reads are noticed, and which keeps its place for as long as it is open, also as a WebSocket.
#[derive(Debug)]
pub(super) struct Watched<Io> {
    io: Io,
    activity: Activity,
    _place: Place,
}

impl<Io> Watched<Io> {
    pub(super) const fn new(io: Io, activity: Activity, place: Place) -> Self {
        Self { io, activity, _place: place }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
