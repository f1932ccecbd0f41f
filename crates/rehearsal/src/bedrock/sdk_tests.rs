//! The stand-in as the real SDK sees it: streams, tool calls, usage, observations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_bedrockruntime::operation::converse_stream::builders::ConverseStreamFluentBuilder;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ContentBlockDelta, ContentBlockStart, ConversationRole, ConverseStreamOutput, Message,
    StopReason, TokenUsage,
};
use serde_json::json;

use super::*;

pub(super) const SOON: Duration = Duration::from_secs(10);
const MODEL: &str = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.amazon.nova-lite-v1:0";

pub(super) async fn started() -> (BedrockStandIn, Client) {
    start(BedrockOptions::default()).await
}

pub(super) async fn start(options: BedrockOptions) -> (BedrockStandIn, Client) {
    let stand_in = BedrockStandIn::start(options).await.unwrap();
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(stand_in.endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    (stand_in, Client::from_conf(config))
}

pub(super) fn user(text: &str) -> Message {
    let block = ContentBlock::Text(text.to_owned());
    Message::builder().role(ConversationRole::User).content(block).build().unwrap()
}

pub(super) fn request(client: &Client, text: &str) -> ConverseStreamFluentBuilder {
    client.converse_stream().model_id(MODEL).messages(user(text)).request_metadata("callSid", "CA1")
}

/// What a stream said, in order.
#[derive(Debug, Default)]
struct Heard {
    tokens: Vec<String>,
    tools: Vec<(String, String, String)>,
    stop_reason: Option<StopReason>,
    usage: Option<TokenUsage>,
}

async fn listen(request: ConverseStreamFluentBuilder) -> Heard {
    let mut stream = request.send().await.unwrap().stream;
    let mut heard = Heard::default();
    while let Some(event) = stream.recv().await.unwrap() {
        match event {
            ConverseStreamOutput::ContentBlockStart(start) => {
                let Some(ContentBlockStart::ToolUse(tool)) = start.start else { panic!("{start:?}") };
                heard.tools.push((tool.tool_use_id, tool.name, String::new()));
            }
            ConverseStreamOutput::ContentBlockDelta(delta) => match delta.delta.unwrap() {
                ContentBlockDelta::Text(text) => heard.tokens.push(text),
                ContentBlockDelta::ToolUse(tool) => heard.tools.last_mut().unwrap().2.push_str(tool.input()),
                other => panic!("{other:?}"),
            },
            ConverseStreamOutput::MessageStop(stop) => heard.stop_reason = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => heard.usage = metadata.usage,
            _ => {}
        }
    }
    heard
}

#[tokio::test]
async fn text_comes_token_by_token_in_order() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("Hello there, caller."));
    let heard = listen(request(&client, "hi")).await;
    assert_eq!(heard.tokens, ["Hello", " there,", " caller."]);
    assert_eq!(heard.stop_reason, Some(StopReason::EndTurn));
    let usage = heard.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (1, 3, 4));

    assert_eq!(stand_in.wait_for_outcome(1, SOON).await.unwrap(), Outcome::Completed);
    let recorded = stand_in.wait_for_request(1, SOON).await.unwrap();
    assert_eq!(recorded.model, MODEL);
    assert_eq!(recorded.body["messages"][0]["content"][0]["text"], "hi");
    stand_in.shutdown().await;
}

#[tokio::test]
async fn tool_calls_stream_their_input_in_fragments() {
    let (stand_in, client) = started().await;
    let input = json!({"order_type": "delivery", "order_total": 31});
    stand_in.script(
        Answer::text("One moment.")
            .then_tool("t-1", "PlaceOrder", input.clone())
            .then_raw_tool("t-2", "Broken", "{\"a\":"),
    );
    let heard = listen(request(&client, "hi")).await;
    assert_eq!(heard.tokens.concat(), "One moment.");
    assert_eq!(
        heard.tools,
        [
            ("t-1".to_owned(), "PlaceOrder".to_owned(), input.to_string()),
            ("t-2".to_owned(), "Broken".to_owned(), "{\"a\":".to_owned())
        ]
    );
    assert_eq!(heard.stop_reason, Some(StopReason::ToolUse));
    stand_in.shutdown().await;
}

