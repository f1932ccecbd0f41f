//! One server: the connection to it, made when it is needed and kept, and the list of its tools.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use voice_core::ports::SecretSource;
use voice_core::use_case::{HeaderSource, McpServer};

use super::UrlCheck;
use super::connection::Connection;
use super::listing::{Found, Listed, Listing, Next};
use super::trouble::Trouble;

/// A server that does not take a connection by then is out of reach.
const CONNECTING: Duration = Duration::from_secs(2);
/// For connecting and listing together.
const LISTING: Duration = Duration::from_secs(2);

/// What servers are reached with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) client: reqwest::Client,
    pub(super) check: UrlCheck,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) tasks: TaskTracker,
}

impl fmt::Debug for Means {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Means").finish_non_exhaustive()
    }
}

/// Where a server is and who we are to it. Two records with the same address mean the same server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, HeaderSource>,
}

impl Address {
    pub(super) fn of(record: &McpServer) -> Self {
        Self { url: record.url.clone(), headers: record.headers.clone() }
    }

    pub(super) fn is_of(&self, record: &McpServer) -> bool {
        self.url == record.url && self.headers == record.headers
    }

    /// Has its secrets looked up again: the server would not accept them.
    pub(super) fn doubt_secrets(&self, means: &Means) {
        for source in self.headers.values() {
            if let HeaderSource::Secret { secret, .. } = source {
                means.secrets.refused(secret);
            }
        }
    }
}

/// Work that all who want its result wait for together.
pub(super) type Joint<T> = Shared<BoxFuture<'static, Result<T, Trouble>>>;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    /// The connection, or the attempt to get one; none before it was needed.
    connection: Mutex<Option<Joint<Arc<Connection>>>>,
    listing: Mutex<Listing>,
}

impl Server {
    pub(super) fn new(address: Address) -> Self {
        Self { address, connection: Mutex::default(), listing: Mutex::default() }
    }

    /// The connection that there is, or a new one.
    pub(super) async fn connection(self: &Arc<Self>, means: &Means) -> Result<Arc<Connection>, Trouble> {
        let attempt = {
            let mut kept = lock(&self.connection);
            match kept.as_ref().filter(|attempt| is_of_use(attempt)) {
                Some(attempt) => attempt.clone(),
                None => kept.insert(self.connect(means)).clone(),
            }
        };
        attempt.await
    }

    fn connect(self: &Arc<Self>, means: &Means) -> Joint<Arc<Connection>> {
        let (server, with) = (Arc::clone(self), means.clone());
        let work = async move {
            let opening = Connection::open(&server.address, &with);
            let opened = timeout(CONNECTING, opening).await;
            opened.unwrap_or(Err(Trouble::NotReachable("it did not answer in time".to_owned()))).map(Arc::new)
        };
        jointly(&means.tasks, work)
    }

    /// Gives this connection up. One that was made meanwhile stays.
    pub(super) fn disconnect(&self, broken: &Arc<Connection>) {
        let mut kept = lock(&self.connection);
        let current = kept.as_ref().and_then(|attempt| attempt.peek()).and_then(|made| made.as_ref().ok());
        if current.is_some_and(|current| Arc::ptr_eq(current, broken)) {
            *kept = None;
        }
    }

    /// Lets the next one who needs a connection make a new one. Who uses the present one keeps it.
    pub(super) fn forget_connection(&self) {
        *lock(&self.connection) = None;
    }

    /// The tools of the server, from memory when that is young enough.
    pub(super) async fn tools(self: &Arc<Self>, means: &Means) -> Listed {
        let (fetching, is_news) = {
            let mut listing = lock(&self.listing);
            match listing.next(Instant::now()) {
                Next::Know(listed) => return listed,
                Next::Join(fetching) => (fetching, false),
                Next::Fetch => {
                    let fetching = self.fetch(means);
                    listing.fetching(fetching.clone());
                    (fetching, true)
                }
            }
        };
        let result = fetching.await;
        lock(&self.listing).fetched(result, is_news, Instant::now())
    }

    fn fetch(self: &Arc<Self>, means: &Means) -> Joint<Found> {
        let (server, with) = (Arc::clone(self), means.clone());
        let work = async move {
            let asking = async {
                let connection = server.connection(&with).await?;
                let tools = connection.tools().await;
                if tools.as_ref().is_err_and(Trouble::is_of_the_connection) {
                    server.disconnect(&connection);
                }
                tools
            };
            timeout(LISTING, asking).await.unwrap_or(Err(Trouble::TimedOut))
        };
        jointly(&means.tasks, work)
    }
}

/// Whether it is under way, or has led to a connection that stands.
fn is_of_use(attempt: &Joint<Arc<Connection>>) -> bool {
    match attempt.peek() {
        None => true,
        Some(Ok(connection)) => connection.is_open(),
        Some(Err(_)) => false,
    }
}

/// Runs work as a task of the process, so that it does not end with the call that wanted it first.
fn jointly<T: Clone + Send + Sync + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, Trouble>> + Send + 'static,
) -> Joint<T> {
    let task = tasks.spawn(work.instrument(tracing::info_span!(parent: None, "mcp")));
    let result = task.map(|ended| {
        ended.unwrap_or_else(|_| Err(Trouble::NotReachable("the attempt was broken off".to_owned())))
    });
    result.boxed().shared()
}

/// Locks even after a panic elsewhere: what these locks guard is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
