//! Reads the records about phone numbers: the profile of a caller, and the use case of a number that is
//! called.
//!
//! Neither can be wrong enough to refuse a call, so nothing here fails: what cannot be read is taken as not
//! known.

use serde_json::{Map, Value};
use voice_core::private::Private;
use voice_core::use_case::CallerProfile;

/// Reads a caller's profile. A name that is blank or no text is not known.
pub fn parse_profile(item: &Map<String, Value>) -> CallerProfile {
    let name = |attribute| filled_text(item, attribute).map(|name| Private::new(name.to_owned()));
    CallerProfile {
        number: Private::new(filled_text(item, "pk").unwrap_or_default().to_owned()),
        first_name: name("firstName"),
        last_name: name("lastName"),
        use_case: parse_number(item),
        attributes: Private::new(item.clone()),
    }
}

/// Reads the use case that answers a called number.
pub fn parse_number(item: &Map<String, Value>) -> Option<String> {
    filled_text(item, "useCase").map(str::to_owned)
}

fn filled_text<'a>(item: &'a Map<String, Value>, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_profile_is_read() {
        let item = json!({
            "pk": "+14155550100", "sk": "profile", "firstName": " Ada ", "lastName": "Byron",
            "useCase": "albert-einstein", "plan": "gold",
        });
        let profile = parse_profile(item.as_object().unwrap());
        assert_eq!(profile.number.expose(), "+14155550100");
        assert_eq!(profile.first_name.as_ref().map(Private::expose).map(String::as_str), Some("Ada"));
        assert_eq!(profile.last_name.as_ref().map(Private::expose).map(String::as_str), Some("Byron"));
        assert_eq!(profile.use_case.as_deref(), Some("albert-einstein"));
        assert_eq!(profile.attributes.expose()["plan"], "gold");
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let item = json!({"firstName": "", "lastName": 7, "useCase": null});
        let profile = parse_profile(item.as_object().unwrap());
        assert_eq!((profile.first_name, profile.last_name, profile.use_case), (None, None, None));
        assert_eq!(profile.number.expose(), "");
    }

    #[test]
    fn a_called_number_names_its_use_case() {
        let item = json!({"pk": "+18005550199", "sk": "number", "useCase": "restaurant-ordering"});
        assert_eq!(parse_number(item.as_object().unwrap()).as_deref(), Some("restaurant-ordering"));
        assert_eq!(parse_number(&Map::new()), None);
    }
}
