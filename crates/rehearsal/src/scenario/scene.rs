//! What is known of a step while it is played, and the verdicts on it.

use std::time::{Duration, Instant};

use super::happenings::Happenings;
use super::history;
use super::report::{Check, Outcome};
use super::step::Step;
use super::turn::{self, Turn};
use super::want::Want;
use crate::bedrock::BedrockStandIn;
use crate::twilio::rest::SentMessage;

pub(super) struct Scene {
    pub(super) turn: Turn,
    pub(super) began: Instant,
    /// For each want, when it was met.
    met: Vec<Option<Duration>>,
}

impl Scene {
    pub(super) fn new(turn: Turn, step: &Step) -> Self {
        Self { turn, began: Instant::now(), met: vec![None; step.wants.len()] }
    }

    pub(super) fn restart(&mut self) {
        self.began = Instant::now();
    }

    pub(super) fn note_what_is_met(
        &mut self,
        wants: &[Want],
        happenings: &mut Happenings,
        messages: &[SentMessage],
    ) {
        for (want, met) in wants.iter().zip(&mut self.met) {
            let has_happened = |happenings: &mut Happenings| match want {
                Want::Event(event) => happenings.take(event),
                Want::Sms { .. } => messages.iter().any(|message| want.is_met_by_message(message)),
                _ => self.turn.has(want),
            };
            if met.is_none() && has_happened(happenings) {
                *met = Some(self.began.elapsed());
            }
        }
    }

    pub(super) fn is_met(&self, wants: &[Want]) -> bool {
        wants.iter().zip(&self.met).all(|(want, met)| want.is_about_model() || met.is_some())
    }

    pub(super) fn checks(
        &self,
        step: &Step,
        bedrock: Option<&BedrockStandIn>,
        happenings: &Happenings,
    ) -> Vec<Check> {
        let wants = step.wants.iter().zip(&self.met).map(|(want, met)| {
            let result = match met {
                Some(after) => Ok(*after),
                None if want.is_about_model() => history::check(bedrock, want).map(|()| self.began.elapsed()),
                None => Err(self.instead_of(want, happenings)),
            };
            let expected = want.words().cloned().unwrap_or_else(|| want.describe());
            check(want.describe(), &expected, result)
        });
        let absent = step.absent.iter().map(|words| {
            let is_absent = !turn::contains(self.turn.said(), words);
            let result = if is_absent { Ok(self.began.elapsed()) } else { Err(self.turn.said().to_owned()) };
            check(format!("not said: \"{words}\""), "its absence", result)
        });
        wants.chain(absent).collect()
    }

    fn instead_of(&self, want: &Want, happenings: &Happenings) -> String {
        match want {
            Want::Heard(_) => self.turn.heard().to_owned(),
            Want::Event(_) => happenings.describe(),
            _ => self.turn.said().to_owned(),
        }
    }
}

fn check(expectation: String, expected: &str, result: Result<Duration, String>) -> Check {
    let outcome = match result {
        Ok(after) => Outcome::Met { after },
        Err(got) => Outcome::Missed { expected: expected.to_owned(), got },
    };
    Check { expectation, outcome }
}
