//! What the handlers of tools become, and what their authors are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::use_case::{
    Handler, HeaderSource, HttpBody, HttpTool, McpTool, PlaceCall, RecordAction, RecordTool, ResponseMapping,
    SecretRef, SendSms, Tool, VerifyChannel,
};

use super::{parse, parsed, record_with};

/// A schema with the argument `id`, and with what handlers read.
fn schema() -> Value {
    let names = ["id", "reason", "message", "digits", "language", "name", "to", "code", "useCase"];
    let properties: Value =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties})
}

fn tool_with(handler: &Value) -> Value {
    json!({"name": "lookup", "inputSchema": {"json": schema()}, "handler": handler})
}

#[track_caller]
fn handler_of(handler: &Value) -> Handler {
    tool_of(handler).handler.clone()
}

#[track_caller]
fn tool_of(handler: &Value) -> Arc<Tool> {
    let use_case = parsed(&json!({
        "tools": [tool_with(handler)], "handoff": "+14155550100", "languages": [{"code": "es-US"}],
        "mcpServers": {"crm": {
            "url": "https://mcp.example.com/mcp", "allow": ["find", "close"], "idempotent": ["find"],
            "timeoutMs": 2500,
        }},
    }))
    .use_case;
    Arc::clone(&use_case.tools[0])
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_handler_may_be_a_name() {
    for (name, handler) in [
        ("end_call", Handler::EndCall),
        ("transfer_to_human", Handler::TransferToHuman),
        ("send_sms", Handler::SendSms(SendSms::default())),
        ("send_digits", Handler::SendDigits),
        ("switch_language", Handler::SwitchLanguage),
        ("get_customer", Handler::GetCustomer),
        ("verify_send", Handler::VerifySend { channel: VerifyChannel::Sms }),
        ("verify_code", Handler::VerifyCode),
        ("current_time", Handler::CurrentTime),
    ] {
        assert_eq!(handler_of(&json!(name)), handler);
        assert_eq!(handler_of(&json!({ "type": name })), handler);
    }
}

#[test]
fn a_tool_without_a_handler_has_the_one_of_its_name() {
    for (name, handler) in [
        ("end_call", Handler::EndCall),
        ("support", Handler::TransferToHuman),
        ("live-agent-handoff", Handler::TransferToHuman),
        ("get-customer", Handler::GetCustomer),
        ("verify-send", Handler::VerifySend { channel: VerifyChannel::Sms }),
        ("verify-code", Handler::VerifyCode),
        ("getDateTool", Handler::CurrentTime),
        ("getTimeTool", Handler::CurrentTime),
    ] {
        let tool = json!({"toolSpec": {"name": name, "inputSchema": {"json": schema().to_string()}}});
        let use_case = parsed(&json!({"tools": [tool], "handoff": "help@example.com"})).use_case;
        assert_eq!(use_case.tools[0].handler, handler, "{name}");
    }
}

#[test]
fn the_options_of_builtins_are_read() {
    let numbers = json!({"desk": "+14155550100"});
    assert_eq!(
        handler_of(&json!({"type": "send_sms", "numbers": numbers, "from": "+18005550199"})),
        Handler::SendSms(SendSms {
            numbers: named(&[("desk", "+14155550100")]),
            from: Some("+18005550199".to_owned())
        })
    );
    assert_eq!(
        handler_of(&json!({"type": "place_call", "numbers": numbers, "useCase": "survey"})),
        Handler::PlaceCall(PlaceCall {
            numbers: named(&[("desk", "+14155550100")]),
            use_case: Some("survey".to_owned())
        })
    );
    let source = "https://example.com/jingle.mp3";
    assert_eq!(
        handler_of(&json!({"type": "play_audio", "sources": {"jingle": source}})),
        Handler::PlayAudio { sources: named(&[("jingle", source)]) }
    );
    assert_eq!(
        handler_of(&json!({"type": "verify_send", "channel": "call"})),
        Handler::VerifySend { channel: VerifyChannel::Call }
    );
    assert_eq!(
        handler_of(&json!({"type": "set_use_case", "useCases": ["billing"]})),
        Handler::SetUseCase { use_cases: vec!["billing".to_owned()] }
    );
}

#[track_caller]
fn http_of(handler: &Value) -> HttpTool {
    match handler_of(handler) {
        Handler::Http(tool) => (*tool).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_http_request_is_read() {
    let body = json!({"query": {"id": "{{ args.id }}", "from": "{{ call.person }}"}, "limit": 5});
    let tool = http_of(&json!({
        "type": "http", "method": "put", "url": "https://api.example.com/orders/{{ args.id }}?run={{ run.id }}",
        "headers": {
            "X-Tenant": "{{ variables.tenant }}",
            "Authorization": {"secret": "aws:prod/api#token", "prefix": "Bearer "},
        },
        "body": body, "response": {"state": "/order/state"}, "maxResponseBytes": 1000,
        "signingSecret": "env:TOOL_SECRET_HMAC",
    }));
    let token = SecretRef::SecretsManager { id: "prod/api".to_owned(), key: Some("token".to_owned()) };
    let headers = BTreeMap::from([
        ("X-Tenant".to_owned(), HeaderSource::Template("{{ variables.tenant }}".to_owned())),
        ("Authorization".to_owned(), HeaderSource::Secret { prefix: "Bearer ".to_owned(), secret: token }),
    ]);
    let expected = HttpTool {
        method: "PUT".to_owned(),
        url: "https://api.example.com/orders/{{ args.id }}?run={{ run.id }}".to_owned(),
        headers,
        body: HttpBody::Template(body),
        response: ResponseMapping::Fields(named(&[("state", "/order/state")])),
        largest_response: 1000,
        signing_secret: Some(SecretRef::Environment("TOOL_SECRET_HMAC".to_owned())),
    };
    assert_eq!(tool, expected);
}

#[test]
fn an_http_request_has_defaults_that_fit_its_method() {
    let with = |changes: Value| {
        let mut handler = json!({"type": "http", "url": "https://api.example.com/"});
        handler.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        http_of(&handler)
    };
    let post = with(json!({}));
    assert_eq!(
        (post.method.as_str(), post.body, post.largest_response),
        ("POST", HttpBody::Arguments, 16_384)
    );
    assert_eq!((post.response, post.signing_secret), (ResponseMapping::Whole, None));
    assert_eq!(with(json!({"method": "GET"})).body, HttpBody::None);
    assert_eq!(with(json!({"method": "DELETE"})).body, HttpBody::None);
    assert_eq!(with(json!({"body": "argumentsAndCall"})).body, HttpBody::ArgumentsAndCall);
    assert_eq!(with(json!({"response": "/a"})).response, ResponseMapping::At("/a".to_owned()));
}

#[test]
fn a_record_tool_is_read() {
    let read = |options: Value| {
        let mut handler = json!({"type": "record", "kind": "reservation", "fields": ["status"]});
        handler.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let Handler::Record(tool) = handler_of(&handler) else { panic!("it is no record tool") };
        let RecordTool { kind, action, fields } = (*tool).clone();
        assert_eq!((kind.as_str(), fields), ("reservation", vec!["status".to_owned()]));
        action
    };
    let key = || "{{ args.id }}".to_owned();
    let set = json!({"status": "cancelled", "by": "{{ call.person }}"});
    let map = set.as_object().unwrap().clone();
    assert_eq!(read(json!({"action": "get", "key": key()})), RecordAction::Get { key: key() });
    assert_eq!(read(json!({"action": "list"})), RecordAction::List { limit: 20 });
    assert_eq!(
        read(json!({"action": "update", "key": key(), "set": set})),
        RecordAction::Update { key: key(), set: map.clone() }
    );
    let week = Duration::from_hours(7 * 24);
    assert_eq!(
        read(json!({"action": "put", "set": set, "keepDays": 7})),
        RecordAction::Put { set: map, keep: Some(week) }
    );
}

#[test]
fn a_tool_of_an_mcp_server_can_be_named() {
    let tool = tool_of(&json!({"type": "mcp", "server": "crm", "tool": "find"}));
    let Handler::Mcp(McpTool { server, name }) = &tool.handler else { panic!("{tool:?}") };
    assert_eq!((server.name.as_str(), server.prefix.as_str(), name.as_str()), ("crm", "crm_", "find"));
    assert_eq!((tool.timeout, tool.idempotent), (Duration::from_millis(2500), true));
    assert!(!tool_of(&json!({"type": "mcp", "server": "crm", "tool": "close"})).idempotent);
}

#[test]
fn what_only_reads_may_be_run_twice() {
    let harmless = |handler: Value| tool_of(&handler).idempotent;
    assert!(harmless(json!("get_customer")) && harmless(json!("current_time")));
    assert!(harmless(json!({"type": "http", "method": "GET", "url": "https://a.example"})));
    assert!(!harmless(json!({"type": "http", "url": "https://a.example"})));
    assert!(harmless(json!({"type": "record", "kind": "a", "action": "list"})));
    assert!(!harmless(json!({"type": "record", "kind": "a", "action": "put", "set": {"a": 1}})));
    assert!(!harmless(json!("send_sms")));
}

#[test]
fn functions_kept_outside_are_one_setting() {
    let schema = json!({"json": {"type": "object"}});
    let tool = |name: &str| json!({"name": name, "inputSchema": schema});
    let use_case = parsed(&json!({
        "toolsUrl": "https://functions.example.com/v1/", "toolsSecret": "env:TOOL_SECRET_FUNCTIONS",
        "tools": [tool("get-policy"), tool("end_call"), tool("record")],
    }))
    .use_case;
    let expected = HttpTool {
        method: "POST".to_owned(),
        url: "https://functions.example.com/v1/tools/get-policy".to_owned(),
        headers: BTreeMap::new(),
        body: HttpBody::ArgumentsAndCall,
        response: ResponseMapping::Whole,
        largest_response: 16_384,
        signing_secret: Some(SecretRef::Environment("TOOL_SECRET_FUNCTIONS".to_owned())),
    };
    assert_eq!(use_case.tools[0].handler, Handler::Http(Arc::new(expected)));
    assert_eq!(use_case.tools[1].handler, Handler::EndCall, "a handler that exists comes first");
    assert!(matches!(&use_case.tools[2].handler, Handler::Http(tool) if tool.url.ends_with("/tools/record")));
}

#[track_caller]
fn mistakes(attributes: &Value) -> (Vec<String>, Vec<String>) {
    let texts = |problems: Vec<super::Problem>| problems.iter().map(ToString::to_string).collect();
    match parse(&record_with(attributes)) {
        Ok(parsed) => (Vec::new(), texts(parsed.warnings)),
        Err(errors) => (texts(errors), Vec::new()),
    }
}

fn http_with(option: &str, value: Value) -> Value {
    let mut handler = json!({"type": "http", "url": "https://api.example.com"});
    handler[option] = value;
    handler
}

fn record_tool(action: &str, options: &Value) -> Value {
    let mut handler = json!({"type": "record", "kind": "order", "action": action});
    handler.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    handler
}

#[test]
fn a_mistake_in_a_handler_is_told_with_place_and_reason() {
    for (handler, place, reason) in [
        (json!([]), "", "must be a name or a map, not a list"),
        (json!({}), ".type", "is missing"),
        (json!({"type": "send_sms", "numbers": {"a": "555"}}), ".numbers.a", "E.164"),
        (json!({"type": "send_sms", "numbers": {"a": 5}}), ".numbers.a", "must be text, not a number"),
        (json!({"type": "send_sms", "from": "Acme"}), ".from", "messaging service"),
        (json!("play_audio"), ".sources", "is missing"),
        (json!({"type": "play_audio", "sources": {}}), ".sources", "is empty"),
        (json!({"type": "play_audio", "sources": {"a": "http://a.b/c"}}), ".sources.a", "https://"),
        (json!({"type": "place_call"}), ".numbers", "is missing"),
        (json!({"type": "verify_send", "channel": "fax"}), ".channel", "sms or call"),
        (json!({"type": "set_use_case", "useCases": []}), ".useCases", "is empty"),
        (json!({"type": "http"}), ".url", "is missing"),
        (http_with("url", json!("api.example.com")), ".url", "https://"),
        (http_with("url", json!("https://{{ args.id }}.example.com/")), ".url", "literally"),
        (http_with("url", json!("https://a.example/{{ args.id")), ".url", "not closed"),
        (http_with("url", json!("https://a.example/{% if args.id %}x{% endif %}")), ".url", "statements"),
        (http_with("method", json!("TRACE")), ".method", "must be one of GET"),
        (http_with("headers", json!({"X Y": "a"})), ".headers.X Y", "not the name of a header"),
        (http_with("headers", json!({"Host": "a"})), ".headers.Host", "sets itself"),
        (http_with("headers", json!({"X": 1})), ".headers.X", "must be text"),
        (http_with("headers", json!({"X": {}})), ".headers.X.secret", "is missing"),
        (http_with("headers", json!({"X": {"secret": "env:HOME"}})), ".headers.X.secret", "TOOL_SECRET_"),
        (http_with("headers", json!({"X": "{{ 1 + }}"})), ".headers.X", "cannot be read"),
        (http_with("body", json!("args")), ".body", "argumentsAndCall"),
        (http_with("body", json!({"a": ["{{ args."]})), ".body.a[0]", "not closed"),
        (http_with("response", json!("status")), ".response", "JSON pointer"),
        (http_with("response", json!({"a": "/b~2"})), ".response.a", "JSON pointer"),
        (http_with("maxResponseBytes", json!(300_000)), ".maxResponseBytes", "from 1 to 262144"),
        (http_with("signingSecret", json!("hunter2")), ".signingSecret", "env:TOOL_SECRET_"),
        (json!({"type": "mcp", "tool": "x"}), ".server", "is missing"),
        (json!({"type": "mcp", "server": "x", "tool": "x"}), ".server", "no usable server named x"),
        (json!({"type": "record", "action": "list"}), ".kind", "is missing"),
        (json!({"type": "record", "kind": "a::b", "action": "list"}), ".kind", "letters, digits"),
        (json!({"type": "record", "kind": "a"}), ".action", "is missing"),
        (record_tool("drop", &json!({})), ".action", "must be get, list"),
        (record_tool("get", &json!({})), ".key", "is missing"),
        (record_tool("get", &json!({"key": "{{ args.id"})), ".key", "not closed"),
        (record_tool("list", &json!({"limit": 51})), ".limit", "from 1 to 50"),
        (record_tool("put", &json!({})), ".set", "is missing"),
        (record_tool("put", &json!({"set": {}})), ".set", "is empty"),
        (record_tool("put", &json!({"set": {"pk": "x"}})), ".set.pk", "belongs to the table"),
        (record_tool("put", &json!({"set": {"a": 1}, "keepDays": 0})), ".keepDays", "from 1 to 3650"),
    ] {
        let (errors, _) = mistakes(&json!({"tools": [tool_with(&handler)]}));
        let [error] = errors.as_slice() else { panic!("{handler}: {errors:?}") };
        assert!(error.starts_with(&format!("tools[0].handler{place}: ")), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn what_a_handler_will_not_do_is_a_warning() {
    for (handler, place, reason) in [
        (json!("Ghost"), "tools[0].handler", "no handler is named Ghost"),
        (json!({"type": "Ghost"}), "tools[0].handler.type", "no handler is named Ghost"),
        (json!({"type": "end_call", "after": 1}), "tools[0].handler.after", "has no effect"),
        (http_with("url", json!("http://127.0.0.1:8080/")), "tools[0].handler.url", "not encrypted"),
        (
            http_with("url", json!("https://a.example/{{ args.bookingNumber }}")),
            "tools[0].handler.url",
            "args.bookingNumber is not defined",
        ),
        (http_with("body", json!({"a": "{{ id }}"})), "tools[0].handler.body.a", "id is not defined"),
        (record_tool("list", &json!({"key": "x"})), "tools[0].handler.key", "when the action is list"),
        (json!("transfer_to_human"), "handoff", "nobody to hand over to"),
        (json!("switch_language"), "languages", "none to switch to"),
    ] {
        let (errors, warnings) = mistakes(&json!({"tools": [tool_with(&handler)]}));
        assert_eq!(errors, Vec::<String>::new(), "{handler}");
        let [warning] = warnings.as_slice() else { panic!("{handler}: {warnings:?}") };
        assert!(warning.starts_with(&format!("{place}: ")) && warning.contains(reason), "{warning}");
    }
}

#[test]
fn a_schema_that_lacks_what_the_handler_reads_is_a_warning() {
    let source = "https://example.com/a.mp3";
    let numbers = json!({"desk": "+14155550100"});
    for (handler, names) in [
        (json!("send_sms"), "`message`"),
        (json!("send_digits"), "`digits`"),
        (json!("switch_language"), "`language`"),
        (json!("verify_code"), "`code`"),
        (json!("transfer_to_human"), "`reason` or `summary`"),
        (json!({"type": "play_audio", "sources": {"a": source, "b": source}}), "`name`"),
        (json!({"type": "place_call", "numbers": numbers}), "`to`"),
        (json!({"type": "set_use_case", "useCases": ["billing"]}), "`useCase`"),
    ] {
        let with_schema = |schema: Value| {
            let tool = json!({"name": "t", "inputSchema": {"json": schema}, "handler": handler});
            let about = json!({"handoff": "+14155550100", "languages": [{"code": "es-US"}], "tools": [tool]});
            mistakes(&about).1
        };
        let expected =
            format!("tools[0].inputSchema.json: the schema has no property {names}, which the handler reads");
        assert_eq!(with_schema(json!({"type": "object", "properties": {"text": {}}})), [expected]);
        assert_eq!(with_schema(schema()), Vec::<String>::new());
        let elsewhere = with_schema(json!({"type": "object", "anyOf": [{"properties": {"text": {}}}]}));
        assert_eq!(elsewhere, Vec::<String>::new());
    }
    let only = json!({"type": "play_audio", "sources": {"a": source}});
    let tool = json!({"name": "t", "inputSchema": {"json": {"type": "object"}}, "handler": only});
    assert_eq!(mistakes(&json!({"tools": [tool]})).1, Vec::<String>::new());
}

#[test]
fn a_mistake_about_servers_and_functions_is_told_with_place_and_reason() {
    let server = |option: &str, value: Value| {
        let mut server = json!({"url": "https://mcp.example.com", "allow": ["a"]});
        server[option] = value;
        json!({"mcpServers": {"crm": server}})
    };
    for (attributes, place, reason) in [
        (json!({"mcpServers": []}), "mcpServers", "must be a map"),
        (json!({"mcpServers": {"a b": {}}}), "mcpServers.a b", "must be named"),
        (server("url", json!(null)), "mcpServers.crm.url", "is missing"),
        (server("url", json!("https://a.example/{{ x }}")), "mcpServers.crm.url", "without templates"),
        (server("allow", json!(null)), "mcpServers.crm.allow", "is missing"),
        (server("allow", json!([])), "mcpServers.crm.allow", "is empty"),
        (server("allow", json!([1])), "mcpServers.crm.allow[0]", "must be text"),
        (server("prefix", json!("crm.")), "mcpServers.crm.prefix", "letters, digits"),
        (server("timeoutMs", json!(0)), "mcpServers.crm.timeoutMs", "from 1 to"),
        (server("headers", json!({"X": "{{ call.sid }}"})), "mcpServers.crm.headers.X", "without templates"),
        (json!({"toolsUrl": "functions.example.com"}), "toolsUrl", "https://"),
        (json!({"toolsUrl": "https://a.example/?x=1"}), "toolsUrl", "must end with its path"),
        (json!({"toolsUrl": "https://a.example", "toolsSecret": "x"}), "toolsSecret", "env:TOOL_SECRET_"),
    ] {
        let (errors, _) = mistakes(&attributes);
        let [error] = errors.as_slice() else { panic!("{attributes}: {errors:?}") };
        assert!(error.starts_with(&format!("{place}: ")) && error.contains(reason), "{error}");
    }
    for (attributes, place) in [
        (json!({"toolsSecret": "env:TOOL_SECRET_A"}), "toolsSecret"),
        (server("idempotent", json!(["b"])), "mcpServers.crm.idempotent[0]"),
        (server("url", json!("http://localhost:9000/mcp")), "mcpServers.crm.url"),
    ] {
        let (_, warnings) = mistakes(&attributes);
        assert!(warnings.len() == 1 && warnings[0].starts_with(place), "{warnings:?}");
    }
}

#[test]
fn a_key_may_run_a_tool_of_a_server() {
    let attributes = |tool: &str| {
        json!({
            "mcpServers": {"crm": {"url": "https://mcp.example.com", "allow": ["find"]}},
            "dtmfHandlers": {"1": {"replyFunction": tool}},
        })
    };
    assert_eq!(mistakes(&attributes("crm_find")), (vec![], vec![]));
    assert_eq!(mistakes(&attributes("find")).1.len(), 1);
}
