//! Small talk for use cases that are not the restaurant: a few fixed replies chosen by keyword.

use super::words::Words;

/// The first reply of which a keyword was said is given.
const REPLIES: [(&[&str], &str); 9] = [
    (&["bye", "goodbye"], "Goodbye. It was good to talk to you."),
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
    let known = REPLIES.iter().find(|(keywords, _)| words.has_any(keywords));
    if let Some((_, reply)) = known {
        return (*reply).to_owned();
    }
    let topic = words.iter().max_by_key(|word| word.len()).unwrap_or_default();
    format!("You said something about {topic}. A real model would know more about it.")
}

/// The key in a report such as `The caller pressed 5`.
pub(super) fn pressed_key(text: &str) -> Option<&str> {
    let (_, key) = text.rsplit_once("pressed ")?;
    let key = key.trim_start_matches("the key ").split_whitespace().next()?;
    let key = key.trim_end_matches(['.', ',']);
    let is_key = key.len() == 1 && key.contains(|character: char| "0123456789*#ABCD".contains(character));
    is_key.then_some(key)
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
    fn a_key_is_recognised() {
        assert_eq!(pressed_key("The caller pressed 5"), Some("5"));
        assert_eq!(pressed_key("The caller pressed #."), Some("#"));
        assert_eq!(pressed_key("I pressed on"), None);
        assert_eq!(pressed_key("5"), None);
    }
}
