//! What a request of an `http` tool looks like: compiled once from the record, filled in for every run.

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use voice_core::ports::ToolRequest;
use voice_core::use_case::{HeaderSource, HttpBody, HttpTool, OWN_HEADERS, ResponseMapping, SecretRef};

use super::url_template::UrlTemplate;
use crate::tools::template::{JsonTemplate, Template, Values, call_facts};

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[derive(Debug)]
pub(in crate::tools) struct Endpoint {
    method: Method,
    url: UrlTemplate,
    headers: Vec<(HeaderName, Template)>,
    secret_headers: Vec<SecretHeader>,
    body: Body,
    signing_secret: Option<SecretRef>,
    mapping: ResponseMapping,
    largest_response: usize,
}

/// A header whose value is not in the record.
#[derive(Debug)]
pub(super) struct SecretHeader {
    pub(super) name: HeaderName,
    pub(super) prefix: String,
    pub(super) secret: SecretRef,
}

#[derive(Debug)]
enum Body {
    None,
    Arguments,
    ArgumentsAndCall,
    Template(JsonTemplate),
}

/// An endpoint with everything filled in but secrets.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) url: Url,
    /// The service's own.
    pub(super) headers: HeaderMap,
    /// Those of the record.
    pub(super) record_headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
}

impl Endpoint {
    /// Compiles what a record says, or says what is wrong with it.
    pub(in crate::tools) fn compile(tool: &HttpTool) -> Result<Self, String> {
        let method = METHODS.into_iter().find(|method| method.as_str() == tool.method);
        let mut endpoint = Self {
            method: method.ok_or_else(|| format!("the method {:?} is not one for tools", tool.method))?,
            url: UrlTemplate::compile(&tool.url)?,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            body: match &tool.body {
                HttpBody::None => Body::None,
                HttpBody::Arguments => Body::Arguments,
                HttpBody::ArgumentsAndCall => Body::ArgumentsAndCall,
                HttpBody::Template(json) => Body::Template(JsonTemplate::compile(json)?),
            },
            signing_secret: tool.signing_secret.clone(),
            mapping: tool.response.clone(),
            largest_response: tool.largest_response,
        };
        for (name, source) in &tool.headers {
            endpoint.add_header(name, source)?;
        }
        Ok(endpoint)
    }

    fn add_header(&mut self, name: &str, source: &HeaderSource) -> Result<(), String> {
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(format!("the header {name} cannot be set"));
        }
        let unfit = || format!("the header {name} holds characters that cannot be sent");
        match source {
            HeaderSource::Template(text) => {
                let template = Template::compile(text)?;
                // What is filled in is checked when it is; here it is what stands around it.
                HeaderValue::from_bytes(template.with_each("x").as_bytes()).map_err(|_| unfit())?;
                self.headers.push((name, template));
            }
            HeaderSource::Secret { prefix, secret } => {
                HeaderValue::from_str(prefix).map_err(|_| unfit())?;
                let (prefix, secret) = (prefix.clone(), secret.clone());
                self.secret_headers.push(SecretHeader { name, prefix, secret });
            }
        }
        Ok(())
    }

    pub(super) fn fill(&self, values: &Values, request: &ToolRequest) -> Result<Filled, String> {
        let body = match &self.body {
            Body::None => None,
            Body::Arguments => Some(request.input.clone()),
            Body::ArgumentsAndCall => Some(with_call(request)),
            Body::Template(template) => Some(template.fill(values)?),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut record_headers = HeaderMap::new();
        for (name, template) in &self.headers {
            record_headers.insert(name.clone(), header_value(template, values)?);
        }
        let body = body.map(|body| body.to_string().into_bytes());
        Ok(Filled { url: self.url.fill(values)?, headers, record_headers, body })
    }

    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// For the log.
    pub(super) fn host(&self) -> &str {
        self.url.host()
    }

    pub(super) fn secret_headers(&self) -> &[SecretHeader] {
        &self.secret_headers
    }

    pub(super) const fn signing_secret(&self) -> Option<&SecretRef> {
        self.signing_secret.as_ref()
    }

    /// All that its requests are authorised with.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.secret_headers.iter().map(|header| &header.secret).chain(&self.signing_secret)
    }

    pub(super) const fn mapping(&self) -> &ResponseMapping {
        &self.mapping
    }

    pub(super) const fn largest_response(&self) -> usize {
        self.largest_response
    }
}

