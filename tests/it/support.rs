//! What every subject needs: a stage with a filled table, signed webhooks, and calls, in words that read like sentences.
//!
//! Sockets that break the protocol are in [`super::socket`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use rehearsal::bedrock::{BedrockStandIn, RecordedRequest, rules};
use rehearsal::twilio::twiml::{Document, Relay, Verb};
use rehearsal::twilio::{Call, CallOptions, CallerAct, SpeechPace};
use serde_json::{Map, Value, json};
use trunkline_dev::stage::{Stage, StageOptions, TABLE};
use url::Url;
use voice_core::ports::{BoxFuture, RecordStore, RemoteTools, RemoteToolsError};
use voice_core::use_case::{McpServer, Tool};
use voice_protocols::signature::sign;

/// Nothing on one machine takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// What a stage answers with when nothing else chooses.
pub(crate) const DEFAULT: &str = "reception";
pub(crate) const CALLER: &str = "+14155550100";
pub(crate) const CALLED: &str = "+18005550199";

/// A service whose table holds these items.
pub(crate) async fn stage(items: impl IntoIterator<Item = Value>) -> Stage {
    stage_with(&[], items).await
}

/// A service with settings of its own.
pub(crate) async fn stage_with(settings: &[(&str, &str)], items: impl IntoIterator<Item = Value>) -> Stage {
    let settings = [("STACK_USE_CASE", DEFAULT)].iter().chain(settings);
    let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let stage = Stage::start(StageOptions { settings, ..StageOptions::default() }).await;
    let stage = stage.expect("the stage starts");
    for item in items {
        put(&stage, item).await;
    }
    stage
}

/// A use case that can answer; `changes` adds and replaces attributes.
pub(crate) fn use_case(name: &str, changes: Value) -> Value {
    record(name, "configuration", json!({ "prompt": "You answer the telephone." }), changes)
}

pub(crate) fn profile(number: &str, changes: Value) -> Value {
    record(number, "profile", json!({ "firstName": "Ada" }), changes)
}

pub(crate) fn phone_number(number: &str, use_case: &str) -> Value {
    record(number, "number", json!({ "useCase": use_case }), json!({}))
}

fn record(pk: &str, sk: &str, attributes: Value, changes: Value) -> Value {
    let keys = json!({ "pk": pk, "sk": sk });
    let parts = [keys, attributes, changes].into_iter().filter_map(|part| match part {
        Value::Object(attributes) => Some(attributes),
        _ => None,
    });
    Value::Object(parts.flatten().collect())
}

pub(crate) async fn put(stage: &Stage, item: Value) {
    let Value::Object(item) = item else { panic!("an item is an object, not {item}") };
    stage.store.put_record(item, None).await.expect("the item is written");
}

pub(crate) async fn item(stage: &Stage, pk: &str, sk: &str) -> Option<Map<String, Value>> {
    stage.store.get_record(pk, sk).await.expect("the table is read")
}

/// Every item of one key, in order.
pub(crate) async fn items(stage: &Stage, pk: &str) -> Vec<Map<String, Value>> {
    let client = stage.dynamodb.client().await;
    let query = client.query().table_name(TABLE).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
    plain(query.send().await.expect("the table is read").items.unwrap_or_default())
}

/// The whole table.
pub(crate) async fn all_items(stage: &Stage) -> Vec<Map<String, Value>> {
    let client = stage.dynamodb.client().await;
    let scan = client.scan().table_name(TABLE).send().await;
    plain(scan.expect("the table is read").items.unwrap_or_default())
}

fn plain(items: Vec<HashMap<String, AttributeValue>>) -> Vec<Map<String, Value>> {
    items.into_iter().map(|item| serde_dynamo::from_item(item).expect("an item is JSON")).collect()
}

/// DynamoDB JSON as the SDK wants it.
pub(crate) fn sdk_item(item: &Value) -> HashMap<String, AttributeValue> {
    let fields = item.as_object().expect("an item is an object").iter();
    fields.map(|(name, value)| (name.clone(), sdk_value(value))).collect()
}

fn sdk_value(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|typed| typed.iter().next()).expect("a typed value");
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(number)) => AttributeValue::N(number.clone()),
        ("BOOL", Value::Bool(value)) => AttributeValue::Bool(*value),
        ("L", Value::Array(values)) => AttributeValue::L(values.iter().map(sdk_value).collect()),
        ("M", fields) => AttributeValue::M(sdk_item(fields)),
        other => panic!("no item of ours has such a value: {other:?}"),
    }
}

/// Lets the service take no more calls, end those it has, and write everything down. The table stays.
pub(crate) async fn finish(stage: &mut Stage) {
    stage.stop.cancel();
    tokio::time::timeout(3 * SOON, stage.wait()).await.expect("it stops in time").expect("it stops well");
}

pub(crate) fn bedrock(stage: &Stage) -> &BedrockStandIn {
    stage.bedrock.as_ref().expect("a stand-in answers")
}

/// A voice that speaks at once, for tests in which nobody interrupts.
pub(crate) const AT_ONCE: SpeechPace =
    SpeechPace { chars_per_second: f64::INFINITY, tts_delay: Duration::ZERO };
/// A hasty voice that can still be interrupted.
pub(crate) const HASTY: SpeechPace =
    SpeechPace { chars_per_second: 60.0, tts_delay: Duration::from_millis(10) };

/// A call to the default use case.
pub(crate) async fn call(stage: &Stage, speech: SpeechPace) -> Call {
    call_with(stage, speech, CallOptions::default()).await
}

