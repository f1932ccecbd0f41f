use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> MalformedFrame {
    Outbound::parse(text).unwrap_err()
}

#[test]
fn leaves_out_what_is_not_set() {
    let text = Text { token: "Hi ".to_owned(), ..Text::default() };
    assert_eq!(Outbound::Text(text).to_json(), r#"{"type":"text","token":"Hi ","last":false}"#);
    assert_eq!(Outbound::End { handoff_data: None }.to_json(), r#"{"type":"end"}"#);
}

#[test]
fn reads_interruptible_as_word_or_boolean() {
    let read = |value: &str| {
        let frame = format!(r#"{{"type":"text","token":"","interruptible":{value}}}"#);
        match Outbound::parse(&frame) {
            Ok(Outbound::Text(text)) => text.interruptible,
            _ => None,
        }
    };
    assert_eq!(read("true"), Some(Interruptible::Any));
    assert_eq!(read("false"), Some(Interruptible::None));
    for value in [Interruptible::None, Interruptible::Dtmf, Interruptible::Speech, Interruptible::Any] {
        assert_eq!(read(&format!("\"{}\"", value.as_str())), Some(value));
    }
    assert_eq!(read("\"Any\""), None);
    assert_eq!(read("1"), None);
}

#[test]
fn refuses_what_twilio_refuses() {
    let invalid =
        |field| move |error| matches!(error, MalformedFrame::Invalid { field: f, .. } if f == field);
    assert_eq!(refused(r#"{"type":"text"}"#), MalformedFrame::Missing("token"));
    assert!(invalid("token")(refused(r#"{"type":"text","token":null}"#)));
    assert!(invalid("token")(refused(r#"{"type":"text","token":1}"#)));
    assert!(invalid("last")(refused(r#"{"type":"text","token":"","last":"true"}"#)));
    assert!(invalid("source")(refused(r#"{"type":"play","source":"/a.mp3"}"#)));
    assert!(invalid("loop")(refused(r#"{"type":"play","source":"https://a","loop":-1}"#)));
    assert!(invalid("digits")(refused(r#"{"type":"sendDigits","digits":"12a"}"#)));
    assert!(invalid("digits")(refused(r#"{"type":"sendDigits","digits":""}"#)));
    assert_eq!(refused(r#"{"type":"language"}"#), MalformedFrame::Missing("ttsLanguage"));
    assert!(invalid("handoffData")(refused(r#"{"type":"end","handoffData":{"a":1}}"#)));
    assert_eq!(refused(r#"{"type":"prompt"}"#), MalformedFrame::UnknownType);
    assert_eq!(refused(r#""text""#), MalformedFrame::NotAnObject);
}

fn outbound() -> impl Strategy<Value = Outbound> {
    let words = || prop::option::of(any::<String>());
    let interruptible = || {
        use Interruptible::{Any, Dtmf, None, Speech};
        prop::option::of(prop::sample::select(vec![None, Dtmf, Speech, Any]))
    };
    let text = (any::<String>(), any::<bool>(), words(), interruptible(), any::<Option<bool>>()).prop_map(
        |(token, last, lang, interruptible, preemptible)| {
            Outbound::Text(Text { token, last, lang, interruptible, preemptible })
        },
    );
    let play = ("https?://.*", any::<Option<u32>>(), any::<Option<bool>>(), interruptible()).prop_map(
        |(source, loop_count, preemptible, interruptible)| {
            Outbound::Play(Play { source, loop_count, preemptible, interruptible })
        },
    );
    let language = (any::<String>(), words(), any::<bool>()).prop_map(|(one, other, swap)| {
        let (tts_language, transcription_language) =
            if swap { (other, Some(one)) } else { (Some(one), other) };
        Outbound::Language { tts_language, transcription_language }
    });
    prop_oneof![
        text,
        play,
        "[0-9*#w]{1,9}".prop_map(|digits| Outbound::SendDigits { digits }),
        language,
        words().prop_map(|handoff_data| Outbound::End { handoff_data }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in outbound()) {
        prop_assert_eq!(Outbound::parse(&message.to_json()), Ok(message));
    }

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>(), kind in "text|play|sendDigits|language|end") {
        if let Ok(message) = Outbound::parse(&text) {
            prop_assert_eq!(Outbound::parse(&message.to_json()), Ok(message));
        }
        let frame = format!(r#"{{"type":"{kind}","token":{text:?},"loop":{text:?}}}"#);
        if let Ok(message) = Outbound::parse(&frame) {
            prop_assert_eq!(Outbound::parse(&message.to_json()), Ok(message));
        }
    }
}
