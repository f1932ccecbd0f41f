//! Small talk for use cases that are not the restaurant: a few fixed replies chosen by keyword.

use super::words::Words;

/// The first reply of which a keyword was said is given.
const REPLIES: [(&[&str], &str); 8] = [
    (
        &["relativity"],
        "Clocks that move run slow, and energy and mass are the same thing. That is relativity in one sentence.",
    ),
    (&["gravity"], "Mass bends space and time, and things follow the bend. We call that gravity."),
    (&["light"], "Light goes about three hundred thousand kilometres in a second. Nothing goes faster."),
    (&["quantum", "dice"], "Quantum theory gives odds, not certainties. Einstein did not like that."),
    (
        &["time", "clock"],
        "I have no clock, so I cannot tell the time. A real model would not know it either.",
    ),
    (&["who", "name", "real", "robot"], "I am a small program that answers while no model is connected."),
    (&["thanks", "thank"], "You are welcome. Is there anything else?"),
    (&["hello", "hi", "hey"], "Hello. What would you like to talk about?"),
];

/// What to say to these words.
pub(super) fn reply(words: &Words) -> String {
    if words.len() == 0 {
        return "I am listening.".to_owned();
    }
    if is_farewell(words) {
        return "Goodbye. It was good to talk to you.".to_owned();
    }
    let known = REPLIES.iter().find(|(keywords, _)| words.has_any(keywords));
    if let Some((_, reply)) = known {
        return (*reply).to_owned();
    }
    let topic = words.iter().max_by_key(|word| word.len()).unwrap_or_default();
    format!("You said something about {topic}. A real model would know more about it.")
}

/// Whether the caller wants nothing more.
pub(super) fn is_farewell(words: &Words) -> bool {
    words.has_any(&["bye", "goodbye"]) || words.has_phrase("thats all") || words.has_phrase("that is all")
}

/// Whether the caller asks for a human being.
pub(super) fn wants_a_person(words: &Words) -> bool {
    words.has_any(&["person", "human", "somebody", "someone", "colleague", "agent", "operator"])
}

/// The keys in a report such as `The caller pressed 4 5 6`, when it is the last thing in the text.
pub(super) fn pressed_keys(text: &str) -> Option<String> {
    let (_, report) = text.rsplit_once("pressed ")?;
    let report = report.trim_end_matches(['.', ',', ')', ' ']).trim_end_matches("on the keypad");
    let keys: Vec<&str> = report.split_whitespace().collect();
    let is_key = |key: &&str| key.len() == 1 && key.contains(|key: char| "0123456789*#ABCD".contains(key));
    (!keys.is_empty() && keys.iter().all(is_key)).then(|| keys.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_choose_the_reply() {
        assert!(reply(&Words::of("What is the time?")).contains("no clock"));
        assert!(reply(&Words::of("Hello!")).starts_with("Hello."));
        assert!(reply(&Words::of("tell me about elephants")).contains("elephants"));
        assert_eq!(reply(&Words::of("")), "I am listening.");
    }

    #[test]
    fn keys_are_recognised() {
        let keys = |text| pressed_keys(text);
        assert_eq!(keys("The caller pressed 5").as_deref(), Some("5"));
        assert_eq!(keys("(The caller pressed 4 5 6 on the keypad.)").as_deref(), Some("4 5 6"));
        assert_eq!(keys("The caller pressed #.").as_deref(), Some("#"));
        for text in ["I pressed on", "5", "(The caller pressed 1 on the keypad.) A garden, please."] {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    #[test]
    fn who_wants_a_person_is_recognised() {
        assert!(wants_a_person(&Words::of("Can I talk to a person, please?")));
        assert!(!wants_a_person(&Words::of("What is the deposit?")));
    }

    #[test]
    fn a_farewell_is_recognised() {
        for text in ["Goodbye, Professor.", "Bye!", "Thanks, that's all."] {
            assert!(is_farewell(&Words::of(text)), "{text}");
        }
        assert!(!is_farewell(&Words::of("Thank you. And gravity?")));
    }
}
