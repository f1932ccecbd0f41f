use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Severity and attribute of each finding.
fn found(findings: Vec<Finding>) -> Vec<(Severity, String)> {
    findings.into_iter().map(|finding| (finding.severity, finding.attribute)).collect()
}

#[track_caller]
fn assert_fine(pairs: &[(&str, &str)]) {
    assert_eq!(check(&map(pairs)), []);
}

#[track_caller]
fn assert_finding(severity: Severity, attribute: &str, pairs: &[(&str, &str)]) {
    assert_eq!(found(check(&map(pairs))), [(severity, attribute.to_owned())]);
}

use Severity::{Error, Warning};

#[test]
fn records_in_use_are_accepted() {
    let restaurant = map(&[
        ("dtmfDetection", "true"),
        ("interruptible", "true"),
        ("interruptByDtmf", "true"),
        ("ttsProvider", "google"),
        ("transcriptionProvider", "deepgram"),
        ("voice", "en-US-Journey-O"),
        ("welcomeGreeting", "Thanks for calling!"),
    ]);
    assert_eq!(found(check(&restaurant)), [(Warning, "interruptByDtmf".to_owned())]);
    assert_fine(&[
        ("ttsProvider", "ElevenLabs"),
        ("transcriptionProvider", "Deepgram"),
        ("voice", "tnSpp4vdxKPjI9w0GnoV"),
    ]);
    assert_fine(&[]);
}

#[test]
fn values_stay_within_what_is_documented() {
    assert_fine(&[("speechTimeout", "auto")]);
    assert_fine(&[("speechTimeout", "600")]);
    assert_fine(&[("events", "speaker-events tokens-played config-updated")]);
    assert_fine(&[
        ("interruptSensitivity", "low"),
        ("reportInputDuringAgentSpeech", "any"),
        ("debug", "debugging"),
    ]);
    for (name, value) in [
        ("dtmfDetection", "yes"),
        ("dtmfDetection", ""),
        ("interruptible", "always"),
        ("welcomeGreetingInterruptible", "Any"),
        ("speechTimeout", "599"),
        ("speechTimeout", "5001"),
        ("speechTimeout", "1.5"),
        ("events", "speaker-events,tokens-played"),
        ("debug", "true"),
        ("interruptSensitivity", "max"),
        ("elevenlabsTextNormalization", "true"),
        ("language", "english"),
        ("ttsLanguage", "en_US"),
        ("transcriptionLanguage", ""),
        ("ttsProvider", "Azure"),
        ("transcriptionProvider", "ElevenLabs"),
    ] {
        assert_finding(Error, name, &[(name, value)]);
    }
}

#[test]
fn unknown_names_are_warnings_that_suggest_the_spelling() {
    let findings = check(&map(&[("speechtimeout", "auto"), ("somethingNew", "1"), ("url", "wss://x")]));
    assert!(findings.iter().all(|finding| finding.severity == Warning));
    let reason = |name: &str| &findings.iter().find(|finding| finding.attribute == name).unwrap().reason;
    assert!(reason("speechtimeout").contains("speechTimeout"));
    assert!(reason("somethingNew").contains("not known"));
    assert!(reason("url").contains("ignored"));
}

#[test]
fn a_voice_must_be_its_providers() {
    for (provider, voice) in [
        ("Google", "en-US-Neural2-F"),
        ("google", "en-US-Chirp3-HD-Aoede"),
        ("Amazon", "Polly.Amy"),
        ("amazon", "Joanna-Neural"),
        ("Amazon", "Kajal"),
        ("ElevenLabs", "UgBBYS2sOqTuMpoF3BR0"),
        ("elevenlabs", "Azw9ahQtVs7SL0Xibr2c-0.9_0.6_0.4"),
        ("ElevenLabs", "Azw9ahQtVs7SL0Xibr2c-turbo_v2_5-1.0_0.5_0.8"),
    ] {
        assert_fine(&[("ttsProvider", provider), ("voice", voice)]);
        if voice != "Kajal" {
            let other = if provider.eq_ignore_ascii_case("google") { "Amazon" } else { "Google" };
            assert_finding(Error, "voice", &[("ttsProvider", other), ("voice", voice)]);
        }
    }
    assert_finding(Warning, "voice", &[("ttsProvider", "ElevenLabs"), ("voice", "Rachel")]);
}

#[test]
fn without_a_provider_the_voice_is_elevenlabs_own() {
    assert_fine(&[("voice", "UgBBYS2sOqTuMpoF3BR0")]);
    assert_finding(Error, "voice", &[("voice", "en-US-Journey-O")]);
    assert_finding(Error, "voice", &[("voice", "Polly.Joanna-Neural")]);
}

