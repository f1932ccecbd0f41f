use proptest::prelude::*;

use super::*;

const TOKEN: &str = "12345";
const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const OTHER_BODY_HASH: &str = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";

fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn call() -> Vec<(String, String)> {
    params(&[
        ("Digits", "1234"),
        ("To", "+18005551212"),
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("From", "+14158675309"),
    ])
}

fn validator() -> SignatureValidator {
    SignatureValidator::new(vec![TOKEN.to_owned()])
}

#[test]
fn signs_as_twilios_libraries_do() {
    let vectors = [
        (URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ("https://mycompany.com:443/myapp.php?foo=1&bar=2", "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com:80/myapp.php?foo=1&bar=2", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", "CukzLTc1tT5dXEDIHm/tKBanW10="),
        ("https://user@mycompany.com/myapp.php?foo=1&bar=2", "2YRLlVAflCqxaNicjMpJcSTgzSs="),
        ("https://user:pass@mycompany.com:443/myapp.php?foo=1&bar=2", "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2&Body=It%27s+amazing", "TfZzewPq8wqrGlMfyAud8+/IvJ0="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2&Body=It's+amazing", "dsq4Ehbj6cs+KdTkpF5sSSplOWw="),
    ];
    for (url, expected) in vectors {
        assert_eq!(sign(TOKEN, url, &call()), expected, "{url}");
        assert!(validator().is_valid(expected, url, &call()), "{url}");
    }
}

#[test]
fn signs_each_distinct_value_of_a_repeated_name_once_and_sorted() {
    let addresses =
        [("MessagingBinding.Address", "+1325xxxxxxx"), ("MessagingBinding.Address", "+1415xxxxxxx")];
    let reversed = [addresses[1], addresses[0]];
    assert_eq!(sign(TOKEN, URL, &params(&addresses)), "83O6e2vORAoJHUNzJjDWN1jz+BA=");
    assert_eq!(sign(TOKEN, URL, &params(&reversed)), "83O6e2vORAoJHUNzJjDWN1jz+BA=");
    let repeated = params(&[
        ("Sid", "CA123"),
        ("SidAccount", "AC123"),
        ("Digits", "5678"),
        ("Digits", "1234"),
        ("Digits", "1234"),
    ]);
    assert_eq!(sign(TOKEN, URL, &repeated), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
}

#[test]
fn signs_sockets_queries_and_unusual_values() {
    let vectors = [
        ("wss://mycompany.com/relay", "bueH7sLBnC+oqtcUZf4hX9Jxrmo="),
        ("wss://mycompany.com/relay/", "gHTH6CLHRzcmYAEGR0qa6YgM6mY="),
        ("wss://mycompany.com:443/relay", "sX+QkcfIDL5TG225HwHzbAL4+/Y="),
        ("wss://mycompany.com:8443/relay", "xB3RXSh0vklwyclc2dANSP9Bbvg="),
        ("wss://mycompany.com/relay/tenant-a/abc", "LRIGuKsYyEAKCQe7KxzL1kT6icA="),
        ("wss://mycompany.com/relay?tenant=acme", "iptQfN7AHz3ymFsJZ4ChDNYc/5E="),
        (
            "https://mycompany.com/voice?CallSid=CA1234567890ABCDE&From=%2B14158675309&To=%2B18005551212",
            "dJ9NRoS3i9pSsg4x7xlUrz/hFR0=",
        ),
    ];
    for (url, expected) in vectors {
        assert_eq!(sign(TOKEN, url, &[]), expected, "{url}");
        assert!(validator().is_valid(expected, url, &[]), "{url}");
    }
    let tenant = params(&[("tenant", "acme")]);
    assert_eq!(sign(TOKEN, "wss://mycompany.com/relay", &tenant), "ZERhELTChVfhSvcRYQ//Gomu1qw=");
    let voice = params(&[("ToCity", ""), ("FromCity", "MÜNCHEN"), ("CallSid", "CA1")]);
    assert_eq!(sign(TOKEN, "https://mycompany.com/voice", &voice), "ZgdoyvgxUxsCheDDRaX7t0WoUa0=");
}

#[test]
fn keys_of_and_beyond_one_block_follow_hmac() {
    // Computed with another implementation.
    assert_eq!(sign(&"k".repeat(64), "https://example.com/", &[]), "705lHeAUPMrJayxQwovla+1C8HE=");
    assert_eq!(sign(&"k".repeat(100), "https://example.com/", &[]), "fX+ympecxAaEqsRFnY5LnR9PmQs=");
}

#[test]
fn the_port_may_be_missing_on_either_side() {
    let cases = [
        ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", URL),
        ("wss://a.example/relay/CA1", "wss://a.example:443/relay/CA1"),
        ("wss://a.example:443/relay/CA1", "wss://a.example/relay/CA1"),
        ("https://u:1@a.example/x", "https://u:1@a.example:443/x"),
        ("https://[::1]/x", "https://[::1]:443/x"),
        ("http://a.example?q=1", "http://a.example:80?q=1"),
    ];
    for (received, signed) in cases {
        assert!(validator().is_valid(&sign(TOKEN, signed, &call()), received, &call()), "{received}");
    }
    let other_port = sign(TOKEN, "https://a.example:8443/x", &[]);
    assert!(!validator().is_valid(&other_port, "https://a.example/x", &[]));
    assert!(!validator().is_valid(&other_port, "https://a.example:9443/x", &[]));
}

#[test]
fn an_apostrophe_in_the_query_may_be_signed_encoded() {
    let raw = "https://mycompany.com/myapp.php?foo=1&bar=2&Body=It's+amazing";
    assert!(validator().is_valid("TfZzewPq8wqrGlMfyAud8+/IvJ0=", raw, &call()));
}

#[test]
fn a_body_is_vouched_for_by_its_hash_in_the_url() {
    let body = br#"{"property": "value", "boolean": true}"#;
    let after_query = format!("{URL}&bodySHA256={OTHER_BODY_HASH}");
    let alone = format!("https://mycompany.com/myapp.php?bodySHA256={OTHER_BODY_HASH}");
    let empty_object = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let without_port = format!("{URL}&bodySHA256={empty_object}");
    let with_port = without_port.replace(".com/", ".com:443/");
    let hook = "https://mycompany.com/hook\
                ?bodySHA256=f9928d8157b181bb05b883c952d7aa91aec432eec172673f5636a7562884257e";
    let cases: [(&str, &str, &[u8]); 6] = [
        (&after_query, "a9nBmqA0ju/hNViExpshrM61xv4=", body),
        (&alone, "y77kIzt2vzLz71DgmJGsen2scGs=", body),
        (&with_port, "Ldidvp12m26NI7eqEvxnEpkd9Hc=", b"{}"),
        (&without_port, "Ldidvp12m26NI7eqEvxnEpkd9Hc=", b"{}"),
        (&without_port, "rw/jVviOgicj2+kHZULvebnA4ag=", b"{}"),
        (hook, "6IUXed1y9ZjqfQETo+n+sIW0lPA=", br#"{"type":"x","n":1}"#),
    ];
    for (url, signature, body) in cases {
        assert!(validator().is_valid_body(signature, url, body), "{url}");
        assert!(!validator().is_valid_body(signature, url, b"{\"other\": 1}"), "{url}");
    }
}

#[test]
fn a_body_without_its_one_hash_is_refused() {
    let valid = |url: &str| validator().is_valid_body(&sign(TOKEN, url, &[]), url, b"{}");
    let hash = lower_hex(&Sha256::digest(b"{}"));
    assert!(valid(&format!("{URL}&bodySHA256={hash}")));
    assert!(!valid(URL));
    assert!(!valid("https://mycompany.com/myapp.php"));
    assert!(!valid(&format!("{URL}&bodySHA256=")));
    assert!(!valid(&format!("{URL}&bodySHA256={OTHER_BODY_HASH}")));
    assert!(!valid(&format!("{URL}&bodySHA256={OTHER_BODY_HASH}&bodySHA256={hash}")));
    assert!(!validator().is_valid_body("", &format!("{URL}&bodySHA256={hash}"), b"{}"));
}

#[test]
fn whatever_is_altered_is_refused() {
    let signature = sign(TOKEN, URL, &call());
    assert!(!validator().is_valid(&signature, &URL.replace("foo", "fou"), &call()));
    assert!(!validator().is_valid(&signature, &URL.replace("https", "http"), &call()));
    assert!(!validator().is_valid(&signature, URL, &[]));
    let mut more = call();
    more.push(("From".to_owned(), "+1".to_owned()));
    assert!(!validator().is_valid(&signature, URL, &more));
    for header in ["", " ", "=", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "not base64 at all é", &"A".repeat(10_000)] {
        assert!(!validator().is_valid(header, URL, &call()), "{header}");
    }
}

#[test]
fn any_of_several_tokens_is_accepted_and_none_accepts_nothing() {
    let both = SignatureValidator::new(vec!["new".to_owned(), "old".to_owned()]);
    assert!(both.is_valid(&sign("new", URL, &[]), URL, &[]));
    assert!(both.is_valid(&sign("old", URL, &[]), URL, &[]));
    assert!(!both.is_valid(&sign("older", URL, &[]), URL, &[]));
    let none = SignatureValidator::new(vec![String::new()]);
    assert!(!none.is_valid(&sign("", URL, &[]), URL, &[]));
}

#[test]
fn debug_keeps_the_tokens_to_itself() {
    assert_eq!(format!("{:?}", validator()), "SignatureValidator { tokens: 1, .. }");
}

fn any_params() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((any::<String>(), any::<String>()), 0..6)
}

proptest! {
    #[test]
    fn what_is_signed_is_valid(token in ".+", path in "[!-~]{0,40}", params in any_params()) {
        let url = format!("https://a.example/{path}");
        let validator = SignatureValidator::new(vec![token.clone()]);
        prop_assert!(validator.is_valid(&sign(&token, &url, &params), &url, &params));
    }

    #[test]
    fn a_change_of_one_character_is_refused(position in any::<prop::sample::Index>(), to in "[0-9A-Za-z+/=]") {
        let mut signature = sign(TOKEN, URL, &call());
        let at = position.index(signature.len());
        prop_assume!(signature[at..=at] != to);
        signature.replace_range(at..=at, &to);
        prop_assert!(!validator().is_valid(&signature, URL, &call()));
    }

    #[test]
    fn a_url_changed_in_one_character_is_refused(position in any::<prop::sample::Index>(), to in "[!-~]") {
        let mut url = URL.to_owned();
        let at = position.index(url.len());
        prop_assume!(url[at..=at] != to);
        url.replace_range(at..=at, &to);
        prop_assert!(!validator().is_valid(&sign(TOKEN, URL, &call()), &url, &call()));
    }

    #[test]
    fn nothing_panics(header in any::<String>(), url in any::<String>(), params in any_params(), body: Vec<u8>) {
        prop_assert!(!validator().is_valid(&header, &url, &params));
        prop_assert!(!validator().is_valid_body(&header, &url, &body));
    }
}
