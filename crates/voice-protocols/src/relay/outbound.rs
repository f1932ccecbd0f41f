//! What we send on a ConversationRelay socket.
//!
//! [`Outbound::parse`] reads it back for programs that stand in for Twilio. It is as strict as Twilio is and
//! stricter where Twilio's behaviour is not documented (a `null` is never accepted): a stand-in that refuses
//! too much shows our mistakes, one that accepts too much hides them.

use serde_json::Value;

use super::MalformedFrame;
use super::frame::{Fields, FrameWriter};

/// One message to Twilio. Text, audio and digits are played in the order sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    Text(Text),
    Play(Play),
    /// Keys to press: `0` to `9`, `*`, `#`, and `w` for half a second of silence.
    SendDigits {
        digits: String,
    },
    /// Changes what is spoken or understood from here on. At least one of the two must be given.
    Language {
        tts_language: Option<String>,
        transcription_language: Option<String>,
    },
    /// Ends the session at once, without waiting for queued speech; Twilio then asks the `<Connect>` action.
    End {
        handoff_data: Option<String>,
    },
}

/// A piece of speech. Twilio inserts no space between tokens, so `token` carries its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub token: String,
    /// True on the last token of what is said in one go.
    pub last: bool,
    /// Language of this token; None keeps the session's.
    pub lang: Option<String>,
    /// What may interrupt it; None keeps the session's setting.
    pub interruptible: Option<Interruptible>,
    /// Whether a later message may cut this one (not: whether this one cuts).
    pub preemptible: Option<bool>,
}

/// An audio file to play.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Play {
    /// URL of the file.
    pub source: String,
    /// How often; 0 is as often as Twilio allows (1000), None is once.
    pub loop_count: Option<u32>,
    pub preemptible: Option<bool>,
    pub interruptible: Option<Interruptible>,
}

impl Play {
    /// Plays a file once, as the session's settings say.
    pub fn once(source: String) -> Self {
        Self { source, ..Self::default() }
    }
}

/// What stops the agent's speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruptible {
    None,
    Dtmf,
    Speech,
    Any,
}

impl Outbound {
    /// The text frame to send.
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => FrameWriter::new("text")
                .field("token", text.token.as_str())
                .field("last", text.last)
                .optional("lang", text.lang.as_deref())
                .optional("interruptible", text.interruptible.map(Interruptible::as_str))
                .optional("preemptible", text.preemptible)
                .finish(),
            Self::Play(play) => FrameWriter::new("play")
                .field("source", play.source.as_str())
                .optional("loop", play.loop_count)
                .optional("preemptible", play.preemptible)
                .optional("interruptible", play.interruptible.map(Interruptible::as_str))
                .finish(),
            Self::SendDigits { digits } => {
                FrameWriter::new("sendDigits").field("digits", digits.as_str()).finish()
            }
            Self::Language { tts_language, transcription_language } => FrameWriter::new("language")
                .optional("ttsLanguage", tts_language.as_deref())
                .optional("transcriptionLanguage", transcription_language.as_deref())
                .finish(),
            Self::End { handoff_data } => {
                FrameWriter::new("end").optional("handoffData", handoff_data.as_deref()).finish()
            }
        }
    }

    /// Reads a frame as Twilio would, refusing what Twilio answers with error 64107.
    pub fn parse(text: &str) -> Result<Self, MalformedFrame> {
        let mut fields = Fields::parse(text)?;
        match fields.kind()?.as_str() {
            "text" => read_text(fields).map(Self::Text),
            "play" => read_play(fields).map(Self::Play),
            "sendDigits" => read_digits(fields),
            "language" => read_language(fields),
            "end" => Ok(Self::End { handoff_data: fields.optional_string("handoffData")? }),
            _ => Err(MalformedFrame::UnknownType),
        }
    }
}

impl Interruptible {
    /// The value as Twilio spells it, in a message and in TwiML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dtmf => "dtmf",
            Self::Speech => "speech",
            Self::Any => "any",
        }
    }

    /// Reads the value as TwiML attributes spell it; `true` means any and `false` none.
    pub fn from_attribute(value: &str) -> Option<Self> {
        match value {
            "none" | "false" => Some(Self::None),
            "dtmf" => Some(Self::Dtmf),
            "speech" => Some(Self::Speech),
            "any" | "true" => Some(Self::Any),
            _ => None,
        }
    }
}

fn read_text(mut fields: Fields) -> Result<Text, MalformedFrame> {
    Ok(Text {
        token: fields.required_string("token")?,
        last: fields.optional_bool("last")?.unwrap_or(false),
        lang: fields.optional_string("lang")?,
        interruptible: read_interruptible(&mut fields)?,
        preemptible: fields.optional_bool("preemptible")?,
    })
}

fn read_play(mut fields: Fields) -> Result<Play, MalformedFrame> {
    let source = fields.required_string("source")?;
    if !source.starts_with("https://") && !source.starts_with("http://") {
        return Err(MalformedFrame::Invalid { field: "source", expected: "a URL" });
    }
    Ok(Play {
        source,
        loop_count: read_loop(&mut fields)?,
        preemptible: fields.optional_bool("preemptible")?,
        interruptible: read_interruptible(&mut fields)?,
    })
}

fn read_loop(fields: &mut Fields) -> Result<Option<u32>, MalformedFrame> {
    let Some(value) = fields.take("loop") else {
        return Ok(None);
    };
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.map(Some).ok_or(MalformedFrame::Invalid { field: "loop", expected: "a whole number" })
}

fn read_digits(mut fields: Fields) -> Result<Outbound, MalformedFrame> {
    let digits = fields.required_string("digits")?;
    let playable = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'w');
    if digits.is_empty() || !digits.chars().all(playable) {
        return Err(MalformedFrame::Invalid { field: "digits", expected: "made of 0-9, *, # and w" });
    }
    Ok(Outbound::SendDigits { digits })
}

fn read_language(mut fields: Fields) -> Result<Outbound, MalformedFrame> {
    let tts_language = fields.optional_string("ttsLanguage")?;
    let transcription_language = fields.optional_string("transcriptionLanguage")?;
    if tts_language.is_none() && transcription_language.is_none() {
        return Err(MalformedFrame::Missing("ttsLanguage"));
    }
    Ok(Outbound::Language { tts_language, transcription_language })
}

fn read_interruptible(fields: &mut Fields) -> Result<Option<Interruptible>, MalformedFrame> {
    let parsed = match fields.take("interruptible") {
        None => return Ok(None),
        Some(Value::Bool(any)) => Some(if any { Interruptible::Any } else { Interruptible::None }),
        Some(Value::String(value)) => Interruptible::from_attribute(&value),
        Some(_) => None,
    };
    let expected = "one of none, dtmf, speech, any or a boolean";
    parsed.map(Some).ok_or(MalformedFrame::Invalid { field: "interruptible", expected })
}

#[cfg(test)]
mod tests;
