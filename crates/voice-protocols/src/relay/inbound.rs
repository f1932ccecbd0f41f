//! What Twilio sends on a ConversationRelay socket.
//!
//! Twilio documents few fields as guaranteed, and sends `durationUntilInterruptMs` as a number where it once
//! documented a string, so almost everything is optional here. What cannot be read at all is a
//! [`MalformedFrame`]; a `type` that we do not know is not an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::MalformedFrame;
use super::frame::{Fields, FrameWriter, text_of};

/// One message from Twilio.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    Setup(Box<Setup>),
    Prompt(Prompt),
    Dtmf(Dtmf),
    Interrupt(Interrupt),
    Error(ErrorReport),
    Info(Info),
    /// A `type` that did not exist when this was written. `kind` is the peer's text: count it, do not trust it.
    Unknown {
        kind: String,
    },
}

/// The first message, sent once per socket. A field that Twilio did not send is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// `VX…`, one per socket.
    pub session_id: String,
    pub account_sid: String,
    /// `CA…`, the same for every socket of one call.
    pub call_sid: String,
    pub parent_call_sid: String,
    pub from: String,
    pub to: String,
    pub forwarded_from: String,
    pub caller_name: String,
    /// `inbound`, `outbound-api`.
    pub direction: String,
    /// `PSTN`, `SIP`, `CLIENT`.
    pub call_type: String,
    /// `RINGING`, `IN_PROGRESS`: upper case and underscore, unlike in webhooks.
    pub call_status: String,
    /// The `<Parameter>` elements of the TwiML. A value that is not a string is kept as its JSON text.
    pub custom_parameters: BTreeMap<String, String>,
}

/// A stretch of the caller's speech, transcribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub voice_prompt: String,
    /// A full tag (`en-US`), or only the primary one (`en`) where the recogniser detects the language.
    pub lang: Option<String>,
    /// False for a partial, which repeats the partials before it. Absent on the wire means final, because
    /// partials come only when asked for.
    pub last: bool,
}

/// One key: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtmf {
    pub digit: char,
}

/// The caller spoke or pressed a key over the agent, and Twilio dropped what was queued.
///
/// Both fields are about the stretch of speech that was playing, not about the whole turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    pub utterance_until_interrupt: String,
    /// None where Twilio's value is no whole number: the interruption counts all the same.
    pub duration_until_interrupt_ms: Option<u64>,
}

/// Something that Twilio refused; the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Repeats the refused frame, thus may hold what was to be said.
    pub description: String,
}

/// What the session subscribed to with the `events` and `debug` attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    AgentSpeaking(bool),
    ClientSpeaking(bool),
    /// The text of a clause that was played to its end or cut, with its white space.
    TokensPlayed(String),
    RoundTripDelayMs(u64),
    Other {
        name: String,
        value: String,
    },
}

impl Inbound {
    /// Reads one text frame.
    pub fn parse(text: &str) -> Result<Self, MalformedFrame> {
        let mut fields = Fields::parse(text)?;
        let kind = fields.kind()?;
        match kind.as_str() {
            "setup" => Ok(Self::Setup(Box::new(read_setup(fields)?))),
            "prompt" => read_prompt(fields).map(Self::Prompt),
            "dtmf" => read_dtmf(fields).map(Self::Dtmf),
            "interrupt" => read_interrupt(fields).map(Self::Interrupt),
            "error" => Ok(Self::Error(ErrorReport { description: fields.lenient_text("description")? })),
            "info" => read_info(fields).map(Self::Info),
            _ => Ok(Self::Unknown { kind }),
        }
    }

    /// Writes the frame as Twilio would, for programs that stand in for Twilio.
    pub fn to_json(&self) -> String {
        match self {
            Self::Setup(setup) => write_setup(setup),
            Self::Prompt(prompt) => FrameWriter::new("prompt")
                .field("voicePrompt", prompt.voice_prompt.as_str())
                .optional("lang", prompt.lang.as_deref())
                .field("last", prompt.last)
                .finish(),
            Self::Dtmf(dtmf) => FrameWriter::new("dtmf").field("digit", dtmf.digit.to_string()).finish(),
            Self::Interrupt(interrupt) => FrameWriter::new("interrupt")
                .field("utteranceUntilInterrupt", interrupt.utterance_until_interrupt.as_str())
                .optional("durationUntilInterruptMs", interrupt.duration_until_interrupt_ms)
                .finish(),
            Self::Error(report) => {
                FrameWriter::new("error").field("description", report.description.as_str()).finish()
            }
            Self::Info(info) => write_info(info),
            Self::Unknown { kind } => FrameWriter::new(kind).finish(),
        }
    }
}

