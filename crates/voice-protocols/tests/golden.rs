//! Every message of the Twilio side as a file under `golden/`, one folder per parser and expectation.
//!
//! Each folder is compared with the cases written here, in both directions: a file without a case fails as
//! well as a case without a file.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use voice_protocols::relay::{
    Dtmf, ErrorReport, Inbound, Info, Interrupt, Interruptible, MalformedFrame, Outbound, Play, Prompt,
    Setup, Text,
};
use voice_protocols::twiml::{
    Conference, ConversationRelay, Dial, DialTarget, Enqueue, Gather, QueuePlace, Say, Verb, VoiceResponse,
};
use voice_protocols::webhook::{
    CallStatus, ConnectEnded, DialEnded, DialStatus, Gathered, MachineDetected, SessionStatus,
    StatusCallback, VoiceWebhook, WebhookError, parse_form,
};

/// Runs `check` with the content of each case's file, after making sure that files and cases are the same.
fn with_files<T>(folder: &str, cases: Vec<(&str, T)>, check: impl Fn(&str, T)) {
    let named: BTreeSet<String> = cases.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named.len(), cases.len(), "a case is written twice");
    assert_eq!(names_in(folder), named, "files (left) and cases (right) of {folder}");
    for (name, case) in cases {
        let content = fs::read_to_string(golden(folder).join(name)).unwrap();
        check(content.trim_end_matches('\n'), case);
    }
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(golden(folder)).unwrap().map(name).collect()
}

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_folder_is_tested() {
    let tested = [
        "connect-ended",
        "dial-ended",
        "gathered",
        "inbound",
        "inbound-lenient",
        "inbound-malformed",
        "machine-detected",
        "outbound",
        "outbound-lenient",
        "outbound-refused",
        "status",
        "twiml",
        "webhook",
        "webhook-refused",
    ];
    assert_eq!(names_in(""), tested.map(str::to_owned).into());
}

#[test]
fn inbound_messages_are_read_and_written_back_unchanged() {
    let prompt = |words: &str, lang: &str, last| {
        Inbound::Prompt(Prompt { voice_prompt: words.to_owned(), lang: Some(lang.to_owned()), last })
    };
    let setup = Setup {
        session_id: "VX0123456789abcdef0123456789abcdef".to_owned(),
        account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
        call_sid: "CA0123456789abcdef0123456789abcdef".to_owned(),
        from: "+14155550100".to_owned(),
        to: "+18005550199".to_owned(),
        direction: "inbound".to_owned(),
        call_type: "PSTN".to_owned(),
        call_status: "RINGING".to_owned(),
        custom_parameters: map(&[("useCase", "restaurant")]),
        ..Setup::default()
    };
    let interrupt = Interrupt {
        utterance_until_interrupt: "Sentence 2 of".to_owned(),
        duration_until_interrupt_ms: Some(684),
    };
    let error = r#"Invalid message received, code: 64107, {"type":"sing"}"#;
    let cases = vec![
        ("setup.json", Inbound::Setup(Box::new(setup))),
        ("prompt-final.json", prompt("I need help", "en-US", true)),
        ("prompt-partial.json", prompt("I need", "en", false)),
        ("dtmf.json", Inbound::Dtmf(Dtmf { digit: '5' })),
        ("interrupt.json", Inbound::Interrupt(interrupt)),
        ("error.json", Inbound::Error(ErrorReport { description: error.to_owned() })),
        ("info-agent-speaking.json", Inbound::Info(Info::AgentSpeaking(true))),
        ("info-client-speaking.json", Inbound::Info(Info::ClientSpeaking(false))),
        ("info-tokens-played.json", Inbound::Info(Info::TokensPlayed("Hello, ".to_owned()))),
        ("info-round-trip.json", Inbound::Info(Info::RoundTripDelayMs(121))),
    ];
    with_files("inbound", cases, |content, message| {
        assert_eq!(message.to_json(), content);
        assert_eq!(Inbound::parse(content), Ok(message));
    });
}

