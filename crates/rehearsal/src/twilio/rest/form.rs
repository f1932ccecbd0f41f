//! Request bodies: forms whose fields may repeat, and the addresses in them.

/// The fields of one form.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// A field that is there and not blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(field, _)| field == name)?;
        Some(field.1.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// Every value of a field that may repeat; Twilio also takes them as one, with spaces between.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let fields = self.0.iter().filter(|(field, _)| field == name);
        fields.flat_map(|(_, value)| value.split_whitespace()).map(str::to_owned).collect()
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// `+` and 8 to 15 digits of which the first is not zero.
pub(super) fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

/// Whom a call can be placed to.
pub(super) fn is_callable(address: &str) -> bool {
    let names = |scheme: &str| address.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
    is_e164(address) || names("sip:") || names("client:")
}
