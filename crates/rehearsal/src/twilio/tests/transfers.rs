//! What a call can be told to do besides talking to an agent: dial, confer, take keys, wait in a queue.

use super::*;

const AGENT: &str = "+15550123";
const DIAL: &str =
    r#"<Response><Dial action="/twiml/dialled" timeout="20"><Number>+15550123</Number></Dial></Response>"#;
const GOODBYE: &str = "<Response><Say>Goodbye</Say></Response>";
const ROOM: &str = r#"<Response><Dial action="/twiml/left"><Conference>room</Conference></Dial></Response>"#;
const LAST_ROOM: &str = r#"<Response><Dial action="/twiml/closed"><Conference endConferenceOnExit="true">room
    </Conference></Dial></Response>"#;

fn is(form: &BTreeMap<String, String>, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        assert_eq!(form.get(*name).map(String::as_str), Some(*value), "{name} of {form:?}");
    }
}

async fn call(service: &mut Service) -> Call {
    let call = service.carrier.call(CallOptions::default()).await.unwrap();
    service.form().await;
    call
}

#[tokio::test]
async fn the_dialled_person_talks_and_hangs_up() {
    let mut service = service(&[DIAL, GOODBYE], TOKEN).await;
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Dialled(AGENT.to_owned())).await;
    event(&mut call, CallEvent::Bridged { to: AGENT.to_owned() }).await;
    event(&mut call, CallEvent::PersonSaid("Hello. This is a stand-in for a person.".to_owned())).await;
    call.act(CallerAct::Say("My order is late.".to_owned())).await.unwrap();
    call.act(CallerAct::HangUpParty).await.unwrap();
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml/dialled");
    is(&form, &[("DialCallStatus", "completed"), ("DialCallDuration", "0"), ("CallStatus", "in-progress")]);
    event(&mut call, CallEvent::Spoken("Goodbye".to_owned())).await;
    assert_eq!(hung_up(&mut call).await, Party::Service);
    assert_eq!(service.carrier.switchboard().told(AGENT), "My order is late.");
}

#[tokio::test]
async fn a_dialled_person_who_is_not_there_is_told() {
    for (answers, status) in
        [(Answers::Busy, "busy"), (Answers::NoAnswer, "no-answer"), (Answers::Failed, "failed")]
    {
        let mut service = service(&[DIAL, GOODBYE], TOKEN).await;
        let callee = Callee { answers, after: Some(Duration::ZERO), ..Callee::default() };
        service.carrier.switchboard().set_callee(AGENT, callee);
        let mut call = call(&mut service).await;
        let (_, form) = service.form().await;
        is(&form, &[("DialCallStatus", status), ("CallStatus", "in-progress")]);
        assert!(!form.contains_key("DialCallDuration"));
        event(&mut call, CallEvent::Spoken("Goodbye".to_owned())).await;
    }
}

#[tokio::test]
async fn without_an_action_the_next_verb_follows() {
    let twiml = "<Response><Dial>sip:help@a.example</Dial><Say>Nobody is there.</Say></Response>";
    let mut service = service(&[twiml], TOKEN).await;
    let busy = Callee { answers: Answers::Busy, ..Callee::default() };
    service.carrier.switchboard().set_callee("sip:help@a.example", busy);
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Spoken("Nobody is there.".to_owned())).await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_transfer() {
    let mut service = service(&[DIAL, GOODBYE], TOKEN).await;
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Bridged { to: AGENT.to_owned() }).await;
    call.act(CallerAct::HangUp).await.unwrap();
    let (_, form) = service.form().await;
    is(&form, &[("DialCallStatus", "completed"), ("CallStatus", "completed")]);
    assert_eq!(hung_up(&mut call).await, Party::Caller);
}

#[tokio::test]
async fn a_caller_id_that_is_none_is_a_mistake() {
    let twiml =
        r#"<Response><Dial action="/twiml/dialled" callerId="not a number">+15550123</Dial></Response>"#;
    let mut service = service(&[twiml, GOODBYE], TOKEN).await;
    let mut call = call(&mut service).await;
    let problem =
        |event: &CallEvent| matches!(event, CallEvent::Protocol(problem) if problem.contains("callerId"));
    call.wait_for(SOON, |event| problem(event).then_some(())).await.unwrap();
    is(&service.form().await.1, &[("DialCallStatus", "failed")]);
}

