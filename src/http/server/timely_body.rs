//! The body of a request, as long as it comes in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// The bodies that we read have 64 KiB at most.
const WHOLE_BODY: Duration = Duration::from_secs(5);

/// Fails when it has not come whole by its deadline.
pub(super) struct TimelyBody {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl TimelyBody {
    /// The time runs from now on.
    pub(super) fn of(body: Incoming) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { body, deadline: Box::pin(sleep(WHOLE_BODY)) })
    }
}

impl HttpBody for TimelyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // First of all, since bytes that never cease to come do not make a body whole.
        if self.deadline.as_mut().poll(context).is_ready() {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body took too long");
            return Poll::Ready(Some(Err(late.into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
