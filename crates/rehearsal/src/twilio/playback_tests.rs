//! Examples and properties of the playback clock.

use proptest::prelude::*;

use super::*;

const PLAIN: Manner = Manner { interruptible: Interruptible::Any, preemptible: false };
const PREEMPTIBLE: Manner = Manner { interruptible: Interruptible::Any, preemptible: true };

/// Ten characters a second.
fn slow() -> Playback {
    Playback::new(SpeechPace { chars_per_second: 10.0, tts_delay: Duration::from_millis(300) })
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn heard(text: &str) -> PlaybackEvent {
    PlaybackEvent::Heard(text.to_owned())
}

#[test]
fn clauses_follow_each_other_without_a_gap() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "One two, three.", true, PLAIN);
    assert_eq!(playback.next_deadline(), Some(start + ms(300)));
    assert_eq!(playback.advance(start + ms(300)), [PlaybackEvent::AgentSpeaking(true)]);
    assert_eq!(playback.advance(start + ms(1099)), []);
    assert_eq!(playback.advance(start + ms(1100)), [heard("One two,")]);
    assert_eq!(playback.advance(start + ms(1800)), [heard(" three."), PlaybackEvent::AgentSpeaking(false)]);
    assert_eq!(playback.next_deadline(), None);
}

#[test]
fn an_interruption_keeps_the_words_that_were_heard() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Sentence two of many words. More.", true, PLAIN);
    playback.advance(start + ms(300));
    let cut = playback.interrupt(start + ms(300 + 1400));
    assert_eq!(cut, Cut { heard: "Sentence two".to_owned(), elapsed: ms(1400), was_speaking: true });
    assert_eq!(playback.advance(start + ms(60_000)), []);
    assert!(!playback.is_busy());
}

#[test]
fn an_interruption_before_the_first_sound_heard_nothing() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Hello there.", true, PLAIN);
    assert!(playback.yields_to(Input::Speech));
    let cut = playback.interrupt(start + ms(100));
    assert_eq!(cut, Cut { heard: String::new(), elapsed: Duration::ZERO, was_speaking: false });
}

#[test]
fn tokens_after_an_interruption_are_new_speech() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Hello there, ", false, PLAIN);
    playback.advance(start + ms(300));
    playback.interrupt(start + ms(500));
    playback.speak(start + ms(600), "late.", true, PLAIN);
    let events = playback.advance(start + ms(5000));
    assert_eq!(
        events,
        [PlaybackEvent::AgentSpeaking(true), heard("late."), PlaybackEvent::AgentSpeaking(false)]
    );
}

#[test]
fn an_unfinished_clause_is_spoken_after_a_lull() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Let me check", false, PLAIN);
    assert_eq!(playback.next_deadline(), Some(start + LULL));
    let events = playback.advance(start + ms(10_000));
    assert_eq!(
        events,
        [PlaybackEvent::AgentSpeaking(true), heard("Let me check"), PlaybackEvent::AgentSpeaking(false)]
    );
}

#[test]
fn a_preemptible_message_gives_way_to_the_next() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Please wait a moment. Really.", true, PREEMPTIBLE);
    playback.advance(start + ms(300));
    playback.speak(start + ms(1400), "Done.", true, PLAIN);
    let events = playback.advance(start + ms(60_000));
    assert_eq!(events, [heard("Please wait"), heard("Done."), PlaybackEvent::AgentSpeaking(false)]);
}

#[test]
fn sounds_keep_their_place_in_the_queue() {
    let mut playback = Playback::new(SpeechPace::INSTANT);
    let now = Instant::now();
    playback.speak(now, "Listen", false, PLAIN);
    playback.play(now, "https://a.example/x.mp3".to_owned(), 0, PLAIN);
    playback.send_digits(now, "12#".to_owned(), PLAIN);
    playback.speak(now, "Bye.", true, PLAIN);
    assert_eq!(
        playback.advance(now),
        [
            PlaybackEvent::AgentSpeaking(true),
            heard("Listen"),
            PlaybackEvent::AudioPlayed { source: "https://a.example/x.mp3".to_owned() },
            PlaybackEvent::DigitsSent("12#".to_owned()),
            heard("Bye."),
            PlaybackEvent::AgentSpeaking(false),
        ]
    );
}

#[test]
fn a_message_says_what_may_interrupt_it() {
    let (mut playback, now) = (slow(), Instant::now());
    let deaf = Manner { interruptible: Interruptible::Dtmf, preemptible: false };
    playback.speak(now, "The law makes me say this.", true, deaf);
    assert!(!playback.yields_to(Input::Speech));
    assert!(playback.yields_to(Input::Key));
}

