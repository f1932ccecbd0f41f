//! Options of the `http` handler: a request to somebody's service, and what of the response the model sees.

use std::collections::BTreeMap;

use serde_json::Value;
use voice_core::use_case::{HttpBody, HttpTool, ResponseMapping};

use crate::catalog::use_case_item::problem::Report;
use crate::catalog::use_case_item::section::{Section, kind};
use crate::catalog::use_case_item::template::Templates;
use crate::catalog::use_case_item::{secrets, web_address};

pub(super) const OPTIONS: [&str; 7] =
    ["method", "url", "headers", "body", "response", "maxResponseBytes", "signingSecret"];
pub(super) const DEFAULT_LARGEST_RESPONSE: usize = 16 * 1024;
const LARGEST_RESPONSE: u32 = 256 * 1024;
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

pub(super) fn read(
    options: &Section<'_>,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<HttpTool> {
    let method = read_method(options, report);
    let headers =
        secrets::read_headers(options, |text, path, report| templates.check(text, path, report), report);
    let body = read_body(options, method, templates, report);
    let response = read_response(options, report);
    let largest_response = options
        .whole_number("maxResponseBytes", 1, LARGEST_RESPONSE, report)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(DEFAULT_LARGEST_RESPONSE);
    let signing_secret = secrets::read(options, "signingSecret", report);
    let url = options.demanded_text("url", report)?.trim();
    let path = options.path_of("url");
    if !web_address::check_template(url, &path, report) {
        return None;
    }
    templates.check(url, &path, report);
    Some(HttpTool {
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        body,
        response,
        largest_response,
        signing_secret,
    })
}

fn read_method(options: &Section<'_>, report: &mut Report) -> &'static str {
    let text = options.filled_text("method", report).unwrap_or("POST");
    let method = METHODS.into_iter().find(|method| method.eq_ignore_ascii_case(text));
    method.unwrap_or_else(|| {
        report.error(options.path_of("method"), format!("must be one of {}", METHODS.join(", ")));
        "POST"
    })
}

fn read_body(
    options: &Section<'_>,
    method: &str,
    templates: &Templates<'_>,
    report: &mut Report,
) -> HttpBody {
    let path = options.path_of("body");
    let body = match options.value("body") {
        None if matches!(method, "GET" | "DELETE") => HttpBody::None,
        None => HttpBody::Arguments,
        Some(Value::String(text)) => match text.as_str() {
            "arguments" => HttpBody::Arguments,
            "argumentsAndCall" => HttpBody::ArgumentsAndCall,
            _ => {
                report.error(&path, "must be arguments, argumentsAndCall, or a map or list with templates");
                HttpBody::None
            }
        },
        Some(template @ (Value::Object(_) | Value::Array(_))) => {
            templates.check_all(template, &path, report);
            HttpBody::Template(template.clone())
        }
        Some(other) => {
            report.error(&path, format!("must be text, a map or a list, not {}", kind(other)));
            HttpBody::None
        }
    };
    if method == "GET" && options.value("body").is_some() {
        report.error(path, "cannot be sent with GET; put the arguments into the url");
    }
    body
}

fn read_response(options: &Section<'_>, report: &mut Report) -> ResponseMapping {
    let path = options.path_of("response");
    match options.value("response") {
        None => ResponseMapping::Whole,
        Some(Value::String(pointer)) => {
            check_pointer(pointer, &path, report);
            ResponseMapping::At(pointer.clone())
        }
        Some(Value::Object(_)) => {
            let named = options.named_texts("response", report).unwrap_or_default();
            let mut fields = BTreeMap::new();
            for (name, pointer) in named {
                check_pointer(pointer, &format!("{path}.{name}"), report);
                fields.insert(name.to_owned(), pointer.to_owned());
            }
            ResponseMapping::Fields(fields)
        }
        Some(other) => {
            report.error(path, format!("must be a JSON pointer or a map of them, not {}", kind(other)));
            ResponseMapping::Whole
        }
    }
}

/// Where in a JSON document: `/customer/names/0`, with `~1` for a slash and `~0` for a tilde in a name.
fn check_pointer(pointer: &str, path: &str, report: &mut Report) {
    let escapes_fit = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !pointer.starts_with('/') || !escapes_fit {
        report.error(path, "must be a JSON pointer, such as /customer/name");
    }
}
