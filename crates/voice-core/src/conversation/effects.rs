//! What tools do to the call itself, besides what they tell the model.

use std::sync::Arc;
use std::time::Instant;

use super::{Action, Conversation, EndReason};
use crate::ports::{Effect, SessionChange};
use crate::use_case::UseCase;

/// How a call goes on after an effect.
#[derive(Debug)]
pub(super) enum Aftermath {
    GoesOn,
    Ends(EndReason),
    /// Nothing was done; the model is told why.
    Refused(&'static str),
}

/// Whether the turn that asked for an effect still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was completed and heard, and the caller has not spoken since. Only then may a call end.
    Completed,
    /// The caller interrupted or went on speaking.
    Disturbed,
    /// It called a tool that is not allowed to end a call.
    NotFinal,
}

impl Conversation {
    /// Applies the effect of a tool run that succeeded.
    pub(super) fn apply_effect(
        &mut self,
        now: Instant,
        effect: Effect,
        turn: Turn,
        actions: &mut Vec<Action>,
    ) -> Aftermath {
        match effect {
            Effect::EndCall { handoff_data } => ending(turn, EndReason::AgentEnded { handoff_data }),
            Effect::HandOff { handoff_data } => ending(turn, EndReason::HandedOff { handoff_data }),
            Effect::SendDigits { digits } => goes_on(actions, Action::SendDigits { digits }),
            Effect::Play { source } => {
                self.play(now, source, actions);
                Aftermath::GoesOn
            }
            Effect::SwitchLanguage { code } => match self.switch_language(&code, actions) {
                Ok(()) => Aftermath::GoesOn,
                Err(reason) => Aftermath::Refused(reason),
            },
            Effect::ChangeUseCase(use_case) => {
                self.change_use_case(now, use_case, actions);
                Aftermath::GoesOn
            }
            Effect::Verified => {
                self.verified = true;
                goes_on(actions, Action::Remember(SessionChange::Verified))
            }
        }
    }

    /// Goes on with the same dialogue as somebody else.
    fn change_use_case(&mut self, now: Instant, use_case: Arc<UseCase>, actions: &mut Vec<Action>) {
        let spoken = self.language().to_owned();
        self.use_case = Arc::clone(&use_case);
        self.change_limits(now);
        let name = use_case.name.clone();
        actions.push(Action::ChangeUseCase(use_case));
        actions.push(Action::Remember(SessionChange::UseCase(name)));
        self.keep_language(&spoken, actions);
    }
}

fn goes_on(actions: &mut Vec<Action>, action: Action) -> Aftermath {
    actions.push(action);
    Aftermath::GoesOn
}

fn ending(turn: Turn, reason: EndReason) -> Aftermath {
    match turn {
        Turn::Completed => Aftermath::Ends(reason),
        Turn::Disturbed => Aftermath::Refused("Not done: the caller went on speaking."),
        Turn::NotFinal => Aftermath::Refused("Not done: this tool may not end the call."),
    }
}
