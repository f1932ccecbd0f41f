//! How a session leaves its call to another task: between two turns, and once everything is written.

use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::frame::{Frame, SocketError};
use super::super::relay_codec::{Parting, leave_to_wire};
use super::{Ending, RelaySession};
use crate::metrics::Counter;

/// Nothing tells when a conversation comes to rest, so it is looked at so often while that is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// A call that was handed over and came back to the same process, because there was no other, stays so long at least.
const SETTLING: Duration = Duration::from_secs(5);

/// Where a session stands with its departure.
#[derive(Debug)]
pub(super) enum Departure {
    Unasked,
    /// It leaves at the next rest, but not before `from`.
    Asked {
        from: Instant,
    },
    /// It was at rest. What the next session has to know is being written.
    Writing(CancellationToken),
}

impl Departure {
    pub(super) fn begin(now: Instant, handing_over: &CancellationToken) -> Self {
        if handing_over.is_cancelled() { Self::Asked { from: now + SETTLING } } else { Self::Unasked }
    }

    pub(super) const fn is_unasked(&self) -> bool {
        matches!(self, Self::Unasked)
    }

    pub(super) fn ask(&mut self, now: Instant) {
        *self = Self::Asked { from: now };
    }

    /// When the conversation is to be looked at again.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Asked { from } => Some((now + BETWEEN_LOOKS).max(*from)),
            Self::Unasked | Self::Writing(_) => None,
        }
    }

    /// Waits until everything is written that has to be; for ever when nothing has to.
    pub(super) async fn written(&self) {
        match self {
            Self::Writing(written) => written.cancelled().await,
            Self::Unasked | Self::Asked { .. } => std::future::pending().await,
        }
    }
}

impl<S> RelaySession<S>
where
    S: Stream<Item = Result<Frame, SocketError>> + Sink<Frame, Error = SocketError> + Unpin,
{
    /// Has the journal brought up to date when the moment to leave may have come. Nothing is held up by that: should the
    /// caller say something meanwhile, or the table be out of reach, the session stays.
    pub(super) fn prepare_departure(&mut self) {
        let now = Instant::now();
        if let Departure::Asked { from } = self.departure
            && from <= now
            && self.conversation.is_at_rest(now.into_std())
        {
            self.departure = Departure::Writing(self.journal.mark());
        }
    }

    /// Leaves, if it is still nobody's turn. The carrier is told to end the session, because it asks what comes next
    /// sooner than after a socket that was lost.
    pub(super) async fn depart(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if !self.conversation.is_at_rest(now.into_std()) {
            self.departure = Departure::Asked { from: now };
            return None;
        }
        self.outgoing.push(leave_to_wire(Parting::Handover));
        if let Err(ending) = self.flush().await {
            return Some(ending);
        }
        self.ports.metrics.count(Counter::CallsHandedOver);
        Some(Ending::HandedOver)
    }
}
