//! A call's session as the table keeps it, and back.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use voice_core::ports::{Direction, KnownSession, Session, SpokenLanguage};
use voice_core::private::Private;

use super::{DynamoDbStore, Item, expire_at, number, text};

pub(super) const SESSION: &str = "connection";

impl DynamoDbStore {
    /// The numbers may be blank, when nothing of a call is to be kept; no key is made of them.
    pub(super) fn session_item(&self, session: &Session) -> Item {
        let call = &session.call;
        let now = Timestamp::now();
        let hour = now.strftime("%Y-%m-%dT%H");
        let twilio = session.twilio.expose().iter().map(|(name, value)| (name.clone(), text(value.as_str())));
        let mut item = Item::from([
            ("pk".to_owned(), text(&call.call_sid)),
            ("sk".to_owned(), text(SESSION)),
            ("pk1".to_owned(), text(format!("call#{hour}"))),
            ("sk1".to_owned(), text(format!("{now}#{}", call.call_sid))),
            ("useCase".to_owned(), text(&call.use_case)),
            ("caller".to_owned(), text(call.from.expose())),
            ("called".to_owned(), text(call.to.expose())),
            ("direction".to_owned(), text(call.direction.as_str())),
            ("accountSid".to_owned(), text(&call.account_sid)),
            ("llmModel".to_owned(), text(&session.model)),
            ("channel".to_owned(), text(session.channel)),
            ("status".to_owned(), text("answered")),
            ("epoch".to_owned(), number(0)),
            ("startedAt".to_owned(), text(now.to_string())),
            // A map of its own, so that no field of a request becomes an attribute of the item.
            ("twilio".to_owned(), AttributeValue::M(twilio.collect())),
            ("expireAt".to_owned(), expire_at(self.keep_calls)),
        ]);
        if !call.variables.expose().is_empty() {
            item.insert("variables".to_owned(), from_variables(call.variables.expose()));
        }
        item
    }
}

/// What an item says of a call; what it does not say has its default.
pub(super) fn known(item: &Item) -> KnownSession {
    let field = |name: &str| filled(item, name).unwrap_or_default();
    let count = |name: &str| -> u64 {
        item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
    };
    let is_outbound = filled(item, "direction").is_some_and(|found| found == Direction::Outbound.as_str());
    KnownSession {
        epoch: count("epoch"),
        resumes: count("resumes"),
        started_at: field("startedAt"),
        use_case: field("useCase"),
        account_sid: field("accountSid"),
        from: Private::new(field("caller")),
        to: Private::new(field("called")),
        direction: if is_outbound { Direction::Outbound } else { Direction::Inbound },
        variables: Private::new(to_variables(item)),
        language: filled(item, "language")
            .map(|code| SpokenLanguage { code, heard: is_set(item, "languageHeard") }),
        verified: is_set(item, "verified"),
        rested: item.contains_key("restedEpoch") && count("restedEpoch") + 1 == count("epoch"),
    }
}

fn is_set(item: &Item, name: &str) -> bool {
    item.get(name).and_then(|value| value.as_bool().ok()).copied().unwrap_or_default()
}

fn filled(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().filter(|text| !text.is_empty()).cloned()
}

pub(super) fn from_variables(variables: &BTreeMap<String, String>) -> AttributeValue {
    AttributeValue::M(variables.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// The item's `variables`.
pub(super) fn to_variables(item: &Item) -> BTreeMap<String, String> {
    let variables = item.get("variables").and_then(|value| value.as_m().ok());
    let texts = variables.into_iter().flat_map(HashMap::iter);
    texts.filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone()))).collect()
}
