//! TwiML, the XML that answers a voice webhook: only the verbs that the service uses.
//!
//! Whatever the values hold, the result is well-formed: every value is escaped and every attribute name that
//! does not come from this file is checked. Whether Twilio understands an attribute is for
//! [`crate::relay_attributes`] to say.

mod xml;

use std::collections::BTreeMap;

use self::xml::XmlWriter;

/// The document: verbs that Twilio performs in order. Without any, Twilio hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceResponse {
    pub verbs: Vec<Verb>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Hands the call to a ConversationRelay session. Twilio posts to `action` when it is over, however it
    /// ended; an empty `action` is left out.
    Connect {
        action: String,
        relay: ConversationRelay,
    },
    /// Speaks the text with Twilio's default voice.
    Say(String),
    /// Waits in silence.
    Pause {
        seconds: u32,
    },
    Hangup,
    /// Goes on with the TwiML at this URL.
    Redirect(String),
    /// Connects the caller with somebody. Twilio posts to `action` when that call is over or was not
    /// answered within `timeout_seconds` (30 when None); without an action it goes on with the next verb.
    Dial {
        target: DialTarget,
        action: Option<String>,
        timeout_seconds: Option<u32>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// `sip:user@host`.
    Sip(String),
    /// An E.164 number.
    Number(String),
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
        self.verbs.iter().for_each(|verb| write_verb(&mut xml, verb));
        xml.close();
        xml.finish()
    }
}

fn write_verb(xml: &mut XmlWriter, verb: &Verb) {
    match verb {
        Verb::Connect { action, relay } => write_connect(xml, action, relay),
        Verb::Say(words) => write_text_element(xml, "Say", words),
        Verb::Pause { seconds } => {
            xml.open("Pause");
            xml.attribute("length", &seconds.to_string());
            xml.close();
        }
        Verb::Hangup => {
            xml.open("Hangup");
            xml.close();
        }
        Verb::Redirect(url) => write_text_element(xml, "Redirect", url),
        Verb::Dial { target, action, timeout_seconds } => {
            xml.open("Dial");
            if let Some(action) = action {
                xml.attribute("action", action);
            }
            if let Some(seconds) = timeout_seconds {
                xml.attribute("timeout", &seconds.to_string());
            }
            match target {
                DialTarget::Sip(uri) => write_text_element(xml, "Sip", uri),
                DialTarget::Number(number) => write_text_element(xml, "Number", number),
            }
            xml.close();
        }
    }
}

fn write_connect(xml: &mut XmlWriter, action: &str, relay: &ConversationRelay) {
    xml.open("Connect");
    if !action.is_empty() {
        xml.attribute("action", action);
    }
    write_relay(xml, relay);
    xml.close();
}

fn write_relay(xml: &mut XmlWriter, relay: &ConversationRelay) {
    xml.open("ConversationRelay");
    xml.attribute("url", &relay.url);
    write_attributes(xml, relay.attributes.iter().filter(|(name, _)| name.as_str() != "url"));
    for language in &relay.languages {
        xml.open("Language");
        write_attributes(xml, language.iter());
        xml.close();
    }
    for (name, value) in &relay.parameters {
        xml.open("Parameter");
        xml.attribute("name", name);
        xml.attribute("value", value);
        xml.close();
    }
    xml.close();
}

fn write_attributes<'a>(xml: &mut XmlWriter, attributes: impl Iterator<Item = (&'a String, &'a String)>) {
    for (name, value) in attributes.filter(|(name, _)| xml::is_attribute_name(name)) {
        xml.attribute(name, value);
    }
}

fn write_text_element(xml: &mut XmlWriter, name: &'static str, text: &str) {
    xml.open(name);
    xml.text(text);
    xml.close();
}

#[cfg(test)]
mod tests;
