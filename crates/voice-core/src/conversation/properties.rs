//! The rules of a conversation, for any order of events.

mod settings;
mod step;
mod world;

use std::sync::Arc;

use proptest::prelude::*;

use crate::message::Message;
use settings::{beginning, settings};
use step::step;
use world::World;

/// What every model API demands of a dialogue; the agent's last message may still be growing.
fn model_rules(messages: &[Arc<Message>]) -> Result<(), TestCaseError> {
    let callers_first = matches!(messages.first().map(|message| &**message), Some(Message::Caller { .. }));
    prop_assert!(callers_first, "the caller speaks first");
    for pair in messages.windows(2) {
        prop_assert!(pair[0].is_callers() != pair[1].is_callers(), "sides alternate: {:?}", pair);
        if let Message::Agent { text, tool_calls } = &*pair[0] {
            prop_assert_eq!(text.trim_end(), text.as_str());
            prop_assert!(!text.trim().is_empty() || !tool_calls.is_empty(), "no blank message");
            let calls: Vec<_> = tool_calls.iter().map(|call| &call.id).collect();
            let answered: Vec<_> = match &*pair[1] {
                Message::Outcomes { outcomes, .. } => outcomes.iter().map(|outcome| &outcome.id).collect(),
                _ => Vec::new(),
            };
            prop_assert_eq!(calls, answered, "each call has one outcome in the next message");
        }
    }
    for message in messages {
        if let Message::Caller { text } = &**message {
            prop_assert!(!text.trim().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_for_any_order_of_events(
        first in settings("first"),
        second in settings("second"),
        (background, opening) in beginning(),
        steps in prop::collection::vec((step(), 0u64..2500), 1..80),
    ) {
        let mut world = World::new(first, second, background);
        world.begin(opening)?;
        for (step, pause) in steps {
            world.pass(pause / 10)?;
            world.apply(step)?;
            world.pass(pause)?;
        }
    }
}
