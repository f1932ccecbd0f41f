//! What can happen in a call, on either side. These are only words; [`super::Call`] carries them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a caller can do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum CallerAct {
    /// One utterance with one final transcript; an interruption if the agent is being heard.
    Say(String),
    /// The same in a language that the recogniser tells with the transcript, such as `es-US`.
    SayIn {
        words: String,
        lang: String,
    },
    /// One utterance that the recogniser finalises in several pieces.
    SayInPieces(Vec<String>),
    /// Speech that is not finished. It is transcribed only if the session asked for partial prompts.
    Partial(String),
    /// One key: `0` to `9`, `*`, `#`.
    Press(char),
    /// A noise that interrupts without words.
    Interrupt,
    /// Waits until the caller has heard these words, in the middle of a clause if need be, and then does the act.
    /// Only one such act can wait; words that were heard since the caller spoke last count.
    OnceHeard {
        cue: String,
        act: Box<CallerAct>,
    },
    HangUp,
    /// The person whom the caller is connected with hangs up.
    HangUpParty,
    /// The network loses the socket; the call stays.
    DropSocket,
    /// A text frame of any content, for tests of what the service does with it.
    SendRaw(String),
}

/// What happens in a call, in order. [`CallEvent::HungUp`] is the last.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub enum CallEvent {
    /// The voice webhook was answered with TwiML.
    Answered {
        twiml: String,
        took: Duration,
    },
    /// The voice webhook was answered with another status than 200.
    Refused {
        status: u16,
    },
    /// A relay session began; `path` is that of its socket.
    Connected {
        session_id: String,
        path: String,
    },
    /// The welcome greeting that the TwiML asks for; it is heard like other speech.
    Greeting(String),
    /// The service sent text to be spoken.
    Token {
        text: String,
        last: bool,
        #[serde(skip, default = "Instant::now")]
        at: Instant,
    },
    /// A clause was played to its end.
    Heard(String),
    AgentSpeaking(bool),
    /// The caller interrupted; `heard` is the part of the current clause that was played.
    Interrupted {
        heard: String,
    },
    /// The caller spoke or pressed a key, but the session's attributes keep that from the service.
    Ignored(String),
    /// A sound file was played.
    Played {
        source: String,
    },
    /// Keys that the agent pressed.
    Digits(String),
    /// The service changed the session's languages.
    Language {
        tts_language: Option<String>,
        transcription_language: Option<String>,
    },
    /// The socket of a session was lost that Twilio keeps, and connects again by itself.
    SocketLost,
    /// A relay session is over. `status` is Twilio's `SessionStatus`; `close_code` is that of whoever closed first,
    /// and absent when the socket was lost.
    SessionEnded {
        status: String,
        handoff_data: Option<String>,
        close_code: Option<u16>,
    },
    /// The service was asked what comes after a session whose caller is still there, and answered with TwiML.
    ActionAnswered {
        /// When it was asked.
        #[serde(skip, default = "Instant::now")]
        at: Instant,
        took: Duration,
    },
    /// The text of a `<Say>`.
    Spoken(String),
    /// The target of a `<Dial>` that is a number or a SIP address.
    Dialled(String),
    /// Who was dialled, or took the call from a queue, is connected with the caller.
    Bridged {
        to: String,
    },
    /// Words of whoever is at the other end: the dialled person, or somebody else in the room.
    PersonSaid(String),
    /// The call waits in a conference room, with music, until somebody else comes.
    Holding {
        room: String,
    },
    /// Somebody else is in the room.
    Joined {
        room: String,
    },
    /// The call waits in a queue; `name` is that of the queue, or the sid of the workflow that `task` is for.
    Enqueued {
        name: String,
        task: Option<String>,
    },
    /// A text message, or a code, was sent to the person meanwhile. Only a telephone in another process is told.
    Received {
        from: String,
        text: String,
    },
    /// A `<Gather>` waits for keys.
    Gathering,
    /// Twilio's `CallStatus` of a placed call became `ringing` or `in-progress`.
    Status(String),
    HungUp {
        by: Party,
        reason: String,
        /// Twilio's last `CallStatus`: `completed`, `busy`, `no-answer`, `failed` or `canceled`.
        status: String,
    },
    /// Something that the service did wrong, in words.
    Protocol(String),
}

/// A side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Party {
    Caller,
    Service,
}
