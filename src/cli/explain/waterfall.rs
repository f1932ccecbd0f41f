//! A turn as bars: which part began when, how long it took, and which was the slowest that the caller waited for.

use std::fmt::Write as _;
use std::time::Duration;

use voice_core::message::OutcomeStatus;
use voice_core::ports::{GenerationTrace, ToolTrace, TurnTrace};

const LABEL: usize = 26;
const BAR: usize = 42;

/// A stretch of a turn, in milliseconds from the caller's last words; what lies before them is negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) label: String,
    kind: Kind,
    from: i64,
    to: i64,
}

/// In the order in which parts are told that begin together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Transcription,
    /// Our own.
    Queueing,
    Failed,
    FirstToken,
    Tokens,
    Tool,
    /// Until the carrier's voice is heard.
    Voice,
    Playing,
}

impl Part {
    pub(super) const fn milliseconds(&self) -> i64 {
        self.to - self.from
    }

    /// Whether the caller hears nothing while it lasts. Tokens come while the first ones are spoken.
    const fn is_waited_for(&self) -> bool {
        !matches!(self.kind, Kind::Tokens | Kind::Playing)
    }

    const fn glyph(&self) -> char {
        match self.kind {
            Kind::Transcription | Kind::Voice => '▒',
            Kind::Queueing => '·',
            Kind::FirstToken => '░',
            Kind::Tokens => '█',
            Kind::Failed => '✗',
            Kind::Tool => '▓',
            Kind::Playing => '─',
        }
    }
}

/// The parts of a turn in the order in which they began.
pub(super) fn parts(turn: &TurnTrace) -> Vec<Part> {
    let end = signed(turn.ended);
    let mut parts = Vec::new();
    let mut part = |label: String, kind, from, to| parts.push(Part { label, kind, from, to });
    if let Some(took) = turn.transcription {
        part("transcription".to_owned(), Kind::Transcription, -signed(took), 0);
    }
    if let Some(begun) = turn.generations.first().map(|first| signed(first.begun)).filter(|begun| *begun > 0)
        && turn.tools.iter().all(|tool| signed(tool.begun) >= begun)
    {
        part("queueing".to_owned(), Kind::Queueing, 0, begun);
    }
    if let (Some(text), Some(audio)) = (turn.first_text, turn.first_audio) {
        part("voice".to_owned(), Kind::Voice, signed(text), signed(audio));
    }
    if let Some(heard) = turn.first_audio.or(turn.first_text) {
        part("playing".to_owned(), Kind::Playing, signed(heard), end);
    }
    parts.extend(turn.generations.iter().flat_map(|generation| of_generation(generation, end)));
    parts.extend(turn.tools.iter().map(|tool| of_tool(tool, end)));
    parts.sort_by_key(|part| (part.from, part.kind));
    parts
}

fn of_generation(generation: &GenerationTrace, end: i64) -> Vec<Part> {
    let ended = generation.ended.map_or(end, signed);
    let mut parts = Vec::new();
    let mut asked = signed(generation.begun);
    for attempt in &generation.failed_attempts {
        let to = (asked + signed(attempt.after)).min(ended);
        let label = format!("{} {}", attempt.kind.as_str().replace('_', " "), short(&attempt.model));
        parts.push(Part { label: label.trim_end().to_owned(), kind: Kind::Failed, from: asked, to });
        asked = to;
    }
    let first = generation.first_text.map(signed);
    // A model that was asked beside another one was asked from the beginning.
    let asked = if first.is_some_and(|first| first < asked) { signed(generation.begun) } else { asked };
    let is_over = first.is_none() && asked >= ended;
    if !is_over {
        let to = first.unwrap_or(ended).max(asked);
        let label = if first.is_some() { "first token" } else { "model" };
        parts.push(Part { label: label.to_owned(), kind: Kind::FirstToken, from: asked, to });
    }
    if let Some(first) = first {
        parts.push(Part {
            label: "tokens".to_owned(),
            kind: Kind::Tokens,
            from: first,
            to: ended.max(first),
        });
    }
    parts
}

fn of_tool(tool: &ToolTrace, end: i64) -> Part {
    let fate = match (tool.ended, tool.status) {
        (_, Some(OutcomeStatus::Success)) => "",
        (_, Some(OutcomeStatus::Error)) => ": error",
        (Some(_), None) => ": cancelled",
        (None, None) => ": unfinished",
    };
    let to = tool.ended.map_or(end, signed);
    Part { label: format!("tool {}{fate}", tool.tool), kind: Kind::Tool, from: signed(tool.begun), to }
}

/// The part that the caller waited for longest.
pub(super) fn slowest(parts: &[Part]) -> Option<&Part> {
    parts
        .iter()
        .filter(|part| part.is_waited_for() && part.milliseconds() > 0)
        .max_by_key(|part| part.milliseconds())
}

