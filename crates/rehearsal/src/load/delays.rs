//! Puts the two ends together: the caller's record of a turn and the model's record of its generation.

use std::time::{Duration, Instant};

use super::observer::Generation;

/// One turn as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// When the prompt was given to the socket.
    pub(super) asked: Instant,
    /// For every word that came: when its frame was read. A frame with several words counts for each of them.
    pub(super) words: Vec<Instant>,
}

/// The delays that the service added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) request: Vec<Duration>,
    pub(super) first_token: Vec<Duration>,
    /// The sum of both, for each turn.
    pub(super) added: Vec<Duration>,
    pub(super) every_token: Vec<Duration>,
    /// Answered turns for which the model saw no request.
    pub(super) unmatched: u64,
}

impl Delays {
    /// Adds the turns of one call. Turns and generations are each in order of time.
    pub(super) fn add_call(&mut self, turns: &[Turn], generations: &[Generation]) {
        for (number, turn) in turns.iter().enumerate() {
            let next = turns.get(number + 1).map(|next| next.asked);
            let belongs = |generation: &&Generation| {
                generation.arrived >= turn.asked && next.is_none_or(|next| generation.arrived < next)
            };
            match generations.iter().find(belongs) {
                Some(generation) => self.add_turn(turn, generation),
                None => self.unmatched += 1,
            }
        }
    }

    fn add_turn(&mut self, turn: &Turn, generation: &Generation) {
        let request = generation.arrived.saturating_duration_since(turn.asked);
        let tokens: Vec<Duration> = generation
            .tokens
            .iter()
            .zip(&turn.words)
            .map(|(sent, received)| received.saturating_duration_since(*sent))
            .collect();
        self.request.push(request);
        if let Some(first) = tokens.first() {
            self.first_token.push(*first);
            self.added.push(request + *first);
        }
        self.every_token.extend(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().map(|value| Duration::from_millis(*value)).collect()
    }

    #[test]
    fn a_turn_is_matched_with_its_own_generation() {
        let start = Instant::now();
        let turns = [
            Turn { asked: at(start, 0), words: vec![at(start, 50), at(start, 50)] },
            Turn { asked: at(start, 100), words: vec![] },
            Turn { asked: at(start, 200), words: vec![at(start, 260)] },
        ];
        let generations = [
            Generation { arrived: at(start, 3), tokens: vec![at(start, 40), at(start, 45), at(start, 46)] },
            Generation { arrived: at(start, 205), tokens: vec![at(start, 258)] },
        ];
        let mut delays = Delays::default();
        delays.add_call(&turns, &generations);
        assert_eq!(delays.request, ms(&[3, 5]));
        assert_eq!(delays.first_token, ms(&[10, 2]));
        assert_eq!(delays.added, ms(&[13, 7]));
        assert_eq!(delays.every_token, ms(&[10, 5, 2]));
        assert_eq!(delays.unmatched, 1);
    }
}
