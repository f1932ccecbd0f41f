//! The record's `messages`: what the service itself says. A language may have its own.

use voice_core::use_case::Sentences;

use super::problem::Report;
use super::section::Section;

/// Reads the sentences of a section; one that is left out or blank stays as in `otherwise`, because silence is never an
/// answer.
pub(super) fn read(section: &Section<'_>, otherwise: &Sentences, report: &mut Report) -> Sentences {
    let mut sentences = otherwise.clone();
    let Sentences {
        failure,
        rescue,
        busy,
        waiting,
        goodbye,
        resumed,
        time_warning,
        limit,
        silence_goodbye,
        too_many_calls,
        whisper_caller,
        whisper_question,
        whisper_gone,
        forwarding,
        blocked_input,
        blocked_output,
    } = &mut sentences;
    let always_said = [
        ("failure", failure),
        ("rescue", rescue),
        ("busy", busy),
        ("waiting", waiting),
        ("goodbye", goodbye),
        ("resumed", resumed),
        ("timeWarning", time_warning),
        ("limit", limit),
        ("silenceGoodbye", silence_goodbye),
        ("tooManyCalls", too_many_calls),
        ("whisperCaller", whisper_caller),
        ("whisperQuestion", whisper_question),
        ("whisperGone", whisper_gone),
        ("forwarding", forwarding),
    ];
    let said_instead = [("blockedInput", blocked_input), ("blockedOutput", blocked_output)];
    let names = always_said.iter().map(|(name, _)| *name).chain(said_instead.iter().map(|(name, _)| *name));
    section.warn_of_unknown(&names.collect::<Vec<_>>(), report);
    for (name, sentence) in always_said {
        if let Some(text) = read_one(section, name, report) {
            *sentence = text;
        }
    }
    for (name, sentence) in said_instead {
        if let Some(text) = read_one(section, name, report) {
            *sentence = Some(text);
        }
    }
    sentences
}

fn read_one(section: &Section<'_>, name: &str, report: &mut Report) -> Option<String> {
    let text = section.text(name, report)?;
    if text.trim().is_empty() {
        report.warn(section.path_of(name), "is empty; the default is said instead");
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_all(value: &Value, otherwise: &Sentences) -> (Sentences, Report) {
        let mut report = Report::default();
        let section = Section::of(value, "messages".to_owned(), &mut report).unwrap();
        let sentences = read(&section, otherwise, &mut report);
        (sentences, report)
    }

    #[test]
    fn every_sentence_has_its_own_name() {
        let names = [
            "failure",
            "rescue",
            "busy",
            "waiting",
            "goodbye",
            "resumed",
            "timeWarning",
            "limit",
            "silenceGoodbye",
            "tooManyCalls",
            "whisperCaller",
            "whisperQuestion",
            "whisperGone",
            "forwarding",
            "blockedInput",
            "blockedOutput",
        ];
        let all: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(name))).collect();
        let (sentences, report) = read_all(&Value::Object(all), &Sentences::default());
        assert!(report.warnings.is_empty() && report.errors.is_empty(), "{report:?}");
        let text = |name: &str| name.to_owned();
        let expected = Sentences {
            failure: text("failure"),
            rescue: text("rescue"),
            busy: text("busy"),
            waiting: text("waiting"),
            goodbye: text("goodbye"),
            resumed: text("resumed"),
            time_warning: text("timeWarning"),
            limit: text("limit"),
            silence_goodbye: text("silenceGoodbye"),
            too_many_calls: text("tooManyCalls"),
            whisper_caller: text("whisperCaller"),
            whisper_question: text("whisperQuestion"),
            whisper_gone: text("whisperGone"),
            forwarding: text("forwarding"),
            blocked_input: Some(text("blockedInput")),
            blocked_output: Some(text("blockedOutput")),
        };
        assert_eq!(sentences, expected);
    }

    #[test]
    fn what_is_left_out_is_said_as_before() {
        let english = Sentences { busy: "Full.".to_owned(), ..Sentences::default() };
        let (german, _) = read_all(&json!({"goodbye": "Tschüss."}), &english);
        assert_eq!(german, Sentences { goodbye: "Tschüss.".to_owned(), ..english });
    }
}
