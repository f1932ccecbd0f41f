//! The keypad: menus, numbers, and keys pressed over the agent's voice.

use super::stage::{Stage, run};

#[test]
fn a_key_replies_with_text() {
    let mut stage = Stage::new();
    assert_eq!(stage.key('1').spoken(), "We open at nine.");
    assert_eq!(
        stage.dialogue(),
        ["caller: (The caller pressed 1 on the keypad.)", "agent: We open at nine."]
    );
}

#[test]
fn a_key_runs_a_tool_with_or_without_a_word() {
    let mut stage = Stage::new();
    assert_eq!(stage.key('2').tools_started(), [run(0, "keypad-0")]);
    assert_eq!(stage.outcome(0, "keypad-0").started(), Some(1));
    let mut stage = Stage::new();
    stage.key('3');
    assert_eq!((stage.spoken().as_str(), stage.tools_started()), ("Let me order.", vec![run(0, "keypad-0")]));
    stage.outcome(0, "keypad-0");
    assert_eq!(stage.dialogue()[1..], ["agent: Let me order. [order]", "outcomes: ok "]);
}

#[test]
fn a_key_whose_tool_does_not_exist_leads_to_the_model() {
    let mut stage = Stage::new();
    assert_eq!(stage.key('4').started(), Some(0));
    assert_eq!(stage.spoken(), "Looking.");
    assert!(stage.dialogue()[0].contains("not available"));
}

#[test]
fn other_keys_reach_the_model_as_one_number() {
    let mut stage = Stage::new();
    stage.key('5').wait(1000);
    stage.key('1').wait(1499);
    assert_eq!(stage.started(), None);
    assert_eq!(stage.wait(1).started(), Some(0));
    assert_eq!(stage.dialogue(), ["caller: (The caller pressed 5 1 on the keypad.)"]);
    stage.key('7');
    assert_eq!(stage.key('#').started(), Some(1), "# ends a number");
    assert_eq!(stage.key('#').wait(1500).started(), Some(2), "alone it is a key");
}

#[test]
fn a_key_over_the_agents_voice_acts_after_the_interruption_it_causes() {
    let mut stage = Stage::new();
    stage.say("Hi.").text(0, "A very long answer. It goes on.").finish(0);
    assert_eq!(stage.key('1').actions, []);
    stage.played("A very");
    assert_eq!(stage.interrupt("A very").spoken(), "We open at nine.");
    assert_eq!(
        stage.dialogue(),
        [
            "caller: Hi.",
            "agent: A very",
            "caller: (The caller pressed 1 on the keypad.)",
            "agent: We open at nine."
        ]
    );
    let mut stage = Stage::new();
    stage.say("Hi.").text(0, "A very long answer.").finish(0).key('1');
    assert_eq!(stage.wait(200).spoken(), "We open at nine.", "no interruption came");
}

#[test]
fn a_number_entered_over_the_agents_voice_is_not_talked_over() {
    let mut stage = Stage::new();
    stage.say("Hi.").text(0, "Please enter your number.").finish(0).key('5');
    stage.interrupt("");
    for key in ['6', '7', '8'] {
        assert_eq!(stage.wait(1200).started(), None);
        stage.key(key);
    }
    assert_eq!(stage.wait(1500).started(), Some(1));
    assert_eq!(stage.dialogue(), ["caller: Hi. (The caller pressed 5 6 7 8 on the keypad.)"]);
}
