//! The clock of the agent's voice: what was sent to be spoken becomes, as time passes, what was heard.
//! It is sans-IO: the time comes in, events go out, and `next_deadline` tells when to look again.
//! It decides nothing about frames; which of them the service asked for is known to the relay leg.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use voice_protocols::relay::Interruptible;

use super::clauses::ClauseBuffer;
use super::settings::Input;

/// How long an unfinished clause waits for more words, and an open talk cycle for more speech.
const LULL: Duration = Duration::from_millis(500);
/// No file is fetched and no tone is played: both take this long unless the pace is instant. Keys of `sendDigits`
/// were seen to take about two seconds on the wire.
const SOUND: Duration = Duration::from_secs(2);
/// How many characters people speak in a second.
const HUMAN_PACE: f64 = 15.0;
/// How much hastier than people those are who speak at once.
const HASTE: f64 = 20.0;
/// A `play` with `loop` 0 repeats "up to 1000 times", as Twilio documents it.
const MAX_LOOPS: u32 = 1000;
/// How much of what was heard is remembered for cues, in bytes.
const MEMORY: usize = 16 * 1024;

/// How fast the stand-in's voice is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeechPace {
    /// `f64::INFINITY` speaks everything at once. People speak at about 15.
    pub chars_per_second: f64,
    /// From the arrival of a clause in silence to its first sound.
    pub tts_delay: Duration,
}

/// What can be said about a piece of speech besides its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) interruptible: Interruptible,
    pub(crate) preemptible: bool,
}

/// What the playback reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlaybackEvent {
    AgentSpeaking(bool),
    /// A clause, or what was heard of it when something pre-empted it.
    Heard(String),
    AudioPlayed {
        source: String,
    },
    DigitsSent(String),
}

/// What an interruption found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The part of the current clause that was heard, in whole words; empty when it had not begun.
    pub(crate) heard: String,
    /// How long the current clause had been playing.
    pub(crate) elapsed: Duration,
    /// The agent had been reported as speaking, so that its silence has to be reported too.
    pub(crate) was_speaking: bool,
}

/// The agent's mouth: a queue of pieces of which one is being played.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    pace: SpeechPace,
    clause: ClauseBuffer,
    /// The manner and the time of the last token in `clause`.
    clause_mark: Option<(Manner, Instant)>,
    cycle: Cycle,
    queue: VecDeque<Piece>,
    voice: Voice,
    events: Vec<PlaybackEvent>,
    /// What was heard in whole clauses since [`Playback::forget`].
    remembered: String,
}

/// Whether more tokens belong to the current talk cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cycle {
    Open,
    Closed,
}

#[derive(Clone, Debug)]
enum Voice {
    Silent,
    Playing {
        piece: Piece,
        since: Instant,
        until: Instant,
    },
    /// The last piece ended at `since` and the agent still has the floor.
    Resting {
        since: Instant,
    },
}

#[derive(Clone, Debug)]
struct Piece {
    sound: Sound,
    manner: Manner,
    ready: Instant,
}

#[derive(Clone, Debug)]
enum Sound {
    Speech(String),
    Audio { source: String, loops: u32 },
    Digits(String),
}

impl Playback {
    pub(crate) fn new(pace: SpeechPace) -> Self {
        Self {
            pace,
            clause: ClauseBuffer::default(),
            clause_mark: None,
            cycle: Cycle::Closed,
            queue: VecDeque::new(),
            voice: Voice::Silent,
            events: Vec::new(),
            remembered: String::new(),
        }
    }

    /// Moves the clock to `now` and takes out everything that happened until then.
    pub(crate) fn advance(&mut self, now: Instant) -> Vec<PlaybackEvent> {
        self.run_until(now);
        std::mem::take(&mut self.events)
    }

