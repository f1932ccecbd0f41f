//! `X-Twilio-Signature`: proof that a webhook or a socket handshake comes from Twilio.
//!
//! Twilio documents it as the base64 of an HMAC-SHA1, keyed with the account's auth token, over the URL as
//! Twilio was told it, followed by the sorted form parameters. This file does not find out what that URL was:
//! behind a proxy only the caller can know it.

mod url_variants;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use self::url_variants::url_variants;
use crate::webhook::parse_form;

/// Checks signatures against any of several auth tokens, because two are valid while one is being replaced.
#[derive(Clone)]
pub struct SignatureValidator {
    keys: Arc<[Hmac<Sha1>]>,
}

/// The signature that Twilio would send: `params` are those of a form body, decoded, in any order; none for
/// GET and for sockets.
pub fn sign(token: &str, url: &str, params: &[(String, String)]) -> String {
    signature(key(token), url, &canonical(params))
}

impl SignatureValidator {
    /// Empty tokens are dropped: anybody can sign with those. Without a token nothing is valid.
    pub fn new(tokens: Vec<String>) -> Self {
        let tokens = tokens.into_iter().filter(|token| !token.is_empty());
        Self { keys: tokens.map(|token| key(&token)).collect() }
    }

    /// Whether `signature` fits the request: `url` is absolute, `params` as in [`sign`].
    ///
    /// Twilio is not consistent about the port, so the URL counts with and without it, and with the default
    /// port of its scheme (443 for `https` and `wss`) when it has none.
    pub fn is_valid(&self, signature: &str, url: &str, params: &[(String, String)]) -> bool {
        let params = canonical(params);
        let urls = url_variants(url);
        // Every combination is tried, so that the time taken does not tell which one fits.
        let mut valid = Choice::from(0);
        for key in self.keys.iter() {
            for url in &urls {
                let expected = self::signature(key.clone(), url, &params);
                valid |= expected.as_bytes().ct_eq(signature.as_bytes());
            }
        }
        valid.into()
    }

    /// Whether `signature` fits a request whose body is no form.
    ///
    /// Twilio then adds the SHA-256 of the body to the query as `bodySHA256` and signs the URL alone. A URL
    /// without it is refused, because nothing would vouch for the body.
    pub fn is_valid_body(&self, signature: &str, url: &str, body: &[u8]) -> bool {
        let expected = lower_hex(&Sha256::digest(body));
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut claims = parse_form(query.as_bytes()).into_iter().filter(|(name, _)| name == "bodySHA256");
        let (Some((_, claimed)), None) = (claims.next(), claims.next()) else {
            return false;
        };
        let body_fits: bool = claimed.as_bytes().ct_eq(expected.as_bytes()).into();
        body_fits && self.is_valid(signature, url, &[])
    }
}

impl fmt::Debug for SignatureValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureValidator").field("tokens", &self.keys.len()).finish_non_exhaustive()
    }
}

/// The key padded to a block, or hashed first when it is longer: HMAC's own rule, done here because
/// the constructor for a whole block cannot fail.
fn key(token: &str) -> Hmac<Sha1> {
    let mut block = [0; 64];
    let hashed = Sha1::digest(token.as_bytes());
    let bytes = if token.len() > block.len() { hashed.as_slice() } else { token.as_bytes() };
    block[..bytes.len()].copy_from_slice(bytes);
    Hmac::new(&block.into())
}

fn signature(mut mac: Hmac<Sha1>, url: &str, params: &[(&str, &str)]) -> String {
    mac.update(url.as_bytes());
    for (name, value) in params {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Names in byte order, and of each name every distinct value once, in byte order.
fn canonical(params: &[(String, String)]) -> Vec<(&str, &str)> {
    let mut params: Vec<_> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    params.sort_unstable();
    params.dedup();
    params
}

fn lower_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
