//! Events and exceptions as frames of `application/vnd.amazon.eventstream`. Not which events there are, or when.

use std::hash::{DefaultHasher, Hash, Hasher};

use aws_smithy_eventstream::error::Error;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

/// Bedrock pads each event with a prefix of this text, so that sizes on the wire do not give the tokens away.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// An event such as `contentBlockDelta`, padded.
pub(super) fn event(name: &'static str, mut payload: Value) -> Result<Bytes, Error> {
    if let Some(fields) = payload.as_object_mut() {
        let padding = padding_for(name, fields);
        fields.insert("p".to_owned(), json!(padding));
    }
    encode([(":event-type", name), (":message-type", "event")], &payload)
}

/// An exception inside the stream, by its name in lower camel case.
pub(super) fn exception(name: &str, message: &str) -> Result<Bytes, Error> {
    encode([(":exception-type", name), (":message-type", "exception")], &json!({ "message": message }))
}

fn encode(headers: [(&'static str, &str); 2], payload: &Value) -> Result<Bytes, Error> {
    let mut message = Message::new(payload.to_string());
    for (name, value) in headers {
        message = message.add_header(Header::new(name, HeaderValue::String(value.to_owned().into())));
    }
    let content_type = HeaderValue::String("application/json".into());
    message = message.add_header(Header::new(":content-type", content_type));
    let mut frame = Vec::new();
    write_message_to(&message, &mut frame)?;
    Ok(frame.into())
}

/// The length looks random and yet is the same in every run.
fn padding_for(name: &str, fields: &serde_json::Map<String, Value>) -> &'static str {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    fields.hash(&mut hasher);
    let choices = PADDING.len() as u64 + 1;
    let length = usize::try_from(hasher.finish() % choices).unwrap_or_default();
    PADDING.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;

    #[test]
    fn an_event_carries_its_type_and_a_padded_payload() {
        let frame = event("messageStop", json!({"stopReason": "end_turn"})).unwrap();
        let message = read_message_from(frame).unwrap();
        let headers: Vec<(&str, &str)> = message
            .headers()
            .iter()
            .map(|header| (header.name().as_str(), header.value().as_string().unwrap().as_str()))
            .collect();
        assert_eq!(
            headers,
            [
                (":event-type", "messageStop"),
                (":message-type", "event"),
                (":content-type", "application/json")
            ]
        );
        let payload: Value = serde_json::from_slice(message.payload()).unwrap();
        assert_eq!(payload["stopReason"], "end_turn");
        assert!(PADDING.starts_with(payload["p"].as_str().unwrap()));
    }

    #[test]
    fn padding_varies_with_the_payload() {
        let lengths: BTreeSet<usize> = (0..50)
            .map(|index| event("contentBlockDelta", json!({"contentBlockIndex": index})).unwrap().len())
            .collect();
        assert!(lengths.len() > 10, "only {lengths:?}");
    }
}
