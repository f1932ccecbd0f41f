//! Keys that the caller presses: handled by the use case's menu, or told to the model.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::patience::Patience;
use super::tool_runs::Waiter;
use super::{Action, Arguments, Conversation, Phase};
use crate::message::{ToolCall, ToolCallId};
use crate::use_case::KeypadHandler;

/// Keys that were pressed and not acted on yet.
#[derive(Debug, Default)]
pub(super) enum Keypad {
    #[default]
    Clear,
    /// Keys for the model, collected until the caller pauses: a number is one message, not many.
    Collecting { keys: String, due: Instant },
    /// A key of the menu, pressed over the agent's voice. The carrier reports the interruption after the key; answering
    /// before that would have the answer taken for what was interrupted.
    Waiting { key: char, due: Instant },
}

/// Longer than most people take between two keys of a number.
const BETWEEN_KEYS: Duration = Duration::from_millis(1500);
/// The carrier reports an interruption right behind the key that caused it.
const INTERRUPTION_FOLLOWS: Duration = Duration::from_millis(200);

impl Keypad {
    pub(super) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Clear => None,
            Self::Collecting { due, .. } | Self::Waiting { due, .. } => Some(*due),
        }
    }
}

impl Conversation {
    pub(super) fn key_pressed(&mut self, now: Instant, key: char, actions: &mut Vec<Action>) {
        // Within a number, a key of the menu is a digit like any other.
        if let Keypad::Collecting { keys, due } = &mut self.keypad {
            // People end a number with # by habit.
            if key == '#' {
                return self.act_on_keys(now, actions);
            }
            keys.push(' ');
            keys.push(key);
            *due = now + BETWEEN_KEYS;
            return;
        }
        self.act_on_keys(now, actions);
        if let Phase::Closing(_) = self.phase {
            return;
        }
        if !self.use_case.keypad.contains_key(&key) {
            self.keypad = Keypad::Collecting { keys: key.to_string(), due: now + BETWEEN_KEYS };
        } else if self.voice.is_idle() {
            self.press(now, key, actions);
        } else {
            self.keypad = Keypad::Waiting { key, due: now + INTERRUPTION_FOLLOWS };
        }
    }

    pub(super) fn keys_are_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.keypad.due().is_some_and(|due| due <= now) {
            self.act_on_keys(now, actions);
        }
    }

    /// The interruption that a key of the menu caused has been dealt with.
    pub(super) fn keys_are_clear(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Keypad::Waiting { .. } = self.keypad {
            self.act_on_keys(now, actions);
        }
    }

    /// Does what the keys pressed so far ask for.
    pub(super) fn act_on_keys(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match std::mem::take(&mut self.keypad) {
            Keypad::Clear => {}
            Keypad::Collecting { keys, .. } => {
                self.caller_said(now, &pressed(&keys), actions);
            }
            Keypad::Waiting { key, .. } => self.press(now, key, actions),
        }
    }

    /// The session is over: what was pressed and not acted on is left to whoever goes on with the dialogue.
    pub(super) fn keep_keys(&mut self) {
        match std::mem::take(&mut self.keypad) {
            Keypad::Clear => {}
            Keypad::Collecting { keys, .. } => self.history.push_caller(&pressed(&keys)),
            Keypad::Waiting { key, .. } => self.history.push_caller(&pressed(key)),
        }
    }

    /// Does what the menu says for a key.
    fn press(&mut self, now: Instant, key: char, actions: &mut Vec<Action>) {
        let Some(handler) = self.use_case.keypad.get(&key).cloned() else {
            return;
        };
        if let Phase::RunningTools(_) = self.phase {
            // Nothing may come between a tool call and its outcome, so the model deals with the key.
            return self.caller_said(now, &pressed(key), actions);
        }
        self.stop_generation(actions);
        let (text, tool) = match handler {
            KeypadHandler::Reply { text } => (text, None),
            KeypadHandler::Run { tool } => (String::new(), Some(tool)),
            KeypadHandler::ReplyAndRun { text, tool } => (text, Some(tool)),
        };
        if let Some(tool) = &tool
            && !self.use_case.tools.iter().any(|known| known.name == *tool)
        {
            return self.press_without_tool(now, key, text, actions);
        }
        self.history.push_caller(&pressed(key));
        let generation = self.new_generation_id();
        let call = tool.map(|name| {
            let id = ToolCallId(format!("keypad-{generation}"));
            ToolCall { id, name, input: serde_json::json!({}) }
        });
        let message = self.history.push_agent(&text, call.iter().cloned().collect());
        if !text.is_empty() {
            self.say(now, Some(message), text, actions);
            self.end_talk_cycle(actions);
        }
        if let Some(call) = call {
            let waiter = Waiter { generation, round: 0, patience: Patience::new(now) };
            self.run_tools(now, waiter, vec![(call, Arguments::Sound)], actions);
        }
    }

    /// The menu promises a tool that does not exist: the caller must not wait for it, so the model goes on.
    fn press_without_tool(&mut self, now: Instant, key: char, text: String, actions: &mut Vec<Action>) {
        let told = if text.is_empty() { String::new() } else { format!(" and was told: {text:?}") };
        self.history.push_caller(&format!(
            "(The caller pressed {key} on the keypad{told}. What the key should do is not available.)"
        ));
        if !text.is_empty() {
            self.say_aside(now, text, actions);
        }
        self.generate(now, 0, actions);
    }
}

/// What the model is told of keys.
fn pressed(keys: impl Display) -> String {
    format!("(The caller pressed {keys} on the keypad.)")
}
