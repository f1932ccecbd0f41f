//! Who has a connection open, and who must make room.
//!
//! Whoever is new gets in. Where there are too many, the connection goes that was open longest without a valid signature or
//! token on it; so neither Twilio nor a health check is ever kept out, however many strangers wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::source::{Source, is_trusted, of_request};
use super::throttle::Throttle;
use crate::config::ConnectionSettings;
use crate::metrics::{Counter, Metrics};

/// Nobody must make room for others of the same source sooner: a request and its signature take far less.
const SHOWING: Duration = Duration::from_secs(2);
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct Doors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: ConnectionSettings,
    metrics: Metrics,
    state: Mutex<State>,
    throttle: Mutex<Throttle>,
}

/// Connections by the numbers in which they came.
#[derive(Debug, Default)]
struct State {
    next: u64,
    strangers: BTreeMap<u64, Stranger>,
    /// Those of sources that have a limit.
    limited: HashMap<Source, BTreeSet<u64>>,
    known: HashSet<u64>,
    warned_at: Option<Instant>,
}

/// Nobody has shown a valid signature or token on it yet.
#[derive(Debug)]
struct Stranger {
    source: Source,
    since: Instant,
    leave: CancellationToken,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    doors: Doors,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.doors.state();
        state.forget(self.number);
        state.known.remove(&self.number);
    }
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(in crate::http) struct Visitor {
    doors: Doors,
    number: u64,
    source: Source,
}

impl Visitor {
    /// The request carries a valid signature or token: its connection makes room for nobody any more.
    pub(in crate::http) fn is_known(&self) {
        let mut state = self.doors.state();
        if state.forget(self.number) {
            state.known.insert(self.number);
        }
    }

    /// The request is refused; `false` when its source is refused so often that it is told no more than that.
    pub(in crate::http) fn is_refused(&self) -> bool {
        let mut throttle = self.doors.0.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let borne = throttle.bears(self.source, Instant::now());
        if !borne {
            self.doors.0.metrics.count(Counter::RequestsThrottled);
        }
        borne
    }
}

