//! What a guardrail is to assess, and what it refused, when the use case has words of its own for that.
//!
//! Bedrock sends the message of its guardrail as if the model had said it, and tells only behind it that it was not. So
//! the last words are held back until it is known whose they are.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_bedrockruntime::types::{
    GuardrailAssessment, GuardrailContentPolicyAction, GuardrailSensitiveInformationPolicyAction,
    GuardrailTopicPolicyAction, GuardrailTraceAssessment, GuardrailWordPolicyAction,
};
use voice_core::message::Message;
use voice_core::ports::{Blocked, ModelEvent};
use voice_core::use_case::{Sentences, UseCase};

/// Bedrock's word for an answer that a guardrail has replaced.
const INTERVENED: &str = "guardrail_intervened";

/// The message whose text a guardrail is to assess: the newest in which the caller says something.
///
/// Bedrock assesses the text of all messages, unless some of it is marked; then only that. Unmarked, words that were
/// refused once would be refused with every later turn, since they stay in the dialogue. What the caller said before was
/// assessed when it was new.
///
/// Behind it there may be outcomes of tools. Bedrock documents that its guardrails do not assess tool results, whatever
/// is marked, and only text can be marked. To mark nothing then would guard no outcome; it would assess the whole
/// dialogue again. So the words that led to the tools are marked once more. What a tool's result makes the model say is
/// assessed with the answer, as always.
pub(super) fn assessed(history: &[Arc<Message>]) -> Option<usize> {
    history.iter().rposition(|message| match &**message {
        Message::Caller { text } | Message::Outcomes { text, .. } => !text.is_empty(),
        Message::Agent { .. } => false,
    })
}

/// Whether the caller is to hear the use case's own sentence instead of the guardrail's message.
pub(super) fn has_sentences(use_case: &UseCase) -> bool {
    let says =
        |sentences: &Sentences| sentences.blocked_input.is_some() || sentences.blocked_output.is_some();
    let in_other_languages = use_case.languages.iter().filter_map(|language| language.sentences.as_ref());
    use_case.guardrail.is_some() && (says(&use_case.sentences) || in_other_languages.into_iter().any(says))
}

/// Holds back the last text of an answer that may turn out to be the guardrail's message. It costs a token's time.
#[derive(Debug, Default)]
pub(super) struct LookBehind(Option<ModelEvent>);

impl LookBehind {
    /// Takes an event, and gives those that are certainly the model's.
    pub(super) fn pass(&mut self, event: ModelEvent) -> impl Iterator<Item = ModelEvent> + use<> {
        match event {
            ModelEvent::Text(_) => [self.0.replace(event), None],
            other => [self.0.take(), Some(other)],
        }
        .into_iter()
        .flatten()
    }

    /// The last text, unless it is the guardrail's.
    pub(super) fn end(&mut self, stop_reason: &str) -> Option<ModelEvent> {
        self.0.take().filter(|_| !intervened(stop_reason))
    }
}

/// Whether the answer ended with the guardrail's message.
pub(super) fn intervened(stop_reason: &str) -> bool {
    stop_reason == INTERVENED
}

/// What was refused, as the trace of the guardrail tells it.
pub(super) fn blocked(trace: &GuardrailTraceAssessment) -> Blocked {
    let assessed = trace.input_assessment().into_iter().flat_map(HashMap::values);
    if assessed.into_iter().any(refuses) { Blocked::Input } else { Blocked::Output }
}

/// Grounding and reasoning are about answers, so they are not looked at.
fn refuses(assessment: &GuardrailAssessment) -> bool {
    let topics = assessment.topic_policy.as_ref().is_some_and(|policy| {
        policy.topics.iter().any(|topic| topic.action == GuardrailTopicPolicyAction::Blocked)
    });
    let content = assessment.content_policy.as_ref().is_some_and(|policy| {
        policy.filters.iter().any(|filter| filter.action == GuardrailContentPolicyAction::Blocked)
    });
    let words = assessment.word_policy.as_ref().is_some_and(|policy| {
        policy.custom_words.iter().any(|word| word.action == GuardrailWordPolicyAction::Blocked)
            || policy.managed_word_lists.iter().any(|word| word.action == GuardrailWordPolicyAction::Blocked)
    });
    let personal = assessment.sensitive_information_policy.as_ref().is_some_and(|policy| {
        let blocked = GuardrailSensitiveInformationPolicyAction::Blocked;
        policy.pii_entities.iter().any(|entity| entity.action == blocked)
            || policy.regexes.iter().any(|regex| regex.action == blocked)
    });
    topics || content || words || personal
}
