//! A stand-in for Twilio's REST API on loopback: calls, messages and codes, with Twilio's credentials, forms and errors.
//! One address serves what Twilio spreads over `api.twilio.com` and `verify.twilio.com`. Every answer says that it comes
//! from a stand-in. Nothing is sent to anybody; what would have been is kept for whoever asks.
//!
//! Calls are placed by the carrier that takes part in the same [`Switchboard`].

mod account;
mod calls;
mod faults;
mod form;
mod messages;
mod server;
mod verify;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::account::OwnNumber;
pub use self::faults::Fault;
use self::faults::Faults;
use self::messages::Messages;
pub use self::messages::SentMessage;
pub use self::verify::Verification;
use self::verify::Verifications;
use super::switchboard::Switchboard;

/// Who watches may lie this many messages behind before the oldest are lost.
const SENT: usize = 256;
/// How long a shutdown waits for open connections, all of which have been told to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Where the stand-in listens and whom it knows.
#[derive(Clone, Debug)]
pub struct RestOptions {
    pub address: SocketAddr,
    /// `AC…`
    pub account_sid: String,
    /// With the account's sid as the user.
    pub auth_token: String,
    /// `SK…`
    pub api_key_sid: String,
    pub api_key_secret: String,
    /// `VA…`
    pub verify_service_sid: String,
    /// Sent every time; codes are made up when absent.
    pub code: Option<String>,
}

/// A running stand-in. Clones are handles to the same one; it runs until [`shutdown`](Self::shutdown).
#[derive(Clone, Debug)]
pub struct RestStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// Something that Twilio would have sent to a telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Message(SentMessage),
    Code(Verification),
}

/// What the handle and the connections share.
#[derive(Debug)]
struct Shared {
    options: RestOptions,
    board: Switchboard,
    messages: Mutex<Messages>,
    verifications: Mutex<Verifications>,
    faults: Mutex<Faults>,
    numbers: Mutex<Vec<OwnNumber>>,
    sent: broadcast::Sender<Sent>,
    closing: CancellationToken,
}

impl RestOptions {
    /// An account made up for this process, on a port that is free.
    pub fn new(auth_token: impl Into<String>) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            account_sid: super::sid("AC"),
            auth_token: auth_token.into(),
            api_key_sid: super::sid("SK"),
            api_key_secret: uuid::Uuid::new_v4().simple().to_string(),
            verify_service_sid: super::sid("VA"),
            code: None,
        }
    }
}

impl RestStandIn {
    /// Binds and serves.
    ///
    /// # Errors
    /// When the address cannot be bound; the error names it.
    pub async fn start(options: RestOptions) -> anyhow::Result<Self> {
        let bound = TcpListener::bind(options.address).await;
        let listener =
            bound.with_context(|| format!("the Twilio stand-in cannot listen on {}", options.address))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            board: Switchboard::new(options.account_sid.clone()),
            options,
            messages: Mutex::default(),
            verifications: Mutex::default(),
            faults: Mutex::default(),
            numbers: Mutex::default(),
            sent: broadcast::Sender::new(SENT),
            closing: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(serve(listener, Arc::clone(&shared)));
        tasks.close();
        Ok(Self { address, shared, tasks })
    }

    /// The base URL of both APIs, for example `http://127.0.0.1:49152`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn options(&self) -> &RestOptions {
        &self.shared.options
    }

    /// The account in which carriers take part: its calls are those that REST shows, changes and places.
    pub fn switchboard(&self) -> &Switchboard {
        &self.shared.board
    }

    /// The last 1,000 messages, oldest first.
    pub fn messages(&self) -> Vec<SentMessage> {
        lock(&self.shared.messages).all()
    }

    /// The last verification of each address.
    pub fn verifications(&self) -> Vec<Verification> {
        lock(&self.shared.verifications).all()
    }

    /// The code that was last sent to a number.
    pub fn code_for(&self, to: &str) -> Option<String> {
        lock(&self.shared.verifications).find(to).map(|verification| verification.code.clone())
    }

    /// The numbers that the account owns from now on; none at first.
    pub fn set_numbers(&self, numbers: Vec<OwnNumber>) {
        *lock(&self.shared.numbers) = numbers;
    }

    /// What is sent from now on. A watcher that is slow misses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<Sent> {
        self.shared.sent.subscribe()
    }

    /// The next `times` requests whose path contains `path` go wrong.
    pub fn fail(&self, path: impl Into<String>, fault: Fault, times: usize) {
        lock(&self.shared.faults).add(path.into(), fault, times);
    }

    /// Stops listening, lets go of requests that hang, and waits for the connections to end.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        if tokio::time::timeout(SHUTDOWN_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::warn!(limit = ?SHUTDOWN_LIMIT, "connections to the Twilio stand-in did not end in time");
        }
    }
}

impl Shared {
    /// Tells whoever watches; that nobody may does not matter.
    fn tell(&self, sent: Sent) {
        let _ = self.sent.send(sent);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let closing = shared.closing.clone();
    let listener = listener.tap_io(|stream| {
        // Nagle's algorithm would hold small answers back for tens of milliseconds.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    let served = axum::serve(listener, server::routes(shared))
        .with_graceful_shutdown(async move { closing.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the Twilio stand-in stopped serving");
    }
}

/// Locks even after a panic elsewhere: what these locks guard is added or replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