#[test]
fn a_cue_is_heard_in_the_middle_of_a_clause() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Well, a very long list of things.", true, PLAIN);
    assert_eq!(playback.when_heard("very long"), None);
    playback.advance(start + ms(300));
    assert_eq!(playback.when_heard("very long"), None);
    playback.advance(start + ms(800));
    let heard = playback.when_heard("Very Long").unwrap();
    assert_eq!(heard, start + ms(800 + 1200));
    assert_eq!(playback.interrupt(heard).heard, " a very long");
    playback.forget();
    assert_eq!(playback.when_heard("well"), None);
}

#[test]
fn a_cue_that_was_heard_counts_until_it_is_forgotten() {
    let (mut playback, start) = (slow(), Instant::now());
    playback.speak(start, "Well, a very long list.", false, PLAIN);
    playback.advance(start + ms(1000));
    assert!(playback.when_heard("well,").unwrap() <= start + ms(1000));
    playback.forget();
    assert_eq!(playback.when_heard("well,"), None);
}

/// One thing that happens to a playback, some milliseconds after the one before.
#[derive(Clone, Debug)]
enum Happening {
    Token { text: String, last: bool },
    Interrupt,
    Nothing,
}

fn happenings() -> impl Strategy<Value = Vec<(u64, Happening)>> {
    let token = ("[a-z]{0,6}[ ,.]{0,2}", any::<bool>());
    let happening = prop_oneof![
        6 => token.prop_map(|(text, last)| Happening::Token { text, last }),
        1 => Just(Happening::Interrupt),
        2 => Just(Happening::Nothing),
    ];
    proptest::collection::vec((0_u64..700, happening), 0..60)
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

fn heard_in(events: &[PlaybackEvent]) -> String {
    let clauses = events.iter().filter_map(|event| match event {
        PlaybackEvent::Heard(text) => Some(text.as_str()),
        _ => None,
    });
    without_spaces(&clauses.collect::<String>())
}

proptest! {
    /// Everything that was sent is heard once, in order; an interruption leaves a prefix of it.
    #[test]
    fn what_is_sent_is_heard_once_or_cut(steps in happenings(), delay in 0_u64..400) {
        let pace = SpeechPace { chars_per_second: 12.0, tts_delay: ms(delay) };
        let (mut playback, mut now) = (Playback::new(pace), Instant::now());
        let (mut sent, mut told) = (String::new(), String::new());
        for (pause, happening) in steps {
            now += ms(pause);
            match happening {
                Happening::Token { text, last } => {
                    playback.speak(now, &text, last, PLAIN);
                    sent.push_str(&without_spaces(&text));
                }
                Happening::Nothing => told.push_str(&heard_in(&playback.advance(now))),
                Happening::Interrupt => {
                    let cut = playback.interrupt(now);
                    told.push_str(&heard_in(&playback.advance(now)));
                    told.push_str(&without_spaces(&cut.heard));
                    prop_assert!(sent.starts_with(&told), "sent {sent:?}, told {told:?}");
                    prop_assert_eq!(playback.next_deadline(), None);
                    prop_assert_eq!(playback.advance(now + ms(100_000)), vec![]);
                    (sent, told) = (String::new(), String::new());
                    now += ms(100_000);
                }
            }
            prop_assert!(sent.starts_with(&told), "sent {sent:?}, told {told:?}");
        }
        told.push_str(&heard_in(&playback.advance(now + ms(100_000_000))));
        prop_assert_eq!(told, sent);
        prop_assert_eq!(playback.next_deadline(), None);
    }

    /// `AgentSpeaking` alternates, surrounds everything heard, and deadlines are the only times that matter.
    #[test]
    fn looking_only_at_deadlines_loses_nothing(tokens in proptest::collection::vec(("[a-z]{1,6}[ ,.]", any::<bool>()), 1..20)) {
        let pace = SpeechPace { chars_per_second: 15.0, tts_delay: ms(100) };
        let (mut stepped, start) = (Playback::new(pace), Instant::now());
        for (text, last) in &tokens {
            stepped.speak(start, text, *last, PLAIN);
        }
        let mut leaping = stepped.clone();
        let mut events = Vec::new();
        while let Some(deadline) = stepped.next_deadline() {
            let happened = stepped.advance(deadline);
            events.extend(happened);
        }
        prop_assert_eq!(&events, &leaping.advance(start + ms(10_000_000)));
        let mut speaking = false;
        for event in &events {
            match event {
                PlaybackEvent::AgentSpeaking(on) => {
                    prop_assert_ne!(speaking, *on);
                    speaking = *on;
                }
                _ => prop_assert!(speaking),
            }
        }
        prop_assert!(!speaking);
    }
}