#[test]
fn an_unknown_provider_is_reported_once() {
    assert_finding(Error, "ttsProvider", &[("ttsProvider", "Azure"), ("voice", "x")]);
}

#[test]
fn language_detection_needs_both_its_vendors() {
    assert_fine(&[("language", "multi")]);
    assert_fine(&[
        ("language", "multi"),
        ("transcriptionProvider", "deepgram"),
        ("ttsProvider", "elevenlabs"),
    ]);
    assert_finding(Error, "language", &[("language", "multi"), ("ttsProvider", "Google")]);
    assert_finding(Error, "ttsLanguage", &[("ttsLanguage", "multi"), ("transcriptionProvider", "Google")]);
}

#[test]
fn models_and_switches_belong_to_a_vendor() {
    assert_fine(&[("speechModel", "flux"), ("eotThreshold", "0.5")]);
    assert_fine(&[("speechModel", "telephony"), ("transcriptionProvider", "Google")]);
    assert_fine(&[("speechModel", "brand-new")]);
    assert_finding(Error, "eotThreshold", &[("eotThreshold", "0.7")]);
    assert_finding(Error, "eotThreshold", &[("speechModel", "flux"), ("eotThreshold", "0.95")]);
    assert_finding(Error, "eotThreshold", &[("speechModel", "flux"), ("eotThreshold", "NaN")]);
    assert_finding(
        Error,
        "speechModel",
        &[("speechModel", "nova-3-general"), ("transcriptionProvider", "Google")],
    );
    assert_finding(Warning, "speechModel", &[("speechModel", "telephony")]);
    assert_finding(
        Error,
        "speechModel",
        &[("speechModel", "telephony"), ("transcriptionProvider", "Deepgram")],
    );
    assert_finding(
        Warning,
        "elevenlabsTextNormalization",
        &[("elevenlabsTextNormalization", "on"), ("ttsProvider", "Google")],
    );
    assert_finding(
        Warning,
        "deepgramSmartFormat",
        &[("deepgramSmartFormat", "false"), ("transcriptionProvider", "Google")],
    );
}

#[test]
fn a_language_needs_its_code_and_is_judged_by_its_own_provider() {
    let findings = |pairs| found(check_language(&map(pairs)));
    assert_eq!(findings(&[("code", "es-US"), ("voice", "en-US-Journey-O")]), []);
    assert_eq!(
        findings(&[
            ("code", "es-US"),
            ("ttsProvider", "Google"),
            ("transcriptionProvider", "Deepgram"),
            ("speechModel", "nova-2-general")
        ]),
        []
    );
    assert_eq!(findings(&[("ttsProvider", "Google")]), [(Error, "code".to_owned())]);
    assert_eq!(
        findings(&[("code", "es-US"), ("ttsProvider", "ElevenLabs"), ("voice", "Polly.Lupe")]),
        [(Error, "voice".to_owned())]
    );
    assert_eq!(
        findings(&[("code", "es-US"), ("welcomeGreeting", "a")]),
        [(Warning, "welcomeGreeting".to_owned())]
    );
}

#[test]
fn what_only_twilios_library_knows_takes_any_value() {
    for name in [
        "partialPromptOnHangup",
        "eagerEotThreshold",
        "asrSmartFormat",
        "ttsTextNormalization",
        "ttsLanguageTextNormalization",
        "elevenlabsLanguageTextNormalization",
        "includeInPrompt",
        "customerName",
    ] {
        assert_fine(&[(name, "anything at all")]);
    }
    for name in ["hints", "asrSmartFormat", "ttsTextNormalization", "ttsLanguageTextNormalization"] {
        assert_eq!(check_language(&map(&[("code", "es-US"), (name, "anything at all")])), []);
    }
}

#[test]
fn every_known_name_is_listed_once() {
    for table in [RELAY, LANGUAGE] {
        let mut names: Vec<_> = table.iter().map(|known| known.name.to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), table.len());
    }
}

proptest! {
    #[test]
    fn any_attributes_are_checked_without_panic(
        name in prop::sample::select(RELAY.iter().map(|known| known.name).collect::<Vec<_>>()),
        value in prop_oneof![any::<String>(), "[a-z]{2}-[A-Z]{2}-.*", "Polly\\..*", "[a-zA-Z0-9]{20}.*"],
        unknown in any::<String>(),
    ) {
        let attributes = map(&[(name, &value), (&unknown, &value)]);
        for finding in check(&attributes).into_iter().chain(check_language(&attributes)) {
            prop_assert!(attributes.contains_key(&finding.attribute) || finding.attribute == "code");
            prop_assert!(!finding.reason.is_empty());
        }
    }
}
