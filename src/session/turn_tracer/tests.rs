//! Turns as a driver sees them, with clocks in the hands of the test.

use proptest::prelude::*;
use voice_core::message::ToolCallId;
use voice_core::ports::{ModelFailureKind, Usage};

use super::*;

/// A tracer whose observations are given with milliseconds since the session began.
struct Watch {
    tracer: TurnTracer,
    origin: Instant,
}

impl Watch {
    fn new() -> Self {
        let origin = Instant::now();
        Self { tracer: TurnTracer::new(origin, SystemTime::UNIX_EPOCH, "desk"), origin }
    }

    fn at(&mut self, milliseconds: u64, seen: Seen<'_>) -> &mut Self {
        let now = self.origin + Duration::from_millis(milliseconds);
        self.tracer.see(now, seen);
        self.tracer.settle(now);
        self
    }

    /// A generation that says this, all at once.
    fn says(&mut self, milliseconds: u64, id: u32, text: &str) -> &mut Self {
        let report = GenerationReport { model: Some("m".to_owned()), ..GenerationReport::default() };
        // As a driver sees it: nothing is settled between the end of a generation and the words that it leaves.
        let now = self.origin + Duration::from_millis(milliseconds);
        self.tracer.see(now, Seen::GenerationStarted(GenerationId(id)));
        self.tracer.see(now + ms(100), Seen::GenerationSpoke);
        self.tracer.see(now + ms(100), Seen::TextSent(text));
        self.tracer.see(now + ms(200), Seen::GenerationEnded { report: &report, how: Finish::Completed });
        self.tracer.settle(now + ms(200));
        self
    }

    fn finished(&mut self) -> Vec<TurnTrace> {
        std::iter::from_fn(|| self.tracer.take_finished()).collect()
    }

    fn only(&mut self) -> TurnTrace {
        let mut finished = self.finished();
        assert_eq!(finished.len(), 1, "{finished:?}");
        finished.remove(0)
    }

