//! Signatures of requests: a line each for token, URL and what the request shows, and then its form. Whoever knows the
//! token is let in with any form, and nobody else, whatever is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voice_protocols::signature::{SignatureValidator, sign};
use voice_protocols::webhook::parse_form;

/// No input knows it.
const SECRET: &str = "7b0f4e1c9d5a48d2b36f0a1e8c7d2f94";

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (token, url, shown, body) = (line(), line(), line(), line());
    let mut params = parse_form(body.as_bytes());

    let secret = SignatureValidator::new(vec![SECRET.to_owned()]);
    assert!(!secret.is_valid(shown, url, &params), "nobody guesses a signature");
    assert!(!secret.is_valid_body(shown, url, body.as_bytes()));
    assert!(!SignatureValidator::new(vec![String::new()]).is_valid(&sign("", url, &params), url, &params));
    if token.is_empty() {
        return;
    }

    let rotating = SignatureValidator::new(vec![SECRET.to_owned(), token.to_owned()]);
    let signature = sign(token, url, &params);
    assert!(rotating.is_valid(&signature, url, &params), "what is signed is let in");
    let _ = rotating.is_valid(shown, url, &params);
    params.reverse();
    assert!(rotating.is_valid(&signature, url, &params), "the order of the fields does not matter");
    if !url.contains("bodySHA256") {
        assert!(!rotating.is_valid_body(&signature, url, body.as_bytes()), "nothing vouches for the body");
    }
    let forged = ("Forged".to_owned(), "1".to_owned());
    if !params.contains(&forged) {
        params.push(forged);
        assert!(!rotating.is_valid(&signature, url, &params), "a field more is another request");
    }
});
