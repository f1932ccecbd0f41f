//! One relay session from Twilio's side, without its socket: frames of the service and acts of the caller come in,
//! frames for the service and reports for the caller's side go out, in the order in which they are seen on the wire.

use std::time::Instant;

use voice_protocols::relay::{Dtmf, ErrorReport, Inbound, Info, Interrupt, Outbound, Play, Prompt, Text};

use super::event::CallEvent;
use super::playback::{Cut, Manner, Playback, PlaybackEvent, SpeechPace};
use super::settings::{Input, RelaySettings};

/// Twilio closes the socket after this many malformed frames in a row.
const MAX_MALFORMED: u32 = 10;
const INVALID_MESSAGE: u32 = 64_107;

/// The state of one session.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    settings: RelaySettings,
    playback: Playback,
    malformed_in_a_row: u32,
}

/// What the owner of the socket has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Send(Inbound),
    Report(CallEvent),
    Finish(Finish),
}

/// Why Twilio closes the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Ended { handoff_data: Option<String> },
    TooManyMalformed,
}

impl Leg {
    pub(crate) fn new(settings: RelaySettings, pace: SpeechPace) -> Self {
        Self { settings, playback: Playback::new(pace), malformed_in_a_row: 0 }
    }

    /// Starts the session's speech: the welcome greeting, if there is one.
    pub(crate) fn open(&mut self, now: Instant) -> Vec<Output> {
        let Some(greeting) = self.settings.greeting.clone() else {
            return Vec::new();
        };
        let manner = Manner { interruptible: self.settings.greeting_interruptible, preemptible: false };
        self.playback.speak(now, &greeting, true, manner);
        vec![Output::Report(CallEvent::Greeting(greeting))]
    }

    /// Whether Twilio is to connect again when the socket is lost.
    pub(crate) const fn reconnects(&self) -> bool {
        self.settings.application_reconnect
    }

    /// The socket is lost, and with it what was not played.
    pub(crate) fn fall_silent(&mut self, now: Instant) -> Vec<Output> {
        let mut out = self.advance(now);
        if self.playback.interrupt(now).was_speaking {
            out.push(Output::Report(CallEvent::AgentSpeaking(false)));
        }
        out
    }

    /// Takes a frame of the service.
    pub(crate) fn receive(&mut self, now: Instant, frame: &str) -> Vec<Output> {
        let mut out = self.advance(now);
        match Outbound::parse(frame) {
            Ok(message) => {
                self.malformed_in_a_row = 0;
                self.obey(now, message, &mut out);
                out.extend(self.advance(now));
            }
            Err(error) => self.refuse(frame, &error.to_string(), &mut out),
        }
        out
    }

    /// Takes a frame that is not text.
    pub(crate) fn receive_binary(&mut self) -> Vec<Output> {
        let mut out = Vec::new();
        self.refuse("(binary)", "a binary frame", &mut out);
        out
    }

    /// The caller speaks; each of `pieces` gets its own final prompt.
    pub(crate) fn say(&mut self, now: Instant, pieces: &[String]) -> Vec<Output> {
        let partials = pieces.first().map(|first| partials_of(first)).unwrap_or_default();
        self.hear(now, &partials, pieces)
    }

    /// One utterance in a language that the recogniser finds by itself. The next is in the session's again.
    pub(crate) fn say_in(&mut self, now: Instant, words: &str, lang: &str) -> Vec<Output> {
        let own = std::mem::replace(&mut self.settings.language, lang.to_owned());
        let outputs = self.say(now, &[words.to_owned()]);
        self.settings.language = own;
        outputs
    }

    /// The caller has begun to speak and not finished.
    pub(crate) fn say_partially(&mut self, now: Instant, words: &str) -> Vec<Output> {
        self.hear(now, &[words.to_owned()], &[])
    }

    /// The caller's surroundings interrupt without words.
    pub(crate) fn make_noise(&mut self, now: Instant) -> Vec<Output> {
        self.hear(now, &[], &[])
    }