    fn leave(&mut self, milliseconds: u64) -> &mut Self {
        self.tracer.leave(self.origin + Duration::from_millis(milliseconds));
        self
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn run(id: u32) -> RunId {
    RunId { generation: GenerationId(id), call: ToolCallId("t".to_owned()) }
}

#[test]
fn a_turn_is_over_when_the_carrier_falls_silent_behind_its_last_words() {
    let mut watch = Watch::new();
    watch
        .at(1000, Seen::CallerSpeaking(true))
        .at(2000, Seen::CallerSpeaking(false))
        .at(2400, Seen::CallerSaid)
        .says(2410, 3, "We open at nine.")
        .at(2830, Seen::AgentSpeaking(true))
        .at(4000, Seen::AgentSpeaking(false));
    let trace = watch.only();
    assert_eq!((trace.turn, trace.trigger, trace.end), (GenerationId(3), Trigger::Words, TurnEnd::Heard));
    assert_eq!(trace.started_at, SystemTime::UNIX_EPOCH + ms(2400));
    assert_eq!(trace.transcription, Some(ms(400)));
    let generation = &trace.generations[0];
    assert_eq!(
        (generation.begun, generation.first_text, generation.ended),
        (ms(10), Some(ms(110)), Some(ms(210)))
    );
    assert_eq!((trace.first_text, trace.first_audio, trace.ended), (Some(ms(110)), Some(ms(430)), ms(1600)));
}

#[test]
fn clauses_that_were_played_tell_it_too_and_a_pause_between_them_does_not() {
    let mut watch = Watch::new();
    watch.at(0, Seen::CallerSaid).says(0, 0, "Yes. At nine, I think.").at(300, Seen::AgentSpeaking(true));
    watch.at(900, Seen::Played("Yes. ")).at(910, Seen::AgentSpeaking(false));
    assert_eq!(watch.finished(), []);
    watch.at(920, Seen::AgentSpeaking(true)).at(2000, Seen::Played("At nine,  I think"));
    let trace = watch.only();
    assert_eq!((trace.end, trace.ended), (TurnEnd::Heard, ms(2000)));
}

#[test]
fn without_reports_of_playback_the_callers_next_words_end_it() {
    let mut watch = Watch::new();
    watch.at(0, Seen::CallerSaid).says(0, 0, "At nine.").at(5000, Seen::CallerSaid);
    assert_eq!((watch.only().end, watch.says(5000, 1, "Bye.").finished()), (TurnEnd::Heard, vec![]));
    // Who is heard speaking has heard the agent before.
    let heard = watch.at(8000, Seen::CallerSpeaking(true)).at(9000, Seen::CallerSaid).only();
    assert_eq!((heard.end, heard.ended), (TurnEnd::Heard, ms(3000)));
}

#[test]
fn interruptions_cut_turns_and_a_noise_is_answered_in_a_turn_of_its_own() {
    let report = GenerationReport::default();
    let mut watch = Watch::new();
    watch
        .at(0, Seen::CallerSaid)
        .at(0, Seen::GenerationStarted(GenerationId(0)))
        .at(200, Seen::GenerationSpoke)
        .at(200, Seen::TextSent("We open"));
    let now = watch.origin + ms(700);
    watch.tracer.see(now, Seen::CallerInterrupted);
    watch.at(700, Seen::GenerationEnded { report: &report, how: Finish::CutOff });
    let cut = watch.only();
    assert_eq!((cut.end, cut.ended), (TurnEnd::Interrupted, ms(700)));
    let noise = watch.says(3200, 1, "We open at nine.").leave(3500).only();
    assert_eq!((noise.trigger, noise.end), (Trigger::Silence, TurnEnd::Left));
    assert_eq!(noise.started_at, SystemTime::UNIX_EPOCH + ms(3200));
}

#[test]
fn words_before_the_first_word_of_the_answer_supersede_it() {
    let report = GenerationReport::default();
    let mut watch = Watch::new();
    watch.at(0, Seen::CallerSaid).at(0, Seen::GenerationStarted(GenerationId(0))).at(300, Seen::CallerSaid);
    watch.at(300, Seen::GenerationEnded { report: &report, how: Finish::CutOff });
    let traces = watch.says(300, 1, "Both, then.").leave(900).finished();
    let ends: Vec<_> = traces.iter().map(|trace| (trace.turn.0, trace.end)).collect();
    assert_eq!(ends, [(0, TurnEnd::Superseded), (1, TurnEnd::Left)]);
}

#[test]
fn tools_and_what_the_model_says_behind_them_are_one_turn() {
    let report = GenerationReport {
        usage: Some(Usage { input: 7, ..Usage::default() }),
        ..GenerationReport::default()
    };
    let attempt = FailedAttempt { model: "m".to_owned(), kind: ModelFailureKind::Throttled, after: ms(40) };
    let mut watch = Watch::new();
    watch
        .at(0, Seen::CallerSaid)
        .at(5, Seen::GenerationStarted(GenerationId(0)))
        .at(50, Seen::AttemptFailed(attempt.clone()))
        .at(400, Seen::ToolAskedFor)
        .at(410, Seen::GenerationEnded { report: &report, how: Finish::Completed })
        .at(410, Seen::ToolStarted { run: &run(0), tool: "look_up" })
        .at(600, Seen::TextSent("One moment."))
        // Said meanwhile: the model answers it together with the outcome.
        .at(700, Seen::CallerSaid)
        .at(900, Seen::ToolEnded { run: &run(0), status: Some(OutcomeStatus::Success) });
    assert_eq!(watch.finished(), []);
    let trace = watch.says(900, 1, "Found.").at(1500, Seen::CallerSaid).only();
    assert_eq!(trace.generations.len(), 2);
    assert_eq!(
        (trace.generations[0].usage, &trace.generations[0].failed_attempts),
        (report.usage, &vec![attempt])
    );
    assert_eq!((trace.tools[0].begun, trace.tools[0].ended), (ms(410), Some(ms(900))));
    assert_eq!((trace.first_text, trace.end), (Some(ms(600)), TurnEnd::Heard));
}

#[test]
fn what_ends_the_call_belongs_to_the_turn_that_said_goodbye() {
    let report = GenerationReport::default();
    let mut watch = Watch::new();
    watch
        .at(0, Seen::CallerSaid)
        .at(0, Seen::GenerationStarted(GenerationId(4)))
        .at(100, Seen::TextSent("Goodbye."))
        .at(110, Seen::ToolAskedFor)
        .at(120, Seen::GenerationEnded { report: &report, how: Finish::Completed })
        .at(400, Seen::AgentSpeaking(true))
        .at(1400, Seen::AgentSpeaking(false))
        .at(1700, Seen::ToolStarted { run: &run(4), tool: "end_call" })
        .at(1710, Seen::ToolEnded { run: &run(4), status: Some(OutcomeStatus::Success) });
    let trace = watch.leave(1720).only();
    assert_eq!((trace.end, trace.tools.len(), trace.ended), (TurnEnd::Heard, 1, ms(1710)));
}

#[test]
fn a_tool_of_the_keypad_opens_a_turn() {
    let mut watch = Watch::new();
    watch
        .at(100, Seen::KeyPressed)
        .at(150, Seen::ToolStarted { run: &run(7), tool: "balance" })
        .at(400, Seen::ToolEnded { run: &run(7), status: None });
    let trace = watch.says(400, 8, "Ten.").leave(700).only();
    assert_eq!((trace.turn, trace.trigger, trace.tools[0].status), (GenerationId(7), Trigger::Key, None));
    // A key that the menu answered by itself is not what is reacted to much later.
    let later = watch.at(1000, Seen::KeyPressed).says(40_000, 9, "Still there?").leave(41_000).only();
    assert_eq!(later.trigger, Trigger::Silence);
}

#[test]
fn a_pause_long_ago_is_no_transcription() {
    let mut watch = Watch::new();
    watch.at(0, Seen::CallerSpeaking(false)).at(200_000, Seen::CallerSaid).says(200_000, 0, "Hm?");
    assert_eq!(watch.leave(201_000).only().transcription, None);
}

/// Anything that can be seen, in any order.
fn anything() -> impl Strategy<Value = u8> {
    0_u8..18
}

fn observe(watch: &mut Watch, now: u64, what: u8, id: u32) {
    let report = GenerationReport::default();
    let run = run(id);
    let seen = match what {
        0 => Seen::Began(Trigger::Resumed),
        1 => Seen::CallerSpeaking(true),
        2 => Seen::CallerSpeaking(false),
        3 => Seen::CallerSaid,
        4 => Seen::KeyPressed,
        5 => Seen::CallerInterrupted,
        6 | 16 => Seen::GenerationStarted(GenerationId(id)),
        7 => Seen::GenerationSpoke,
        8 => Seen::ToolAskedFor,
        9 | 17 => Seen::GenerationEnded { report: &report, how: Finish::Completed },
        10 => Seen::GenerationEnded { report: &report, how: Finish::CutOff },
        11 => Seen::ToolStarted { run: &run, tool: "t" },
        12 => Seen::ToolEnded { run: &run, status: None },
        13 => Seen::TextSent("Words."),
        14 => Seen::AgentSpeaking(now.is_multiple_of(2)),
        _ => Seen::Played("Words."),
    };
    watch.at(now, seen);
}

proptest! {
    /// Whatever is seen, every turn is told once, in order, and none of its parts lies outside of it or of the session.
    #[test]
    fn no_part_is_ever_absurd(seen in proptest::collection::vec((anything(), 0_u64..3000), 1..120)) {
        let mut watch = Watch::new();
        let (mut now, mut begun) = (0, 0);
        for (index, (what, pause)) in seen.into_iter().enumerate() {
            now += pause;
            begun += u32::from(matches!(what, 6 | 16));
            observe(&mut watch, now, what, u32::try_from(index).unwrap());
        }
        let traces = watch.leave(now).finished();
        let generations: usize = traces.iter().map(|trace| trace.generations.len()).sum();
        prop_assert_eq!(generations, begun as usize, "each generation is in one turn");
        prop_assert!(traces.is_sorted_by_key(|trace| trace.turn));
        for trace in &traces {
            let starts = trace.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            prop_assert!(starts + trace.ended <= ms(now));
            prop_assert!(trace.transcription.is_none_or(|took| took <= LONGEST_TRANSCRIPTION));
            let spans = trace.generations.iter().map(|part| (part.begun, part.first_text, part.ended));
            let tools = trace.tools.iter().map(|part| (part.begun, None, part.ended));
            for (begun, first, ended) in spans.chain(tools) {
                let order = [Some(begun), first, ended, Some(trace.ended)];
                prop_assert!(order.into_iter().flatten().is_sorted(), "{:?}", trace);
            }
            prop_assert!(trace.first_text.is_none_or(|at| at <= trace.ended));
            prop_assert!(trace.first_audio.is_none_or(|at| at <= trace.ended && Some(at) >= trace.first_text));
        }
    }
}
