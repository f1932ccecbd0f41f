use proptest::prelude::*;

use super::*;

fn malformed(text: &str) -> MalformedFrame {
    Inbound::parse(text).unwrap_err()
}

#[test]
fn a_final_prompt_needs_no_mark() {
    let prompt = Prompt { voice_prompt: "hi".to_owned(), lang: None, last: true };
    for text in [
        r#"{"type":"prompt","voicePrompt":"hi"}"#,
        r#"{"type":"prompt","voicePrompt":"hi","lang":"","last":null}"#,
        r#"{"type":"prompt","voicePrompt":"hi","lang":null,"last":"true"}"#,
    ] {
        assert_eq!(Inbound::parse(text), Ok(Inbound::Prompt(prompt.clone())), "{text}");
    }
    let field = MalformedFrame::Invalid { field: "last", expected: "a boolean" };
    assert_eq!(malformed(r#"{"type":"prompt","voicePrompt":"hi","last":"maybe"}"#), field);
}

#[test]
fn an_interruption_counts_whatever_its_duration_looks_like() {
    for (written, read) in [
        ("684", Some(684)),
        ("684.9", Some(684)),
        (r#""460""#, Some(460)),
        (r#"" 460 ""#, Some(460)),
        ("null", None),
        ("-1", None),
        (r#""soon""#, None),
        ("{}", None),
    ] {
        let text = format!(r#"{{"type":"interrupt","durationUntilInterruptMs":{written}}}"#);
        let Ok(Inbound::Interrupt(interrupt)) = Inbound::parse(&text) else { panic!("refused {written}") };
        assert_eq!(interrupt.duration_until_interrupt_ms, read, "{written}");
    }
}

#[test]
fn a_key_is_exactly_one_of_sixteen() {
    for key in "0123456789*#ABCD".chars() {
        let text = format!(r#"{{"type":"dtmf","digit":"{key}"}}"#);
        assert_eq!(Inbound::parse(&text), Ok(Inbound::Dtmf(Dtmf { digit: key })));
    }
    for digit in [r#""""#, r#""12""#, r#""a""#, r#""E""#, r#""٣""#, "null", "12", "[]"] {
        let text = format!(r#"{{"type":"dtmf","digit":{digit}}}"#);
        assert!(matches!(malformed(&text), MalformedFrame::Invalid { field: "digit", .. }), "{digit}");
    }
}

#[test]
fn parameters_that_are_no_strings_keep_their_json() {
    let text = r#"{"type":"setup","customParameters":{"s":"x","n":1.5,"b":true,"z":null,"o":{"a":[1]}}}"#;
    let Inbound::Setup(setup) = Inbound::parse(text).unwrap() else { panic!("no setup") };
    let values: Vec<_> = setup.custom_parameters.into_iter().collect();
    let expected = [("b", "true"), ("n", "1.5"), ("o", r#"{"a":[1]}"#), ("s", "x"), ("z", "")];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn an_unexpected_info_value_is_kept_as_it_came() {
    let other = |name: &str, value: &str| {
        Inbound::Info(Info::Other { name: name.to_owned(), value: value.to_owned() })
    };
    let read = |text| Inbound::parse(text).unwrap();
    assert_eq!(
        read(r#"{"type":"info","name":"agentSpeaking","value":"perhaps"}"#),
        other("agentSpeaking", "perhaps")
    );
    assert_eq!(read(r#"{"type":"info","name":"roundTripDelayMs"}"#), other("roundTripDelayMs", ""));
    assert_eq!(read(r#"{"type":"info","name":"new","value":{"a":1}}"#), other("new", r#"{"a":1}"#));
    assert_eq!(
        read(r#"{"type":"info","name":"clientSpeaking","value":true}"#),
        Inbound::Info(Info::ClientSpeaking(true))
    );
    assert_eq!(malformed(r#"{"type":"info","value":"on"}"#), MalformedFrame::Missing("name"));
}

#[test]
fn finds_the_code_in_an_error() {
    let code = |text: &str| ErrorReport { description: text.to_owned() }.code();
    assert_eq!(code("Invalid message received, code: 64107, {\"code\": 12}"), Some(64107));
    assert_eq!(code("Error Code 64101"), Some(64101));
    assert_eq!(code("decode failed, code=64102"), Some(64102));
    assert_eq!(code("code: "), None);
    assert_eq!(code("code: 99999999999"), None);
    assert_eq!(code("ÜCODE:7İ"), Some(7));
    assert_eq!(code(""), None);
}

#[test]
fn says_why_without_repeating_what_was_said() {
    assert_eq!(malformed("[1]"), MalformedFrame::NotAnObject);
    assert_eq!(malformed("{}"), MalformedFrame::Missing("type"));
    assert_eq!(malformed("{\n \"a\" secret}"), MalformedFrame::NotJson { line: 2, column: 6 });
    for text in [
        r#"{"type":"prompt","voicePrompt":["secret"]}"#,
        r#"{"type":"prompt","last":"secret"}"#,
        r#"{"type":["secret"]}"#,
        r#"{"type":"setup","customParameters":"secret"}"#,
        r#"{"type":"dtmf","digit":"secret"}"#,
        r#"{"type":"prompt","voicePrompt":"secret"#,
        "secret",
    ] {
        let error = malformed(text);
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}

#[test]
fn deep_nesting_is_refused_instead_of_exhausting_the_stack() {
    let text = "[".repeat(60_000);
    assert!(matches!(malformed(&text), MalformedFrame::NotJson { .. }));
}

fn inbound() -> impl Strategy<Value = Inbound> {
    let text = any::<String>;
    let parameters = prop::collection::btree_map(text(), text(), 0..4);
    let setup = (prop::array::uniform11(text()), parameters).prop_map(|(fields, custom_parameters)| {
        let [session_id, account_sid, call_sid, parent_call_sid, from, to, forwarded_from, rest @ ..] =
            fields;
        let [caller_name, direction, call_type, call_status] = rest;
        Inbound::Setup(Box::new(Setup {
            session_id,
            account_sid,
            call_sid,
            parent_call_sid,
            from,
            to,
            forwarded_from,
            caller_name,
            direction,
            call_type,
            call_status,
            custom_parameters,
        }))
    });
    let prompt = (text(), prop::option::of(".+"), any::<bool>())
        .prop_map(|(voice_prompt, lang, last)| Inbound::Prompt(Prompt { voice_prompt, lang, last }));
    let interrupt = (text(), any::<Option<u64>>()).prop_map(|(utterance_until_interrupt, ms)| {
        Inbound::Interrupt(Interrupt { utterance_until_interrupt, duration_until_interrupt_ms: ms })
    });
    let info = prop_oneof![
        any::<bool>().prop_map(Info::AgentSpeaking),
        any::<bool>().prop_map(Info::ClientSpeaking),
        text().prop_map(Info::TokensPlayed),
        any::<u64>().prop_map(Info::RoundTripDelayMs),
        ("new[A-Z]*", text()).prop_map(|(name, value)| Info::Other { name, value }),
    ];
    prop_oneof![
        setup,
        prompt,
        prop::char::ranges(vec!['0'..='9', 'A'..='D', '*'..='*', '#'..='#'].into())
            .prop_map(|digit| Inbound::Dtmf(Dtmf { digit })),
        interrupt,
        text().prop_map(|description| Inbound::Error(ErrorReport { description })),
        info.prop_map(Inbound::Info),
        "new.*".prop_map(|kind| Inbound::Unknown { kind }),
    ]
}

/// Objects that look like frames far more often than any text would.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["setup", "prompt", "dtmf", "interrupt", "error", "info", "x"]);
    let name = prop::sample::select(vec![
        "callSid",
        "customParameters",
        "voicePrompt",
        "last",
        "lang",
        "digit",
        "name",
        "value",
        "description",
        "utteranceUntilInterrupt",
        "durationUntilInterruptMs",
    ]);
    let value = prop::sample::select(vec![
        "null",
        "true",
        "-1",
        "1e300",
        "\"\"",
        "\"on\"",
        "\"12\"",
        "[]",
        "{\"a\":{}}",
        "\"\\ud800\"",
        "}",
    ]);
    (kind, prop::collection::vec((name, value), 0..4)).prop_map(|(kind, fields)| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        let fields = fields.concat();
        format!("{{\"type\":\"{kind}\"{fields}}}")
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in inbound()) {
        prop_assert_eq!(Inbound::parse(&message.to_json()), Ok(message));
    }

    #[test]
    fn any_text_is_read_without_panic(text in prop_oneof![any::<String>(), nearly_a_frame()]) {
        if let Ok(message) = Inbound::parse(&text) {
            prop_assert_eq!(Inbound::parse(&message.to_json()), Ok(message));
        }
    }

    #[test]
    fn any_description_is_searched_without_panic(description in any::<String>(), code: u32) {
        let report = ErrorReport { description: format!("code: {code}, {description}") };
        prop_assert_eq!(report.code(), Some(code));
        let report = ErrorReport { description };
        prop_assert!(report.code().is_none() || report.description.to_ascii_lowercase().contains("code"));
    }
}
