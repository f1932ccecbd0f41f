//! The form fields that Twilio posts with its webhooks. It only builds lists; nothing is sent from here.

use super::call::CallOptions;

/// What stays the same in every webhook of one call.
#[derive(Clone, Debug)]
pub(crate) struct CallIdentity {
    pub(crate) call_sid: String,
    pub(crate) account_sid: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) direction: Direction,
    extra: Vec<(String, String)>,
}

/// Who began a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    /// The service asked for it through REST.
    Placed,
}

/// How a `<Connect>` ended, as its `action` callback tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectEnding {
    pub(crate) session_id: String,
    pub(crate) seconds: u64,
    pub(crate) result: SessionResult,
}

/// Twilio's `SessionStatus` with what belongs to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionResult {
    /// The caller hung up.
    Completed,
    /// The service said `end`.
    Ended {
        handoff_data: Option<String>,
    },
    Failed {
        code: u32,
        message: &'static str,
    },
}

impl CallIdentity {
    pub(crate) fn of(options: &CallOptions) -> Self {
        Self {
            call_sid: options.call_sid.clone().unwrap_or_else(|| sid("CA")),
            account_sid: sid("AC"),
            from: options.from.clone(),
            to: options.to.clone(),
            direction: Direction::Inbound,
            extra: options.extra_params.clone(),
        }
    }

    /// A call that the service asked for, from one of its numbers to somebody.
    pub(crate) fn placed(call_sid: String, from: String, to: String) -> Self {
        let (account_sid, extra) = (sid("AC"), Vec::new());
        Self { call_sid, account_sid, from, to, direction: Direction::Placed, extra }
    }

    pub(crate) fn with_account(self, account_sid: &str) -> Self {
        Self { account_sid: account_sid.to_owned(), ..self }
    }

    /// The fields of the voice webhook, as they were seen on the wire. `status` is Twilio's `CallStatus`.
    pub(crate) fn voice_webhook(&self, status: &str) -> Vec<(String, String)> {
        let mut form = fields(&[
            ("AccountSid", &self.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", &self.call_sid),
            ("CallStatus", status),
            ("Direction", self.direction.as_str()),
        ]);
        if self.direction == Direction::Inbound {
            form.extend(fields(&[
                ("CallToken", "%7B%22parentCallInfoToken%22%3A%22stand-in%22%7D"),
                ("StirVerstat", "TN-Validation-Passed-C"),
            ]));
        }
        for (prefix, number) in
            [("Called", &self.to), ("Caller", &self.from), ("From", &self.from), ("To", &self.to)]
        {
            form.push((prefix.to_owned(), number.clone()));
            for (place, value) in [("City", "SAN FRANCISCO"), ("State", "CA"), ("Zip", ""), ("Country", "US")]
            {
                form.push((format!("{prefix}{place}"), value.to_owned()));
            }
        }
        form.extend(self.extra.iter().cloned());
        form
    }

    /// The fields of the `action` callback of `<Connect>`.
    pub(crate) fn connect_action(&self, ending: &ConnectEnding) -> Vec<(String, String)> {
        let mut form = self.voice_webhook(ending.result.call_status());
        form.extend(fields(&[
            ("SessionId", &ending.session_id),
            ("SessionStatus", ending.result.session_status()),
            ("SessionDuration", &ending.seconds.to_string()),
        ]));
        match &ending.result {
            SessionResult::Ended { handoff_data: Some(data) } => {
                form.extend(fields(&[("HandoffData", data)]));
            }
            SessionResult::Failed { code, message } => {
                form.extend(fields(&[("ErrorCode", &code.to_string()), ("ErrorMessage", message)]));
            }
            SessionResult::Completed | SessionResult::Ended { handoff_data: None } => {}
        }
        form
    }
}

impl Direction {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Placed => "outbound-api",
        }
    }
}

impl SessionResult {
    pub(crate) fn session_status(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Ended { .. } => "ended",
            Self::Failed { .. } => "failed",
        }
    }

    fn call_status(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Ended { .. } | Self::Failed { .. } => "in-progress",
        }
    }
}

/// A new identifier in Twilio's form: two letters and 32 hexadecimal digits.
pub(crate) fn sid(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

pub(super) fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
