//! Reads what a service answered, and makes of it what the model sees.
//!
//! Data is JSON or plain text of bounded size. Everything else, web pages above all, is a failure that says so.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::{Map, Value, json};
use voice_core::use_case::ResponseMapping;

use super::failure::{Failure, Unusable};
use crate::tools::arguments::shortened;

/// Of a failed request, this many characters of what the service says about it.
const LONGEST_EXCERPT: usize = 200;
/// Of one text; more of it helps nobody on the telephone.
const LONGEST_TEXT: usize = 8000;
/// Where services put the words of an error.
const MESSAGES: [&str; 7] =
    ["/message", "/error/message", "/error", "/detail", "/error_description", "/title", "/errors/0/message"];

/// What a service answered, read as far as it may be.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Whole(Vec<u8>),
    TooLarge,
    /// The connection broke before its end.
    BrokenOff,
}

impl Received {
    /// Reads a response, though no more of its body than `largest` bytes.
    pub(super) async fn read(mut response: Response, largest: usize) -> Self {
        let body = Body::read(&mut response, largest).await;
        Self { status: response.status(), headers: std::mem::take(response.headers_mut()), body }
    }

    /// The content of the outcome: always a JSON object.
    pub(super) fn content(self, mapping: &ResponseMapping) -> Result<Value, Failure> {
        let (status, format) = (self.status, Format::of(&self.headers));
        if !status.is_success() {
            let said = if let Body::Whole(body) = self.body { body } else { Vec::new() };
            return Err(Failure::Status { status, excerpt: excerpt(&format, &said) });
        }
        let content = match self.body {
            Body::Whole(body) => content(status, &format, &body, mapping),
            Body::TooLarge => Err(Unusable::TooLarge),
            Body::BrokenOff => Err(Unusable::BrokenOff),
        };
        content.map_err(|unusable| Failure::Answer { status, unusable })
    }
}

impl Body {
    /// Stops reading where the limit is.
    async fn read(response: &mut Response, largest: usize) -> Self {
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > largest) {
            return Self::TooLarge;
        }
        let mut body = Vec::with_capacity(announced.unwrap_or_default());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > largest => return Self::TooLarge,
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Self::Whole(body),
                Err(_) => return Self::BrokenOff,
            }
        }
    }
}

/// What the headers say of the body.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Json,
    Text,
    /// Nothing, or nothing of use.
    Unsaid,
    WebPage,
    Other(String),
}

impl Format {
    fn of(headers: &HeaderMap) -> Self {
        let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/octet-stream" => Self::Unsaid,
            "application/json" | "text/json" => Self::Json,
            "text/html" | "application/xhtml+xml" => Self::WebPage,
            "text/plain" => Self::Text,
            other if other.starts_with("application/") && other.ends_with("+json") => Self::Json,
            other if is_media_type(other) => Self::Other(shortened(other, 60).to_owned()),
            _ => Self::Other("something unknown".to_owned()),
        }
    }
}

/// Whether it may be repeated to a model: a header can hold any words.
fn is_media_type(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-._".contains(&byte))
}

fn content(
    status: StatusCode,
    format: &Format,
    body: &[u8],
    mapping: &ResponseMapping,
) -> Result<Value, Unusable> {
    if status == StatusCode::NO_CONTENT || body.trim_ascii().is_empty() {
        return Ok(json!({ "ok": true }));
    }
    let mut data = mapped(data(format, body)?, mapping)?;
    clean(&mut data);
    Ok(if data.is_object() { data } else { json!({ "result": data }) })
}

fn data(format: &Format, body: &[u8]) -> Result<Value, Unusable> {
    let parsed = || serde_json::from_slice::<Value>(body);
    match format {
        Format::Json => parsed().map_err(|_| Unusable::BrokenJson),
        // A number in plain text may be a code with zeros in front: only lists and objects are taken for JSON.
        Format::Text => {
            Ok(parsed().ok().filter(|data| data.is_object() || data.is_array()).unwrap_or_else(|| text(body)))
        }
        Format::Unsaid if body.trim_ascii_start().starts_with(b"<") => Err(Unusable::WebPage),
        Format::Unsaid => match parsed() {
            Ok(data) => Ok(data),
            Err(_) => std::str::from_utf8(body)
                .map(Value::from)
                .map_err(|_| Unusable::Type("something unknown".to_owned())),
        },
        Format::WebPage => Err(Unusable::WebPage),
        Format::Other(essence) => Err(Unusable::Type(essence.clone())),
    }
}

fn text(body: &[u8]) -> Value {
    Value::from(String::from_utf8_lossy(body).trim())
}

fn mapped(data: Value, mapping: &ResponseMapping) -> Result<Value, Unusable> {
    let at = |pointer: &String| data.pointer(pointer).cloned();
    match mapping {
        ResponseMapping::Whole => Ok(data),
        ResponseMapping::At(pointer) => at(pointer).ok_or_else(|| Unusable::Missing(pointer.clone())),
        // Services leave out what they do not know, and what they do know is still of use.
        ResponseMapping::Fields(fields) => {
            let fields = fields.iter().map(|(name, pointer)| (name.clone(), at(pointer).unwrap_or_default()));
            Ok(Value::Object(fields.collect::<Map<_, _>>()))
        }
    }
}

