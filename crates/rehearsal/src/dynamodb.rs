//! A DynamoDB for development and tests, inside this process and reached over its real HTTP API on loopback.
//!
//! It differs from the real one: it never throttles, checks no signatures, has no backups, and its indexes are up to
//! date at once. It is not for production.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_types::timeout::TimeoutConfig;
use dynoxide::Database;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

mod front;
mod table;
#[cfg(test)]
mod tests;

pub use front::{Behaviour, Delay, DynamoDbFront, Throttling};

/// How often expired items of a table that outlives the process are deleted. AWS takes up to days, and readers must not
/// depend on either. A table in memory is not swept: it is gone before anything in it expires, and under load the other
/// requests would wait for the sweep of a large table.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How long a shutdown lets requests finish, and how long a start may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client from [`EmbeddedDynamoDb::client`] waits for an operation, retries included.
const OPERATION_LIMIT: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How to start an [`EmbeddedDynamoDb`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoDbOptions {
    /// Where to listen. Port 0 takes any free port; see [`EmbeddedDynamoDb::endpoint`].
    pub address: SocketAddr,
    /// Where to keep the data; in memory when there is none. Parent directories are created.
    pub file: Option<PathBuf>,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), file: None }
    }
}

/// A running DynamoDB. Dropping it stops it too, without waiting for it to stop.
pub struct EmbeddedDynamoDb {
    address: SocketAddr,
    database: Database,
    thread: thread::JoinHandle<()>,
    stop: DropGuard,
}

impl EmbeddedDynamoDb {
    /// Opens the database and serves it.
    ///
    /// # Errors
    /// When the address cannot be bound or the file cannot be opened; the error names it.
    pub async fn start(options: DynamoDbOptions) -> anyhow::Result<Self> {
        let DynamoDbOptions { address, file } = options;
        let listener = listen(address).with_context(|| format!("DynamoDB cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let stop = stopping.clone().drop_guard();
        let (opened, opening) = oneshot::channel();
        // SQLite blocks the thread that calls it, so it gets one of its own.
        let thread = thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || run(file.as_deref(), listener, opened, &stopping))?;
        let opened =
            tokio::time::timeout(PATIENCE, opening).await.context("DynamoDB did not start in time")?;
        let database = opened.context("DynamoDB's thread ended before it had started")??;
        Ok(Self { address, database, thread, stop })
    }

    /// The base URL for an SDK's `endpoint_url`, for example `http://127.0.0.1:49152`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates the one table with its index and its time to live. A table that exists already is left as it is.
    ///
    /// # Errors
    /// When DynamoDB refuses, for example because the name has fewer than three characters.
    pub async fn create_table(&self, name: &str) -> anyhow::Result<()> {
        table::create(&self.client().await, name)
            .await
            .with_context(|| format!("cannot create the table {name}"))
    }

    /// A client for this DynamoDB, which needs no account.
    pub async fn client(&self) -> Client {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "embedded"))
            .timeout_config(TimeoutConfig::builder().operation_timeout(OPERATION_LIMIT).build())
            .load()
            .await;
        Client::new(&config)
    }

    /// Deletes the expired items now, rather than at the next sweep, and returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn sweep(&self) -> anyhow::Result<usize> {
        self.database.sweep_ttl().context("cannot sweep expired items")
    }

    /// Lets the requests that are running finish, closes the database and waits for its thread to end.
    ///
    /// # Errors
    /// When the thread does not end in time, or has panicked.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let Self { database, thread, stop, .. } = self;
        drop(database);
        drop(stop);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        // Its own patience runs out before this one does.
        let joined =
            tokio::time::timeout(2 * PATIENCE, joined).await.context("DynamoDB did not stop in time")?;
        joined?.map_err(|_| anyhow!("DynamoDB's thread panicked"))
    }
}

impl fmt::Debug for EmbeddedDynamoDb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EmbeddedDynamoDb").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Nagle's algorithm is turned off on the listener, from which the connections inherit it.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The whole life of the database's thread.
fn run(
    file: Option<&Path>,
    listener: std::net::TcpListener,
    opened: oneshot::Sender<anyhow::Result<Database>>,
    stopping: &CancellationToken,
) {
    let prepared = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime for DynamoDB")
        .and_then(|runtime| Ok((runtime, open(file)?)));
    let (runtime, database) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // Whoever started this is gone if it does not take the error.
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(database.clone())).is_err() {
        return;
    }
    if let Err(error) = runtime.block_on(serve(listener, database, file.is_some(), stopping)) {
        tracing::error!(error = format!("{error:#}"), "the embedded DynamoDB stopped serving");
    }
}

fn open(file: Option<&Path>) -> anyhow::Result<Database> {
    let Some(file) = file else {
        return Ok(Database::memory()?);
    };
    let context = || format!("cannot open the database {}", file.display());
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(context)?;
    }
    let path = file.to_str().context("the path is not UTF-8").with_context(context)?;
    Database::new(path).with_context(context)
}

async fn serve(
    listener: std::net::TcpListener,
    database: Database,
    sweeps: bool,
    stopping: &CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let stopped = stopping.clone().cancelled_owned();
    let serving = dynoxide::server::serve_with_shutdown(listener, database.clone(), stopped);
    let cut_off = async {
        stopping.cancelled().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        served = serving => served.map_err(|error| anyhow!(error)),
        () = sweep_forever(&database), if sweeps => Ok(()),
        () = cut_off => Err(anyhow!("connections did not end within {PATIENCE:?}")),
    }
}

async fn sweep_forever(database: &Database) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match database.sweep_ttl() {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "expired items were deleted"),
            Err(error) => tracing::warn!(%error, "expired items were not deleted"),
        }
    }
}
