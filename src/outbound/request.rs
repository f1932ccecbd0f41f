//! By what a request is known again: the id of its launch, and a digest of what it asks for.

use serde_json::json;
use sha2::{Digest, Sha256};
use voice_core::ports::OutboundRequest;
use voice_core::use_case::OnMachine;

/// `L` and 32 hexadecimal digits; the same for the same key.
pub(super) fn launch_id(idempotency_key: Option<&str>) -> String {
    let digits = match idempotency_key {
        Some(key) => hex(&Sha256::digest(key.as_bytes())[..16]),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    format!("L{digits}")
}

/// Whether this can be the id of a launch; those of calls begin otherwise.
pub fn is_launch_id(text: &str) -> bool {
    text.strip_prefix('L').is_some_and(|digits| {
        digits.len() == 32
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The same for two requests that ask for the same call. What was left out is not what happens to be its default today.
/// The key goes into it, which is not stored: without it nobody can try out whom the call was to.
pub(super) fn request_digest(request: &OutboundRequest) -> String {
    let machine = request.machine.as_ref().map(|machine| match machine {
        OnMachine::Ignore => json!("ignore"),
        OnMachine::HangUp => json!("hangUp"),
        OnMachine::Say(message) => json!({ "say": message }),
    });
    let asked = json!([
        request.idempotency_key,
        request.to.expose(),
        request.from,
        request.use_case,
        request.variables.expose(),
        machine,
    ]);
    // A request without a key never comes again.
    match request.idempotency_key {
        Some(_) => hex(&Sha256::digest(asked.to_string().as_bytes())),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use voice_core::private::Private;

    use super::*;

    #[test]
    fn a_key_always_leads_to_the_same_launch() {
        let id = launch_id(Some("order-7"));
        assert!(is_launch_id(&id), "{id}");
        assert_eq!(id, launch_id(Some("order-7")));
        assert_ne!(id, launch_id(Some("order-8")));
        assert_ne!(launch_id(None), launch_id(None));
        assert!(is_launch_id(&launch_id(None)));
        for other in ["", "L", "CA00000000000000000000000000000001", "L0000000000000000000000000000000G"] {
            assert!(!is_launch_id(other), "{other}");
        }
    }

    #[test]
    fn a_request_that_differs_in_anything_has_another_digest() {
        let text = |text: &str| text.to_owned();
        let request = OutboundRequest {
            to: Private::new(text("+14155550100")),
            from: None,
            use_case: text("desk"),
            variables: Private::new(BTreeMap::from([(text("a"), text("1"))])),
            idempotency_key: Some(text("k")),
            machine: None,
        };
        let digest = request_digest(&request);
        assert_eq!(digest, request_digest(&request.clone()));
        for other in [
            OutboundRequest { to: Private::new(text("+14155550101")), ..request.clone() },
            OutboundRequest { from: Some(text("+18005550199")), ..request.clone() },
            OutboundRequest { use_case: text("sales"), ..request.clone() },
            OutboundRequest { variables: Private::default(), ..request.clone() },
            OutboundRequest { machine: Some(OnMachine::Ignore), ..request.clone() },
            OutboundRequest { machine: Some(OnMachine::Say(text("hangUp"))), ..request.clone() },
        ] {
            assert_ne!(digest, request_digest(&other), "{other:?}");
        }
    }
}
