//! Addresses that a record names: https, and a host that no template and no model can change.

use url::Url;

use super::problem::Report;

const ONLY_IN_DEVELOPMENT: &str =
    "is not encrypted; it is called only by a service that may call private hosts";

/// A URL that is used as it stands; plain `http` is good enough for development.
pub(super) fn check(text: &str, path: &str, report: &mut Report) -> bool {
    if text.contains("{{") {
        report.error(path, "must be a URL without templates");
        return false;
    }
    check_template(text, path, report)
}

/// A URL whose path and query may hold templates.
pub(super) fn check_template(text: &str, path: &str, report: &mut Report) -> bool {
    match origin(text) {
        Ok(origin) if origin.scheme() == "http" => {
            report.warn(path, ONLY_IN_DEVELOPMENT);
            true
        }
        Ok(_) => true,
        Err(reason) => {
            report.error(path, reason);
            false
        }
    }
}

/// A URL that the carrier fetches: https only.
pub(super) fn check_https(text: &str, path: &str, report: &mut Report) -> bool {
    match origin(text) {
        Ok(origin) if origin.scheme() == "https" && Url::parse(text).is_ok() => true,
        Ok(_) => {
            report.error(path, "must begin with https://");
            false
        }
        Err(reason) => {
            report.error(path, reason);
            false
        }
    }
}

/// The part up to the path, which must stand there to the letter.
fn origin(text: &str) -> Result<Url, &'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or("must begin with https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains(['{', '}', '\\']) {
        return Err("must name its host literally; templates may stand behind it");
    }
    if authority.contains('@') {
        return Err("must not hold a user or a password");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold line breaks or other control characters");
    }
    let origin = &text[..text.len() - rest.len() + end];
    Url::parse(origin).ok().filter(Url::has_host).ok_or("must name a host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_literal() {
        for text in ["https://api.example.com", "https://a.b:8443/x/{{ args.id }}?y={{ z }}", "http://[::1]/"]
        {
            assert!(origin(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "api.example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://{{ args.host }}/",
            "https://api{{ x }}.example.com",
            "https://example.com{{ args.rest }}",
            "https://user:secret@example.com/",
            "https://example.com\\@evil.example/",
            "https://exa mple.com/",
            "https://example.com:99999/",
            "https://example.com/\n",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
