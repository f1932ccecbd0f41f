//! `trunkline explain`, on the call that its documentation shows.

use std::process::Stdio;
use std::time::Duration;

use rehearsal::bedrock::Answer;
use rehearsal::twilio::{Call, CallEvent, CallerAct};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use trunkline_dev::stage::{Stage, TABLE};

use crate::support::{CALLER, DEFAULT, HASTY, SOON, ask, bedrock, call, finish, items, say, stage, use_case};

const HOURS: &str = "We open at nine. We close at ten in the evening, on all days of the week.";
/// So that it is the slowest part of every turn, also on a busy machine.
const THINKING: Duration = Duration::from_millis(400);

/// A tool is asked, an answer is talked over, and the caller hangs up.
async fn played() -> (Stage, String) {
    let schema = json!({ "json": { "type": "object" } });
    let tool = json!({ "toolSpec": { "name": "CheckRestaurantPickUpTime", "inputSchema": schema } });
    let mut stage = stage([use_case(DEFAULT, json!({ "tools": [tool] }))]).await;
    let mut call = call(&stage, HASTY).await;
    let tool = Answer::empty().then_tool("t-1", "CheckRestaurantPickUpTime", json!({}));
    bedrock(&stage).script(tool.slow_first_token(2 * THINKING));
    bedrock(&stage).script(Answer::text("In about half an hour.").slow_first_token(THINKING));
    ask(&mut call, "When can I pick it up?").await;
    heard(&mut call, "half an hour").await;
    bedrock(&stage).script(Answer::text(HOURS).slow_first_token(THINKING));
    say(&call, "And when do you close?").await;
    let stop = Box::new(CallerAct::Say("Thank you, that will do.".to_owned()));
    call.act(CallerAct::OnceHeard { cue: "close at".to_owned(), act: stop }).await.unwrap();
    bedrock(&stage).script(Answer::text("Goodbye.").slow_first_token(THINKING));
    heard(&mut call, "Goodbye").await;
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    (stage, call_sid)
}

/// Waits until this was played.
async fn heard(call: &mut Call, words: &str) {
    let played = |event: &CallEvent| match event {
        CallEvent::Heard(clause) => clause.contains(words).then_some(()),
        _ => None,
    };
    call.wait_for(SOON, played).await.unwrap();
}

async fn explain(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.arg("explain").args(arguments).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("TABLE_NAME", TABLE)]);
    command.env("AWS_SECRET_ACCESS_KEY", "local");
    command.env("AWS_ENDPOINT_URL_DYNAMODB", stage.dynamodb.endpoint());
    let output = timeout(SOON, command.output()).await.expect("the command ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The page without what differs from run to run: times, and where bars begin and end.
fn normalised(page: &str) -> String {
    let line = |line: &str| {
        let mut told = String::new();
        for letter in line.chars() {
            let letter = if letter.is_ascii_digit() { '0' } else { letter };
            // A number is one digit, a bar one of its letters, a gap one space.
            let repeats = matches!(letter, '0' | ' ' | '▒' | '·' | '░' | '█' | '✗' | '▓' | '─');
            let merges = matches!(letter, ',' | '.') && told.ends_with('0') && line.contains(" ms");
            if !(merges || repeats && told.ends_with(letter)) {
                told.push(letter);
            }
        }
        match told.trim().replace("0 s", "0 ms") {
            // How much of it was heard depends on when the caller was.
            told if told.contains("We open") => "We open".to_owned(),
            told if told.starts_with("[not heard:") => "[not heard:".to_owned(),
            told => told,
        }
    };
    // What we take ourselves is too little to be seen every time.
    let same = |line: &String| !line.starts_with("call CA") && !line.starts_with("queueing");
    page.lines().map(line).filter(same).collect::<Vec<_>>().join("\n")
}

/// The first block of `docs/explain.md` whose info string says that it is a page.
fn documented() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md")).unwrap();
    let (_, block) = text.split_once("```text explained\n").unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_call_is_explained_as_its_documentation_shows() {
    let (stage, call_sid) = played().await;
    let (code, page, complaint) = explain(&stage, &[&call_sid]).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert!(!page.contains(CALLER) && page.contains("[not heard: "), "{page}");
    assert_eq!(normalised(&page), normalised(&documented()), "{page}");
    let (_, page, _) = explain(&stage, &[&call_sid, "--numbers"]).await;
    assert!(page.contains(CALLER), "{page}");
    let (code, document, _) = explain(&stage, &[&call_sid, "--json"]).await;
    let document: Value = serde_json::from_str(&document).unwrap();
    let ends: Vec<_> = document["turns"].as_array().unwrap().iter().map(|turn| turn["end"].clone()).collect();
    assert_eq!((code, ends), (Some(0), vec![json!("heard"), json!("interrupted"), json!("heard")]));
    assert_eq!((&document["endedBecause"], &document["from"]), (&json!("caller-hung-up"), &Value::Null));
    assert_eq!(document["turns"][0]["tools"][0]["status"], "success");
}

#[tokio::test]
async fn traces_hold_no_words_and_a_call_without_them_is_told_all_the_same() {
    let (stage, call_sid) = played().await;
    let traces: Vec<_> = items(&stage, &call_sid)
        .await
        .into_iter()
        .filter(|item| item["sk"].as_str().unwrap().starts_with("trace::"))
        .collect();
    assert_eq!(traces.len(), 3);
    let client = stage.dynamodb.client().await;
    for trace in traces {
        let text = Value::Object(trace.clone()).to_string();
        assert!(
            !text.contains("close") && !text.contains(CALLER) && trace.contains_key("expireAt"),
            "{text}"
        );
        let key =
            |name: &str| aws_sdk_dynamodb::types::AttributeValue::S(trace[name].as_str().unwrap().to_owned());
        let delete = client.delete_item().table_name(TABLE).key("pk", key("pk")).key("sk", key("sk"));
        delete.send().await.unwrap();
    }
    let (code, page, _) = explain(&stage, &[&call_sid]).await;
    assert_eq!(code, Some(0));
    assert!(page.contains("tool CheckRestaurantPickUpTime: "), "{page}");
    assert!(page.contains("And when do you close?") && !page.contains("slowest"), "{page}");
}

#[tokio::test]
async fn a_call_that_is_not_there_is_said_to_be_not_there() {
    let stage = stage([]).await;
    let (code, page, complaint) = explain(&stage, &["CA404"]).await;
    assert_eq!((code, page.as_str()), (Some(1), ""));
    assert!(complaint.starts_with("trunkline: there is no call CA404 in the table"), "{complaint}");
}
