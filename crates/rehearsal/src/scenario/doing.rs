//! What a caller does, with what is known only when the call has come so far: a code that was sent to them.

use anyhow::ensure;

use super::report::Line;
use crate::twilio::CallerAct;

/// Stands for the code that was sent to the caller.
const CODE: &str = "{verify_code}";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doing {
    Once(CallerAct),
    /// Keys, one after the other.
    Press(String),
}

impl Doing {
    pub(super) fn keys(keys: String) -> anyhow::Result<Self> {
        let plain = keys.replace(CODE, "0");
        let is_key = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#');
        let are_keys = !plain.is_empty() && plain.chars().all(is_key);
        ensure!(are_keys, "`press` takes keys, each of them one of 0 to 9, * and #");
        Ok(Self::Press(keys))
    }

    /// Whether it cannot be done before a code was sent.
    pub(super) fn needs_code(&self) -> bool {
        let has = |words: &String| words.contains(CODE);
        match self {
            Self::Press(keys) => has(keys),
            Self::Once(
                CallerAct::Say(words) | CallerAct::SayIn { words, .. } | CallerAct::Partial(words),
            ) => has(words),
            Self::Once(CallerAct::SayInPieces(pieces)) => pieces.iter().any(has),
            Self::Once(_) => false,
        }
    }

    /// The acts, with the code in its place.
    pub(super) fn acts(&self, code: &str) -> Vec<CallerAct> {
        let fill = |words: &String| words.replace(CODE, code);
        match self {
            Self::Press(keys) => fill(keys).chars().map(CallerAct::Press).collect(),
            Self::Once(act) => vec![match act {
                CallerAct::Say(words) => CallerAct::Say(fill(words)),
                CallerAct::SayIn { words, lang } => {
                    CallerAct::SayIn { words: fill(words), lang: lang.clone() }
                }
                CallerAct::Partial(words) => CallerAct::Partial(fill(words)),
                CallerAct::SayInPieces(pieces) => CallerAct::SayInPieces(pieces.iter().map(fill).collect()),
                act => act.clone(),
            }],
        }
    }
}

/// How the transcript shows what the caller does.
pub(super) fn line_of(acts: &[CallerAct]) -> Option<Line> {
    let keys = acts.iter().filter_map(|act| if let CallerAct::Press(key) = act { Some(*key) } else { None });
    Some(match acts.first()? {
        CallerAct::Say(words) | CallerAct::Partial(words) => Line::Caller(words.clone()),
        CallerAct::SayIn { words, lang } => Line::Caller(format!("[{lang}] {words}")),
        CallerAct::SayInPieces(pieces) => Line::Caller(pieces.join(" / ")),
        CallerAct::Press(_) => Line::Caller(format!("[{}]", keys.collect::<String>())),
        CallerAct::Interrupt => Line::Caller("(noise)".to_owned()),
        CallerAct::HangUp => Line::Caller("(hangs up)".to_owned()),
        CallerAct::HangUpParty => Line::Note("the person at the other end hangs up".to_owned()),
        CallerAct::DropSocket => Line::Note("the socket is lost".to_owned()),
        CallerAct::SendRaw(_) | CallerAct::OnceHeard { .. } => return None,
    })
}