    /// When `advance` has something to do again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.clause_deadline(), self.voice_deadline()].into_iter().flatten().min()
    }

    /// Appends a token of the talk cycle; `last` ends the cycle.
    pub(crate) fn speak(&mut self, now: Instant, token: &str, last: bool, manner: Manner) {
        self.run_until(now);
        if self.cycle == Cycle::Closed && !token.trim().is_empty() {
            self.preempt(now);
            self.cycle = Cycle::Open;
        }
        if self.clause_mark.is_some_and(|(open, _)| open != manner) {
            self.flush_clause(now);
        }
        for clause in self.clause.push(token) {
            self.queue.push_back(Piece { sound: Sound::Speech(clause), manner, ready: now });
        }
        self.clause_mark = (!self.clause.is_empty()).then_some((manner, now));
        if last {
            self.flush_clause(now);
            self.cycle = Cycle::Closed;
        }
    }

    /// Queues an audio file; `loops` 0 means as often as possible.
    pub(crate) fn play(&mut self, now: Instant, source: String, loops: u32, manner: Manner) {
        self.enqueue(now, Sound::Audio { source, loops }, manner);
    }

    /// Queues keys that the agent presses.
    pub(crate) fn send_digits(&mut self, now: Instant, digits: String, manner: Manner) {
        self.enqueue(now, Sound::Digits(digits), manner);
    }

    /// Whether something is being played or waits to be.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.voice, Voice::Playing { .. }) || !self.queue.is_empty() || !self.clause.is_empty()
    }

    /// Whether `input` stops what is being played now, or would be next.
    pub(crate) fn yields_to(&self, input: Input) -> bool {
        self.current_manner().is_some_and(|manner| input.is_covered_by(manner.interruptible))
    }

    /// Throws away everything that was not heard by `now`. Nothing of it is reported later.
    pub(crate) fn interrupt(&mut self, now: Instant) -> Cut {
        self.run_until(now);
        let (heard, elapsed) = self.heard_of_current(now);
        let was_speaking = !matches!(self.voice, Voice::Silent);
        self.queue.clear();
        self.clause = ClauseBuffer::default();
        self.clause_mark = None;
        self.voice = Voice::Silent;
        Cut { heard, elapsed, was_speaking }
    }

    /// Starts a new stretch for [`Playback::when_heard`].
    pub(crate) fn forget(&mut self) {
        self.remembered.clear();
    }

    /// When `cue` has been heard, as far as what is being played can tell; capitals do not matter.
    pub(crate) fn when_heard(&self, cue: &str) -> Option<Instant> {
        let (now_playing, since, until) = match &self.voice {
            Voice::Playing { piece: Piece { sound: Sound::Speech(text), .. }, since, until } => {
                (text.to_lowercase(), *since, *until)
            }
            Voice::Playing { since, .. } | Voice::Resting { since } => (String::new(), *since, *since),
            Voice::Silent => return None,
        };
        let before = self.remembered.to_lowercase();
        let text = format!("{before}{now_playing}");
        let end = text.find(&cue.to_lowercase())? + cue.to_lowercase().len();
        // To the end of the word, so that an interruption at that moment reports it as heard.
        let end = text[end..].find(char::is_whitespace).map_or(text.len(), |rest| end + rest);
        let Some(part) = end.checked_sub(before.len()).filter(|part| *part > 0) else {
            return Some(since);
        };
        let (part, whole) = (now_playing[..part].chars().count(), now_playing.chars().count());
        let share = u32::try_from(part).ok()?;
        Some(since + (until.duration_since(since) * share).div_f64(f64::from(u32::try_from(whole).ok()?)))
    }

    fn enqueue(&mut self, now: Instant, sound: Sound, manner: Manner) {
        self.run_until(now);
        self.flush_clause(now);
        self.preempt(now);
        self.queue.push_back(Piece { sound, manner, ready: now });
    }

    fn current_manner(&self) -> Option<Manner> {
        match &self.voice {
            Voice::Playing { piece, .. } => Some(piece.manner),
            _ => self.queue.front().map(|piece| piece.manner).or(self.clause_mark.map(|(manner, _)| manner)),
        }
    }

    fn flush_clause(&mut self, at: Instant) {
        if let (Some(clause), Some((manner, _))) = (self.clause.flush(), self.clause_mark.take()) {
            self.queue.push_back(Piece { sound: Sound::Speech(clause), manner, ready: at });
        }
    }

    /// A new message cuts what allowed to be cut by it. The service is told what was heard, but of no interruption.
    fn preempt(&mut self, now: Instant) {
        self.queue.retain(|piece| !piece.manner.preemptible);
        let Voice::Playing { piece, .. } = &self.voice else {
            return;
        };
        if piece.manner.preemptible {
            let (heard, _) = self.heard_of_current(now);
            if !heard.is_empty() {
                self.events.push(PlaybackEvent::Heard(heard));
            }
            self.voice = Voice::Resting { since: now };
        }
    }

    fn heard_of_current(&self, now: Instant) -> (String, Duration) {
        let Voice::Playing { piece, since, until } = &self.voice else {
            return (String::new(), Duration::ZERO);
        };
        let elapsed = now.saturating_duration_since(*since);
        let heard = match &piece.sound {
            Sound::Speech(text) => words_within(text, elapsed, until.duration_since(*since)),
            Sound::Audio { .. } | Sound::Digits(_) => String::new(),
        };
        (heard, elapsed)
    }

    fn clause_deadline(&self) -> Option<Instant> {
        self.clause_mark.map(|(_, at)| at + LULL)
    }

    fn voice_deadline(&self) -> Option<Instant> {
        match (&self.voice, self.queue.front()) {
            (Voice::Playing { until, .. }, _) => Some(*until),
            (Voice::Resting { since }, Some(next)) => Some((*since).max(next.ready + self.pace.tts_delay)),
            (Voice::Silent, Some(next)) => Some(next.ready + self.pace.tts_delay),
            (Voice::Resting { since }, None) => Some(self.end_of_rest(*since)),
            (Voice::Silent, None) => None,
        }
    }

    fn end_of_rest(&self, since: Instant) -> Instant {
        let is_over = self.cycle == Cycle::Closed && self.clause.is_empty();
        if is_over { since } else { since + LULL }
    }

    /// Does everything that was due by `now`, in the order in which it was due.
    fn run_until(&mut self, now: Instant) {
        while let Some(at) = self.next_deadline().filter(|deadline| *deadline <= now) {
            if self.clause_deadline() == Some(at) {
                self.flush_clause(at);
            } else {
                self.step(at);
            }
        }
    }

    /// Does the one thing that is due at `at`.
    fn step(&mut self, at: Instant) {
        match std::mem::replace(&mut self.voice, Voice::Silent) {
            Voice::Playing { piece, until, .. } => {
                self.remember(&piece.sound);
                self.events.push(piece.sound.played());
                self.voice = Voice::Resting { since: until };
            }
            voice => match self.queue.pop_front() {
                Some(piece) => self.start(&voice, piece, at),
                None => self.events.push(PlaybackEvent::AgentSpeaking(false)),
            },
        }
    }

    fn remember(&mut self, sound: &Sound) {
        if let Sound::Speech(text) = sound {
            if self.remembered.len() + text.len() > MEMORY {
                self.remembered.clear();
            }
            self.remembered.push_str(text);
        }
    }

    fn start(&mut self, before: &Voice, piece: Piece, at: Instant) {
        if matches!(before, Voice::Silent) {
            self.events.push(PlaybackEvent::AgentSpeaking(true));
        }
        let until = at + self.pace.duration(&piece.sound);
        self.voice = Voice::Playing { piece, since: at, until };
    }
}

