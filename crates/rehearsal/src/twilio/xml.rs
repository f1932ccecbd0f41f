//! A small XML tree over quick-xml, for documents of TwiML's size. It knows nothing of TwiML.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// Deeper documents than this are refused; TwiML needs four levels.
const MAX_DEPTH: usize = 32;

/// Why a text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not usable XML: {reason}")]
pub struct NotXml {
    reason: String,
}

/// One element. Text is that of the element itself, without that of its children.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl NotXml {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Element {
    /// The text of an element whose children are markup of speech: runs of white space become one space.
    pub(super) fn spoken(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Parses a whole document into its root element.
pub(super) fn parse(text: &str) -> Result<Element, NotXml> {
    let mut reader = Reader::from_str(text);
    // The open elements, outermost first.
    let mut open: Vec<Element> = Vec::new();
    loop {
        let closed = match reader.read_event().map_err(broken)? {
            Event::Start(start) if open.len() < MAX_DEPTH => {
                open.push(element(&start)?);
                None
            }
            Event::Start(_) => return Err(NotXml::new("too many levels")),
            Event::Empty(start) => Some(element(&start)?),
            Event::End(_) => open.pop(),
            Event::Eof => return Err(NotXml::new("it ends before its document element does")),
            other => {
                add_text(open.last_mut(), &other)?;
                None
            }
        };
        if let Some(element) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => return Ok(element),
            }
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, NotXml> {
    let mut element = Element { name: start.name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(broken)?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(broken)?;
        element.attributes.insert(attribute.key.as_ref().to_owned(), value.into_owned());
    }
    Ok(element)
}

fn add_text(parent: Option<&mut Element>, event: &Event<'_>) -> Result<(), NotXml> {
    // Text outside the document element carries nothing.
    let Some(parent) = parent else { return Ok(()) };
    match event {
        Event::Text(text) => parent.text.push_str(&text.xml10_content()),
        Event::CData(text) => parent.text.push_str(&text.xml10_content()),
        Event::GeneralRef(reference) => parent.text.push(character(reference)?),
        _ => {}
    }
    Ok(())
}

fn character(reference: &BytesRef<'_>) -> Result<char, NotXml> {
    if let Some(character) = reference.resolve_char_ref().map_err(broken)? {
        return Ok(character);
    }
    match reference.xml10_content().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        name => Err(NotXml::new(format!("unknown entity &{name};"))),
    }
}

fn broken(error: impl std::fmt::Display) -> NotXml {
    NotXml::new(error.to_string())
}
