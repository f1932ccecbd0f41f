//! Calls whose line is lost: how often they go on, and that one session at a time speaks and writes for them.

use std::sync::atomic::Ordering;

use rehearsal::bedrock::Answer;
use rehearsal::twilio::{CallEvent, CallerAct};
use serde_json::{Map, Value, json};
use trunkline::metrics::Counter;
use voice_core::message::{GenerationId, RunId, ToolCallId};
use voice_core::ports::{CallStore, Claim, Ownership, RunClaim, RunStore};
use voice_protocols::signature::sign;

use crate::bare::{AUTH_TOKEN, Bare, Setup};
use crate::socket;
use crate::support::{
    AT_ONCE, CALLER, DEFAULT, SOON, ask, bedrock, call, dialogue, every_request_was_valid, finish, item,
    items, stage, use_case, webhook,
};
use crate::two_services::Two;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_at_another_service_as_it_was() {
    let mut two = Two::start([use_case(DEFAULT, json!({}))]).await;
    let mut call = two.call(AT_ONCE).await;
    bedrock(&two.first).script(Answer::text("At nine."));
    ask(&mut call, "When do you open?").await;
    two.lead_to_second();
    call.act(CallerAct::DropSocket).await.unwrap();
    let connected = |event: &CallEvent| matches!(event, CallEvent::Connected { .. }).then_some(());
    call.wait_for(SOON, connected).await.unwrap();
    bedrock(&two.first).script(Answer::text("Yes."));
    let mut answer = ask(&mut call, "Every day?").await;
    // The line may be lost before the report that the last clause was played. Then it counts as unheard, and the agent
    // says that it is back.
    let reported = answer == "Yes.";
    if !reported {
        assert!(answer.contains("I'm back"), "{answer}");
        answer = call.agent_turn(SOON).await.unwrap();
    }
    assert_eq!(answer, "Yes.");
    let told = dialogue(&bedrock(&two.first).requests().pop().unwrap()).join(" / ");
    assert!(told.starts_with("user: When do you open?") && told.ends_with("Every day?"), "{told}");
    assert!(!reported || told.contains("assistant: At nine."), "{told}");
    assert_eq!(two.second.metrics.value(Counter::SessionsStarted), 1);
    call.hang_up().await.unwrap();
    two.finish().await;
    every_request_was_valid(&two.first);
}

#[tokio::test]
async fn who_answered_a_call_that_another_has_carried_meanwhile_goes_on_with_it() {
    let stage = stage([use_case(DEFAULT, json!({}))]).await;
    for (epoch, cause) in [(1, "lost"), (0, "lost"), (1, "handedOver")] {
        let answered = webhook(&stage, "/twiml");
        answered.post().await.relay();
        let call_sid = answered.call_sid();
        // Its socket went to another service, or to nobody.
        if epoch > 0 {
            stage.store.claim_session(&call_sid, "another service", Claim::Next).await.unwrap();
        }
        stage.store.count_resume(&call_sid).await.unwrap();
        let mut socket = socket::open(&stage, &call_sid).await;
        let parameters = json!({ "epoch": epoch.to_string(), cause: "true" });
        let setup = json!({ "type": "setup", "callSid": call_sid, "customParameters": parameters });
        socket.send(setup.to_string()).await;
        if cause == "lost" {
            assert!(socket.agent_turn().await.contains("I'm back"), "nobody greets any more");
        }
        bedrock(&stage).script(Answer::text("At nine."));
        socket.say("When do you open?").await;
        assert_eq!(socket.agent_turn().await, "At nine.");
        let session = item(&stage, &call_sid, "connection").await.unwrap();
        assert_eq!(session["epoch"], epoch + 1, "{cause}");
    }
    assert_eq!(stage.metrics.value(Counter::JournalFenced), 0);
    stage.stop().await.unwrap();
}

#[tokio::test]
async fn a_line_that_twilio_connects_again_by_itself_is_given_up_after_ten_times() {
    let relay = json!({ "conversationRelayParams": { "applicationReconnect": true } });
    let mut stage = stage([use_case(DEFAULT, relay)]).await;
    let mut call = call(&stage, AT_ONCE).await;
    let connected = |event: &CallEvent| matches!(event, CallEvent::Connected { .. }).then_some(());
    call.wait_for(SOON, connected).await.unwrap();
    for _ in 0..10 {
        call.act(CallerAct::DropSocket).await.unwrap();
        call.wait_for(SOON, connected).await.unwrap();
        bedrock(&stage).script(Answer::text("I am here."));
        assert_eq!(ask(&mut call, "Hello?").await, "I am here.");
    }
    call.act(CallerAct::DropSocket).await.unwrap();
    let spoken = |event: &CallEvent| match event {
        CallEvent::Spoken(words) => Some(words.clone()),
        _ => None,
    };
    assert!(call.wait_for(SOON, spoken).await.unwrap().contains("cannot take your call"));
    assert_eq!(stage.metrics.value(Counter::ResumesRefused), 1);
    let session = item(&stage, &call.sid, "connection").await.unwrap();
    assert_eq!(session["resumes"], 11);
    finish(&mut stage).await;
}

