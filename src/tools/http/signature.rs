//! Signs requests, so that a service can tell that they are ours and have not been changed.
//!
//! A signed request carries
//!
//! ```text
//! X-Trunkline-Signature: t=<unix seconds>,v1=<hex>
//! ```
//!
//! where `<hex>` is the HMAC-SHA256, in lower-case hexadecimal digits, of the text
//! `<t>.<METHOD>.<path and query>.<body>` under the secret that both sides know.
//!
//! To verify it: take `t` and `v1` from the header; build the text from the request as it arrived, with the body's bytes
//! untouched and an empty body where there is none; compute the HMAC and compare it with `v1` in constant time; refuse
//! a `t` that is more than five minutes away from now. Ignore names in the header that you do not know. A request that
//! is repeated is signed anew and carries the same `Idempotency-Key`.

use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use sha2::Sha256;
use url::{Position, Url};
use voice_core::private::Private;

pub(super) const HEADER: &str = "x-trunkline-signature";

/// The value of the header for a request that leaves at `at`, in seconds since 1970.
pub(super) fn sign(
    secret: &Private<String>,
    at: i64,
    method: &Method,
    url: &Url,
    body: &[u8],
) -> Result<String, InvalidLength> {
    let path_and_query = &url[Position::BeforePath..Position::AfterQuery];
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())?;
    mac.update(format!("{at}.{method}.{path_and_query}.").as_bytes());
    mac.update(body);
    let mut value = format!("t={at},v1=");
    for byte in mac.finalize().into_bytes() {
        value
            .extend([byte >> 4, byte & 0xf].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value comes from `printf '%s' TEXT | openssl dgst -sha256 -hmac SECRET`.
    #[test]
    fn the_signature_is_what_others_compute() {
        let url = "https://api.example.com/tools/get%20it?a=1&b=%C3%BC".parse().unwrap();
        let secret = Private::new("s3cret".to_owned());
        let signed = sign(&secret, 1_760_000_000, &Method::POST, &url, br#"{"from":"+14155550100"}"#);
        assert_eq!(
            signed.unwrap(),
            "t=1760000000,v1=19b939105bd47efa8eb646c52dd4bd78af89b20eafc6c77ec69806b878132225"
        );
    }
}
