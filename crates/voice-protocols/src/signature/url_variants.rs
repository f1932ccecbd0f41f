//! The spellings of one URL that Twilio may have signed. Computes no signature.
//!
//! It works on the text and parses as little as it can, because a URL library would normalise what has to
//! stay as it was sent.

/// The URL as given, without its port, and with the default port if it has none; each of them again with
/// apostrophes in the query percent-encoded, as Twilio's own libraries accept it.
pub(super) fn url_variants(url: &str) -> Vec<String> {
    let mut variants = port_variants(url);
    if let Some((base, query)) = url.split_once('?')
        && query.contains('\'')
    {
        variants.extend(port_variants(&format!("{base}?{}", query.replace('\'', "%27"))));
    }
    variants
}

fn port_variants(url: &str) -> Vec<String> {
    let mut variants = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return variants;
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => variants.push(format!("{scheme}://{host}{path}")),
        _ => variants.extend(default_port(scheme).map(|port| format!("{scheme}://{authority}:{port}{path}"))),
    }
    variants
}

/// What follows the last colon is a port only if it is a number: it may also be the end of a password or of
/// an IPv6 address, which then goes on with `@` or `]`.
fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" | "wss" => Some(443),
        "http" | "ws" => Some(80),
        _ => None,
    }
}
