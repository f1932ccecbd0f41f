//! `<Gather>`: plays what is in it and takes keys.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Course, Next};
use crate::twilio::event::{CallEvent, CallerAct};
use crate::twilio::form::fields;
use crate::twilio::reporter::Unheard;
use crate::twilio::twiml::Gather;

/// The keys so far.
struct Keys<'a> {
    gather: &'a Gather,
    pressed: String,
    finished_by: Option<char>,
}

/// What came of waiting for a key.
enum Waited {
    Key,
    TimeOver,
    HungUp,
}

impl Course {
    pub(super) async fn gather(&mut self, base: &str, mut gather: Gather) -> Result<Next, Unheard> {
        let prompts = std::mem::take(&mut gather.prompts);
        let mut keys = Keys { gather: &gather, pressed: String::new(), finished_by: None };
        for prompt in prompts {
            let time = self.utter(prompt).await?;
            match self.wait_for_key(&mut keys, time).await {
                Waited::HungUp => return Ok(self.hung_up()),
                Waited::Key => break,
                Waited::TimeOver => {}
            }
        }
        self.reporter.report(CallEvent::Gathering).await?;
        let pause = self.pace.hasten(Duration::from_secs(gather.timeout_seconds.into()));
        while !keys.are_complete() {
            match self.wait_for_key(&mut keys, pause).await {
                Waited::HungUp => return Ok(self.hung_up()),
                Waited::TimeOver => break,
                Waited::Key => {}
            }
        }
        if keys.pressed.is_empty() && keys.finished_by.is_none() {
            return Ok(Next::Verb);
        }
        let finished_by = keys.finished_by.map(String::from).unwrap_or_default();
        let form =
            fields(&[("msg", "Gather End"), ("Digits", &keys.pressed), ("FinishedOnKey", &finished_by)]);
        self.conclude(base, Some(gather.action.as_deref().unwrap_or(base)), false, form).await
    }

    async fn wait_for_key(&mut self, keys: &mut Keys<'_>, time: Duration) -> Waited {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Waited::TimeOver,
                act = self.acts.next() => match act {
                    CallerAct::HangUp => return Waited::HungUp,
                    CallerAct::Press(key) => {
                        keys.take(key);
                        return Waited::Key;
                    }
                    _ => {}
                },
            }
        }
    }
}

impl Keys<'_> {
    fn take(&mut self, key: char) {
        if self.gather.finish_on_key == Some(key) {
            self.finished_by = Some(key);
        } else {
            self.pressed.push(key);
        }
    }

    fn are_complete(&self) -> bool {
        self.finished_by.is_some() || self.gather.num_digits.is_some_and(|most| self.pressed.len() >= most)
    }
}