pub(crate) async fn call_with(stage: &Stage, speech: SpeechPace, options: CallOptions) -> Call {
    let carrier = stage.carrier(speech).expect("the stage has an address");
    carrier.call(options).await.expect("the webhook is answered")
}

pub(crate) async fn say(call: &Call, words: &str) {
    call.act(CallerAct::Say(words.to_owned())).await.expect("the call goes on");
}

/// Says something and listens to the whole answer.
pub(crate) async fn ask(call: &mut Call, words: &str) -> String {
    say(call, words).await;
    call.agent_turn(SOON).await.expect("the agent answers")
}

/// The messages of a request, as `user: …` and `assistant: …`; of tools only that they were called and came back.
pub(crate) fn dialogue(request: &RecordedRequest) -> Vec<String> {
    let messages = request.body["messages"].as_array().expect("a request has messages");
    let block = |block: &Value| match block {
        Value::Object(block) if block.contains_key("toolUse") => "[call]".to_owned(),
        Value::Object(block) if block.contains_key("toolResult") => {
            format!("[{}]", text(&block["toolResult"]["status"]))
        }
        other => text(&other["text"]),
    };
    let content = |message: &Value| {
        let blocks = message["content"].as_array().expect("a message has content");
        blocks.iter().map(block).collect::<Vec<_>>().join(" ")
    };
    messages.iter().map(|message| format!("{}: {}", text(&message["role"]), content(message))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Bedrock itself would have taken everything that it was asked.
pub(crate) fn every_request_was_valid(stage: &Stage) {
    for request in bedrock(stage).requests() {
        rules::check(&request.body).unwrap_or_else(|refusal| panic!("{refusal}: {}", request.body));
    }
}

/// A voice webhook, signed as Twilio would unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Webhook<'a> {
    stage: &'a Stage,
    path: String,
    fields: Vec<(String, String)>,
    token: Option<String>,
}

pub(crate) fn webhook<'a>(stage: &'a Stage, path: &str) -> Webhook<'a> {
    let call_sid = new_call_sid();
    let fields = [
        ("CallSid", call_sid.as_str()),
        ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
        ("From", CALLER),
        ("To", CALLED),
        ("Direction", "inbound"),
        ("CallStatus", "ringing"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Webhook { stage, path: path.to_owned(), fields, token: Some(stage.auth_token.clone()) }
}

pub(crate) fn new_call_sid() -> String {
    format!("CA{}", uuid::Uuid::new_v4().simple())
}

/// What the service answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Webhook<'_> {
    /// Sets a field, or adds it.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn signed_by(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn unsigned(mut self) -> Self {
        self.token = None;
        self
    }

    pub(crate) fn call_sid(&self) -> String {
        let field = self.fields.iter().find(|(name, _)| name == "CallSid");
        field.map(|(_, value)| value.clone()).expect("a webhook is about a call")
    }

    pub(crate) async fn post(&self) -> Answer {
        self.post_by(&http()).await
    }

    /// Over the connections of this client.
    pub(crate) async fn post_by(&self, client: &reqwest::Client) -> Answer {
        let url = format!("{}{}", self.stage.public_url, self.path);
        let signature = self.token.as_ref().map(|token| sign(token, &url, &self.fields));
        send(client.post(url).form(&self.fields), signature).await
    }

    pub(crate) async fn get(&self) -> Answer {
        let url = format!("{}{}", self.stage.public_url, self.path);
        let url = Url::parse_with_params(&url, &self.fields).expect("the stage has an address");
        let signature = self.token.as_ref().map(|token| sign(token, url.as_str(), &[]));
        send(http().get(url), signature).await
    }
}

/// A plain request, such as a load balancer sends.
pub(crate) async fn get(url: &str) -> Answer {
    send(http().get(url), None).await
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(SOON).build().expect("an HTTP client")
}

async fn send(request: reqwest::RequestBuilder, signature: Option<String>) -> Answer {
    let request = match signature {
        Some(signature) => request.header("X-Twilio-Signature", signature),
        None => request,
    };
    let response = request.send().await.expect("the service answers");
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default().to_owned(),
        body: response.text().await.expect("the answer is text"),
    }
}

impl Answer {
    /// The action URL and the relay of an answer that connects the call.
    pub(crate) fn relay(&self) -> (String, Relay) {
        match self.verbs().as_slice() {
            [Verb::Connect { action: Some(action), relay }] => (action.clone(), relay.clone()),
            other => panic!("it connects no call: {other:?}"),
        }
    }

    /// The use case that answers.
    pub(crate) fn use_case(&self) -> String {
        self.relay().1.parameters["useCase"].clone()
    }

    /// The sentence of an answer that says one and hangs up.
    pub(crate) fn farewell(&self) -> String {
        match self.verbs().as_slice() {
            [Verb::Say(sentence), Verb::Hangup] => sentence.clone(),
            other => panic!("it does not say one sentence and hang up: {other:?}"),
        }
    }

    fn verbs(&self) -> Vec<Verb> {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.content_type.starts_with("text/xml"), "{}", self.content_type);
        Document::parse(&self.body).expect("the answer is TwiML").verbs
    }
}

/// For records that name no servers of tools.
#[derive(Debug)]
pub(crate) struct NoServers;

impl RemoteTools for NoServers {
    fn list(&self, server: Arc<McpServer>) -> BoxFuture<'_, Result<Vec<Tool>, RemoteToolsError>> {
        panic!("nobody asks {}", server.name)
    }
}
