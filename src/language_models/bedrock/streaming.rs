//! Reads one stream of Bedrock's, under deadlines. What nobody has heard yet is held, so that it can be taken back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_bedrockruntime::error::SdkError;
use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamOutput;
use aws_sdk_bedrockruntime::types::ConverseStreamOutput as StreamEvent;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_types::event_stream::RawMessage;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use voice_core::ports::{Blocked, ModelEvent, Usage};
use voice_core::speech_filter::SpeechFilter;

use super::events::{Account, Blocks, Part};
use super::failure::{self, Failure};
use super::guardrail::{self, LookBehind};

/// Usage comes behind the end of the message; an answer does not wait for it longer than this.
const USAGE_FOLLOWS: Duration = Duration::from_millis(250);
/// The stream ends right behind the usage. A connection whose stream was read to its end can be used again.
const END_FOLLOWS: Duration = Duration::from_millis(20);

pub(super) struct Streaming {
    output: ConverseStreamOutput,
    blocks: Blocks,
    pace: Pace,
    waits: Waits,
    /// What was read before there was a word to speak; none once there was.
    held: Option<Held>,
    /// Only where the use case speaks for its guardrail.
    look_behind: Option<LookBehind>,
    stop_reason: Option<String>,
    timer: Pin<Box<Sleep>>,
}

/// What comes out of the SDK's stream: an event, the end, or an error.
type Received = Result<Option<StreamEvent>, SdkError<ConverseStreamOutputError, RawMessage>>;

/// How long a stream may keep a caller waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// When the model must be at work.
    pub(super) first_token: Instant,
    /// When there must be something to say or to do.
    pub(super) answer: Instant,
    pub(super) next_token: Duration,
}

/// Which deadline counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// The request was sent, and nothing has come.
    Waiting,
    Flowing,
}

#[derive(Default)]
struct Held {
    events: Vec<ModelEvent>,
    filter: SpeechFilter,
}

/// What reading led to.
pub(super) enum Progress {
    Going,
    Stopped { reason: String, usage: Option<Usage>, blocked: Option<Blocked> },
}

impl Streaming {
    /// With a `look_behind`, a guardrail's message is not passed on as if it were the model's.
    pub(super) fn new(output: ConverseStreamOutput, waits: Waits, look_behind: Option<LookBehind>) -> Self {
        Self {
            output,
            blocks: Blocks::default(),
            pace: Pace::Waiting,
            waits,
            held: Some(Held::default()),
            look_behind,
            stop_reason: None,
            timer: Box::pin(sleep_until(waits.first_token)),
        }
    }

    /// Whether the caller may have heard something of it.
    pub(super) const fn has_spoken(&self) -> bool {
        self.held.is_none()
    }

    /// Whether there is something to say, or a complete call of a tool.
    pub(super) fn has_answered(&self) -> bool {
        let is_call = |event: &ModelEvent| matches!(event, ModelEvent::ToolCall { .. });
        self.held.as_ref().is_none_or(|held| held.events.iter().any(is_call))
    }

    /// Whether the model has shown that it is at work.
    pub(super) fn is_flowing(&self) -> bool {
        self.pace == Pace::Flowing
    }

    /// Reads one event; what can go on is appended to `ready`.
    pub(super) async fn read(&mut self, ready: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure> {
        let event = match self.receive(self.deadline()).await {
            Some(received) => received.map_err(|error| failure::of_stream_error(&error)),
            None => Err(Failure::timed_out("a pause in the stream")),
        };
        let event = match event {
            Ok(Some(event)) => event,
            // The answer is complete; only its accounting is missing.
            Ok(None) | Err(_) if self.stop_reason.is_some() => {
                return Ok(self.stopped(Account::default(), ready));
            }
            Ok(None) => return Err(Failure::broken("the stream ended before the message")),
            Err(failure) => return Err(failure),
        };
        match self.blocks.read(event) {
            Part::Nothing => {}
            Part::Sign => self.pace = Pace::Flowing,
            Part::Event(event) => {
                self.pace = Pace::Flowing;
                self.pass(event, ready);
            }
            Part::Stopped(reason) => {
                if let Some(last) = self.look_behind.as_mut().and_then(|behind| behind.end(&reason)) {
                    self.take(last, ready);
                }
                self.stop_reason = Some(reason);
            }
            Part::Account(account) => {
                // Whatever comes of it, the answer is complete.
                let _ = timeout(END_FOLLOWS, self.output.stream.recv()).await;
                return Ok(self.stopped(account, ready));
            }
        }
        Ok(Progress::Going)
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        match (&self.stop_reason, self.pace) {
            (Some(_), _) => now + USAGE_FOLLOWS,
            (None, Pace::Waiting) => self.waits.first_token,
            (None, Pace::Flowing) if self.has_answered() => now + self.waits.next_token,
            (None, Pace::Flowing) => self.waits.answer.min(now + self.waits.next_token),
        }
    }

    /// Receives an event, or nothing when the deadline passes. The timer is moved only when it has fired too early:
    /// registering one for every token is dear.
    async fn receive(&mut self, deadline: Instant) -> Option<Received> {
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            tokio::select! {
                biased;
                received = self.output.stream.recv() => return Some(received),
                () = &mut self.timer => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                    self.timer.as_mut().reset(deadline);
                }
            }
        }
    }

    fn pass(&mut self, event: ModelEvent, ready: &mut VecDeque<ModelEvent>) {
        match &mut self.look_behind {
            None => self.take(event, ready),
            Some(look_behind) => {
                for event in look_behind.pass(event) {
                    self.take(event, ready);
                }
            }
        }
    }

    fn take(&mut self, event: ModelEvent, ready: &mut VecDeque<ModelEvent>) {
        let Some(held) = &mut self.held else { return ready.push_back(event) };
        let speaks = matches!(&event, ModelEvent::Text(text) if !held.filter.push(text).is_empty());
        held.events.push(event);
        if speaks {
            self.release(ready);
        }
    }

    fn stopped(&mut self, account: Account, ready: &mut VecDeque<ModelEvent>) -> Progress {
        let reason = self.stop_reason.take().unwrap_or_default();
        // Without a trace: a guardrail looks at the caller's words before the model says any.
        let likely = if self.has_spoken() { Blocked::Output } else { Blocked::Input };
        let is_replaced = self.look_behind.is_some() && guardrail::intervened(&reason);
        let blocked = is_replaced.then(|| account.blocked.unwrap_or(likely));
        self.release(ready);
        Progress::Stopped { reason, usage: account.usage, blocked }
    }

    fn release(&mut self, ready: &mut VecDeque<ModelEvent>) {
        ready.extend(self.held.take().map(|held| held.events).unwrap_or_default());
    }
}