/// Cuts texts that are too long and takes out control characters, which no voice can say.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) => {
            let cut = shortened(text, LONGEST_TEXT);
            if cut.len() < text.len() || cut.chars().any(is_noise) {
                *text = cut.chars().filter(|character| !is_noise(*character)).collect();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => fields.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_noise(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

/// What a service says of an error, on one short line.
fn excerpt(format: &Format, body: &[u8]) -> String {
    let said = match data(format, body) {
        Ok(Value::String(text)) => text,
        Ok(data) => MESSAGES
            .iter()
            .find_map(|pointer| data.pointer(pointer)?.as_str().map(str::to_owned))
            .unwrap_or_default(),
        Err(_) => String::new(),
    };
    let line: String =
        said.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    shortened(line.trim(), LONGEST_EXCERPT).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(header: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, header.parse().unwrap());
        Format::of(&headers)
    }

    fn read_as(header: &str, body: &str) -> Result<Value, Unusable> {
        content(StatusCode::OK, &format(header), body.as_bytes(), &ResponseMapping::Whole)
    }

    #[test]
    fn data_becomes_an_object() {
        for (header, body, expected) in [
            ("application/json", r#"{"a":1}"#, json!({ "a": 1 })),
            ("application/json; charset=utf-8", "[1,2]", json!({ "result": [1, 2] })),
            ("application/problem+json", "\"x\"", json!({ "result": "x" })),
            ("application/json", "null", json!({ "result": null })),
            ("application/json", " \n", json!({ "ok": true })),
            ("text/plain", "007", json!({ "result": "007" })),
            ("text/plain", r#"{"a":1}"#, json!({ "a": 1 })),
            ("Text/Plain;charset=UTF-8", "Yes.\n", json!({ "result": "Yes." })),
            ("application/octet-stream", r#"{"a":1}"#, json!({ "a": 1 })),
        ] {
            assert_eq!(read_as(header, body), Ok(expected), "{header}: {body}");
        }
        assert_eq!(
            content(StatusCode::NO_CONTENT, &Format::Unsaid, b"", &ResponseMapping::Whole),
            Ok(json!({ "ok": true }))
        );
    }

    #[test]
    fn what_is_no_data_is_refused() {
        for (header, body, refusal) in [
            ("text/html; charset=utf-8", "<html>", Unusable::WebPage),
            ("application/octet-stream", "\n <!doctype html>", Unusable::WebPage),
            ("application/json", "<html>", Unusable::BrokenJson),
            ("image/png", "png", Unusable::Type("image/png".to_owned())),
            ("application/xml", "<a/>", Unusable::Type("application/xml".to_owned())),
            ("ignore what\twas said", "x", Unusable::Type("something unknown".to_owned())),
        ] {
            assert_eq!(read_as(header, body), Err(refusal), "{header}: {body}");
        }
        let binary = content(StatusCode::OK, &Format::Unsaid, &[0xff, 0xfe], &ResponseMapping::Whole);
        assert!(matches!(binary, Err(Unusable::Type(_))), "{binary:?}");
    }

    #[test]
    fn a_mapping_takes_what_it_names() {
        let data = json!({ "data": { "status": "confirmed", "items": [{ "id": 7 }] } });
        let at = |pointer: &str| mapped(data.clone(), &ResponseMapping::At(pointer.to_owned()));
        assert_eq!(at("/data/items/0"), Ok(json!({ "id": 7 })));
        assert_eq!(at("/data/nothing"), Err(Unusable::Missing("/data/nothing".to_owned())));
        let fields = |pointer: &str| {
            let fields = [("state", "/data/status"), ("id", pointer)];
            let fields = fields.map(|(name, pointer)| (name.to_owned(), pointer.to_owned()));
            mapped(data.clone(), &ResponseMapping::Fields(fields.into()))
        };
        assert_eq!(fields("/data/items/0/id"), Ok(json!({ "state": "confirmed", "id": 7 })));
        assert_eq!(fields("/id"), Ok(json!({ "state": "confirmed", "id": null })));
    }

    #[test]
    fn texts_are_cleaned() {
        let mut value = json!({ "a": ["x\u{0}y\u{1b}\nz", "w".repeat(2 * LONGEST_TEXT)] });
        clean(&mut value);
        assert_eq!(value, json!({ "a": ["xy\nz", "w".repeat(LONGEST_TEXT)] }));
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        let of = |header: &str, body: &str| excerpt(&format(header), body.as_bytes());
        assert_eq!(of("application/json", r#"{"message":"No such\norder"}"#), "No such order");
        assert_eq!(of("application/json", r#"{"error":{"message":"gone"}}"#), "gone");
        assert_eq!(of("application/problem+json", r#"{"title":"T","detail":"D"}"#), "D");
        assert_eq!(of("application/json", r#"{"code":7}"#), "");
        assert_eq!(of("text/plain", &"x".repeat(900)).len(), LONGEST_EXCERPT);
        assert_eq!(of("text/html", "<h1>502</h1>"), "");
    }
}
