//! The two ends of a session's socket: `setup` first, and a proper close last.

use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use voice_protocols::relay::{Inbound, Setup};

use super::Ports;
use super::frame::{CloseCode, Frame, SocketError};
use super::relay_codec::{Parting, leave_to_wire};
use super::relay_session::{LARGEST_MESSAGE, MOST_MALFORMED, WRITING};
use crate::metrics::Counter;

/// `setup` is the first message, at once.
const SETUP_FOLLOWS: Duration = Duration::from_secs(5);
/// After our `end` the carrier closes the socket.
const CLOSING_FOLLOWS: Duration = Duration::from_secs(3);

/// Waits for `setup` and checks that it is for this call; `None` when it is not, or does not come. What comes before it is
/// counted and ignored.
pub async fn setup_fits<S>(socket: &mut S, call_sid: &str, ports: &Ports) -> Option<Box<Setup>>
where
    S: Stream<Item = Result<Frame, SocketError>> + Unpin,
{
    let deadline = Instant::now() + SETUP_FOLLOWS;
    for _ in 0..MOST_MALFORMED {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, socket.next()).await else {
            return None;
        };
        match frame {
            Frame::Text(text) if text.len() <= LARGEST_MESSAGE => match Inbound::parse(&text) {
                Ok(Inbound::Setup(setup)) => {
                    if setup.call_sid == call_sid {
                        return Some(setup);
                    }
                    warn!(call.sid = call_sid, "setup is for another call");
                    return None;
                }
                Ok(_) => ports.metrics.count(Counter::FramesUnknown),
                Err(_) => ports.metrics.count(Counter::FramesMalformed),
            },
            Frame::Text(_) | Frame::Binary => ports.metrics.count(Counter::FramesMalformed),
            Frame::Other | Frame::Ping => {}
            Frame::Close(_) | Frame::Oversize => return None,
        }
    }
    None
}

/// Has the carrier end the session, and tells whoever it asks what comes next why.
pub async fn part<S>(socket: &mut S, why: Parting)
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    let end = Frame::Text(leave_to_wire(why).to_json());
    if let Ok(Ok(())) = timeout(WRITING, socket.send(end)).await {
        wait_for_close(socket).await;
    }
    close(socket, CloseCode::Normal).await;
}

/// After an `end` the carrier closes the socket. Closing first would look like a failure to it.
pub(super) async fn wait_for_close<S>(socket: &mut S)
where
    S: Stream<Item = Result<Frame, SocketError>> + Unpin,
{
    let closed = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = timeout(CLOSING_FOLLOWS, closed).await;
}

pub(super) async fn close<S>(socket: &mut S, code: CloseCode)
where
    S: Sink<Frame, Error = SocketError> + Unpin,
{
    let closing = async {
        // The peer may be gone already.
        let _ = socket.send(Frame::Close(code)).await;
        let _ = socket.close().await;
    };
    let _ = timeout(WRITING, closing).await;
}
