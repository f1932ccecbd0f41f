//! A call that has been given its agent: who, which use case, which prompt, which model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Zoned;
use voice_core::ports::{CallContext, Direction, Session};
use voice_core::private::Private;
use voice_core::use_case::{CallerProfile, Channel, Keep, UseCase};

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
    pub(super) default_model: Option<Arc<str>>,
    /// When the call was answered first, in the time zone that dates are told in.
    pub(super) answered_at: Zoned,
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
        answered_at: &Zoned,
    ) -> Result<Self, NoModel> {
        let context = CallContext {
            call_sid: webhook.call_sid,
            account_sid: webhook.account_sid,
            from: webhook.from,
            to: webhook.to,
            direction: webhook.direction,
            use_case: use_case.name.clone(),
            caller,
            variables: webhook.variables,
        };
        let models = models(&use_case, default_model);
        if models.is_empty() {
            return Err(NoModel(use_case.name.clone()));
        }
        let mut relay_attributes = use_case.relay_attributes.clone();
        if let Some(greeting) = relay_attributes.get_mut(GREETING) {
            *greeting = render(greeting, &prompt_context(&context, &use_case, answered_at)).text;
        }
        Ok(Self {
            system: system(&context, &use_case, answered_at),
            context: Arc::new(context),
            use_case,
            models,
            relay_attributes,
            default_model: default_model.map(Into::into),
            answered_at: answered_at.clone(),
        })
    }

    /// The same call, going on as another use case.
    #[must_use]
    pub fn as_use_case(&self, use_case: Arc<UseCase>) -> Self {
        let models = models(&use_case, self.default_model.as_deref());
        Self {
            system: system(&self.context, &use_case, &self.answered_at),
            // Who names no model is answered for by the one that answered so far.
            models: if models.is_empty() { Arc::clone(&self.models) } else { models },
            use_case,
            ..self.clone()
        }
    }

    /// The item that is written for the call, with the webhook's fields.
    pub fn session(&self, twilio: Vec<(String, String)>) -> Session {
        let (call, twilio) = match self.use_case.storage.keep {
            Keep::Words => (Arc::clone(&self.context), twilio),
            Keep::Nothing => (Arc::new(anonymous(&self.context)), Vec::new()),
        };
        Session {
            call,
            channel: Channel::ConversationRelay.as_str(),
            model: self.models[0].clone(),
            twilio: Private::new(twilio),
        }
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

/// Which models answer for a use case, in order.
fn models(use_case: &UseCase, default_model: Option<&str>) -> Arc<[String]> {
    let first = use_case.model.as_deref().or(default_model);
    first.into_iter().map(str::to_owned).chain(use_case.fallback_models.iter().cloned()).collect()
}

fn system(context: &CallContext, use_case: &UseCase, now: &Zoned) -> Arc<str> {
    let prompt = render(&use_case.prompt, &prompt_context(context, use_case, now));
    if let Some(warning) = prompt.warning {
        tracing::warn!(call.sid = %context.call_sid, use_case = %use_case.name, warning, "the prompt was not rendered");
    }
    prompt.text.into()
}

fn prompt_context<'a>(call: &'a CallContext, use_case: &'a UseCase, now: &'a Zoned) -> PromptContext<'a> {
    PromptContext {
        caller: call.caller.as_deref(),
        from: call.from.expose(),
        to: call.to.expose(),
        direction: call.direction,
        variables: call.variables.expose(),
        call_sid: &call.call_sid,
        use_case: &use_case.name,
        now,
    }
}

/// A call of which nobody can tell who it was with.
fn anonymous(call: &CallContext) -> CallContext {
    CallContext {
        from: Private::default(),
        to: Private::default(),
        caller: None,
        variables: Private::default(),
        ..call.clone()
    }
}
