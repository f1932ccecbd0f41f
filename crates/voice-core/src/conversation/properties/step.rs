//! What may happen next in a call.

use proptest::prelude::*;

use crate::ports::Blocked;

/// Where a generation or a run is meant, the live one is aimed at, or else a stale one.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Say {
        text: String,
        language: Option<&'static str>,
    },
    Speak {
        speaking: bool,
    },
    Interrupt {
        words: usize,
    },
    Press(char),
    Play {
        words: usize,
    },
    Text {
        live: bool,
        text: String,
    },
    ToolCall {
        live: bool,
        id: u8,
        name: &'static str,
        arguments: &'static str,
    },
    Finish {
        live: bool,
        tokens: u64,
        blocked: Option<Blocked>,
    },
    Fail,
    /// Of a generation that came to no end.
    Spend {
        tokens: u64,
    },
    Outcome {
        index: usize,
        stale: bool,
        success: bool,
        does: Does,
    },
    /// The driver wakes up too early.
    Wake,
    HangUp,
}

/// The effect of a tool run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Nothing,
    EndCall,
    HandOff,
    SendDigits,
    Play,
    Switch(&'static str),
    ChangeUseCase,
    Verify,
}

const TOOLS: [&str; 6] = ["order", "search", "account", "transfer", "end_call", "none"];

pub(super) fn step() -> impl Strategy<Value = Step> {
    let live = prop_oneof![6 => Just(true), 1 => Just(false)];
    let heard = prop::option::weighted(
        0.3,
        prop::sample::select(vec!["en-US", "en", "es", "es-US", "es-MX", "fr", "de-DE"]),
    );
    let arguments = prop::sample::select(vec!["", "{}", "{\"a\":1}", "{bad"]);
    let blocked = prop::option::weighted(0.1, prop::sample::select(vec![Blocked::Input, Blocked::Output]));
    prop_oneof![
        6 => ("[a-y]{1,5}", heard).prop_map(|(text, language)| Step::Say { text, language }),
        2 => any::<bool>().prop_map(|speaking| Step::Speak { speaking }),
        3 => (0usize..4).prop_map(|words| Step::Interrupt { words }),
        2 => prop::sample::select(vec!['1', '2', '3', '4', '7', '8', '#']).prop_map(Step::Press),
        8 => (1usize..4).prop_map(|words| Step::Play { words }),
        10 => (live.clone(), "([a-y]{1,4} ){1,3}").prop_map(|(live, text)| Step::Text { live, text }),
        5 => (live.clone(), 0u8..3, prop::sample::select(TOOLS.to_vec()), arguments)
            .prop_map(|(live, id, name, arguments)| Step::ToolCall { live, id, name, arguments }),
        6 => (live, 0u64..60, blocked)
            .prop_map(|(live, tokens, blocked)| Step::Finish { live, tokens, blocked }),
        1 => Just(Step::Fail),
        1 => (0u64..60).prop_map(|tokens| Step::Spend { tokens }),
        8 => (0usize..3, prop::bool::weighted(0.1), prop::bool::weighted(0.9), does())
            .prop_map(|(index, stale, success, does)| Step::Outcome { index, stale, success, does }),
        2 => Just(Step::Wake),
        1 => Just(Step::HangUp),
    ]
}

fn does() -> impl Strategy<Value = Does> {
    prop::sample::select(vec![
        Does::Nothing,
        Does::Nothing,
        Does::Nothing,
        Does::EndCall,
        Does::HandOff,
        Does::SendDigits,
        Does::Play,
        Does::Switch("fr-FR"),
        Does::Switch("de-DE"),
        Does::ChangeUseCase,
        Does::Verify,
    ])
}
