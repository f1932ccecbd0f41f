//! Performs a plan as the body of a response: lets time pass, hands frames to the socket, and notices when the client
//! leaves, because then the body is dropped.

use std::io;
use std::time::Duration;
use std::vec;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::exchange::Exchange;
use super::frames;
use super::plan::Cue;

/// A body that streams the frames of a plan, each produced only when the connection asks for it.
pub(super) fn body(cues: Vec<Cue>, exchange: Exchange) -> Body {
    let performance = Performance { cues: cues.into_iter(), exchange };
    Body::from_stream(stream::unfold(performance, |mut performance| async move {
        let frame = performance.next_frame().await?;
        Some((frame, performance))
    }))
}

/// A body that aborts the connection.
pub(super) fn cut_body() -> Body {
    Body::from_stream(stream::once(async {
        let_the_socket_flush().await;
        Err::<Bytes, _>(aborted())
    }))
}

/// Lets time pass, unless the stand-in closes first.
pub(super) async fn wait(length: Duration, exchange: &Exchange) -> io::Result<()> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        () = exchange.shared.closing.cancelled() => Err(aborted()),
    }
}

/// Waits for the client to leave, which drops this future, or for the stand-in to close.
pub(super) async fn stall(exchange: &Exchange) -> io::Error {
    exchange.shared.closing.cancelled().await;
    aborted()
}

struct Performance {
    cues: vec::IntoIter<Cue>,
    exchange: Exchange,
}

impl Performance {
    async fn next_frame(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let frame = match self.cues.next()? {
                Cue::Wait(length) => match wait(length, &self.exchange).await {
                    Ok(()) => continue,
                    Err(error) => Err(self.abort(error)),
                },
                Cue::Event { name, payload } => self.handed_over(frames::event(name, payload)),
                Cue::Token { index, payload } => {
                    self.exchange.token_sent(index);
                    self.handed_over(frames::event("contentBlockDelta", payload))
                }
                Cue::Exception { name, message } => self.handed_over(frames::exception(&name, &message)),
                Cue::Stall => {
                    let error = stall(&self.exchange).await;
                    Err(self.abort(error))
                }
                Cue::Cut => {
                    let_the_socket_flush().await;
                    self.exchange.complete();
                    Err(aborted())
                }
            };
            return Some(frame);
        }
    }

    /// A client may leave as soon as it has read the last frame, so the exchange is complete with that frame rather
    /// than with the end of the body.
    fn handed_over<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        &mut self,
        frame: Result<Bytes, E>,
    ) -> io::Result<Bytes> {
        if self.cues.as_slice().is_empty() {
            self.exchange.complete();
        }
        frame.map_err(io::Error::other)
    }

    fn abort(&mut self, error: io::Error) -> io::Error {
        self.cues = Vec::new().into_iter();
        error
    }
}

/// The connection flushes what it holds when the body is not ready, so being not ready once sends the frames before
/// the cut on their way.
async fn let_the_socket_flush() {
    tokio::task::yield_now().await;
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the stand-in cut the answer")
}
