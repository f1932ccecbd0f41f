//! The URL of a request: a template in which values are only values.
//!
//! What is filled in is percent-encoded. Scheme, host and port are literal, and a value that would change how many
//! segments the path has, or add anything to the query, fails the run.

use reqwest::Url;

use crate::tools::template::{Template, Values};

#[derive(Debug)]
pub(super) struct UrlTemplate {
    template: Template,
    /// The URL with [`SAMPLE`] for every value.
    sample: Url,
}

/// A value that changes nothing about a URL.
const SAMPLE: &str = "x";

impl UrlTemplate {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let (_, after_scheme) = text.split_once("://").ok_or("the URL must begin with https://")?;
        let host_end = after_scheme.find(['/', '?', '#', '\\']).unwrap_or(after_scheme.len());
        let authority_end = text.len() - after_scheme.len() + host_end;
        if text[..authority_end].contains("{{") {
            return Err("no template may stand in the scheme, host or port of the URL".to_owned());
        }
        let template = Template::compile(text)?;
        let sample = Url::parse(&template.with_each(SAMPLE))
            .map_err(|error| format!("the URL cannot be read: {error}"))?;
        // A URL that begins without a host would take the next best text for it.
        let literal = Url::parse(&text[..authority_end]);
        if !literal.is_ok_and(|literal| literal.origin() == sample.origin()) {
            return Err("the URL must name a host".to_owned());
        }
        if sample.fragment().is_some() {
            return Err("the URL must not have a fragment (#)".to_owned());
        }
        Ok(Self { template, sample })
    }

    pub(super) fn fill(&self, values: &Values) -> Result<Url, String> {
        let text = self.template.fill(values, |value, output| {
            percent_encode(value, output);
            Ok(())
        })?;
        let url = Url::parse(&text).map_err(|_| misfit())?;
        if shape(&url) != shape(&self.sample) || has_new_blank_segment(&url, &self.sample) {
            return Err(misfit());
        }
        Ok(url)
    }

    /// Literal in every template.
    pub(super) fn host(&self) -> &str {
        self.sample.host_str().unwrap_or_default()
    }
}

fn misfit() -> String {
    "The arguments do not fit into the address of the service: one that is needed there is blank or not usable."
        .to_owned()
}

/// What no value may change.
fn shape(url: &Url) -> (url::Origin, usize, usize, bool) {
    let segments = url.path_segments().map_or(0, Iterator::count);
    let parameters = url.query().map_or(0, |query| query.split('&').count());
    (url.origin(), segments, parameters, url.fragment().is_some())
}

/// A path that ends before a missing value often means everything there is.
fn has_new_blank_segment(url: &Url, sample: &Url) -> bool {
    let segments = |url: &Url| url.path().split('/').map(str::is_empty).collect::<Vec<_>>();
    segments(url) != segments(sample)
}

/// Leaves only what RFC 3986 calls unreserved.
fn percent_encode(value: &str, output: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            output.push(char::from(byte));
        } else {
            output.push('%');
            output.push(char::from(HEX[usize::from(byte >> 4)]));
            output.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::tools::testing;

    fn filled(template: &str, arguments: Value) -> Result<String, String> {
        let values = Values::of(&testing::request(testing::tool("t"), arguments));
        Ok(UrlTemplate::compile(template)?.fill(&values)?.to_string())
    }

    const ORDERS: &str = "https://api.example.com/v1/orders/{{ args.id }}?lang={{ args.lang }}&full=1";

    #[test]
    fn values_are_encoded() {
        for (id, lang, url) in [
            ("A 1", "de", "https://api.example.com/v1/orders/A%201?lang=de&full=1"),
            ("a/b?c#d", "x&y=z", "https://api.example.com/v1/orders/a%2Fb%3Fc%23d?lang=x%26y%3Dz&full=1"),
            ("ü%2f..", "", "https://api.example.com/v1/orders/%C3%BC%252f..?lang=&full=1"),
            ("@evil.example\\", "+", "https://api.example.com/v1/orders/%40evil.example%5C?lang=%2B&full=1"),
        ] {
            assert_eq!(filled(ORDERS, json!({ "id": id, "lang": lang })).as_deref(), Ok(url));
        }
        assert_eq!(
            filled("https://a.example/{{ args.n }}", json!({ "n": 7 })).as_deref(),
            Ok("https://a.example/7")
        );
    }

    #[test]
    fn a_value_that_would_change_the_path_is_refused() {
        for id in [json!(".."), json!("."), json!(""), json!(null)] {
            let outcome = filled(ORDERS, json!({ "id": id }));
            assert!(outcome.as_ref().is_err_and(|reason| reason.contains("address")), "{id}: {outcome:?}");
        }
        let dots = filled("https://a.example/x/.{{ args.id }}/y", json!({ "id": "." }));
        assert!(dots.is_err(), "{dots:?}");
    }

    #[test]
    fn the_host_is_literal() {
        for template in [
            "https://{{ args.host }}/x",
            "https://api.{{ args.host }}/x",
            "{{ args.scheme }}://api.example.com/x",
            "https://api.example.com{{ args.x }}",
            "https://api.example.com:{{ args.port }}/x",
            "https://{{ args.user }}@api.example.com/x",
            "api.example.com/x",
            "https:///{{ args.x }}",
            "https://api.example.com/x#{{ args.x }}",
        ] {
            let outcome = UrlTemplate::compile(template);
            let host = outcome.as_ref().map(|template| template.sample.host_str().map(str::to_owned));
            assert!(outcome.is_err(), "{template}: {host:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_changes_host_depth_or_parameters(id in any::<String>(), lang in any::<String>()) {
            if let Ok(text) = filled(ORDERS, json!({ "id": id, "lang": lang })) {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.host_str(), Some("api.example.com"));
                prop_assert_eq!(url.path_segments().unwrap().count(), 3);
                let parameters: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
                prop_assert_eq!(parameters, ["lang", "full"]);
                prop_assert_eq!(url.query_pairs().next().unwrap().1, lang);
            } else {
                prop_assert!(["", ".", ".."].contains(&id.as_str()), "{id:?} was refused");
            }
        }
    }
}
