//! TwiML with any values in it, a line each: a parser finds exactly the elements that were written, and in them the
//! values as they were. Nothing that a caller or a record says becomes markup.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde_json::json;
use voice_protocols::relay_attributes;
use voice_protocols::twiml::{
    Conference, ConversationRelay, Dial, DialTarget, Enqueue, Gather, QueuePlace, Say, Verb, VoiceResponse,
};

const ELEMENTS: [&str; 20] = [
    "Response",
    "Say",
    "Play",
    "Pause",
    "Gather",
    "Say",
    "Dial",
    "Sip",
    "Dial",
    "Number",
    "Dial",
    "Conference",
    "Enqueue",
    "Enqueue",
    "Task",
    "Redirect",
    "Connect",
    "ConversationRelay",
    "Language",
    "Parameter",
];

fuzz_target!(|text: &str| {
    let mut values = text.split('\n').cycle().map(str::to_owned);
    let mut value = || values.next().unwrap_or_default();
    let (name, attribute) = (value(), value());
    let attributes = BTreeMap::from([(name.clone(), attribute.clone())]);
    let _ = relay_attributes::check(&attributes);
    let _ = relay_attributes::check_language(&attributes);

    let said = value();
    let xml = VoiceResponse::new(vec![
        Verb::Say(Say { text: said.clone(), language: Some(value()) }),
        Verb::Play(value()),
        Verb::Pause { seconds: 1 },
        Verb::Gather(Gather {
            action: value(),
            keys: Some(1),
            timeout_seconds: None,
            prompts: vec![Say::new(value())],
        }),
        Verb::Dial(Dial {
            action: Some(value()),
            caller_id: Some(value()),
            ..Dial::new(DialTarget::Sip(value()))
        }),
        Verb::Dial(Dial::new(DialTarget::Number(value()))),
        Verb::Dial(Dial::new(DialTarget::Conference(Conference {
            name: value(),
            wait_url: Some(value()),
            ..Conference::default()
        }))),
        Verb::Enqueue(Enqueue { place: QueuePlace::Named(value()), action: Some(value()) }),
        Verb::Enqueue(Enqueue {
            place: QueuePlace::Workflow { sid: value(), task: json!({ value(): value() }) },
            action: None,
        }),
        Verb::Redirect(value()),
        Verb::Connect {
            action: value(),
            relay: ConversationRelay {
                url: value(),
                attributes,
                languages: vec![BTreeMap::from([("code".to_owned(), value())])],
                parameters: BTreeMap::from([(value(), value())]),
            },
        },
    ])
    .to_xml();

    let document = parsed(&xml);
    let names: Vec<_> = document.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names, ELEMENTS, "no value opens or closes an element");
    assert_eq!(document[1].text, kept(&said));
    let relay = &document[17].attributes;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_name && name != "url" && name != "xmlns" {
        assert_eq!(relay.get(&name), Some(&kept(&attribute)));
    } else {
        assert!(relay.len() <= 1, "what is no name is left out: {relay:?}");
    }
});

struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    /// What stands in it before the next element.
    text: String,
}

fn parsed(xml: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(xml);
    let mut elements: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().expect("it is well-formed") {
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.expect("attributes are well-formed");
                    let name = attribute.key.0.to_owned();
                    let value =
                        attribute.normalized_value(XmlVersion::Explicit1_0).expect("values are escaped");
                    (name, value.into_owned())
                });
                let name = start.name().0.to_owned();
                elements.push(Element { name, attributes: attributes.collect(), text: String::new() });
            }
            Event::Text(text) => {
                if let Some(element) = elements.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let escaped = format!("&{};", &*reference);
                let character = quick_xml::escape::unescape(&escaped).expect("no entity is declared");
                if let Some(element) = elements.last_mut() {
                    element.text.push_str(&character);
                }
            }
            Event::Eof => return elements,
            _ => {}
        }
    }
}

/// The text without what XML cannot say.
fn kept(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)).collect()
}