impl ErrorReport {
    /// The code that Twilio puts into the description as `code: 64107`.
    ///
    /// The first one counts, because the refused frame follows and can hold anything.
    pub fn code(&self) -> Option<u32> {
        let lower = self.description.to_ascii_lowercase();
        lower.match_indices("code").find_map(|(start, word)| {
            let rest = lower[start + word.len()..].trim_start_matches([' ', ':', '=']);
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
    }
}

fn read_setup(mut fields: Fields) -> Result<Setup, MalformedFrame> {
    Ok(Setup {
        session_id: fields.lenient_text("sessionId")?,
        account_sid: fields.lenient_text("accountSid")?,
        call_sid: fields.lenient_text("callSid")?,
        parent_call_sid: fields.lenient_text("parentCallSid")?,
        from: fields.lenient_text("from")?,
        to: fields.lenient_text("to")?,
        forwarded_from: fields.lenient_text("forwardedFrom")?,
        caller_name: fields.lenient_text("callerName")?,
        direction: fields.lenient_text("direction")?,
        call_type: fields.lenient_text("callType")?,
        call_status: fields.lenient_text("callStatus")?,
        custom_parameters: read_parameters(fields)?,
    })
}

fn read_parameters(mut fields: Fields) -> Result<BTreeMap<String, String>, MalformedFrame> {
    match fields.take("customParameters") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(parameters)) => {
            Ok(parameters.into_iter().map(|(name, value)| (name, text_of(value))).collect())
        }
        Some(_) => Err(MalformedFrame::Invalid { field: "customParameters", expected: "an object" }),
    }
}

fn read_prompt(mut fields: Fields) -> Result<Prompt, MalformedFrame> {
    let lang = fields.lenient_text("lang")?;
    Ok(Prompt {
        voice_prompt: fields.lenient_text("voicePrompt")?,
        lang: (!lang.is_empty()).then_some(lang),
        last: match fields.lenient_text("last")?.as_str() {
            "" | "true" => true,
            "false" => false,
            _ => {
                return Err(MalformedFrame::Invalid { field: "last", expected: "a boolean" });
            }
        },
    })
}

fn read_dtmf(mut fields: Fields) -> Result<Dtmf, MalformedFrame> {
    let key = fields.lenient_text("digit")?;
    let mut keys = key.chars();
    match (keys.next(), keys.next()) {
        (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Ok(Dtmf { digit }),
        _ => Err(MalformedFrame::Invalid { field: "digit", expected: "one key" }),
    }
}

fn read_interrupt(mut fields: Fields) -> Result<Interrupt, MalformedFrame> {
    Ok(Interrupt {
        utterance_until_interrupt: fields.lenient_text("utteranceUntilInterrupt")?,
        duration_until_interrupt_ms: fields
            .take("durationUntilInterruptMs")
            .and_then(|value| whole_number(&text_of(value))),
    })
}

fn read_info(mut fields: Fields) -> Result<Info, MalformedFrame> {
    let name = fields.required_string("name")?;
    let value = fields.take("value").map(text_of).unwrap_or_default();
    let known = match name.as_str() {
        "agentSpeaking" => on_or_off(&value).map(Info::AgentSpeaking),
        "clientSpeaking" => on_or_off(&value).map(Info::ClientSpeaking),
        "tokensPlayed" => return Ok(Info::TokensPlayed(value)),
        "roundTripDelayMs" => whole_number(&value).map(Info::RoundTripDelayMs),
        _ => None,
    };
    Ok(known.unwrap_or(Info::Other { name, value }))
}

fn on_or_off(value: &str) -> Option<bool> {
    match value {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

/// Milliseconds as a number or as text, fractions dropped.
fn whole_number(text: &str) -> Option<u64> {
    text.trim().split('.').next()?.parse().ok()
}

fn write_setup(setup: &Setup) -> String {
    let parameters: Map<String, Value> =
        setup.custom_parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    FrameWriter::new("setup")
        .field("sessionId", setup.session_id.as_str())
        .field("accountSid", setup.account_sid.as_str())
        .field("callSid", setup.call_sid.as_str())
        .field("parentCallSid", setup.parent_call_sid.as_str())
        .field("from", setup.from.as_str())
        .field("to", setup.to.as_str())
        .field("forwardedFrom", setup.forwarded_from.as_str())
        .field("callerName", setup.caller_name.as_str())
        .field("direction", setup.direction.as_str())
        .field("callType", setup.call_type.as_str())
        .field("callStatus", setup.call_status.as_str())
        .field("customParameters", parameters)
        .finish()
}

fn write_info(info: &Info) -> String {
    let switch = |on: bool| if on { "on" } else { "off" }.to_owned();
    let (name, value) = match info {
        Info::AgentSpeaking(on) => ("agentSpeaking", switch(*on)),
        Info::ClientSpeaking(on) => ("clientSpeaking", switch(*on)),
        Info::TokensPlayed(text) => ("tokensPlayed", text.clone()),
        Info::RoundTripDelayMs(delay) => ("roundTripDelayMs", delay.to_string()),
        Info::Other { name, value } => (name.as_str(), value.clone()),
    };
    FrameWriter::new("info").field("name", name).field("value", value).finish()
}

#[cfg(test)]
mod tests;