    /// The caller presses a key.
    pub(crate) fn press(&mut self, now: Instant, digit: char) -> Vec<Output> {
        let mut out = self.advance(now);
        if !self.settings.dtmf_detection {
            out.push(Output::Report(CallEvent::Ignored(digit.to_string())));
            return out;
        }
        match self.take_floor(now, Input::Key) {
            Floor::Kept => out.push(Output::Report(CallEvent::Ignored(digit.to_string()))),
            Floor::Free => out.push(Output::Send(Inbound::Dtmf(Dtmf { digit }))),
            Floor::Taken(cut) => {
                out.push(Output::Send(Inbound::Dtmf(Dtmf { digit })));
                self.report_cut(&cut, &mut out);
                self.report_silence(&cut, &mut out);
            }
        }
        out
    }

    /// Reports what the clock brought.
    pub(crate) fn advance(&mut self, now: Instant) -> Vec<Output> {
        let events = self.playback.advance(now);
        events.into_iter().flat_map(|event| self.tell(event)).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.playback.next_deadline()
    }

    /// When the caller has heard these words, as far as can be told now.
    pub(crate) fn when_heard(&self, cue: &str) -> Option<Instant> {
        self.playback.when_heard(cue)
    }

    fn obey(&mut self, now: Instant, message: Outbound, out: &mut Vec<Output>) {
        match message {
            Outbound::Text(text) => self.speak(now, text, out),
            Outbound::Play(play) => self.play(now, play),
            Outbound::SendDigits { digits } => {
                let manner = Manner { interruptible: self.settings.interruptible, preemptible: false };
                self.playback.send_digits(now, digits, manner);
            }
            Outbound::Language { tts_language, transcription_language } => {
                if let Some(language) = &transcription_language {
                    self.settings.language.clone_from(language);
                }
                out.push(Output::Report(CallEvent::Language { tts_language, transcription_language }));
            }
            Outbound::End { handoff_data } => out.push(Output::Finish(Finish::Ended { handoff_data })),
        }
    }

    fn speak(&mut self, now: Instant, text: Text, out: &mut Vec<Output>) {
        let manner = Manner {
            interruptible: text.interruptible.unwrap_or(self.settings.interruptible),
            preemptible: text.preemptible.unwrap_or(self.settings.preemptible),
        };
        self.playback.speak(now, &text.token, text.last, manner);
        out.push(Output::Report(CallEvent::Token { text: text.token, last: text.last, at: now }));
    }

    fn play(&mut self, now: Instant, play: Play) {
        let manner = Manner {
            interruptible: play.interruptible.unwrap_or(self.settings.interruptible),
            preemptible: play.preemptible.unwrap_or(false),
        };
        self.playback.play(now, play.source, play.loop_count.unwrap_or(1), manner);
    }

    fn refuse(&mut self, frame: &str, reason: &str, out: &mut Vec<Output>) {
        self.malformed_in_a_row += 1;
        let description = format!("Invalid message received, code: {INVALID_MESSAGE}, {frame}");
        out.push(Output::Send(Inbound::Error(ErrorReport { description })));
        out.push(Output::Report(CallEvent::Protocol(format!("a frame that Twilio refuses: {reason}"))));
        if self.malformed_in_a_row >= MAX_MALFORMED {
            out.push(Output::Finish(Finish::TooManyMalformed));
        }
    }

    /// The order on the wire: the caller speaks, what was heard, the interruption, the transcripts, silence.
    fn hear(&mut self, now: Instant, partials: &[String], finals: &[String]) -> Vec<Output> {
        let mut out = self.advance(now);
        let floor = self.take_floor(now, Input::Speech);
        if let Floor::Kept = floor {
            let words = if finals.is_empty() { partials } else { finals };
            out.push(Output::Report(CallEvent::Ignored(words.join(" "))));
            return out;
        }
        self.send_speaker_event(Info::ClientSpeaking(true), &mut out);
        if let Floor::Taken(cut) = &floor {
            self.report_cut(cut, &mut out);
        }
        let partials = if self.settings.partial_prompts { partials } else { &[] };
        out.extend(partials.iter().map(|words| self.prompt(words, false)));
        let is_finished = !finals.is_empty() || partials.is_empty();
        if is_finished {
            self.send_speaker_event(Info::ClientSpeaking(false), &mut out);
        }
        out.extend(finals.iter().map(|words| self.prompt(words, true)));
        if !finals.is_empty() {
            self.playback.forget();
        }
        if let Floor::Taken(cut) = &floor {
            self.report_silence(cut, &mut out);
        }
        out
    }

