//! Answers of Bedrock as they come over the wire: the SDK's decoder and our reading of it. The input is a stream, raw, or
//! behind the line `framed` as one event a line, `<kind> <payload>`. An answer ends once, and nothing comes behind the end.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use futures_util::StreamExt;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use trunkline::language_models::bedrock::{Bedrock, BedrockParts, Clients, Deadlines};
use trunkline::metrics::Metrics;
use voice_core::message::{GenerationId, Message as Said};
use voice_core::ports::{CallContext, Direction, GenerationRequest, LanguageModel, ModelEvent};
use voice_core::private::Private;
use voice_core::use_case::UseCase;

/// An event of the adapter's is made of at least one of the stream.
const MOST_EVENTS: usize = 10_000;

thread_local! {
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    static MODEL: Bedrock = model();
}

fuzz_target!(|data: &[u8]| {
    let body = match data.strip_prefix(b"framed\n") {
        Some(events) => framed(events),
        None => data.to_vec(),
    };
    BODY.with_borrow_mut(|next| *next = body);
    RUNTIME.with(|runtime| {
        MODEL.with(|model| {
            runtime.block_on(async {
                let mut events = model.generate(request());
                let (mut count, mut ended) = (0, false);
                while let Some(event) = events.next().await {
                    assert!(!ended, "nothing comes behind the end");
                    count += 1;
                    assert!(count < MOST_EVENTS);
                    match event {
                        ModelEvent::Text(text) => assert!(!text.is_empty()),
                        ModelEvent::Finished(_) | ModelEvent::Failed(_) => ended = true,
                        _ => {}
                    }
                }
                assert!(ended, "an answer has an end");
            });
        });
    });
});

fn framed(events: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    for line in events.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let kind = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let text = |text: &str| HeaderValue::String(text.to_owned().into());
        let message = Message::new(parts.next().unwrap_or_default().to_vec());
        let message = match kind.strip_prefix('!') {
            Some(exception) => message
                .add_header(Header::new(":message-type", text("exception")))
                .add_header(Header::new(":exception-type", text(exception))),
            None => message
                .add_header(Header::new(":message-type", text("event")))
                .add_header(Header::new(":event-type", text(&kind))),
        };
        let message = message.add_header(Header::new(":content-type", text("application/json")));
        // What is too long for a frame is left out.
        let _ = write_message_to(&message, &mut frames);
    }
    frames
}

/// Answers every request with the next body.
#[derive(Debug)]
struct Canned;

impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self)
    }
}

impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let body = SdkBody::from(BODY.with_borrow_mut(std::mem::take));
        let mut response = HttpResponse::new(200.try_into().expect("a status"), body);
        response.headers_mut().insert("content-type", "application/vnd.amazon.eventstream");
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn model() -> Bedrock {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("fuzzing", "fuzzing", None, None, "fuzzing"))
        .endpoint_url("http://127.0.0.1:1")
        .retry_config(RetryConfig::disabled())
        .http_client(Canned)
        .build();
    let patience = Duration::from_secs(1);
    let deadlines = Deadlines { first_token: patience, next_token: patience };
    Bedrock::new(BedrockParts {
        clients: Clients::of(Client::from_conf(config)),
        deadlines,
        hedge_after: None,
        default_model: None,
        metrics: Metrics::default(),
    })
}

fn request() -> GenerationRequest {
    GenerationRequest {
        call: Arc::new(CallContext {
            call_sid: "CA1".to_owned(),
            account_sid: "AC1".to_owned(),
            from: Private::new("+14155550100".to_owned()),
            to: Private::new("+18005550199".to_owned()),
            direction: Direction::Inbound,
            use_case: "fuzzed".to_owned(),
            caller: None,
            variables: Private::default(),
        }),
        generation: GenerationId(1),
        use_case: Arc::new(UseCase::new("fuzzed", "Be kind.")),
        system: "Be kind.".into(),
        models: Arc::new(["fuzzed-model".to_owned()]),
        history: vec![Arc::new(Said::Caller { text: "Hello".to_owned() })],
    }
}