/// One line for each part; all bars of a turn have one scale.
pub(super) fn lines(parts: &[Part]) -> Vec<String> {
    let begin = parts.iter().map(|part| part.from).min().unwrap_or_default().min(0);
    // Speech takes longer than everything before it and would leave no room for that.
    let waited = parts.iter().filter(|part| part.kind != Kind::Playing).map(|part| part.to);
    let end = waited.max().unwrap_or_default().max(begin + 1);
    parts.iter().map(|part| line(part, begin, end)).collect()
}

fn line(part: &Part, begin: i64, end: i64) -> String {
    let column = |at: i64| {
        let share = (at.clamp(begin, end) - begin) * i64::try_from(BAR).unwrap_or_default() / (end - begin);
        usize::try_from(share).unwrap_or_default().min(BAR)
    };
    let from = column(part.from).min(BAR - 1);
    // What took no time that can be drawn is drawn all the same.
    let to = column(part.to).max(from + 1);
    let mut bar: String = std::iter::repeat_n(' ', from).collect();
    bar.extend(std::iter::repeat_n(part.glyph(), to - from));
    if part.to > end {
        bar.pop();
        bar.push('›');
    }
    let mut line = format!("{:<LABEL$}", clipped(&part.label, LABEL - 1));
    let _ = write!(line, "{bar:<BAR$} {:>11}", time(part.milliseconds()));
    line
}

/// Milliseconds up to ten seconds, then seconds.
pub(super) fn time(milliseconds: i64) -> String {
    match milliseconds {
        ..1000 => format!("{milliseconds} ms"),
        1000..10_000 => format!("{},{:03} ms", milliseconds / 1000, milliseconds % 1000),
        _ => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
    }
}

pub(super) fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A model's id without the parts that say where it runs and who makes it.
pub(super) fn short(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.split_once("anthropic.").or(name.split_once("amazon.")).map_or(name, |(_, name)| name)
}

fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use voice_core::message::{GenerationId, RunId, ToolCallId};
    use voice_core::ports::{FailedAttempt, ModelFailureKind, Trigger, TurnEnd};

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn generation(begun: u64, first_text: Option<u64>, ended: u64) -> GenerationTrace {
        GenerationTrace {
            id: GenerationId(0),
            begun: ms(begun),
            first_text: first_text.map(ms),
            ended: Some(ms(ended)),
            model: None,
            stop_reason: None,
            usage: None,
            estimated: false,
            failed_attempts: Vec::new(),
        }
    }

    fn turn() -> TurnTrace {
        let attempt = FailedAttempt {
            model: "us.anthropic.claude-x".to_owned(),
            kind: ModelFailureKind::TimedOut,
            after: ms(100),
        };
        let run = RunId { generation: GenerationId(0), call: ToolCallId("t".to_owned()) };
        TurnTrace {
            turn: GenerationId(0),
            use_case: "desk".to_owned(),
            trigger: Trigger::Words,
            started_at: SystemTime::UNIX_EPOCH,
            transcription: Some(ms(400)),
            generations: vec![
                GenerationTrace { failed_attempts: vec![attempt], ..generation(10, None, 300) },
                generation(900, Some(1000), 1200),
            ],
            tools: vec![ToolTrace {
                run,
                tool: "look_up".to_owned(),
                begun: ms(300),
                ended: Some(ms(900)),
                status: Some(OutcomeStatus::Error),
            }],
            first_text: Some(ms(1000)),
            first_audio: Some(ms(1250)),
            ended: ms(64_000),
            end: TurnEnd::Heard,
        }
    }

    #[test]
    fn a_turn_is_told_in_the_order_of_its_parts_and_names_the_slowest() {
        let parts = parts(&turn());
        let told: Vec<_> = parts.iter().map(|part| (part.label.as_str(), part.from, part.to)).collect();
        let expected = [
            ("transcription", -400, 0),
            ("queueing", 0, 10),
            ("timed out claude-x", 10, 110),
            ("model", 110, 300),
            ("tool look_up: error", 300, 900),
            ("first token", 900, 1000),
            ("tokens", 1000, 1200),
            ("voice", 1000, 1250),
            ("playing", 1250, 64_000),
        ];
        assert_eq!(told, expected);
        assert_eq!(slowest(&parts).map(|part| part.label.as_str()), Some("tool look_up: error"));
    }

    #[test]
    fn bars_share_a_scale_and_fit_their_place() {
        let lines = lines(&parts(&turn()));
        assert!(lines.iter().all(|line| line.chars().count() == LABEL + BAR + 12), "{lines:#?}");
        let starts = |line: &String, glyph| line.chars().position(|letter| letter == glyph);
        assert_eq!(starts(&lines[0], '▒'), Some(LABEL));
        assert!(starts(&lines[4], '▓') > starts(&lines[3], '░'));
        assert!(lines[8].contains('›') && lines[8].ends_with("62.7 s"), "{}", lines[8]);
    }

    #[test]
    fn times_are_readable() {
        let told = [7, 999, 1000, 9999, 12_345].map(time);
        assert_eq!(told, ["7 ms", "999 ms", "1,000 ms", "9,999 ms", "12.3 s"]);
    }
}
