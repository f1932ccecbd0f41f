//! What depends on the speech provider: voices, models, language detection and the vendors' own switches.
//!
//! Voices and models are recognised by their shape. What has no known shape is never an error, because
//! vendors add names all the time.

use std::collections::BTreeMap;

use super::{Finding, Severity};

/// Twilio's default for speech out.
const DEFAULT_TTS: &str = "elevenlabs";
/// Twilio's default for speech in, except for accounts that used ConversationRelay before September 2025.
const DEFAULT_STT: &str = "deepgram";

pub(super) fn check_relay(attributes: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    let tts = provider(attributes, "ttsProvider").unwrap_or_else(|| DEFAULT_TTS.to_owned());
    let stt = provider(attributes, "transcriptionProvider").unwrap_or_else(|| DEFAULT_STT.to_owned());
    findings.extend(attributes.get("voice").and_then(|voice| check_voice(voice, &tts)));
    findings.extend(check_relay_model(attributes, &stt));
    findings.extend(check_detection(attributes, &tts, &stt));
    findings.extend(check_threshold(attributes, &stt));
    findings.extend(check_vendor_switch(attributes, "elevenlabsTextNormalization", "elevenlabs", &tts));
    findings.extend(check_vendor_switch(attributes, "deepgramSmartFormat", "deepgram", &stt));
}

/// Where a `<Language>` names no provider it is not documented which one counts, so nothing is said.
pub(super) fn check_language(attributes: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    if let (Some(voice), Some(tts)) = (attributes.get("voice"), provider(attributes, "ttsProvider")) {
        findings.extend(check_voice(voice, &tts));
    }
    if let (Some(model), Some(stt)) =
        (attributes.get("speechModel"), provider(attributes, "transcriptionProvider"))
    {
        findings.extend(check_model(model, &stt));
    }
}

fn provider(attributes: &BTreeMap<String, String>, name: &str) -> Option<String> {
    attributes.get(name).map(|value| value.to_ascii_lowercase())
}

/// Twilio ends the session with error 64101 when the voice is another provider's.
fn check_voice(voice: &str, tts: &str) -> Option<Finding> {
    match (voice_vendor(voice), tts) {
        (Some(vendor), _) if vendor == tts => None,
        (Some(vendor), "google" | "amazon" | "elevenlabs") => {
            let reason = format!("has the shape of a voice of {vendor}, but the provider is {tts}");
            Some(Finding::error("voice", format!("{reason}; Twilio refuses that with error 64101")))
        }
        (None, "google" | "elevenlabs") if !voice.is_empty() => {
            Some(Finding::warning("voice", format!("does not look like a voice of {tts}")))
        }
        _ => None,
    }
}

/// Whose voice it is by its shape: Google's begin with a language (`en-US-Journey-O`), Amazon's with
/// `Polly.` or end with an engine, those of `ElevenLabs` are ids of 20 characters with settings behind a
/// hyphen.
fn voice_vendor(voice: &str) -> Option<&'static str> {
    const AMAZON_ENGINES: [&str; 3] = ["-Neural", "-Generative", "-Long-Form"];
    if voice.starts_with("Google.") || begins_with_locale(voice) {
        Some("google")
    } else if voice.starts_with("Polly.") || AMAZON_ENGINES.iter().any(|engine| voice.ends_with(engine)) {
        Some("amazon")
    } else if is_elevenlabs_id(voice.split('-').next().unwrap_or_default()) {
        Some("elevenlabs")
    } else {
        None
    }
}

fn begins_with_locale(voice: &str) -> bool {
    let mut parts = voice.split('-');
    let (Some(language), Some(region), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && (region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase())
            || region.len() == 3 && region.bytes().all(|b| b.is_ascii_digit()))
}

fn is_elevenlabs_id(text: &str) -> bool {
    text.len() == 20 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Only a warning where no provider is named, because the default depends on the age of the account.
fn check_relay_model(attributes: &BTreeMap<String, String>, stt: &str) -> Option<Finding> {
    let mut finding = check_model(attributes.get("speechModel")?, stt)?;
    if !attributes.contains_key("transcriptionProvider") {
        finding.severity = Severity::Warning;
    }
    Some(finding)
}

fn check_model(model: &str, stt: &str) -> Option<Finding> {
    let vendor = if is_flux(model) || model.starts_with("nova") {
        "deepgram"
    } else if model == "telephony" {
        "google"
    } else {
        return None;
    };
    let reason = || format!("is a model of {vendor}, but the transcription provider is {stt}");
    (vendor != stt).then(|| Finding::error("speechModel", reason()))
}

fn is_flux(model: &str) -> bool {
    model.starts_with("flux")
}

/// Language detection works only between these two vendors; otherwise Twilio ends the session.
fn check_detection(attributes: &BTreeMap<String, String>, tts: &str, stt: &str) -> Option<Finding> {
    let detects = |name: &&str| attributes.get(*name).is_some_and(|value| value == "multi");
    let name = ["language", "ttsLanguage", "transcriptionLanguage"].into_iter().find(detects)?;
    let reason = "may be multi only with transcriptionProvider Deepgram and ttsProvider ElevenLabs";
    ((tts, stt) != ("elevenlabs", "deepgram")).then(|| Finding::error(name, reason))
}

fn check_threshold(attributes: &BTreeMap<String, String>, stt: &str) -> Option<Finding> {
    let given = attributes.contains_key("eotThreshold");
    let flux = stt == "deepgram" && attributes.get("speechModel").is_some_and(|model| is_flux(model));
    let reason = "works only with transcriptionProvider Deepgram and speechModel flux";
    (given && !flux).then(|| Finding::error("eotThreshold", reason))
}

fn check_vendor_switch(
    attributes: &BTreeMap<String, String>,
    name: &str,
    vendor: &str,
    provider: &str,
) -> Option<Finding> {
    let idle = attributes.contains_key(name) && provider != vendor;
    idle.then(|| Finding::warning(name, format!("does nothing, because the provider is {provider}")))
}
