use proptest::prelude::*;

use super::*;

fn webhook(form: &str) -> Result<VoiceWebhook, WebhookError> {
    VoiceWebhook::from_params(parse_form(form.as_bytes()))
}

#[test]
fn decodes_forms_in_order_with_duplicates_and_empty_values() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        parse_form("a=1+2&b=%2B49&a=&city=M%C3%9CNCHEN&flag&%F0=%ff".as_bytes()),
        [
            pair("a", "1 2"),
            pair("b", "+49"),
            pair("a", ""),
            pair("city", "MÜNCHEN"),
            pair("flag", ""),
            pair("\u{FFFD}", "\u{FFFD}"),
        ]
    );
    assert_eq!(parse_form(b""), []);
}

#[test]
fn keeps_fields_that_it_does_not_know() {
    let webhook = webhook("CallSid=CA1&pk=evil&From=%2B14155550100").unwrap();
    assert_eq!(webhook.from, "+14155550100");
    assert_eq!(webhook.forwarded_from, "");
    assert_eq!(webhook.params[1], ("pk".to_owned(), "evil".to_owned()));
}

#[test]
fn a_webhook_without_a_usable_call_sid_is_refused() {
    assert_eq!(webhook("From=%2B14155550100"), Err(WebhookError::MissingCallSid));
    for sid in ["", "CA", "ca1", "AC1", "CA1/../x", "CA1%23", "CA%C3%A9", "+CA1"] {
        assert_eq!(webhook(&format!("CallSid={sid}")), Err(WebhookError::InvalidCallSid), "{sid}");
    }
    assert!(is_call_sid(&format!("CA{}", "a".repeat(62))));
    assert!(!is_call_sid(&format!("CA{}", "a".repeat(63))));
}

#[test]
fn of_a_repeated_field_the_first_counts() {
    assert_eq!(webhook("CallSid=CA1&CallSid=CA2").unwrap().call_sid, "CA1");
}

#[test]
fn tells_telephone_numbers_from_other_callers() {
    for number in ["+12", "+14155550100", "+123456789012345"] {
        assert!(is_e164(number), "{number}");
    }
    for other in
        ["", "+", "+1", "+0123", "14155550100", "+1415555010x", "+1234567890123456", "anonymous", "+١٢٣"]
    {
        assert!(!is_e164(other), "{other}");
    }
}

#[test]
fn the_end_of_a_session_tolerates_what_is_new_or_missing() {
    let ended = ConnectEnded::from_params(&parse_form(
        b"CallSid=CA1&SessionStatus=paused&SessionDuration=soon&ErrorCode=&HandoffData=",
    ))
    .unwrap();
    assert_eq!(ended.session_status, SessionStatus::Other("paused".to_owned()));
    assert_eq!(ended.session_duration_seconds, None);
    assert_eq!(ended.error_code, None);
    assert_eq!(ended.handoff_data.as_deref(), Some(""));
    assert_eq!(ConnectEnded::from_params(&[]), Err(WebhookError::MissingCallSid));
}

#[test]
fn every_final_status_is_told_from_those_on_the_way() {
    for text in ["completed", "busy", "no-answer", "failed", "canceled"] {
        assert!(CallStatus::from(text).is_final(), "{text}");
    }
    for text in ["queued", "initiated", "ringing", "in-progress", "answered", "", "novelty"] {
        assert!(!CallStatus::from(text).is_final(), "{text}");
    }
}

#[test]
fn machines_are_told_from_people_and_from_doubt() {
    for machine in ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"] {
        assert!(is_machine(machine), "{machine}");
    }
    for other in ["human", "unknown", "", "machine"] {
        assert!(!is_machine(other), "{other}");
    }
}

proptest! {
    #[test]
    fn any_body_is_read_without_panic(body: Vec<u8>) {
        let params = parse_form(&body);
        let webhook = VoiceWebhook::from_params(params.clone());
        let refusal = webhook.err();
        prop_assert_eq!(ConnectEnded::from_params(&params).err(), refusal);
        prop_assert_eq!(DialEnded::from_params(&params).err(), refusal);
        prop_assert_eq!(StatusCallback::from_params(&params).err(), refusal);
        prop_assert_eq!(MachineDetected::from_params(&params).err(), refusal);
        prop_assert_eq!(Gathered::from_params(&params).err(), refusal);
    }

    #[test]
    fn a_form_is_read_back(params in prop::collection::vec((any::<String>(), any::<String>()), 0..6)) {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
        // A pair of two empty strings is written as a lone `=`, which decodes to itself.
        prop_assert_eq!(parse_form(form.as_bytes()), params);
    }

    #[test]
    fn a_call_sid_is_one_url_segment(text in any::<String>()) {
        prop_assert!(!is_call_sid(&text) || text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let sid = format!("CA{text}");
        prop_assert!(!is_call_sid(&sid) || sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
