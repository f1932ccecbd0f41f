//! Which use cases an item of the table names, so that a check can tell which of them are not there.

use serde_json::{Map, Value};
use voice_core::use_case::{Handler, UseCase};

use super::use_case_item::Problem;

/// A use case that an item names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where in the item.
    pub path: String,
    pub use_case: String,
}

impl Reference {
    /// What is said of it when there is no such use case.
    pub fn dangling(self) -> Problem {
        let reason = format!("there is no use case {} among what was checked", self.use_case);
        Problem { path: self.path, reason }
    }
}

/// The use case that answers a caller or a called number.
pub fn of_number(item: &Map<String, Value>) -> Option<Reference> {
    let use_case = super::profile_item::parse_number(item)?;
    Some(Reference { path: "useCase".to_owned(), use_case })
}

/// The use cases that tools go on as, or let others talk as.
pub fn of_use_case(use_case: &UseCase) -> Vec<Reference> {
    let mut references = Vec::new();
    for tool in &use_case.tools {
        let (option, names) = match &tool.handler {
            Handler::SetUseCase { use_cases } => ("useCases", use_cases.as_slice()),
            Handler::PlaceCall(call) => ("useCase", call.use_case.as_slice()),
            _ => continue,
        };
        let path = format!("tools.{}.handler.{option}", tool.name);
        references.extend(names.iter().map(|name| Reference { path: path.clone(), use_case: name.clone() }));
    }
    references
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;
    use voice_core::use_case::{PlaceCall, Tool};

    use super::*;

    #[test]
    fn every_way_to_name_a_use_case_is_found() {
        let mut use_case = UseCase::new("reception", "Be kind.");
        let names = vec!["billing".to_owned(), "sales".to_owned()];
        let call = PlaceCall { numbers: BTreeMap::new(), use_case: Some("survey".to_owned()) };
        use_case.tools = vec![
            Arc::new(Tool::new("go_on", Handler::SetUseCase { use_cases: names })),
            Arc::new(Tool::new("call", Handler::PlaceCall(call))),
            Arc::new(Tool::new("end_call", Handler::EndCall)),
        ];
        let found: Vec<_> = of_use_case(&use_case).into_iter().map(|found| found.use_case).collect();
        assert_eq!(found, ["billing", "sales", "survey"]);
        let item = json!({"pk": "+14155550100", "sk": "profile", "useCase": "vip"});
        let vip = of_number(item.as_object().unwrap()).unwrap().dangling();
        assert_eq!(vip.to_string(), "useCase: there is no use case vip among what was checked");
        assert_eq!(of_number(&Map::new()), None);
    }
}
