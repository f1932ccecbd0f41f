//! What all carriers of one account share: the calls in progress, who can be called, the conference rooms, and who
//! places the calls that REST asks for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::call::Call;
use super::callee::{Callee, Directory};
use super::form::{CallIdentity, sid};
use super::live_calls::{CallRecord, CallStatus, LiveCall, LiveCalls, NotChanged, Update};
use super::placed::Order;
use super::rooms::Rooms;

/// Calls that were asked for and that no carrier has begun to place.
const ORDERS: usize = 64;
/// Placed calls that whoever plays their part has not taken yet.
const PLACED: usize = 64;
/// How much is remembered of what one address was told, in bytes.
const MEMORY: usize = 64 * 1024;

/// One account. A cheap handle.
#[derive(Clone, Debug)]
pub struct Switchboard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account_sid: String,
    rooms: Rooms,
    calls: Mutex<LiveCalls>,
    directory: Mutex<Directory>,
    told: watch::Sender<BTreeMap<String, String>>,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    listener: Mutex<Option<mpsc::Sender<Call>>>,
}

impl Switchboard {
    /// An account in which nobody calls yet; `account_sid` is Twilio's `AC…`.
    pub fn new(account_sid: impl Into<String>) -> Self {
        Self(Arc::new(Shared {
            account_sid: account_sid.into(),
            rooms: Rooms::default(),
            calls: Mutex::default(),
            directory: Mutex::default(),
            told: watch::Sender::default(),
            orders: Mutex::default(),
            listener: Mutex::default(),
        }))
    }

    pub fn account_sid(&self) -> &str {
        &self.0.account_sid
    }

    /// Sets who answers at a number, at a SIP address, or in a queue of that name. Without it, a polite person does.
    pub fn set_callee(&self, address: impl Into<String>, callee: Callee) {
        lock(&self.0.directory).add(address.into(), callee);
    }

    /// Everything that was said to whoever answers at an address, in the order in which it was said.
    pub fn told(&self, address: &str) -> String {
        self.0.told.borrow().get(address).cloned().unwrap_or_default()
    }

    /// Waits until what was said to an address is as `wanted`, and no longer than `within`; returns all of it.
    pub async fn wait_until_told(
        &self,
        address: &str,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let mut told = self.0.told.subscribe();
        let is_told = |told: &BTreeMap<String, String>| told.get(address).is_some_and(|told| wanted(told));
        // When it does not come, whoever waits sees what came instead.
        let _ = timeout(within, told.wait_for(is_told)).await;
        self.told(address)
    }

    /// The calls of this account, oldest first; those long over are forgotten.
    pub fn calls(&self) -> Vec<CallRecord> {
        lock(&self.0.calls).records()
    }

    pub(super) fn callee(&self, address: &str) -> Callee {
        lock(&self.0.directory).find(address)
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }

    pub(super) fn tell(&self, address: &str, words: &str) {
        self.0.told.send_modify(|told| {
            let told = told.entry(address.to_owned()).or_default();
            if told.len() + words.len() < MEMORY {
                if !told.is_empty() && !told.ends_with(char::is_whitespace) {
                    told.push(' ');
                }
                told.push_str(words);
            }
        });
    }

    pub(super) fn add_call(
        &self,
        identity: &CallIdentity,
        status: CallStatus,
    ) -> (Arc<LiveCall>, mpsc::Receiver<Update>) {
        lock(&self.0.calls).add(identity, status)
    }

    pub(super) fn call(&self, sid: &str) -> Result<Arc<LiveCall>, NotChanged> {
        lock(&self.0.calls).find(sid).ok_or(NotChanged::Unknown)
    }

    /// Has the carrier place a call. None when no carrier takes calls.
    pub(super) fn order(&self, request: super::placed::Request) -> Option<CallRecord> {
        let orders = lock(&self.0.orders).clone()?;
        let place = orders.try_reserve().ok()?;
        let identity = CallIdentity::placed(sid("CA"), request.from.clone(), request.to.clone())
            .with_account(self.account_sid());
        let (call, updates) = self.add_call(&identity, CallStatus::Queued);
        let record = call.record();
        place.send(Order { identity, call, updates, request });
        Some(record)
    }

    /// From now on this receiver gets what REST asks for, and nobody else.
    pub(super) fn take_orders(&self) -> mpsc::Receiver<Order> {
        let (orders_in, orders) = mpsc::channel(ORDERS);
        *lock(&self.0.orders) = Some(orders_in);
        orders
    }

    pub(super) fn listen_to_placed_calls(&self) -> mpsc::Receiver<Call> {
        let (calls_in, calls) = mpsc::channel(PLACED);
        *lock(&self.0.listener) = Some(calls_in);
        calls
    }

    /// Gives a placed call to whoever plays the parts of people. It comes back when nobody does.
    pub(super) fn hand_out(&self, call: Call) -> Result<(), Call> {
        let listener = lock(&self.0.listener).clone();
        match listener {
            Some(listener) => listener.try_send(call).map_err(mpsc::error::TrySendError::into_inner),
            None => Err(call),
        }
    }
}

/// Locks even after a panic elsewhere: nothing is left half changed under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
