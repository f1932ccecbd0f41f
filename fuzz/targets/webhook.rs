//! Webhooks as bytes: decoding loses nothing, and no field becomes a key or a part of a URL that is not checked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voice_protocols::webhook::{
    ConnectEnded, DialEnded, Gathered, MachineDetected, StatusCallback, VoiceWebhook, is_call_sid, parse_form,
};

fuzz_target!(|body: &[u8]| {
    let params = parse_form(body);
    assert_eq!(parse_form(encoded(&params).as_bytes()), params, "what was decoded can be encoded again");

    let call_sids = [
        VoiceWebhook::from_params(params.clone()).map(|webhook| {
            assert_eq!(webhook.params, params, "a signature is checked over all of it");
            webhook.call_sid
        }),
        ConnectEnded::from_params(&params).map(|ended| ended.call_sid),
        StatusCallback::from_params(&params).map(|status| status.call_sid),
        MachineDetected::from_params(&params).map(|detected| detected.call_sid),
        DialEnded::from_params(&params).map(|ended| ended.call_sid),
        Gathered::from_params(&params).map(|gathered| gathered.call_sid),
    ];
    for call_sid in call_sids.iter().flatten() {
        assert!(is_call_sid(call_sid), "the id is a key of the table and a segment of URLs");
    }
    let refused = call_sids.iter().filter(|call_sid| call_sid.is_err()).count();
    assert!(refused == 0 || refused == call_sids.len(), "all webhooks agree on what names a call");
});

fn encoded(params: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}
