//! Use cases with any limits, and calls in any state when a session begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::conversation::stage::{tool, use_case};
use crate::conversation::{Background, Opening};
use crate::ports::{Spent, SpokenLanguage};
use crate::use_case::{
    Budget, Handler, KeypadHandler, Language, MaxDuration, Rescue, Sentences, Silence, Tool, UseCase,
};

// What is no part of the dialogue is made of this one letter, which the model never writes.
pub(super) const ASIDE: char = 'Z';
pub(super) const WARNING: &str = "ZZ";
pub(super) const LIMIT: &str = "ZZZ";
pub(super) const SILENCE_GOODBYE: &str = "ZZZZ";
/// Part of the dialogue, as all that is said in the place of an answer.
pub(super) const RESCUE: &str = "rescue";
pub(super) const PROMPT: &str = "ZZZZZ";

pub(super) fn settings(name: &'static str) -> impl Strategy<Value = UseCase> {
    let some = prop::option::weighted::<std::ops::Range<u64>>;
    let tools = prop::option::weighted(0.2, 0u32..5);
    let silence = prop::option::weighted(0.5, (1u64..7, 0usize..3));
    let limits = (some(0.2, 2..90), 0u64..30, some(0.1, 2..90), some(0.2, 0..300));
    let changes = (any::<bool>(), any::<bool>());
    (silence, limits, tools, changes).prop_map(move |(silence, limits, tool_runs, (polyglot, rescued))| {
        let (limit, warn_before, duration, tokens) = limits;
        let languages = if polyglot { vec!["es-ES", "es-US", "fr-FR"] } else { Vec::new() };
        UseCase {
            name: name.to_owned(),
            silence: silence.map(|(after, prompts)| Silence {
                after: Duration::from_secs(after),
                prompts: vec![PROMPT.to_owned(); prompts],
            }),
            max_duration: limit.map(|limit| MaxDuration {
                limit: Duration::from_secs(limit),
                warn_before: Duration::from_secs(warn_before),
            }),
            budget: Budget { tokens, duration: duration.map(Duration::from_secs), tool_runs },
            rescue: Rescue { model_fails: rescued.then(|| "desk".to_owned()), busy: None },
            languages: languages.into_iter().map(language).collect(),
            ..plain()
        }
    })
}

/// A call as a session finds it.
pub(super) fn beginning() -> impl Strategy<Value = (Background, Opening)> {
    let openings = prop_oneof![
        4 => Just(Opening::Fresh),
        1 => Just(Opening::Resumed),
        1 => Just(Opening::Returned { reason: "nobody answered".to_owned() }),
    ];
    let language = prop::option::of(prop::sample::select(vec!["es-US", "de-DE", "en-US"]));
    let spent = (0u64..100, 0u32..3).prop_map(|(tokens, tool_runs)| Spent { tokens, tool_runs });
    let language = (language, any::<bool>())
        .prop_map(|(code, heard)| code.map(|code| SpokenLanguage { code: code.to_owned(), heard }));
    let background = (language, any::<bool>(), spent, prop_oneof![3 => Just(0u64), 1 => 0u64..60]);
    let background = background.prop_map(|(language, verified, spent, elapsed)| Background {
        language,
        verified,
        spent,
        elapsed: Duration::from_secs(elapsed),
    });
    (background, openings)
}

fn plain() -> UseCase {
    let mut use_case = use_case();
    for tool in &mut use_case.tools {
        Arc::make_mut(tool).filler = None;
    }
    let mut account = tool("account");
    account.requires_verified = true;
    use_case.tools.push(Arc::new(account));
    use_case.tools.push(Arc::new(Tool::new("transfer", Handler::TransferToHuman)));
    use_case.keypad.insert('4', KeypadHandler::Run { tool: "gone".to_owned() });
    use_case.sentences = Sentences {
        waiting: ASIDE.to_string(),
        goodbye: ASIDE.to_string(),
        resumed: ASIDE.to_string(),
        time_warning: WARNING.to_owned(),
        limit: LIMIT.to_owned(),
        silence_goodbye: SILENCE_GOODBYE.to_owned(),
        rescue: RESCUE.to_owned(),
        blocked_input: Some("not that".to_owned()),
        ..Sentences::default()
    };
    use_case
}

fn language(code: &str) -> Language {
    let attributes = BTreeMap::from([("code".to_owned(), code.to_owned())]);
    Language { attributes, sentences: None }
}
