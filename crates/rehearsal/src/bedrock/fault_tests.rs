//! Faults as the real SDK sees them: refusals, exceptions, cuts, stalls, and clients that leave.

use aws_sdk_bedrockruntime::error::SdkError;
use aws_sdk_bedrockruntime::types::{ConverseStreamOutput, Message};

use super::sdk_tests::{SOON, request, started};
use super::*;

fn refused(error: &str, message: &str) -> Outcome {
    Outcome::Refused { error: error.to_owned(), message: message.to_owned() }
}

#[tokio::test]
async fn a_refusal_is_the_typed_error_of_its_name() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::refuse(429, "ThrottlingException", "Too many tokens."));
    let error = request(&client, "hi").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 429);
    let error = error.into_service_error();
    assert!(error.is_throttling_exception(), "{error:?}");
    assert_eq!(error.meta().message(), Some("Too many tokens."));
    let outcome = stand_in.wait_for_outcome(1, SOON).await.unwrap();
    assert_eq!(outcome, refused("ThrottlingException", "Too many tokens."));

    stand_in.script(Answer::refuse(403, "AccessDeniedException", "No."));
    assert!(
        request(&client, "hi").send().await.unwrap_err().into_service_error().is_access_denied_exception()
    );
    stand_in.script(Answer::refuse(503, "ServiceUnavailableException", "Later."));
    let error = request(&client, "hi").send().await.unwrap_err().into_service_error();
    assert!(error.is_service_unavailable_exception());
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_broken_rule_is_a_validation_exception() {
    let (stand_in, client) = started().await;
    let error = request(&client, " ").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    let error = error.into_service_error();
    assert!(error.is_validation_exception());
    assert!(error.meta().message().unwrap().contains("messages.0.content.0 is blank"), "{error:?}");
    assert!(matches!(stand_in.requests()[0].outcome, Outcome::Refused { .. }));
    stand_in.shutdown().await;
}

#[tokio::test]
async fn an_exception_in_the_stream_is_a_typed_error_after_the_tokens() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("a b").exception("modelStreamErrorException", "It broke."));
    let mut stream = request(&client, "hi").send().await.unwrap().stream;
    let mut tokens = 0;
    let error = loop {
        match stream.recv().await {
            Ok(Some(ConverseStreamOutput::ContentBlockDelta(_))) => tokens += 1,
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without its exception"),
            Err(error) => break error.into_service_error(),
        }
    };
    assert_eq!(tokens, 2);
    assert!(error.is_model_stream_error_exception(), "{error:?}");
    assert_eq!(stand_in.wait_for_outcome(1, SOON).await.unwrap(), Outcome::Completed);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_cut_is_no_end_of_the_stream_and_comes_after_the_tokens() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("a b").cut());
    let mut stream = request(&client, "hi").send().await.unwrap().stream;
    let mut tokens = 0;
    let error = loop {
        match stream.recv().await {
            Ok(Some(ConverseStreamOutput::ContentBlockDelta(_))) => tokens += 1,
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if nothing had happened"),
            Err(error) => break error,
        }
    };
    assert_eq!(tokens, 2);
    assert!(!matches!(error, SdkError::ServiceError(_)), "{error:?}");
    assert_eq!(stand_in.wait_for_outcome(1, SOON).await.unwrap(), Outcome::Completed);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn faults_of_converse_are_http_errors() {
    let (stand_in, client) = started().await;
    let converse = || client.converse().model_id("m").messages(sdk_tests::user("hi")).send();
    stand_in.script(Answer::text("a").exception("throttlingException", "Slow down."));
    assert!(converse().await.unwrap_err().into_service_error().is_throttling_exception());
    stand_in.script(Answer::empty().then_raw_tool("t", "f", "{\"a\":"));
    assert!(converse().await.unwrap_err().into_service_error().is_model_error_exception());
    stand_in.script(Answer::text("a").cut());
    assert!(converse().await.unwrap_err().as_service_error().is_none());
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_answer_is_noticed() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("a b").stall());
    let mut stream = request(&client, "hi").send().await.unwrap().stream;
    while !matches!(stream.recv().await.unwrap(), Some(ConverseStreamOutput::ContentBlockDelta(_))) {}
    assert_eq!(stand_in.requests()[0].outcome, Outcome::Answering);
    drop(stream);
    assert_eq!(stand_in.wait_for_outcome(1, SOON).await.unwrap(), Outcome::Cancelled);
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_is_noticed() {
    let (stand_in, client) = started().await;
    for (number, stalled) in [Answer::stall_before_first_token(), Answer::stall_before_response()]
        .into_iter()
        .enumerate()
        .map(|(index, stalled)| (index + 1, stalled))
    {
        stand_in.script(stalled);
        let asking = async {
            let mut response = request(&client, "hi").send().await.unwrap();
            response.stream.recv().await.unwrap()
        };
        tokio::select! {
            event = asking => panic!("{event:?}"),
            arrived = stand_in.wait_for_request(number, SOON) => { arrived.unwrap(); }
        }
        assert_eq!(stand_in.wait_for_outcome(number, SOON).await.unwrap(), Outcome::Cancelled);
    }
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_cuts_stalled_answers() {
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("a").stall());
    let mut stream = request(&client, "hi").send().await.unwrap().stream;
    while !matches!(stream.recv().await.unwrap(), Some(ConverseStreamOutput::ContentBlockDelta(_))) {}
    tokio::time::timeout(SOON, stand_in.shutdown()).await.unwrap();
    loop {
        match stream.recv().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut answer looked whole"),
            Err(_) => break,
        }
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let (stand_in, _) = started().await;
    let address = stand_in.endpoint().trim_start_matches("http://").parse().unwrap();
    let options = BedrockOptions { address, ..BedrockOptions::default() };
    let error = BedrockStandIn::start(options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the Bedrock stand-in cannot listen on {address}"));
    stand_in.shutdown().await;
}

#[tokio::test]
async fn the_fields_of_the_sdk_pass_the_rules() {
    use aws_sdk_bedrockruntime::types::{
        CachePointBlock, CachePointType, ContentBlock, ConversationRole, InferenceConfiguration,
        SystemContentBlock,
    };
    let (stand_in, client) = started().await;
    stand_in.script(Answer::text("ok"));
    let inference = InferenceConfiguration::builder().max_tokens(300).temperature(0.3).top_p(0.9).build();
    let cache_point = CachePointBlock::builder().r#type(CachePointType::Default).build().unwrap();
    let assistant = Message::builder()
        .role(ConversationRole::Assistant)
        .content(ContentBlock::Text("Hello.".to_owned()))
        .build()
        .unwrap();
    let sent = request(&client, "hi")
        .messages(assistant)
        .messages(sdk_tests::user("bye"))
        .system(SystemContentBlock::Text("Be kind.".to_owned()))
        .system(SystemContentBlock::CachePoint(cache_point))
        .inference_config(inference)
        .send()
        .await;
    let mut stream = sent.unwrap().stream;
    let mut usage = None;
    while let Some(event) = stream.recv().await.unwrap() {
        if let ConverseStreamOutput::Metadata(metadata) = event {
            usage = metadata.usage;
        }
    }
    assert_eq!(usage.unwrap().cache_read_input_tokens, Some(2));
    stand_in.shutdown().await;
}
