//! A writer of well-formed XML 1.0: elements nest, values are escaped. Knows no TwiML.

/// Appends elements to a document. Each [`XmlWriter::open`] is answered by one [`XmlWriter::close`].
pub(super) struct XmlWriter {
    document: String,
    open: Vec<&'static str>,
    /// The last start tag has no `>` yet, so attributes can still be added.
    in_start_tag: bool,
}

impl XmlWriter {
    pub(super) fn new() -> Self {
        let document = r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned();
        Self { document, open: Vec::new(), in_start_tag: false }
    }

    pub(super) fn open(&mut self, name: &'static str) {
        self.end_start_tag();
        self.document.push('<');
        self.document.push_str(name);
        self.open.push(name);
        self.in_start_tag = true;
    }

    /// Adds an attribute to the element just opened. `name` must satisfy [`is_attribute_name`].
    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        debug_assert!(self.in_start_tag && is_attribute_name(name));
        self.document.push(' ');
        self.document.push_str(name);
        self.document.push_str("=\"");
        push_escaped(&mut self.document, value, Place::Attribute);
        self.document.push('"');
    }

    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.end_start_tag();
            push_escaped(&mut self.document, text, Place::Text);
        }
    }

    pub(super) fn close(&mut self) {
        let Some(name) = self.open.pop() else { return };
        if self.in_start_tag {
            self.document.push_str("/>");
            self.in_start_tag = false;
        } else {
            self.document.push_str("</");
            self.document.push_str(name);
            self.document.push('>');
        }
    }

    pub(super) fn finish(self) -> String {
        debug_assert!(self.open.is_empty());
        self.document
    }

    fn end_start_tag(&mut self) {
        if self.in_start_tag {
            self.document.push('>');
            self.in_start_tag = false;
        }
    }
}

/// Whether the name can be written as an attribute: an ASCII XML name without a colon.
///
/// Narrower than XML on purpose: no vendor attribute needs more, a prefix would have to be declared, and
/// `xmlns` would put the whole element into another namespace.
pub(super) fn is_attribute_name(name: &str) -> bool {
    name != "xmlns"
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Attribute,
    Text,
}

fn push_escaped(document: &mut String, value: &str, place: Place) {
    for c in value.chars() {
        match c {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\'' => document.push_str("&apos;"),
            // A parser turns a raw carriage return into a line feed, and both and tabs in attributes into
            // spaces.
            '\r' => document.push_str("&#13;"),
            '\n' if place == Place::Attribute => document.push_str("&#10;"),
            '\t' if place == Place::Attribute => document.push_str("&#9;"),
            c if is_xml_char(c) => document.push(c),
            // Not even a character reference may name it.
            _ => {}
        }
    }
}

/// The `Char` production of XML 1.0; surrogates cannot occur in a `char`.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}