#[tokio::test]
async fn two_calls_meet_in_a_room_and_one_ends_it() {
    let room = || "room".to_owned();
    let mut service = service(&[ROOM, LAST_ROOM, GOODBYE, GOODBYE], TOKEN).await;
    let mut caller = call(&mut service).await;
    event(&mut caller, CallEvent::Holding { room: room() }).await;
    let mut agent = call(&mut service).await;
    event(&mut agent, CallEvent::Joined { room: room() }).await;
    event(&mut caller, CallEvent::Joined { room: room() }).await;
    caller.act(CallerAct::Say("Hello?".to_owned())).await.unwrap();
    event(&mut agent, CallEvent::PersonSaid("Hello?".to_owned())).await;
    agent.act(CallerAct::HangUp).await.unwrap();
    let forms = BTreeMap::from([service.form().await, service.form().await]);
    is(&forms["/twiml/closed"], &[("DialCallStatus", "completed"), ("CallStatus", "completed")]);
    is(&forms["/twiml/left"], &[("DialCallStatus", "completed"), ("CallStatus", "in-progress")]);
    event(&mut caller, CallEvent::Spoken("Goodbye".to_owned())).await;
    assert_eq!(hung_up(&mut agent).await, Party::Caller);
}

#[tokio::test]
async fn a_caller_who_holds_may_hang_up() {
    let mut service = service(&[ROOM, GOODBYE], TOKEN).await;
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Holding { room: "room".to_owned() }).await;
    call.act(CallerAct::HangUp).await.unwrap();
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml/left");
    is(&form, &[("DialCallStatus", "completed"), ("CallStatus", "completed")]);
    assert_eq!(hung_up(&mut call).await, Party::Caller);
}

#[tokio::test]
async fn keys_are_gathered() {
    let twiml =
        r#"<Response><Gather numDigits="3" action="/twiml/keys"><Say>Your code?</Say></Gather></Response>"#;
    let mut service = service(&[twiml, GOODBYE], TOKEN).await;
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Spoken("Your code?".to_owned())).await;
    event(&mut call, CallEvent::Gathering).await;
    for key in ['4', '1', '5'] {
        call.act(CallerAct::Press(key)).await.unwrap();
    }
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml/keys");
    is(&form, &[("Digits", "415"), ("FinishedOnKey", ""), ("msg", "Gather End")]);
    event(&mut call, CallEvent::Spoken("Goodbye".to_owned())).await;
}

#[tokio::test]
async fn keys_end_with_the_hash_key_or_with_time() {
    let twiml =
        r#"<Response><Gather timeout="1"><Say>Your code?</Say></Gather><Say>Too late.</Say></Response>"#;
    let mut service = service(&[twiml, twiml], TOKEN).await;
    let mut call = call(&mut service).await;
    event(&mut call, CallEvent::Gathering).await;
    call.act(CallerAct::Press('7')).await.unwrap();
    call.act(CallerAct::Press('#')).await.unwrap();
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml", "without an action the document is asked again");
    is(&form, &[("Digits", "7"), ("FinishedOnKey", "#")]);
    event(&mut call, CallEvent::Gathering).await;
    event(&mut call, CallEvent::Spoken("Too late.".to_owned())).await;
}

#[tokio::test]
async fn a_call_waits_in_a_queue() {
    let twiml = r#"<Response><Enqueue workflowSid="WW1" action="/twiml/dequeued"><Task>{"reason":"bill"}</Task>
        </Enqueue></Response>"#;
    for (answers, result) in [(Answers::Yes, "bridged"), (Answers::Busy, "queue-full")] {
        let mut service = service(&[twiml], TOKEN).await;
        let script = Script { talks: Some(Duration::ZERO), ..Script::default() };
        let callee = Callee { answers, after: Some(Duration::ZERO), part: Part::Scripted(script) };
        service.carrier.switchboard().set_callee("WW1", callee);
        let mut call = call(&mut service).await;
        let task = Some("{\"reason\":\"bill\"}".to_owned());
        event(&mut call, CallEvent::Enqueued { name: "WW1".to_owned(), task }).await;
        let (path, form) = service.form().await;
        assert_eq!(path, "/twiml/dequeued");
        is(&form, &[("QueueResult", result), ("QueueTime", "0")]);
    }
}
