//! Going on as another use case.

use serde_json::json;
use tracing::warn;
use voice_core::ports::{Effect, ToolRequest};

use super::listed;
use crate::tools::arguments::text;
use crate::tools::{Answer, Handled, ToolsParts};

/// Goes on as the use case that the argument `useCase` names, if the record allows it.
pub(super) async fn set(parts: &ToolsParts, allowed: &[String], request: &ToolRequest) -> Handled {
    let name = text(request, "useCase").filter(|name| allowed.iter().any(|allowed| allowed == name));
    let name = name.ok_or_else(|| format!("The argument useCase must be one of: {}.", listed(allowed)))?;
    match parts.use_cases.find(name).await {
        Ok(use_case) => Ok(Answer::with(json!({ "useCase": name }), Effect::ChangeUseCase(use_case))),
        Err(reason) => {
            warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, use_case = %name, error = reason, "a call could not go on as another use case");
            Err("That is not available at the moment. Go on as you are.".to_owned())
        }
    }
}