/// A line break in a value would begin another header, so that control characters fail the run.
fn header_value(template: &Template, values: &Values) -> Result<HeaderValue, String> {
    let refused = || "The arguments hold characters that the service cannot be sent.".to_owned();
    let text = template.fill(values, |value, output| {
        if value.chars().any(char::is_control) {
            return Err(refused());
        }
        output.push_str(value);
        Ok(())
    })?;
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| refused())
}

/// The arguments with the call beside them. An argument of that name gives way.
fn with_call(request: &ToolRequest) -> Value {
    let mut body = request.input.as_object().cloned().unwrap_or_default();
    body.insert("call".to_owned(), call_facts(request));
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::testing::{self, http_tool};

    fn fill(tool: &HttpTool, arguments: Value) -> Result<Filled, String> {
        let request = testing::request(testing::tool("t"), arguments);
        Endpoint::compile(tool)?.fill(&Values::of(&request), &request)
    }

    fn body(tool: &HttpTool, arguments: Value) -> Value {
        let body = fill(tool, arguments).unwrap().body.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn with_header(name: &str, template: &str) -> HttpTool {
        let source = HeaderSource::Template(template.to_owned());
        HttpTool { headers: [(name.to_owned(), source)].into(), ..http_tool("https://api.example.com/x") }
    }

    #[test]
    fn the_call_stands_beside_the_arguments() {
        let tool =
            HttpTool { body: HttpBody::ArgumentsAndCall, ..http_tool("https://api.example.com/tools/t") };
        let expected = json!({
            "code": "1", "call": {
                "sid": "CA1", "from": "+14155550100", "to": "+18005550199", "person": "+14155550100",
                "direction": "inbound", "useCase": "reception",
            },
        });
        assert_eq!(body(&tool, json!({ "code": "1", "call": "forged" })), expected);
    }

    #[test]
    fn a_body_is_the_arguments_a_template_or_nothing() {
        let tool = http_tool("https://api.example.com/x");
        assert_eq!(body(&tool, json!({ "a": 1 })), json!({ "a": 1 }));
        let template = HttpBody::Template(json!({ "n": "{{ args.a }}", "who": "Caller {{ call.sid }}" }));
        let tool = HttpTool { body: template, ..tool };
        assert_eq!(body(&tool, json!({ "a": 1 })), json!({ "n": 1, "who": "Caller CA1" }));
        let nothing = fill(&HttpTool { body: HttpBody::None, ..tool }, json!({})).unwrap();
        assert_eq!((nothing.body, nothing.headers.get("content-type")), (None, None));
    }

    #[test]
    fn an_argument_cannot_begin_another_header() {
        let tool = with_header("X-Order", "order {{ args.id }}");
        let headers = fill(&tool, json!({ "id": "Zoë 1" })).unwrap().record_headers;
        assert_eq!(headers["x-order"].as_bytes(), "order Zoë 1".as_bytes());
        for id in ["1\r\nX-Admin: yes", "1\n", "1\u{0}", "1\u{85}"] {
            let refused = fill(&tool, json!({ "id": id }));
            assert!(refused.is_err_and(|reason| reason.contains("characters")), "{id:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_request_is_told() {
        for (tool, problem) in [
            (HttpTool { method: "TRACE".to_owned(), ..http_tool("https://a.example/") }, "TRACE"),
            (with_header("Host", "evil.example"), "host"),
            (with_header("X-Trunkline-Signature", "t=1"), "x-trunkline-signature"),
            (with_header("no name", "x"), "no name"),
            (with_header("X-A", "{{ a"), "not closed"),
            (with_header("X-A", "a {{ args.b }}\nX-Admin: yes"), "cannot be sent"),
            (http_tool("https://{{ args.host }}/"), "host"),
        ] {
            let outcome = Endpoint::compile(&tool).map(|_| ());
            assert!(outcome.as_ref().is_err_and(|told| told.contains(problem)), "{problem}: {outcome:?}");
        }
    }
}
