//! Puts the two ends together: the caller's record of a turn and the model's record of its generation.

use std::time::{Duration, Instant};

use super::observer::{Generation, Visit};
use super::tools::ToolKind;

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
    /// From the model's tool call to the next request to the model, less the time that the tool itself took.
    pub(super) dispatch: Vec<Duration>,
    /// Answered turns for which the model saw no request.
    pub(super) unmatched: u64,
}

/// What the far side saw of one call, in order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct FarSide {
    pub(super) generations: Vec<Generation>,
    pub(super) visits: Vec<Visit>,
}

impl Delays {
    /// Adds the turns of one call, which are in order of time. With `tools`, a tool ran in every turn.
    pub(super) fn add_call(&mut self, turns: &[Turn], far: &FarSide, tools: Option<ToolKind>) {
        for (number, turn) in turns.iter().enumerate() {
            let next = turns.get(number + 1).map(|next| next.asked);
            let belongs = |generation: &&Generation| {
                generation.arrived >= turn.asked && next.is_none_or(|next| generation.arrived < next)
            };
            let generations: Vec<&Generation> = far.generations.iter().filter(belongs).collect();
            match generations.first() {
                Some(first) => self.add_turn(turn, first, &generations),
                None => self.unmatched += 1,
            }
            if let (Some(kind), [calling, next, ..]) = (tools, generations.as_slice()) {
                self.dispatch.extend(dispatch(kind, calling, next, &far.visits));
            }
        }
    }

    /// The request is the first of the turn; the words are those of the generation that has some.
    fn add_turn(&mut self, turn: &Turn, first: &Generation, generations: &[&Generation]) {
        let request = first.arrived.saturating_duration_since(turn.asked);
        let speaking = generations.iter().find(|generation| !generation.tokens.is_empty());
        let sent = speaking.map_or(&[][..], |generation| generation.tokens.as_slice());
        let tokens: Vec<Duration> = sent
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

/// The service's own share of the time between a generation that called a tool and the next one.
fn dispatch(kind: ToolKind, calling: &Generation, next: &Generation, visits: &[Visit]) -> Option<Duration> {
    let called = calling.finished?;
    match kind {
        ToolKind::Builtin => Some(next.arrived.saturating_duration_since(called)),
        ToolKind::Http => {
            let between = |visit: &&Visit| visit.arrived >= calling.arrived && visit.answered <= next.arrived;
            let visit = visits.iter().find(between)?;
            let there = visit.arrived.saturating_duration_since(called);
            Some(there + next.arrived.saturating_duration_since(visit.answered))
        }
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
            Generation {
                arrived: at(start, 3),
                tokens: vec![at(start, 40), at(start, 45), at(start, 46)],
                finished: None,
            },
            Generation { arrived: at(start, 205), tokens: vec![at(start, 258)], finished: None },
        ];
        let far = FarSide { generations: generations.into(), visits: Vec::new() };
        let mut delays = Delays::default();
        delays.add_call(&turns, &far, None);
        assert_eq!(delays.request, ms(&[3, 5]));
        assert_eq!(delays.first_token, ms(&[10, 2]));
        assert_eq!(delays.added, ms(&[13, 7]));
        assert_eq!(delays.every_token, ms(&[10, 5, 2]));
        assert_eq!(delays.unmatched, 1);
    }
    #[test]
    fn the_time_of_the_tool_itself_is_no_delay() {
        let start = Instant::now();
        let turns = [Turn { asked: at(start, 0), words: vec![at(start, 95)] }];
        let far = FarSide {
            generations: vec![
                Generation { arrived: at(start, 2), tokens: vec![], finished: Some(at(start, 30)) },
                Generation {
                    arrived: at(start, 60),
                    tokens: vec![at(start, 90)],
                    finished: Some(at(start, 91)),
                },
            ],
            visits: vec![Visit { arrived: at(start, 33), answered: at(start, 53) }],
        };
        let measured = |kind| {
            let mut delays = Delays::default();
            delays.add_call(&turns, &far, Some(kind));
            delays
        };
        assert_eq!(measured(ToolKind::Http).dispatch, ms(&[3 + 7]));
        assert_eq!(measured(ToolKind::Builtin).dispatch, ms(&[30]));
        let delays = measured(ToolKind::Http);
        assert_eq!((delays.request, delays.added), (ms(&[2]), ms(&[2 + 5])), "the words are of the second");
    }

    #[test]
    fn a_turn_without_a_tool_has_no_dispatch() {
        let start = Instant::now();
        let turns = [Turn { asked: at(start, 0), words: vec![] }];
        let answered = Generation { arrived: at(start, 2), tokens: vec![], finished: Some(at(start, 30)) };
        let far = FarSide { generations: vec![answered], visits: Vec::new() };
        let mut delays = Delays::default();
        delays.add_call(&turns, &far, Some(ToolKind::Builtin));
        assert_eq!((delays.dispatch.len(), delays.request.len()), (0, 1));
    }
}
