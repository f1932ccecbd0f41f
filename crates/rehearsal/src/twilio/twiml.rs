//! Reads the TwiML that the service answers, as far as a telephone call needs it.
//! It follows Twilio's tolerance: a verb that it does not know is kept by name, so that the carrier can report it,
//! and broken XML is an error. It does not judge attribute values.

use std::collections::BTreeMap;

use super::xml::{self, Element};

pub use super::xml::NotXml;

/// One TwiML document: the verbs in the order in which the carrier executes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub verbs: Vec<Verb>,
}

/// What the service asks the carrier to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Connect {
        action: Option<String>,
        relay: Relay,
    },
    Say(String),
    Pause {
        seconds: u32,
    },
    Hangup,
    Redirect(String),
    /// The number, SIP address or client that is dialled.
    Dial(String),
    /// A verb, or a noun of `<Connect>`, that this carrier does not follow.
    Unknown(String),
}

/// `<ConversationRelay>` with its children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    pub url: String,
    /// Every attribute but `url`.
    pub attributes: BTreeMap<String, String>,
    pub languages: Vec<BTreeMap<String, String>>,
    pub parameters: BTreeMap<String, String>,
}

impl Document {
    /// Parses `text`; the document element must be `<Response>`.
    pub fn parse(text: &str) -> Result<Self, NotXml> {
        let root = xml::parse(text)?;
        if root.name != "Response" {
            return Err(NotXml::new(format!("the document element is <{}>, not <Response>", root.name)));
        }
        Ok(Self { verbs: root.children.into_iter().map(verb).collect() })
    }
}

fn verb(element: Element) -> Verb {
    match element.name.as_str() {
        "Connect" => connect(element),
        "Say" => Verb::Say(element.spoken()),
        "Pause" => {
            // Twilio pauses for one second when no length is given.
            let seconds =
                element.attributes.get("length").and_then(|length| length.parse().ok()).unwrap_or(1);
            Verb::Pause { seconds }
        }
        "Hangup" => Verb::Hangup,
        "Redirect" => Verb::Redirect(element.text.trim().to_owned()),
        "Dial" => Verb::Dial(dial_target(&element)),
        _ => Verb::Unknown(element.name),
    }
}

fn dial_target(dial: &Element) -> String {
    let noun = dial.children.first().map_or(&dial.text, |noun| &noun.text);
    noun.trim().to_owned()
}

fn connect(mut connect: Element) -> Verb {
    let action = connect.attributes.remove("action").filter(|action| !action.is_empty());
    match connect.children.into_iter().next() {
        Some(noun) if noun.name == "ConversationRelay" => Verb::Connect { action, relay: relay(noun) },
        Some(noun) => Verb::Unknown(format!("Connect/{}", noun.name)),
        None => Verb::Unknown("Connect without a noun".to_owned()),
    }
}

fn relay(mut element: Element) -> Relay {
    let mut relay = Relay { url: element.attributes.remove("url").unwrap_or_default(), ..Relay::default() };
    relay.attributes = element.attributes;
    for mut child in element.children {
        match child.name.as_str() {
            "Language" => relay.languages.push(child.attributes),
            "Parameter" => {
                let name = child.attributes.remove("name").unwrap_or_default();
                relay.parameters.insert(name, child.attributes.remove("value").unwrap_or_default());
            }
            _ => {}
        }
    }
    relay
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs(text: &str) -> Vec<Verb> {
        Document::parse(text).unwrap().verbs
    }

    #[test]
    fn a_relay_is_read_with_its_children() {
        let verbs = verbs(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>\n  <Connect action=\"https://a.example/ended\">\n\
             <ConversationRelay url=\"wss://a.example/relay/CA1\" welcomeGreeting=\"Tom &amp; &quot;Jerry&quot;&#10;x\">\
             <Language code=\"es-US\" ttsProvider=\"Google\"/><Parameter name=\"useCase\" value=\"pizza\"/>\
             </ConversationRelay></Connect></Response>",
        );
        let [Verb::Connect { action: Some(action), relay }] = verbs.as_slice() else { panic!("{verbs:?}") };
        assert_eq!(action, "https://a.example/ended");
        assert_eq!(relay.url, "wss://a.example/relay/CA1");
        assert_eq!(relay.attributes["welcomeGreeting"], "Tom & \"Jerry\"\nx");
        assert!(!relay.attributes.contains_key("url"));
        assert_eq!(relay.languages[0]["code"], "es-US");
        assert_eq!(relay.parameters["useCase"], "pizza");
    }

    #[test]
    fn the_other_verbs_are_read_in_order() {
        let verbs = verbs(
            "<Response><Say>Sorry &lt;you&gt; &#38; <break/>yours</Say><Pause length=\"3\"/><Pause/>\
             <Redirect>/twiml</Redirect><Dial><Sip>sip:help@example.com</Sip></Dial><Dial>+15550100</Dial>\
             <Gather/><Connect><Stream url=\"wss://x\"/></Connect><Hangup/></Response>",
        );
        assert_eq!(
            verbs,
            [
                Verb::Say("Sorry <you> & yours".to_owned()),
                Verb::Pause { seconds: 3 },
                Verb::Pause { seconds: 1 },
                Verb::Redirect("/twiml".to_owned()),
                Verb::Dial("sip:help@example.com".to_owned()),
                Verb::Dial("+15550100".to_owned()),
                Verb::Unknown("Gather".to_owned()),
                Verb::Unknown("Connect/Stream".to_owned()),
                Verb::Hangup,
            ]
        );
    }

    #[test]
    fn an_empty_response_has_no_verbs() {
        assert_eq!(verbs("<Response/>"), []);
        assert_eq!(verbs("<Response></Response>"), []);
    }

    #[test]
    fn what_is_not_twiml_is_refused() {
        for text in
            ["", "busy", "<Response>", "<Response></Say>", "<html/>", "<Response><Say a=\"&x;\"/></Response>"]
        {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }
}
