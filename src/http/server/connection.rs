//! One connection, from its first byte until it is closed, has become a WebSocket, or took too long.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::activity::{Activity, Watched};
use super::doors::{Doors, Place};
use super::timely_body::TimelyBody;

/// A webhook has some twenty headers and a request line of a few hundred bytes.
const MOST_HEADERS: usize = 64;
const LARGEST_HEAD: usize = 32 * 1024;
/// Over HTTP/2, which a load balancer may speak to us, many requests share a connection.
const MOST_STREAMS: u32 = 128;
/// A whole body fits.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How HTTP is spoken; the same for all connections.
pub(super) type Http = Builder<Tracked>;

pub(super) fn http(tasks: TaskTracker) -> Http {
    let mut builder = Builder::new(Tracked(tasks));
    // The library's own limit on the time for a head also runs between requests; ours do not.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_headers(MOST_HEADERS);
    builder.http1().max_buf_size(LARGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Spawns what the library does beside a connection among the tasks of the server.
#[derive(Clone, Debug)]
pub(super) struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// How a connection is told to end.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// At once.
    pub(super) leave: CancellationToken,
    /// Once what is under way is answered.
    pub(super) stop: CancellationToken,
}

/// Serves a connection until it ends.
pub(super) async fn attend<Io>(
    http: &Http,
    routes: Router,
    doors: Doors,
    (io, peer): (Io, IpAddr),
    Ends { leave, stop }: Ends,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (activity, place) = (Activity::new(), doors.enter(peer, leave.clone()));
    let visits = Visits {
        routes: TowerToHyperService::new(routes),
        activity: activity.clone(),
        doors,
        number: place.number(),
        peer,
    };
    let io = TokioIo::new(Watched::new(io, activity.clone(), place));
    let mut connection = pin!(http.serve_connection_with_upgrades(io, visits));
    let mut timer = pin!(sleep_until(activity.deadline()));
    let mut stopping = false;
    loop {
        // The deadline moves while the connection is served, so it is looked at behind each step of it.
        let served = poll_fn(|context| {
            if let Poll::Ready(result) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            let deadline = activity.deadline();
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(context).map(|()| None)
        });
        tokio::select! {
            biased;
            () = leave.cancelled() => return,
            () = stop.cancelled(), if !stopping => {}
            served = served => return tell(served),
        }
        stopping = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// `None` when the connection took too long.
fn tell(served: Option<Result<(), Box<dyn std::error::Error + Send + Sync>>>) {
    match served {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "a connection failed"),
        None => debug!("a connection took too long"),
    }
}

/// The routes, as one connection reaches them.
#[derive(Clone, Debug)]
struct Visits {
    routes: TowerToHyperService<Router>,
    activity: Activity,
    doors: Doors,
    number: u64,
    peer: IpAddr,
}

impl Service<Request<Incoming>> for Visits {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let serving = self.activity.serve(request.version() == hyper::Version::HTTP_2);
        let visitor = Place::visitor(&self.doors, self.number, self.peer, request.headers());
        let mut request = request.map(TimelyBody::of);
        request.extensions_mut().insert(visitor);
        let answer = self.routes.call(request);
        Box::pin(async move {
            let _serving = serving;
            answer.await
        })
    }
}
