//! A call that has been given its agent: who, which use case, which prompt, which model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Zoned;
use voice_core::ports::{CallContext, Direction};
use voice_core::private::Private;
use voice_core::use_case::{CallerProfile, UseCase};

use crate::catalog::prompt::{PromptContext, render};

/// What the service knows of a call once it was answered.
#[derive(Clone)]
pub struct PreparedCall {
    pub context: Arc<CallContext>,
    pub use_case: Arc<UseCase>,
    /// The rendered system prompt.
    pub system: Arc<str>,
    /// Never empty.
    pub models: Arc<[String]>,
    /// Attributes of `<ConversationRelay>`, rendered.
    pub relay_attributes: BTreeMap<String, String>,
}

impl fmt::Debug for PreparedCall {
    /// Leaves out what was rendered with the caller's name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PreparedCall").field("context", &self.context).finish_non_exhaustive()
    }
}

/// Neither the use case nor the service names a model.
#[derive(Debug, thiserror::Error)]
#[error("the use case {0:?} names no model and MODEL_IDENTIFIER is not set")]
pub struct NoModel(String);

/// The carrier's facts of a call.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub call_sid: String,
    pub account_sid: String,
    pub from: Private<String>,
    pub to: Private<String>,
    pub direction: Direction,
    /// What whoever had the call placed wants prompts and tools to know.
    pub variables: Private<BTreeMap<String, String>>,
}

const GREETING: &str = "welcomeGreeting";

impl PreparedCall {
    pub fn new(
        webhook: Webhook,
        use_case: Arc<UseCase>,
        caller: Option<Arc<CallerProfile>>,
        default_model: Option<&str>,
        now: &Zoned,
    ) -> Result<Self, NoModel> {
        let first = use_case.model.as_deref().or(default_model);
        let models: Arc<[String]> =
            first.into_iter().map(str::to_owned).chain(use_case.fallback_models.iter().cloned()).collect();
        if models.is_empty() {
            return Err(NoModel(use_case.name.clone()));
        }
        let context = PromptContext {
            caller: caller.as_deref(),
            caller_number: webhook.from.expose(),
            called_number: webhook.to.expose(),
            call_sid: &webhook.call_sid,
            use_case: &use_case.name,
            now,
        };
        let prompt = render(&use_case.prompt, &context);
        if let Some(warning) = prompt.warning {
            tracing::warn!(call.sid = %webhook.call_sid, use_case = %use_case.name, warning, "the prompt was not rendered");
        }
        let mut relay_attributes = use_case.relay_attributes.clone();
        if let Some(greeting) = relay_attributes.get_mut(GREETING) {
            *greeting = render(greeting, &context).text;
        }
        let context = CallContext {
            call_sid: webhook.call_sid,
            account_sid: webhook.account_sid,
            from: webhook.from,
            to: webhook.to,
            use_case: use_case.name.clone(),
            caller,
            direction: webhook.direction,
            variables: webhook.variables,
        };
        Ok(Self {
            context: Arc::new(context),
            use_case,
            system: prompt.text.into(),
            models,
            relay_attributes,
        })
    }

    /// What the carrier says by itself as soon as it is connected.
    pub fn greeting(&self) -> Option<&str> {
        self.relay_attributes.get(GREETING).map(String::as_str)
    }

    /// A call that goes on is not greeted again.
    #[must_use]
    pub fn without_greeting(mut self) -> Self {
        self.relay_attributes.remove(GREETING);
        self
    }
}
