//! The status callbacks of a call that the service asked for: built, numbered and posted here. When something happens is
//! known elsewhere.

use std::sync::Arc;

use super::course::Course;
use super::event::CallEvent;
use super::form::{CallIdentity, fields};
use super::line::Line;
use super::live_calls::{CallRecord, CallStatus};
use super::placed::Request;
use super::reporter::Reporter;

/// The status callbacks of one call, in order.
pub(super) struct StatusCallbacks {
    line: Arc<Line>,
    reporter: Reporter,
    identity: CallIdentity,
    callback: Option<String>,
    events: Vec<String>,
    sequence: u32,
}

impl StatusCallbacks {
    pub(super) fn new(course: &Course, request: &Request) -> Self {
        Self {
            line: Arc::clone(&course.line),
            reporter: course.reporter.clone(),
            identity: course.identity.clone(),
            callback: request.status_callback.clone(),
            events: request.status_events.clone(),
            sequence: 0,
        }
    }

    /// Every event has a number, also when the service did not ask for it.
    pub(super) async fn tell(&mut self, event: &str, status: &str, more: &[(String, String)]) {
        let sequence = self.sequence;
        self.sequence += 1;
        let Some(callback) =
            self.callback.as_ref().filter(|_| self.events.iter().any(|asked| asked == event))
        else {
            return;
        };
        let mut form = self.identity.voice_webhook(status);
        form.extend(fields(&[
            ("SequenceNumber", &sequence.to_string()),
            ("CallbackSource", "call-progress-events"),
            ("Timestamp", &jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        ]));
        form.extend_from_slice(more);
        post(&self.line, &self.reporter, callback, &form).await;
    }
}

/// Twilio makes nothing of a callback that fails but a note for the operator.
pub(super) async fn post(line: &Line, reporter: &Reporter, url: &str, form: &[(String, String)]) {
    let problem = match line.post(url, form).await {
        Ok(answer) if answer.status < 400 => return,
        Ok(answer) => format!("{url} answered status {} to a callback", answer.status),
        Err(error) => format!("{error:#}"),
    };
    // Whoever does not listen any more misses nothing else.
    let _ = reporter.report(CallEvent::Protocol(problem)).await;
}

/// What the callback of a call's end tells besides.
pub(super) fn ending(call: &CallRecord) -> Vec<(String, String)> {
    let seconds = call.duration.unwrap_or_default();
    let minutes = seconds.div_ceil(60).to_string();
    let response = match call.status {
        CallStatus::Busy => "486",
        CallStatus::NoAnswer | CallStatus::Canceled => "487",
        CallStatus::Failed => "404",
        _ => "200",
    };
    fields(&[("CallDuration", &seconds.to_string()), ("Duration", &minutes), ("SipResponseCode", response)])
}
