//! What the end of a session tells whoever hears of it next, when the call goes to a person.
//!
//! Twilio passes it on as text that it does not read, to the action of `<Connect>`.

use serde_json::json;

/// Marks a handoff among the other reasons for which a session ends.
pub const LIVE_AGENT_HANDOFF: &str = "live-agent-handoff";

/// Who is to take the call, and what they should know.
#[derive(Clone, Copy, Debug)]
pub struct Handoff<'a> {
    /// The name of a target in the use case.
    pub target: &'a str,
    pub reason: &'a str,
    pub summary: &'a str,
    pub call_sid: &'a str,
    pub use_case: &'a str,
}

impl Handoff<'_> {
    /// As the `handoffData` of [`super::Outbound::End`].
    pub fn to_json(&self) -> String {
        let Self { target, reason, summary, call_sid, use_case } = self;
        json!({
            "reasonCode": LIVE_AGENT_HANDOFF,
            "reason": reason,
            "conversationSummary": summary,
            "target": target,
            "callSid": call_sid,
            "useCase": use_case,
        })
        .to_string()
    }
}