impl SpeechPace {
    /// Speaks everything at the moment when it arrives.
    pub const INSTANT: Self = Self { chars_per_second: f64::INFINITY, tts_delay: Duration::ZERO };

    pub(crate) fn is_instant(&self) -> bool {
        !self.chars_per_second.is_finite() || self.chars_per_second <= 0.0
    }

    /// How long it takes to say `text`.
    pub(crate) fn time_to_say(&self, text: &str) -> Duration {
        if self.is_instant() {
            return Duration::ZERO;
        }
        // A text of 64 KiB at most fits an f64 exactly; the cap keeps a silly pace from overflowing.
        let characters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let seconds = f64::from(characters) / self.chars_per_second;
        Duration::try_from_secs_f64(seconds.min(86_400.0)).unwrap_or_default()
    }

    /// How long people take at this pace for what takes a person this long, such as to let a telephone ring: a voice
    /// ten times as fast has people who are ten times as hasty.
    pub(crate) fn hasten(&self, time: Duration) -> Duration {
        let haste = if self.is_instant() { HASTE } else { self.chars_per_second / HUMAN_PACE };
        if haste > 1.0 { time.div_f64(haste) } else { time }
    }

    fn duration(&self, sound: &Sound) -> Duration {
        match sound {
            Sound::Speech(text) => self.time_to_say(text),
            _ if self.is_instant() => Duration::ZERO,
            Sound::Audio { loops, .. } => SOUND * if *loops == 0 { MAX_LOOPS } else { *loops },
            Sound::Digits(_) => SOUND,
        }
    }
}

impl Sound {
    fn played(self) -> PlaybackEvent {
        match self {
            Self::Speech(text) => PlaybackEvent::Heard(text),
            Self::Audio { source, .. } => PlaybackEvent::AudioPlayed { source },
            Self::Digits(digits) => PlaybackEvent::DigitsSent(digits),
        }
    }
}

/// The whole words of `text` that were heard after `elapsed` of the time that it takes.
fn words_within(text: &str, elapsed: Duration, whole: Duration) -> String {
    let characters: Vec<char> = text.chars().collect();
    let all = characters.len();
    let share = (all as u128 * elapsed.as_micros()).checked_div(whole.as_micros());
    let mut end = share.and_then(|share| usize::try_from(share).ok()).map_or(all, |share| share.min(all));
    let is_inside_a_word = end < characters.len()
        && end > 0
        && !characters[end].is_whitespace()
        && !characters[end - 1].is_whitespace();
    if is_inside_a_word {
        end = characters[..end].iter().rposition(|character| character.is_whitespace()).unwrap_or(0);
    }
    characters[..end].iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
#[path = "playback_tests.rs"]
mod tests;
