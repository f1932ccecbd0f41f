//! The record's `toolsUrl`: functions kept outside, one per tool. A tool that names no handler is asked of
//! `{toolsUrl}/tools/{name}`, with its arguments and the call's context.

use std::collections::BTreeMap;

use voice_core::use_case::{HttpBody, HttpTool, ResponseMapping, SecretRef};

use super::http::DEFAULT_LARGEST_RESPONSE;
use crate::catalog::use_case_item::problem::Report;
use crate::catalog::use_case_item::section::Section;
use crate::catalog::use_case_item::{secrets, web_address};

#[derive(Debug)]
pub(super) struct Functions {
    /// Without a slash at its end.
    base: String,
    secret: Option<SecretRef>,
}

/// Reads `toolsUrl` and `toolsSecret`.
pub(super) fn read(record: &Section<'_>, report: &mut Report) -> Option<Functions> {
    let secret = secrets::read(record, "toolsSecret", report);
    let Some(url) = record.filled_text("toolsUrl", report) else {
        if record.value("toolsSecret").is_some() {
            report.warn("toolsSecret", "has no effect without toolsUrl");
        }
        return None;
    };
    if url.contains(['?', '#']) {
        report.error("toolsUrl", "must end with its path: /tools/ and the tool's name are put behind it");
        return None;
    }
    let base = url.trim().trim_end_matches('/');
    web_address::check(base, "toolsUrl", report).then(|| Functions { base: base.to_owned(), secret })
}

impl Functions {
    pub(super) fn request(&self, tool: &str) -> HttpTool {
        HttpTool {
            method: "POST".to_owned(),
            // A tool's name consists of letters, digits, _ and -.
            url: format!("{}/tools/{tool}", self.base),
            headers: BTreeMap::new(),
            body: HttpBody::ArgumentsAndCall,
            response: ResponseMapping::Whole,
            largest_response: DEFAULT_LARGEST_RESPONSE,
            signing_secret: self.secret.clone(),
        }
    }
}
