//! Somebody who was called and is played by the stand-in: presses keys when asked, says a sentence when connected, and
//! hangs up after a while. For people with a mind of their own there is [`super::Carrier::placed_calls`].

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::callee::Script;
use super::event::{CallEvent, CallerAct};
use super::playback::SpeechPace;

/// Nobody stays on the telephone for longer.
const LONGEST: Duration = Duration::from_hours(24);

/// Plays the part until the call is over.
pub(super) async fn play(script: Script, pace: SpeechPace, mut call: Call) {
    let mut tired_at = Instant::now() + LONGEST;
    let mut is_met = false;
    loop {
        let acts = tokio::select! {
            event = call.next_event(LONGEST) => match event {
                Ok(CallEvent::Gathering) => script.presses.chars().map(CallerAct::Press).collect(),
                Ok(CallEvent::Joined { .. } | CallEvent::Bridged { .. } | CallEvent::Connected { .. }) if !is_met => {
                    is_met = true;
                    tired_at = Instant::now() + script.talk(pace);
                    script.says.iter().cloned().map(CallerAct::Say).collect()
                }
                Ok(CallEvent::HungUp { .. }) | Err(_) => return,
                Ok(_) => Vec::new(),
            },
            () = sleep_until(tired_at) => {
                tired_at = Instant::now() + LONGEST;
                vec![CallerAct::HangUp]
            }
        };
        for act in acts {
            // A call that takes no more acts is over, as its events are about to tell.
            let _ = call.act(act).await;
        }
    }
}