#[tokio::test]
async fn converse_replies_in_one_piece() {
    let (stand_in, client) = started().await;
    let answer = Answer::text("Hello there").then_tool("t", "f", json!({"a": 1})).stop_reason("max_tokens");
    stand_in.script(answer);
    let reply = client.converse().model_id(MODEL).messages(user("hi")).send().await.unwrap();
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(reply.usage.as_ref().unwrap().input_tokens, 1);
    let message = reply.output.unwrap().as_message().unwrap().clone();
    assert_eq!(message.content[0].as_text().unwrap(), "Hello there");
    assert_eq!(message.content[1].as_tool_use().unwrap().tool_use_id, "t");
    assert_eq!(stand_in.wait_for_outcome(1, SOON).await.unwrap(), Outcome::Completed);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn scripts_go_before_the_brain_and_a_models_own_before_others() {
    let options = BedrockOptions { brain: Arc::new(Fixed { tokens: 2 }), ..BedrockOptions::default() };
    let (stand_in, client) = start(options).await;
    stand_in.script(Answer::text("any"));
    stand_in.script_for(MODEL, Answer::text("own"));
    stand_in.script_for("other", Answer::text("never"));
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(listen(request(&client, "hi")).await.tokens.concat());
    }
    assert_eq!(said, ["own", "any", "this answer"]);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn the_pace_is_kept() {
    let (stand_in, client) = started().await;
    let pace = Pace { first_token: Duration::from_millis(60), between_tokens: Duration::from_millis(20) };
    stand_in.set_pace(pace);
    stand_in.script(Answer::text("a b c"));
    let begun = std::time::Instant::now();
    listen(request(&client, "hi")).await;
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    stand_in.shutdown().await;
}

#[derive(Debug, Default)]
struct Witness(Mutex<Vec<Observation>>);

impl Observer for Witness {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }
}

#[tokio::test]
async fn an_observer_sees_the_request_each_token_and_the_end() {
    let witness = Arc::new(Witness::default());
    let observer: Arc<dyn Observer> = Arc::clone(&witness) as _;
    let (stand_in, client) =
        start(BedrockOptions { observer: Some(observer), ..BedrockOptions::default() }).await;
    stand_in.script(Answer::text("a b").then_tool("t", "f", json!({})));
    listen(request(&client, "hi")).await;
    stand_in.wait_for_outcome(1, SOON).await.unwrap();
    let seen = witness.0.lock().unwrap().clone();
    let of_call = |call: &Option<String>| assert_eq!(call.as_deref(), Some("CA1"));
    let mut times = Vec::new();
    let names: Vec<String> = seen
        .iter()
        .map(|observation| {
            let (name, call, at) = match observation {
                Observation::RequestArrived { call, at } => ("arrived".to_owned(), call, at),
                Observation::TokenSent { call, index, at } => (format!("token {index}"), call, at),
                Observation::Finished { call, at } => ("finished".to_owned(), call, at),
                Observation::Cancelled { call, at } => ("cancelled".to_owned(), call, at),
            };
            of_call(call);
            times.push(*at);
            name
        })
        .collect();
    assert_eq!(names, ["arrived", "token 0", "token 1", "finished"]);
    assert!(times.is_sorted());
    stand_in.shutdown().await;
}

#[tokio::test]
async fn every_answer_says_that_it_is_a_stand_in() {
    let (stand_in, _) = started().await;
    let http = reqwest::Client::builder().timeout(SOON).build().unwrap();
    for path in ["/model/m/converse-stream", "/model/m/converse", "/nonsense"] {
        let response = http.post(stand_in.endpoint() + path).body("not JSON").send().await.unwrap();
        assert_eq!(response.headers()[STAND_IN_HEADER], "bedrock", "{path}");
        assert!(response.status().is_client_error(), "{path}");
    }
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let request = http.post(stand_in.endpoint() + "/model/m/converse-stream").json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()[STAND_IN_HEADER], "bedrock");
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    drop(response);
    stand_in.shutdown().await;
}
