//! Where people are: the targets that a call may be handed over to. A model chooses among them by name and never
//! invents one.

use std::collections::BTreeMap;
use std::time::Duration;

/// Targets by name.
pub type HandoffTargets = BTreeMap<String, HandoffTarget>;

/// The name of the target that is meant when nobody names one.
pub const DEFAULT_TARGET: &str = "default";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffTarget {
    pub to: Destination,
    /// Said to the caller before they are put through.
    pub announcement: Option<String>,
    pub if_unanswered: IfUnanswered,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Dial(Dial),
    /// The caller holds with music; the person is dialled, told what it is about, and asked to take the call.
    WarmTransfer {
        dial: Dial,
        /// https URL of what is played to the caller meanwhile; the carrier's own music when absent.
        music: Option<String>,
    },
    /// A queue of the carrier.
    Queue {
        name: String,
    },
    /// A workflow of the carrier's task router, which is told the reason and the summary.
    Workflow {
        sid: String,
    },
    /// TwiML of somebody else, such as a Studio flow: an https URL.
    Redirect {
        url: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub to: Party,
    /// Shown to the person: an E.164 number. The called number when absent, because carriers refuse most others.
    pub caller_id: Option<String>,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// An E.164 number.
    Number(String),
    /// `sip:user@host`.
    Sip(String),
}

/// What becomes of the caller when nobody takes the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfUnanswered {
    /// Back to the agent, who knows what was said.
    #[default]
    ReturnToAgent,
    HangUp,
}

pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(25);

/// Which targets take callers whom the agent cannot serve. Names among the use case's targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescue {
    /// When no model answers.
    pub model_fails: Option<String>,
    /// When all lines are busy.
    pub busy: Option<String>,
}
