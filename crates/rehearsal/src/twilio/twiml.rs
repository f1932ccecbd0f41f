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
    /// The address of a sound file.
    Play(String),
    Hangup,
    Redirect(String),
    Dial(Dial),
    Gather(Gather),
    Enqueue(Enqueue),
    /// A verb, or a noun of `<Connect>` or `<Dial>`, that this carrier does not follow.
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

/// `<Dial>` with the one noun that it dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub to: DialTarget,
    pub action: Option<String>,
    /// Twilio rings for 30 seconds unless told otherwise.
    pub timeout_seconds: u32,
    pub caller_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// A number or a SIP address.
    Party(String),
    Conference {
        room: String,
        starts_on_enter: bool,
        ends_on_exit: bool,
    },
}

/// `<Gather>` of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gather {
    /// The document itself when absent.
    pub action: Option<String>,
    /// How many keys end it, besides `finish_on_key`.
    pub num_digits: Option<usize>,
    pub finish_on_key: Option<char>,
    pub timeout_seconds: u32,
    /// What is played until a key is pressed.
    pub prompts: Vec<Verb>,
}

/// `<Enqueue>` into a queue by name, or into a workflow of the task router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    pub name: String,
    pub task: Option<String>,
    pub action: Option<String>,
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
            Verb::Pause { seconds: number(&element, "length").unwrap_or(1) }
        }
        "Hangup" => Verb::Hangup,
        "Redirect" => Verb::Redirect(element.text.trim().to_owned()),
        "Play" => Verb::Play(element.text.trim().to_owned()),
        "Dial" => dial(element),
        "Gather" => Verb::Gather(gather(element)),
        "Enqueue" => Verb::Enqueue(enqueue(element)),
        _ => Verb::Unknown(element.name),
    }
}

fn dial(mut dial: Element) -> Verb {
    let to = match dial.children.pop() {
        None => DialTarget::Party(dial.text.trim().to_owned()),
        Some(_) if !dial.children.is_empty() => {
            return Verb::Unknown("Dial with several nouns".to_owned());
        }
        Some(noun) => match noun.name.as_str() {
            "Number" | "Sip" => DialTarget::Party(noun.text.trim().to_owned()),
            "Conference" => conference(&noun),
            other => return Verb::Unknown(format!("Dial/{other}")),
        },
    };
    Verb::Dial(Dial {
        to,
        action: link(&mut dial, "action"),
        timeout_seconds: number(&dial, "timeout").unwrap_or(30),
        caller_id: link(&mut dial, "callerId"),
    })
}

fn conference(noun: &Element) -> DialTarget {
    let flag = |name: &str| noun.attributes.get(name).map(|value| value.eq_ignore_ascii_case("true"));
    DialTarget::Conference {
        room: noun.text.trim().to_owned(),
        starts_on_enter: flag("startConferenceOnEnter").unwrap_or(true),
        ends_on_exit: flag("endConferenceOnExit").unwrap_or(false),
    }
}

fn gather(mut gather: Element) -> Gather {
    let finish_on_key = match gather.attributes.get("finishOnKey") {
        Some(key) => key.chars().next(),
        None => Some('#'),
    };
    Gather {
        action: link(&mut gather, "action"),
        num_digits: number(&gather, "numDigits").and_then(|digits| usize::try_from(digits).ok()),
        finish_on_key,
        timeout_seconds: number(&gather, "timeout").unwrap_or(5),
        prompts: gather.children.into_iter().map(verb).collect(),
    }
}

fn enqueue(mut enqueue: Element) -> Enqueue {
    let task = enqueue.children.iter().find(|child| child.name == "Task");
    let task = task.map(|task| task.text.trim().to_owned());
    let workflow = link(&mut enqueue, "workflowSid");
    Enqueue {
        name: workflow.unwrap_or_else(|| enqueue.text.trim().to_owned()),
        task,
        action: link(&mut enqueue, "action"),
    }
}

/// An attribute that is not there when it is empty.
fn link(element: &mut Element, name: &str) -> Option<String> {
    element.attributes.remove(name).filter(|value| !value.is_empty())
}

fn number(element: &Element, name: &str) -> Option<u32> {
    element.attributes.get(name).and_then(|value| value.parse().ok())
}

fn connect(mut connect: Element) -> Verb {
    let action = link(&mut connect, "action");
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
             <Record/><Play>https://a.example/a.mp3</Play><Connect><Stream url=\"wss://x\"/></Connect><Hangup/></Response>",
        );
        assert_eq!(
            verbs,
            [
                Verb::Say("Sorry <you> & yours".to_owned()),
                Verb::Pause { seconds: 3 },
                Verb::Pause { seconds: 1 },
                Verb::Redirect("/twiml".to_owned()),
                Verb::Dial(dialled("sip:help@example.com")),
                Verb::Dial(dialled("+15550100")),
                Verb::Unknown("Record".to_owned()),
                Verb::Play("https://a.example/a.mp3".to_owned()),
                Verb::Unknown("Connect/Stream".to_owned()),
                Verb::Hangup,
            ]
        );
    }

    fn dialled(to: &str) -> Dial {
        Dial { to: DialTarget::Party(to.to_owned()), action: None, timeout_seconds: 30, caller_id: None }
    }

    #[test]
    fn transfers_and_their_attributes_are_read() {
        let verbs = verbs(
            "<Response><Dial action=\"/a\" timeout=\"12\" callerId=\"+15550100\" answerOnBridge=\"true\">\
             <Number>+15550101</Number></Dial><Dial><Conference endConferenceOnExit=\"true\" beep=\"false\">room 1\
             </Conference></Dial><Gather numDigits=\"1\" timeout=\"10\" action=\"/g\" finishOnKey=\"\"><Say>Press.</Say>\
             </Gather><Enqueue workflowSid=\"WW1\" action=\"/q\"><Task>{\"a\":1}</Task></Enqueue>\
             <Enqueue>support</Enqueue><Dial><Client>joe</Client></Dial></Response>",
        );
        let [dial, conference, gather, workflow, queue, unknown] = verbs.as_slice() else {
            panic!("{verbs:?}")
        };
        let expected = Dial {
            action: Some("/a".to_owned()),
            timeout_seconds: 12,
            caller_id: Some("+15550100".to_owned()),
            ..dialled("+15550101")
        };
        assert_eq!(*dial, Verb::Dial(expected));
        let room =
            DialTarget::Conference { room: "room 1".to_owned(), starts_on_enter: true, ends_on_exit: true };
        assert!(matches!(conference, Verb::Dial(dial) if dial.to == room), "{conference:?}");
        let expected = Gather {
            action: Some("/g".to_owned()),
            num_digits: Some(1),
            finish_on_key: None,
            timeout_seconds: 10,
            prompts: vec![Verb::Say("Press.".to_owned())],
        };
        assert_eq!(*gather, Verb::Gather(expected));
        let (name, task) = ("WW1".to_owned(), Some("{\"a\":1}".to_owned()));
        assert_eq!(*workflow, Verb::Enqueue(Enqueue { name, task, action: Some("/q".to_owned()) }));
        assert_eq!(*queue, Verb::Enqueue(Enqueue { name: "support".to_owned(), task: None, action: None }));
        assert_eq!(*unknown, Verb::Unknown("Dial/Client".to_owned()));
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