    fn take_floor(&mut self, now: Instant, input: Input) -> Floor {
        if !self.playback.is_busy() {
            return Floor::Free;
        }
        if self.playback.yields_to(input) {
            return Floor::Taken(self.playback.interrupt(now));
        }
        if input.is_covered_by(self.settings.report_during_speech) { Floor::Free } else { Floor::Kept }
    }

    fn report_cut(&self, cut: &Cut, out: &mut Vec<Output>) {
        if self.settings.tokens_played && !cut.heard.is_empty() {
            out.push(Output::Send(Inbound::Info(Info::TokensPlayed(cut.heard.clone()))));
        }
        out.push(Output::Send(Inbound::Interrupt(Interrupt {
            utterance_until_interrupt: cut.heard.clone(),
            duration_until_interrupt_ms: u64::try_from(cut.elapsed.as_millis()).ok(),
        })));
        out.push(Output::Report(CallEvent::Interrupted { heard: cut.heard.clone() }));
    }

    fn report_silence(&self, cut: &Cut, out: &mut Vec<Output>) {
        if cut.was_speaking {
            self.send_speaker_event(Info::AgentSpeaking(false), out);
            out.push(Output::Report(CallEvent::AgentSpeaking(false)));
        }
    }

    fn prompt(&self, words: &str, last: bool) -> Output {
        let lang = Some(self.settings.language.clone());
        Output::Send(Inbound::Prompt(Prompt { voice_prompt: words.to_owned(), lang, last }))
    }

    fn send_speaker_event(&self, info: Info, out: &mut Vec<Output>) {
        if self.settings.speaker_events {
            out.push(Output::Send(Inbound::Info(info)));
        }
    }

    /// What an event of the playback means to the service and to the caller's side.
    fn tell(&self, event: PlaybackEvent) -> Vec<Output> {
        let (info, is_asked_for, report) = match event {
            PlaybackEvent::AgentSpeaking(on) => {
                (Info::AgentSpeaking(on), self.settings.speaker_events, CallEvent::AgentSpeaking(on))
            }
            PlaybackEvent::Heard(text) => {
                (Info::TokensPlayed(text.clone()), self.settings.tokens_played, CallEvent::Heard(text))
            }
            PlaybackEvent::DigitsSent(digits) => {
                (Info::TokensPlayed(digits.clone()), self.settings.tokens_played, CallEvent::Digits(digits))
            }
            // Nothing was seen on the wire when a file was played.
            PlaybackEvent::AudioPlayed { source } => {
                return vec![Output::Report(CallEvent::Played { source })];
            }
        };
        let info = is_asked_for.then_some(Output::Send(Inbound::Info(info)));
        info.into_iter().chain([Output::Report(report)]).collect()
    }
}

/// Who holds the floor when the caller makes itself noticed.
enum Floor {
    /// The agent was silent, or the session hears the caller all the same.
    Free,
    Taken(Cut),
    /// The agent goes on and the service hears nothing.
    Kept,
}

/// Partial transcripts are cumulative and the last one has all words.
fn partials_of(words: &str) -> Vec<String> {
    let list: Vec<&str> = words.split_whitespace().collect();
    let half = list[..list.len() / 2].join(" ");
    [half, words.to_owned()].into_iter().filter(|partial| !partial.is_empty()).collect()
}

#[cfg(test)]
#[path = "leg_tests.rs"]
mod tests;
