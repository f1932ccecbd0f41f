//! What a tool sends, a template on the first line and the model's arguments on the others: arguments stay values. They
//! change neither which host is asked nor how many segments and parameters its URL has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use trunkline::fuzzing::{http_tools, tools};

/// Twice what a text of a tool may be, which counts before it is encoded.
const LONGEST: usize = 1024 * 1024;

fuzz_target!(|text: &str| {
    let (template, arguments) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(arguments) = serde_json::from_str::<Value>(arguments) else { return };

    if let Ok((url, host)) = http_tools::url(template, arguments.clone()) {
        assert_eq!(url.host_str(), Some(host.as_str()), "no argument names the host");
        assert_eq!(url.fragment(), None);
        assert!(url.as_str().len() < LONGEST);
        if let Ok((sample, _)) = http_tools::url(template, json!({})) {
            let shape = |url: &url::Url| {
                let parameters = url.query().map_or(0, |query| query.split('&').count());
                (url.origin(), url.path().split('/').count(), parameters)
            };
            assert_eq!(shape(&url), shape(&sample), "no argument changes the shape");
        }
    }
    if let Ok(filled) = tools::fill_text(template, arguments.clone()) {
        assert!(filled.len() < LONGEST);
    }
    let body = json!({ "fixed": "{", "text": template, "list": [{ "inner": template }] });
    if let Ok(filled) = tools::fill_json(&body, arguments.clone()) {
        assert_eq!(filled.as_object().map(serde_json::Map::len), Some(3), "no argument adds a field");
        assert_eq!(filled["fixed"], "{");
    }
});