impl Place {
    /// Who sends a request on this connection.
    pub(super) fn visitor(doors: &Doors, number: u64, peer: IpAddr, headers: &HeaderMap) -> Visitor {
        let source = of_request(peer, headers, &doors.0.limits.trusted_proxies);
        Visitor { doors: doors.clone(), number, source }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

impl Doors {
    pub(super) fn new(limits: ConnectionSettings, metrics: Metrics) -> Self {
        let throttle = Mutex::new(Throttle::new(Instant::now()));
        Self(Arc::new(Shared { limits, metrics, state: Mutex::default(), throttle }))
    }

    /// A connection was accepted. `leave` is how it is told to make room.
    pub(super) fn enter(&self, peer: IpAddr, leave: CancellationToken) -> Place {
        let (limits, now) = (&self.0.limits, Instant::now());
        let source = Source::from(peer);
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.strangers.insert(number, Stranger { source, since: now, leave });
        let mut gone = 0;
        // All the world may come through a proxy.
        if !is_trusted(peer, &limits.trusted_proxies) {
            state.limited.entry(source).or_default().insert(number);
            gone += state.make_room_of_source(source, limits.most_per_source, now);
        }
        gone += state.make_room(limits.most, number);
        state.tell(gone, now);
        self.0.metrics.add(Counter::ConnectionsRefused, gone);
        Place { doors: self.clone(), number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between could at most leave a number without a connection, which its place removes.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_room_of_source(&mut self, source: Source, most: usize, now: Instant) -> u64 {
        let mut gone = 0;
        while let Some(strangers) = self.limited.get(&source).filter(|strangers| strangers.len() > most) {
            let Some(oldest) = strangers.first().copied() else { break };
            let waits = |stranger: &Stranger| now.saturating_duration_since(stranger.since) >= SHOWING;
            if !self.strangers.get(&oldest).is_some_and(waits) {
                break;
            }
            self.send_away(oldest);
            gone += 1;
        }
        gone
    }

    /// `newest` has just come, and stays.
    fn make_room(&mut self, most: usize, newest: u64) -> u64 {
        let mut gone = 0;
        while self.strangers.len() + self.known.len() > most {
            match self.strangers.keys().next().copied() {
                Some(oldest) if oldest != newest => self.send_away(oldest),
                _ => break,
            }
            gone += 1;
        }
        gone
    }

    fn send_away(&mut self, number: u64) {
        if let Some(stranger) = self.strangers.get(&number) {
            stranger.leave.cancel();
        }
        self.forget(number);
    }

    /// Takes a connection from among the strangers; `false` when it was not one.
    fn forget(&mut self, number: u64) -> bool {
        let Some(stranger) = self.strangers.remove(&number) else { return false };
        if let Some(numbers) = self.limited.get_mut(&stranger.source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.limited.remove(&stranger.source);
            }
        }
        true
    }

    /// One line now and then; the counter has them all.
    fn tell(&mut self, gone: u64, now: Instant) {
        let quiet = |at: Instant| now.saturating_duration_since(at) < BETWEEN_WARNINGS;
        if gone > 0 && !self.warned_at.is_some_and(quiet) {
            self.warned_at = Some(now);
            warn!(
                strangers = self.strangers.len(),
                "there are too many connections; those without a valid signature make room"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn doors(most: usize, most_per_source: usize) -> Doors {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Doors::new(ConnectionSettings { most, most_per_source, trusted_proxies }, Metrics::default())
    }

    fn enter(doors: &Doors, peer: &str) -> (Place, CancellationToken) {
        let leave = CancellationToken::new();
        (doors.enter(peer.parse().unwrap(), leave.clone()), leave)
    }

    fn show(doors: &Doors, place: &Place) {
        let peer = "192.0.2.1".parse().unwrap();
        Place::visitor(doors, place.number(), peer, &HeaderMap::new()).is_known();
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_strangers_of_a_source_make_room_once_they_had_their_time() {
        let doors = doors(100, 2);
        let (first, told_first) = enter(&doors, "192.0.2.1");
        show(&doors, &first);
        let strangers: Vec<_> = (0..4).map(|_| enter(&doors, "192.0.2.1")).collect();
        let told = |index: usize| strangers[index].1.is_cancelled();
        assert!(!told(0), "a burst of requests is let in");
        let (_elsewhere, _) = enter(&doors, "192.0.2.2");
        tokio::time::advance(SHOWING).await;
        let _newest = enter(&doors, "192.0.2.1");
        assert!(told(0) && told(1) && told(2) && !told(3));
        assert!(!told_first.is_cancelled(), "who has signed is no stranger");
        assert_eq!(doors.0.metrics.value(Counter::ConnectionsRefused), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trusted_proxy_has_no_limit_of_its_own() {
        let doors = doors(100, 2);
        let proxied: Vec<_> = (0..9).map(|_| enter(&doors, "10.0.0.1")).collect();
        tokio::time::advance(SHOWING).await;
        let _newest = enter(&doors, "10.0.0.1");
        assert!(proxied.iter().all(|(_, leave)| !leave.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_new_gets_in_and_whoever_has_signed_stays() {
        let doors = doors(3, 100);
        let places: Vec<_> = (1..=3).map(|host| enter(&doors, &format!("192.0.2.{host}"))).collect();
        show(&doors, &places[0].0);
        let (newest, told_newest) = enter(&doors, "192.0.2.4");
        let told: Vec<_> = places.iter().map(|(_, leave)| leave.is_cancelled()).collect();
        assert_eq!(told, [false, true, false]);
        show(&doors, &places[2].0);
        show(&doors, &newest);
        let (_health_check, told_check) = enter(&doors, "192.0.2.5");
        assert!(!told_newest.is_cancelled() && !told_check.is_cancelled(), "nobody is left who could go");
    }

    proptest! {
        #[test]
        fn strangers_never_exceed_the_limit_and_nothing_is_left_over(
            steps in proptest::collection::vec((0_u8..4, 0_u8..5), 1..200),
        ) {
            let doors = doors(5, 100);
            let mut places = Vec::new();
            for (deed, which) in steps {
                let index = usize::from(which) % places.len().max(1);
                match deed {
                    0 if !places.is_empty() => drop(places.swap_remove(index)),
                    1 if !places.is_empty() => show(&doors, &places[index]),
                    _ => places.push(enter(&doors, &format!("192.0.2.{which}")).0),
                }
                let state = doors.state();
                let room = 5_usize.saturating_sub(state.known.len()).max(1);
                prop_assert!(state.strangers.len() <= room);
                let limited: usize = state.limited.values().map(BTreeSet::len).sum();
                prop_assert_eq!(limited, state.strangers.len());
            }
            drop(places);
            let state = doors.state();
            prop_assert!(state.strangers.is_empty() && state.known.is_empty() && state.limited.is_empty());
        }
    }
}
