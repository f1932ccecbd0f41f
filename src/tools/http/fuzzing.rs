//! For `crate::fuzzing`: URLs that arguments are filled into, and what services answer.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde_json::Value;
use voice_core::use_case::ResponseMapping;

use super::response::{Body, Received};
use super::url_template::UrlTemplate;
use crate::tools::fuzzing::values;

/// The URL with arguments filled in, and the host that the template names.
pub fn url(template: &str, arguments: Value) -> Result<(Url, String), String> {
    let template = UrlTemplate::compile(template)?;
    Ok((template.fill(&values(arguments))?, template.host().to_owned()))
}

/// What the model sees of an answer: data, or a sentence.
pub fn answer(
    status: u16,
    content_type: &str,
    body: Vec<u8>,
    mapping: &ResponseMapping,
) -> Result<Value, String> {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let content_type = HeaderValue::from_str(content_type).ok();
    let headers: HeaderMap = content_type.into_iter().map(|value| (CONTENT_TYPE, value)).collect();
    let received = Received { status, headers, body: Body::Whole(body) };
    received.content(mapping).map_err(|failure| failure.for_model(false))
}
