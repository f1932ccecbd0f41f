//! When the protection of the task should be asked for, renewed and given up.
//!
//! Knows no clock and no agent; [`super::keep_protected`] tells it the time and what came of its wishes.

use std::time::Duration;

use tokio::time::Instant;

/// Until the protection ends by itself, should nobody give it up.
pub(super) const EXPIRES: Duration = Duration::from_hours(1);
/// Half of that, so that there is time to try again.
const RENEWED: Duration = Duration::from_mins(30);
/// The next call most often comes soon.
const QUIET: Duration = Duration::from_secs(10);
/// ECS takes few of these requests.
const BETWEEN_REQUESTS: Duration = Duration::from_secs(5);
/// Between tries, after several that failed.
const MOST_BETWEEN_REQUESTS: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    On {
        since: Instant,
    },
    /// A request failed that may have been carried out.
    Unsure,
}

/// What is to be asked of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Protect,
    Release,
}

/// How things are with the calls of the task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) calls: usize,
    /// The process ends once there are none.
    pub(super) leaving: bool,
}

#[derive(Debug)]
pub(super) struct Protection {
    state: State,
    /// Since when there has been no call.
    quiet_since: Option<Instant>,
    asked_at: Option<Instant>,
    failures: u32,
}

impl Protection {
    pub(super) const fn new() -> Self {
        Self { state: State::Off, quiet_since: None, asked_at: None, failures: 0 }
    }

    /// What to ask now, if anything. Whoever asks tells what came of it.
    pub(super) fn wish(&mut self, now: Instant, situation: Situation) -> Option<Wish> {
        let needed = situation.calls > 0;
        let quiet_since = if needed { None } else { Some(*self.quiet_since.get_or_insert(now)) };
        self.quiet_since = quiet_since;
        let over = |since: Instant| situation.leaving || now.saturating_duration_since(since) >= QUIET;
        let wish = match (self.state, quiet_since) {
            (State::Off | State::Unsure, None) => Wish::Protect,
            (State::On { since }, None) if now.saturating_duration_since(since) >= RENEWED => Wish::Protect,
            (State::On { .. } | State::Unsure, Some(since)) if over(since) => Wish::Release,
            _ => return None,
        };
        let waited = |asked: Instant| now.saturating_duration_since(asked) >= self.pause(situation.leaving);
        self.asked_at.is_none_or(waited).then_some(wish)
    }

    pub(super) const fn granted(&mut self, now: Instant, wish: Wish) {
        self.asked_at = Some(now);
        self.failures = 0;
        self.state = match wish {
            Wish::Protect => State::On { since: now },
            Wish::Release => State::Off,
        };
    }

    pub(super) const fn failed(&mut self, now: Instant) {
        self.asked_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        // A protection that is not renewed, or not given up, is still there.
        if let State::Off = self.state {
            self.state = State::Unsure;
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    fn pause(&self, leaving: bool) -> Duration {
        let doublings = if leaving { 0 } else { self.failures.saturating_sub(1).min(8) };
        (BETWEEN_REQUESTS * (1 << doublings)).min(MOST_BETWEEN_REQUESTS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An agent as ECS has it, and the loop that asks it every second.
    struct World {
        now: Instant,
        protection: Protection,
        protected_until: Option<Instant>,
        asked: Vec<(Instant, Wish)>,
    }

    impl World {
        fn new() -> Self {
            Self {
                now: Instant::now(),
                protection: Protection::new(),
                protected_until: None,
                asked: Vec::new(),
            }
        }

        fn is_protected(&self) -> bool {
            self.protected_until.is_some_and(|until| self.now < until)
        }

        /// A second passes. Of what fails, `lost` is carried out all the same.
        fn second(&mut self, situation: Situation, outcome: Outcome) {
            self.now += Duration::from_secs(1);
            let Some(wish) = self.protection.wish(self.now, situation) else { return };
            self.asked.push((self.now, wish));
            if let Outcome::Done | Outcome::Lost = outcome {
                self.protected_until = (wish == Wish::Protect).then(|| self.now + EXPIRES);
            }
            match outcome {
                Outcome::Done => self.protection.granted(self.now, wish),
                Outcome::Lost | Outcome::Failed => self.protection.failed(self.now),
            }
        }

        fn seconds(&mut self, count: u64, calls: usize, outcome: Outcome) {
            for _ in 0..count {
                self.second(Situation { calls, leaving: false }, outcome);
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Outcome {
        Done,
        /// It was done, and the answer did not arrive.
        Lost,
        Failed,
    }

    #[test]
    fn it_begins_with_the_first_call_is_renewed_and_ends_when_it_has_been_quiet() {
        let mut world = World::new();
        let start = world.now;
        world.seconds(5, 0, Outcome::Done);
        world.seconds(4000, 1, Outcome::Done);
        world.seconds(9, 0, Outcome::Done);
        world.seconds(1, 2, Outcome::Done);
        world.seconds(30, 0, Outcome::Done);
        let asked: Vec<_> =
            world.asked.iter().map(|(at, wish)| (at.duration_since(start).as_secs(), *wish)).collect();
        let expected =
            [(6, Wish::Protect), (1806, Wish::Protect), (3606, Wish::Protect), (4026, Wish::Release)];
        assert_eq!(asked, expected);
    }

    #[test]
    fn failures_are_tried_again_and_ever_more_slowly() {
        let mut world = World::new();
        world.seconds(200, 1, Outcome::Failed);
        let pauses: Vec<_> =
            world.asked.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn what_may_have_been_done_is_given_up() {
        let mut world = World::new();
        world.seconds(1, 1, Outcome::Lost);
        assert!(world.is_protected() && !world.protection.is_off());
        world.seconds(20, 0, Outcome::Done);
        assert!(!world.is_protected() && world.protection.is_off());
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(Outcome::Done), Just(Outcome::Lost), Just(Outcome::Failed)]
    }

    proptest! {
        #[test]
        fn calls_are_protected_and_none_is_left_over(
            steps in proptest::collection::vec((1_u64..40, 0_usize..3), 1..60),
        ) {
            let mut world = World::new();
            let mut busy_seconds = 0;
            for (seconds, calls) in steps {
                for _ in 0..seconds {
                    world.second(Situation { calls, leaving: false }, Outcome::Done);
                    busy_seconds = if calls > 0 { busy_seconds + 1 } else { 0 };
                    prop_assert!(busy_seconds <= BETWEEN_REQUESTS.as_secs() || world.is_protected());
                }
            }
            for pair in world.asked.windows(2) {
                prop_assert!(pair[1].0.duration_since(pair[0].0) >= BETWEEN_REQUESTS);
            }
            for _ in 0..=BETWEEN_REQUESTS.as_secs() {
                world.second(Situation { calls: 0, leaving: true }, Outcome::Done);
            }
            prop_assert!(!world.is_protected() && world.protection.is_off());
        }

        #[test]
        fn an_agent_that_fails_now_and_then_is_left_as_it_was_found(
            steps in proptest::collection::vec((1_u64..40, 0_usize..3, outcomes()), 1..60),
        ) {
            let mut world = World::new();
            for (seconds, calls, outcome) in steps {
                world.seconds(seconds, calls, outcome);
                prop_assert!(!world.protection.is_off() || !world.is_protected());
            }
            for _ in 0..=BETWEEN_REQUESTS.as_secs() {
                world.second(Situation { calls: 0, leaving: true }, Outcome::Done);
            }
            prop_assert!(!world.is_protected() && world.protection.is_off());
        }
    }
}