#[test]
fn inbound_messages_with_surprises_are_read() {
    let setup = Setup {
        call_sid: "CA1".to_owned(),
        custom_parameters: map(&[("tier", "2"), ("vip", "true")]),
        ..Setup::default()
    };
    let prompt = Prompt { voice_prompt: "hola".to_owned(), lang: Some("es-US".to_owned()), last: true };
    let interrupt =
        Interrupt { utterance_until_interrupt: "Life is".to_owned(), duration_until_interrupt_ms: Some(460) };
    let updated =
        Info::Other { name: "configUpdated".to_owned(), value: r#"{"ttsProvider":"Google"}"#.to_owned() };
    let cases = vec![
        ("setup-sparse.json", Inbound::Setup(Box::new(setup))),
        ("prompt-unknown-field.json", Inbound::Prompt(prompt)),
        ("interrupt-duration-as-text.json", Inbound::Interrupt(interrupt)),
        ("info-config-updated.json", Inbound::Info(updated)),
        ("unknown-type.json", Inbound::Unknown { kind: "sentiment".to_owned() }),
    ];
    with_files("inbound-lenient", cases, |content, message| {
        assert_eq!(Inbound::parse(content), Ok(message));
    });
}

#[test]
fn malformed_inbound_messages_say_why() {
    let cases = vec![
        ("not-json.json", MalformedFrame::NotJson { line: 1, column: 36 }),
        ("not-an-object.json", MalformedFrame::NotAnObject),
        ("no-type.json", MalformedFrame::Missing("type")),
        ("type-not-text.json", MalformedFrame::Invalid { field: "type", expected: "a string" }),
        ("dtmf-two-keys.json", MalformedFrame::Invalid { field: "digit", expected: "one key" }),
    ];
    with_files("inbound-malformed", cases, |content, error| {
        assert_eq!(Inbound::parse(content), Err(error));
    });
}

#[test]
fn outbound_messages_are_written_exactly_and_read_back() {
    let hello = Text { token: "Hello, ".to_owned(), ..Text::default() };
    let spanish = Text {
        token: "¿Qué tal? \"Bien\"\n".to_owned(),
        last: true,
        lang: Some("es-US".to_owned()),
        interruptible: Some(Interruptible::Speech),
        preemptible: Some(true),
    };
    let play = Play {
        source: "https://example.com/hold.mp3".to_owned(),
        loop_count: Some(0),
        preemptible: Some(true),
        interruptible: Some(Interruptible::None),
    };
    let spanish_both = Outbound::Language {
        tts_language: Some("es-US".to_owned()),
        transcription_language: Some("es-US".to_owned()),
    };
    let handoff = r#"{"reason":"asked for a person"}"#.to_owned();
    let cases = vec![
        ("text.json", Outbound::Text(hello)),
        ("text-all-fields.json", Outbound::Text(spanish)),
        ("play.json", Outbound::Play(play)),
        ("send-digits.json", Outbound::SendDigits { digits: "1w2#".to_owned() }),
        ("language.json", spanish_both),
        ("end.json", Outbound::End { handoff_data: None }),
        ("end-with-handoff.json", Outbound::End { handoff_data: Some(handoff) }),
    ];
    with_files("outbound", cases, |content, message| {
        assert_eq!(message.to_json(), content);
        assert_eq!(Outbound::parse(content), Ok(message));
    });
}

#[test]
fn outbound_messages_in_other_spellings_are_read() {
    let text = Text { token: "Hi".to_owned(), interruptible: Some(Interruptible::None), ..Text::default() };
    let cases = vec![("text-boolean-and-unknown-field.json", Outbound::Text(text))];
    with_files("outbound-lenient", cases, |content, message| {
        assert_eq!(Outbound::parse(content), Ok(message));
    });
}

#[test]
fn outbound_messages_that_twilio_refuses_are_refused() {
    let no_string = |field| MalformedFrame::Invalid { field, expected: "a string" };
    let cases = vec![
        ("text-null-token.json", no_string("token")),
        ("unknown-type.json", MalformedFrame::UnknownType),
        ("handoff-not-text.json", no_string("handoffData")),
    ];
    with_files("outbound-refused", cases, |content, error| {
        assert_eq!(Outbound::parse(content), Err(error));
    });
}

#[test]
fn twiml_is_written_exactly() {
    let relay = ConversationRelay {
        url: "wss://example.com/relay/CA1".to_owned(),
        attributes: map(&[
            ("dtmfDetection", "true"),
            ("futureAttribute", "kept"),
            ("not a name", "dropped"),
            ("url", "wss://dropped"),
            ("welcomeGreeting", "Tom & \"Ann\" say <hi>\nit's ü"),
        ]),
        languages: vec![map(&[("code", "es-US"), ("ttsProvider", "Google")]), map(&[("code", "de-DE")])],
        parameters: map(&[("a&b", "<1>")]),
    };
    let connect = Verb::Connect { action: "https://example.com/twiml/ended/CA1?a=1&b=2".to_owned(), relay };
    let apology =
        vec![Verb::Say(Say::new("Sorry <we> can't talk now.")), Verb::Pause { seconds: 1 }, Verb::Hangup];
    let in_language =
        |text: &str, language: &str| Say { text: text.to_owned(), language: Some(language.to_owned()) };
    let action = || Some("https://example.com/twiml/handoff/CA1".to_owned());
    let sip = DialTarget::Sip("sip:support@example.com;region=ie1?x-a=1&x-b=2".to_owned());
    let number = Dial {
        target: DialTarget::Number("+14155550100".to_owned()),
        action: action(),
        timeout_seconds: Some(20),
        caller_id: Some("+18005550199".to_owned()),
        answer_on_bridge: true,
    };
    let conference = Conference {
        name: "handoff-CA1".to_owned(),
        start_on_enter: true,
        end_on_exit: true,
        wait_url: Some("https://example.com/twiml/hold/CA1?a=1&b=2".to_owned()),
    };
    let conference = Dial { action: action(), ..Dial::new(DialTarget::Conference(conference)) };
    let gather = Gather {
        action: "https://example.com/twiml/whisper/CA1/accept".to_owned(),
        keys: Some(1),
        timeout_seconds: Some(10),
        prompts: vec![in_language("A <caller> waits.", "en-US"), Say::new("Press any key.")],
    };
    let workflow = QueuePlace::Workflow {
        sid: "WW0123456789abcdef0123456789abcdef".to_owned(),
        task: json!({ "callSid": "CA1", "reason": "asked & waits" }),
    };
    let enqueue = |place| vec![Verb::Enqueue(Enqueue { place, action: action() })];
    let wait = Verb::Say(in_language("Einen Moment & bleiben Sie dran.", "de-DE"));
    let cases = vec![
        ("empty.xml", vec![]),
        ("relay.xml", vec![connect]),
        ("apology.xml", apology),
        ("play.xml", vec![Verb::Play("https://example.com/hello.mp3?a=1&b=2".to_owned())]),
        ("redirect.xml", vec![Verb::Redirect("https://example.com/twiml?x=1&y=2".to_owned())]),
        ("dial-sip.xml", vec![Verb::Dial(Dial::new(sip))]),
        ("dial-number.xml", vec![Verb::Dial(number)]),
        ("dial-conference.xml", vec![wait, Verb::Dial(conference)]),
        ("gather.xml", vec![Verb::Gather(gather), Verb::Hangup]),
        ("enqueue-name.xml", enqueue(QueuePlace::Named("support & sales".to_owned()))),
        ("enqueue-workflow.xml", enqueue(workflow)),
    ];
    with_files("twiml", cases, |content, verbs| {
        assert_eq!(VoiceResponse::new(verbs).to_xml(), content);
    });
}

#[test]
fn voice_webhooks_are_read_with_all_their_fields() {
    let incoming = VoiceWebhook {
        call_sid: "CA0123456789abcdef0123456789abcdef".to_owned(),
        account_sid: "AC1".to_owned(),
        from: "+14155550100".to_owned(),
        to: "+18005550199".to_owned(),
        direction: "inbound".to_owned(),
        call_status: "ringing".to_owned(),
        forwarded_from: String::new(),
        caller_name: String::new(),
        answered_by: None,
        params: vec![],
    };
    let forwarded = VoiceWebhook {
        call_sid: "CA1".to_owned(),
        account_sid: String::new(),
        from: "anonymous".to_owned(),
        forwarded_from: "+14155550111".to_owned(),
        caller_name: "ANN EXAMPLE".to_owned(),
        ..incoming.clone()
    };
    let outbound = VoiceWebhook {
        call_sid: "CA1".to_owned(),
        from: incoming.to.clone(),
        to: incoming.from.clone(),
        direction: "outbound-api".to_owned(),
        call_status: "in-progress".to_owned(),
        answered_by: Some("human".to_owned()),
        ..incoming.clone()
    };
    assert!(outbound.is_outbound() && !incoming.is_outbound());
    let cases = vec![
        ("incoming.form", (incoming, 14)),
        ("forwarded.form", (forwarded, 7)),
        ("outbound.form", (outbound, 7)),
    ];
    with_files("webhook", cases, |content, (mut expected, fields)| {
        expected.params = parse_form(content.as_bytes());
        assert_eq!(expected.params.len(), fields);
        assert_eq!(VoiceWebhook::from_params(expected.params.clone()), Ok(expected));
    });
}

#[test]
fn voice_webhooks_without_a_usable_call_are_refused() {
    let cases = vec![
        ("no-call-sid.form", WebhookError::MissingCallSid),
        ("call-sid-with-path.form", WebhookError::InvalidCallSid),
    ];
    with_files("webhook-refused", cases, |content, error| {
        assert_eq!(VoiceWebhook::from_params(parse_form(content.as_bytes())), Err(error));
    });
}

#[test]
fn the_end_of_a_session_is_read() {
    let ended = |session_status, seconds, call_status: &str| ConnectEnded {
        call_sid: "CA1".to_owned(),
        session_id: "VX1".to_owned(),
        session_status,
        session_duration_seconds: Some(seconds),
        handoff_data: None,
        error_code: None,
        error_message: None,
        call_status: call_status.to_owned(),
    };
    let handoff = ConnectEnded {
        handoff_data: Some(r#"{"reason":"a & b"}"#.to_owned()),
        ..ended(SessionStatus::Ended, 12, "in-progress")
    };
    let failed = ConnectEnded {
        error_code: Some("64105".to_owned()),
        error_message: Some("Websocket ended".to_owned()),
        ..ended(SessionStatus::Failed, 5, "in-progress")
    };
    let cases = vec![
        ("completed.form", ended(SessionStatus::Completed, 88, "completed")),
        ("ended-with-handoff.form", handoff),
        ("failed.form", failed),
    ];
    with_files("connect-ended", cases, |content, expected| {
        assert_eq!(ConnectEnded::from_params(&parse_form(content.as_bytes())), Ok(expected));
    });
}

#[test]
fn the_end_of_a_dial_or_a_queue_is_read() {
    let ended = |status| DialEnded {
        call_sid: "CA1".to_owned(),
        status,
        call_status: CallStatus::InProgress,
        duration_seconds: None,
    };
    let completed = DialEnded { duration_seconds: Some(42), ..ended(DialStatus::Answered) };
    let hung_up = DialEnded { call_status: CallStatus::Completed, ..ended(DialStatus::Canceled) };
    let novelty = DialEnded {
        call_status: CallStatus::Other("paused".to_owned()),
        ..ended(DialStatus::Other("forwarded".to_owned()))
    };
    let cases = vec![
        ("completed.form", completed),
        ("busy.form", ended(DialStatus::Busy)),
        ("no-answer.form", ended(DialStatus::NoAnswer)),
        ("caller-hung-up.form", hung_up),
        ("queue-full.form", ended(DialStatus::Failed)),
        ("queue-bridged.form", ended(DialStatus::Answered)),
        ("novelty.form", novelty),
    ];
    with_files("dial-ended", cases, |content, expected| {
        assert_eq!(DialEnded::from_params(&parse_form(content.as_bytes())), Ok(expected));
    });
}

#[test]
fn status_callbacks_are_read() {
    let status = |call_status, sequence_number| StatusCallback {
        call_sid: "CA1".to_owned(),
        call_status,
        sequence_number,
        call_duration_seconds: None,
        sip_response_code: None,
        error_code: None,
    };
    let completed = StatusCallback {
        call_duration_seconds: Some(61),
        sip_response_code: Some(200),
        ..status(CallStatus::Completed, Some(3))
    };
    let failed = StatusCallback {
        call_duration_seconds: Some(0),
        sip_response_code: Some(404),
        error_code: Some("13224".to_owned()),
        ..status(CallStatus::Failed, Some(3))
    };
    let cases = vec![
        ("ringing.form", status(CallStatus::Ringing, Some(1))),
        ("completed.form", completed),
        ("failed.form", failed),
        ("novelty.form", status(CallStatus::Other("parked".to_owned()), None)),
    ];
    with_files("status", cases, |content, expected| {
        assert_eq!(StatusCallback::from_params(&parse_form(content.as_bytes())), Ok(expected));
    });
}

#[test]
fn a_machine_and_a_key_are_read() {
    let machine = MachineDetected { call_sid: "CA1".to_owned(), answered_by: "machine_end_beep".to_owned() };
    with_files("machine-detected", vec![("beep.form", machine)], |content, expected| {
        assert_eq!(MachineDetected::from_params(&parse_form(content.as_bytes())), Ok(expected));
    });
    let key = Gathered { call_sid: "CA2".to_owned(), digits: "1".to_owned() };
    with_files("gathered", vec![("one-key.form", key)], |content, expected| {
        assert_eq!(Gathered::from_params(&parse_form(content.as_bytes())), Ok(expected));
    });
}
