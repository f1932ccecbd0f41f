//! Use cases as calls get them: those of the catalog, and where their callers go when they name nobody.
//!
//! The tool that transfers a call and the route that carries it out both take use cases from here, so that they agree on
//! the targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use voice_core::ports::{BoxFuture, UseCaseSource};
use voice_core::use_case::{
    DEFAULT_TARGET, DEFAULT_TIMEOUT, Destination, Dial, HandoffTarget, IfUnanswered, Party, UseCase,
};

use crate::catalog::Catalog;
use crate::telemetry::causes;

/// The use cases of the catalog, with the service's SIP endpoint where they name nobody.
#[derive(Clone, Debug)]
pub struct UseCases {
    catalog: Catalog,
    sip_endpoint: Option<Arc<str>>,
}

impl UseCases {
    /// `sip_endpoint` is `sip:…`.
    pub fn new(catalog: Catalog, sip_endpoint: Option<&str>) -> Self {
        Self { catalog, sip_endpoint: sip_endpoint.map(Arc::from) }
    }
}

impl UseCaseSource for UseCases {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<UseCase>, String>> {
        Box::pin(async move {
            let found = self.catalog.use_case(name).await.map_err(|error| causes(&error).to_string())?;
            Ok(with_default_handoff(found, self.sip_endpoint.as_deref()))
        })
    }
}

/// The use case, with the SIP endpoint as its default target when it has no target at all.
pub fn with_default_handoff(use_case: Arc<UseCase>, sip_endpoint: Option<&str>) -> Arc<UseCase> {
    let Some(address) = sip_endpoint.filter(|_| use_case.handoff.is_empty()) else {
        return use_case;
    };
    let dial = Dial { to: Party::Sip(address.to_owned()), caller_id: None, timeout: DEFAULT_TIMEOUT };
    let target = HandoffTarget {
        to: Destination::Dial(dial),
        announcement: None,
        if_unanswered: IfUnanswered::default(),
    };
    let handoff = BTreeMap::from([(DEFAULT_TARGET.to_owned(), target)]);
    Arc::new(UseCase { handoff, ..UseCase::clone(&use_case) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_use_case_that_names_nobody_gets_the_sip_endpoint() {
        let bare = Arc::new(UseCase::new("desk", "You answer."));
        assert!(with_default_handoff(Arc::clone(&bare), None).handoff.is_empty());
        let with_endpoint = with_default_handoff(bare, Some("sip:support@example.com"));
        let Destination::Dial(dial) = &with_endpoint.handoff[DEFAULT_TARGET].to else { panic!() };
        assert_eq!(dial.to, Party::Sip("sip:support@example.com".to_owned()));
        let kept = with_default_handoff(Arc::clone(&with_endpoint), Some("sip:other@example.com"));
        assert_eq!(kept.handoff, with_endpoint.handoff);
    }
}
