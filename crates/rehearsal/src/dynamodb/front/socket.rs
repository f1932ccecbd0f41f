//! The connections of a front: they are reset as soon as, and for as long as, the front refuses them.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Behaviour;

/// What holds at the moment, for requests and for connections.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Requests and connections that were treated otherwise than passed on at once.
    held_back: AtomicU64,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    /// Cancelled when the connections that stand are to be reset, and then replaced.
    standing: CancellationToken,
}

impl Gate {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        let state = Mutex::new(State { behaviour, standing: CancellationToken::new() });
        Self { state, held_back: AtomicU64::new(0) }
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        let mut state = self.state();
        if behaviour == Behaviour::Refuse {
            std::mem::take(&mut state.standing).cancel();
        }
        state.behaviour = behaviour;
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.state().behaviour.clone()
    }

    pub(super) fn note_held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// What a new connection lives by; none when it is refused.
    fn admit(&self) -> Option<CancellationToken> {
        let state = self.state();
        (state.behaviour != Behaviour::Refuse).then(|| state.standing.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections, and resets those that the gate does not admit.
#[derive(Debug)]
pub(super) struct GatedListener {
    listener: TcpListener,
    gate: Arc<Gate>,
}

impl GatedListener {
    pub(super) fn new(listener: TcpListener, gate: Arc<Gate>) -> Self {
        Self { listener, gate }
    }
}

impl Listener for GatedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Nagle's algorithm would add a delay that nobody asked for.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            if let Some(standing) = self.gate.admit() {
                let reset = Box::pin(standing.cancelled_owned());
                return (Connection { stream, reset }, address);
            }
            self.gate.note_held_back();
            reset_when_dropped(&stream);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once it is to be reset.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    reset: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Connection {
    /// The server always waits for its client to say more or to leave, so this is where a reset is noticed.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reset.as_mut().poll(context).is_ready() {
            reset_when_dropped(&self.stream);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A socket that lingers for no time is not closed but reset.
fn reset_when_dropped(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection is closed rather than reset");
    }
}
