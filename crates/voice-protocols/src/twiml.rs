//! TwiML, the XML that answers a voice webhook: only the verbs that the service uses.
//!
//! Whatever the values hold, the result is well-formed: every value is escaped and every attribute name that
//! does not come from this file is checked. Whether Twilio understands an attribute is for
//! [`crate::relay_attributes`] to say.

mod write;
mod xml;

use std::collections::BTreeMap;

use serde_json::Value;

use self::xml::XmlWriter;

/// The document: verbs that Twilio performs in order. Without any, Twilio hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceResponse {
    pub verbs: Vec<Verb>,
}

/// One thing that Twilio does. Wherever there is an `action`, Twilio posts to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Hands the call to a ConversationRelay session. Twilio posts to `action` when it is over, however it
    /// ended; an empty `action` is left out.
    Connect {
        action: String,
        relay: ConversationRelay,
    },
    Say(Say),
    /// Plays the recording at this URL once.
    Play(String),
    /// Waits in silence.
    Pause {
        seconds: u32,
    },
    Gather(Gather),
    Dial(Dial),
    Enqueue(Enqueue),
    /// Goes on with the TwiML at this URL, which is asked for with POST.
    Redirect(String),
    Hangup,
}

/// Speaks the text with Twilio's own voice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Say {
    pub text: String,
    /// A tag such as `de-DE`; Twilio's default when absent.
    pub language: Option<String>,
}

/// Collects keys while something is said. Twilio posts them to `action`, or goes on with the next verb when nobody
/// pressed any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gather {
    pub action: String,
    /// Twilio waits no longer when so many keys were pressed, `#` being one like any other; else `#` ends the wait.
    pub keys: Option<u32>,
    /// Counted from the end of what is said, and from each key.
    pub timeout_seconds: Option<u32>,
    pub prompts: Vec<Say>,
}

/// Connects the call with somebody. Twilio posts to `action` when that is over or was not answered within
/// `timeout_seconds` (30 when None); without an action it goes on with the next verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub target: DialTarget,
    pub action: Option<String>,
    pub timeout_seconds: Option<u32>,
    /// Shown to who is called: a number of ours, or the caller's.
    pub caller_id: Option<String>,
    /// The caller hears ringing until somebody answers.
    pub answer_on_bridge: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// `sip:user@host`.
    Sip(String),
    /// An E.164 number.
    Number(String),
    Conference(Conference),
}

/// A room in which calls meet, by its name. Nobody hears a beep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conference {
    pub name: String,
    /// Who comes before one of these hears music.
    pub start_on_enter: bool,
    /// When one of these leaves, all are put out.
    pub end_on_exit: bool,
    /// TwiML for who waits, asked for with POST; Twilio's own music when None. Twilio performs only `<Play>`, `<Say>`,
    /// `<Pause>` and `<Redirect>` there.
    pub wait_url: Option<String>,
}

/// Where callers wait for somebody to take them. Twilio posts to `action` when that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    pub place: QueuePlace,
    pub action: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// A queue by its name.
    Named(String),
    /// A workflow (`WW…`) of the task router, with what it is told of the call.
    Workflow { sid: String, task: Value },
}

/// `<ConversationRelay>`. Attributes and languages pass through under the names given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationRelay {
    /// `wss://…`. Twilio signs the handshake over exactly this text.
    pub url: String,
    /// All other attributes. A `url` among them is ignored, and so is what is no XML name.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of one `<Language>` each.
    pub languages: Vec<BTreeMap<String, String>>,
    /// Names and values of the `<Parameter>` elements, which come back in the `setup` message.
    pub parameters: BTreeMap<String, String>,
}

impl VoiceResponse {
    pub fn new(verbs: Vec<Verb>) -> Self {
        Self { verbs }
    }

    /// The document with its XML declaration, as `text/xml` in UTF-8.
    pub fn to_xml(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("Response");
        self.verbs.iter().for_each(|verb| write::verb(&mut xml, verb));
        xml.close();
        xml.finish()
    }
}

impl Say {
    /// In Twilio's default language.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), language: None }
    }
}

impl Dial {
    /// With Twilio's defaults.
    pub fn new(target: DialTarget) -> Self {
        Self { target, action: None, timeout_seconds: None, caller_id: None, answer_on_bridge: false }
    }
}

#[cfg(test)]
mod tests;