#[tokio::test]
async fn an_owner_whose_call_was_claimed_elsewhere_neither_speaks_nor_writes_nor_runs_tools() {
    let stage = stage([use_case(DEFAULT, json!({}))]).await;
    let mut old = socket::connected(&stage).await;
    bedrock(&stage).script(Answer::text("At nine."));
    old.say("When do you open?").await;
    assert_eq!(old.agent_turn().await, "At nine.");
    let known = loop {
        let session = item(&stage, &old.call_sid, "connection").await.unwrap();
        if session["epoch"] == 1 {
            break session;
        }
    };
    let claimed = stage.store.claim_session(&old.call_sid, "another service", Claim::Next).await.unwrap();
    assert!(matches!(claimed, Ownership::Ours(session) if session.epoch == 2));
    let before = items(&stage, &old.call_sid).await;
    // It does not know yet. At its first write it learns it.
    old.say("Every day?").await;
    assert_eq!(old.close_code().await, 1000);
    assert_eq!(stage.metrics.value(Counter::JournalFenced), 1);
    // How its turns went is an observation, and true whoever has the call.
    let of_the_call = |items: Vec<Map<String, Value>>| {
        items.into_iter().filter(|item| !item["sk"].as_str().unwrap().starts_with("trace::")).count()
    };
    let after = items(&stage, &old.call_sid).await;
    assert_eq!(of_the_call(after), of_the_call(before), "nothing more was written");
    let run = RunId { generation: GenerationId(1), call: ToolCallId("t-1".to_owned()) };
    let owner = known["owner"].as_str().unwrap();
    let refused = stage.store.claim_run(&old.call_sid, owner, &run, "order").await.unwrap();
    assert_eq!(refused, RunClaim::Overtaken);
    stage.stop().await.unwrap();
}

#[tokio::test]
async fn a_caller_whose_socket_is_lost_while_the_table_is_away_waits_for_it() {
    let bare = Bare::start(Setup::default()).await;
    let known = "CA0123456789abcdef0123456789abcdef";
    bare.table.answered(known, "desk");
    let lost = |call_sid| {
        [("CallSid", call_sid), ("From", CALLER), ("SessionStatus", "failed"), ("ErrorCode", "64105")]
    };
    let handed_over =
        [("CallSid", known), ("SessionStatus", "ended"), ("HandoffData", r#"{"reasonCode":"handover"}"#)];
    // To an address that it is redirected to, Twilio posts nothing of the session.
    let again = [("CallSid", known), ("CallStatus", "in-progress")];
    let cases = [(lost(known).to_vec(), ""), (handed_over.to_vec(), "&amp;handedOver=true")];
    for (first, cause) in cases {
        bare.table.out_of_reach.store(true, Ordering::SeqCst);
        let action = format!("/twiml/ended/{known}");
        let mut answer = bare.post(&action, &first).await;
        for asked in 1..=20 {
            let path = format!("{action}?asked={asked}{cause}");
            let redirect = format!(r#"<Pause length="2"/><Redirect method="POST">{}{path}<"#, bare.url);
            assert!(answer.contains(&redirect), "{answer}");
            answer = bare.post(&path.replace("&amp;", "&"), &again).await;
        }
        assert!(answer.contains("cannot take your call"), "{answer}");
        bare.table.out_of_reach.store(false, Ordering::SeqCst);
        let path = format!("{action}?asked=1{}", cause.replace("&amp;", "&"));
        let answer = bare.post(&path, &again).await;
        assert!(answer.contains("<ConversationRelay") && !answer.contains("welcomeGreeting"), "{answer}");
        assert_eq!(answer.contains("handedOver"), !cause.is_empty(), "{answer}");
    }
    let unknown = "CAfedcba9876543210fedcba9876543210";
    let answer = bare.post(&format!("/twiml/ended/{unknown}"), &lost(unknown)).await;
    assert!(answer.contains("cannot take your call"), "who is not known is not waited for: {answer}");
}

#[tokio::test]
async fn a_socket_that_cannot_be_taken_while_the_table_is_away_may_come_again() {
    for (out_of_reach, code) in [(true, 1011), (false, 1008)] {
        let bare = Bare::start(Setup::default()).await;
        let call_sid = "CA0123456789abcdef0123456789abcdef";
        bare.table.out_of_reach.store(out_of_reach, Ordering::SeqCst);
        let url = format!("{}/relay/{call_sid}", bare.url.replace("http:", "ws:"));
        let mut socket = socket::to(&url, call_sid, Some(&sign(AUTH_TOKEN, &url, &[]))).await.unwrap();
        socket.set_up().await;
        assert_eq!(socket.close_code().await, code);
    }
}
