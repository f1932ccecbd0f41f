use proptest::prelude::*;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::*;

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

fn xml_of(verb: Verb) -> String {
    let xml = VoiceResponse::new(vec![verb]).to_xml();
    let body = xml.strip_prefix(DECLARATION).unwrap();
    body.strip_prefix("<Response>").unwrap().strip_suffix("</Response>").unwrap().to_owned()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn connect(relay: ConversationRelay) -> Verb {
    Verb::Connect { action: String::new(), relay }
}

#[test]
fn an_empty_response_hangs_up() {
    assert_eq!(VoiceResponse::default().to_xml(), format!("{DECLARATION}<Response/>"));
}

#[test]
fn writes_the_simple_verbs() {
    assert_eq!(xml_of(Verb::Say(Say::new("Hello & bye"))), "<Say>Hello &amp; bye</Say>");
    assert_eq!(xml_of(Verb::Say(Say::default())), "<Say/>");
    assert_eq!(xml_of(Verb::Play("https://a/?x=1&y".to_owned())), "<Play>https://a/?x=1&amp;y</Play>");
    assert_eq!(xml_of(Verb::Pause { seconds: 2 }), r#"<Pause length="2"/>"#);
    assert_eq!(xml_of(Verb::Hangup), "<Hangup/>");
    assert_eq!(
        xml_of(Verb::Redirect("https://a/?x=1&y=2".to_owned())),
        r#"<Redirect method="POST">https://a/?x=1&amp;y=2</Redirect>"#
    );
}

#[test]
fn what_is_left_open_is_left_to_twilio() {
    let number = DialTarget::Number("+14155550100".to_owned());
    assert_eq!(xml_of(Verb::Dial(Dial::new(number))), "<Dial><Number>+14155550100</Number></Dial>");
    let room = DialTarget::Conference(Conference { name: "r".to_owned(), ..Conference::default() });
    assert_eq!(
        xml_of(Verb::Dial(Dial::new(room))),
        r#"<Dial><Conference startConferenceOnEnter="false" endConferenceOnExit="false" beep="false">r</Conference></Dial>"#
    );
    let queue = Enqueue { place: QueuePlace::Named("q".to_owned()), action: None };
    assert_eq!(xml_of(Verb::Enqueue(queue)), "<Enqueue>q</Enqueue>");
    let gather = Gather { action: "/a".to_owned(), ..Gather::default() };
    assert_eq!(xml_of(Verb::Gather(gather)), r#"<Gather action="/a" method="POST"/>"#);
}

#[test]
fn a_url_among_the_attributes_does_not_replace_the_real_one() {
    let relay = ConversationRelay {
        url: "wss://real".to_owned(),
        attributes: map(&[("url", "wss://other"), ("hints", "a")]),
        ..ConversationRelay::default()
    };
    assert_eq!(
        xml_of(connect(relay)),
        r#"<Connect><ConversationRelay url="wss://real" hints="a"/></Connect>"#
    );
}

#[test]
fn names_that_would_break_the_document_are_dropped() {
    let names = ["", "1a", "-a", "a b", "a=\"", "a>", "é", "a:b", "xmlns", "xml:lang", "a\n"];
    let attributes: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    let relay =
        ConversationRelay { languages: vec![attributes.clone()], attributes, ..ConversationRelay::default() };
    assert_eq!(
        xml_of(connect(relay)),
        r#"<Connect><ConversationRelay url=""><Language/></ConversationRelay></Connect>"#
    );
}

#[test]
fn escapes_what_a_parser_would_change() {
    let relay = ConversationRelay {
        url: "&<>\"'\n\t\rü😀\u{0}\u{B}\u{FFFE}".to_owned(),
        ..ConversationRelay::default()
    };
    assert_eq!(
        xml_of(connect(relay)),
        r#"<Connect><ConversationRelay url="&amp;&lt;&gt;&quot;&apos;&#10;&#9;&#13;ü😀"/></Connect>"#
    );
    assert_eq!(xml_of(Verb::Say(Say::new("]]>\n\t\r\u{1}"))), "<Say>]]&gt;\n\t&#13;</Say>");
}

/// What a conforming parser sees: start tags with their attributes, and texts.
fn parsed(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut seen = Vec::new();
    let mut text = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                let attributes = tag.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap();
                    (attribute.key.0.to_owned(), value.into_owned())
                });
                seen.push((tag.name().0.to_owned(), attributes.collect()));
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => {
                text.push_str(&quick_xml::escape::unescape(&format!("&{};", &*reference)).unwrap());
            }
            Event::End(_) if !text.is_empty() => seen.push((std::mem::take(&mut text), Vec::new())),
            Event::Decl(_) | Event::End(_) => {}
            Event::Eof => return seen,
            other => panic!("markup that nobody wrote: {other:?}"),
        }
    }
}

fn representable(text: &str) -> String {
    let dropped =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    text.chars().filter(|c| !dropped(*c)).collect()
}

fn markup() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[<>&\"'\\]a/;#\\[!\\-\\x00-\\x20]{0,20}"]
}

proptest! {
    #[test]
    fn a_parser_reads_back_every_attribute(
        url in markup(), attributes in prop::collection::btree_map("[a-zA-Z_]{1,9}", markup(), 0..4),
        name in markup(), value in markup(),
    ) {
        let parameters = BTreeMap::from([(name.clone(), value.clone())]);
        let relay = ConversationRelay { url: url.clone(), attributes: attributes.clone(), parameters, ..Default::default() };
        let mut expected = vec![("url".to_owned(), representable(&url))];
        let others = attributes.iter().filter(|(name, _)| *name != "url" && *name != "xmlns");
        expected.extend(others.map(|(name, value)| (name.clone(), representable(value))));
        let seen = parsed(&VoiceResponse::new(vec![connect(relay)]).to_xml());
        let pair = |name: &str, value: &str| (name.to_owned(), representable(value));
        let none = Vec::new;
        prop_assert_eq!(seen, vec![
            ("Response".to_owned(), none()),
            ("Connect".to_owned(), none()),
            ("ConversationRelay".to_owned(), expected),
            ("Parameter".to_owned(), vec![pair("name", &name), pair("value", &value)]),
        ]);
    }

    #[test]
    fn a_parser_reads_back_every_text(words in markup()) {
        let seen = parsed(&VoiceResponse::new(vec![Verb::Say(Say::new(words.clone()))]).to_xml());
        let mut expected = vec![("Response".to_owned(), vec![]), ("Say".to_owned(), vec![])];
        let words = representable(&words);
        if !words.is_empty() {
            expected.push((words, vec![]));
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn any_name_leaves_the_document_well_formed(name in markup(), value in markup()) {
        let relay = ConversationRelay { attributes: BTreeMap::from([(name, value)]), ..Default::default() };
        prop_assert_eq!(parsed(&VoiceResponse::new(vec![connect(relay)]).to_xml()).len(), 3);
    }
}
