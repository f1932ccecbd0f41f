//! What those who watch calls are told by a session that runs.

use std::sync::Mutex;
use std::time::Duration;

use voice_core::message::GenerationId;
use voice_core::ports::{
    CallContext, EndedBecause, FailedAttempt, ModelEvent, ModelFailure, ModelFailureKind, Trigger, TurnEnd,
    TurnTrace,
};

use super::tests::{CALL, Stage, Store, finished, said, text};
use super::{CallObserver, CloseCode, Frame, SessionTrace};

/// Remembers what it was told.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    turns: Mutex<Vec<TurnTrace>>,
    sessions: Mutex<Vec<SessionTrace>>,
}

impl CallObserver for Watcher {
    fn turn_ended(&self, call: &CallContext, turn: &TurnTrace) {
        assert_eq!(call.call_sid, CALL);
        self.turns.lock().unwrap().push(turn.clone());
    }

    fn session_ended(&self, _: &CallContext, session: &SessionTrace) {
        self.sessions.lock().unwrap().push(session.clone());
    }
}

async fn info(stage: &Stage, name: &str, value: &str) {
    stage.send(&serde_json::json!({ "type": "info", "name": name, "value": value }).to_string()).await;
}

/// Lets time pass, in which the session does what it has to.
async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_of_each_turn_and_of_its_end() {
    let scripts = vec![vec![text("At nine."), finished()], vec![text("Bye."), finished()]];
    let mut stage = Stage::set_up(scripts, Store::default()).await;
    info(&stage, "clientSpeaking", "on").await;
    info(&stage, "clientSpeaking", "off").await;
    pass(350).await;
    stage.say("When?").await;
    assert_eq!(stage.next_json().await, said("At nine.", true));
    pass(300).await;
    info(&stage, "agentSpeaking", "on").await;
    pass(700).await;
    info(&stage, "tokensPlayed", "At nine.").await;
    info(&stage, "agentSpeaking", "off").await;
    stage.say("Thanks.").await;
    assert_eq!(stage.next_json().await, said("Bye.", true));
    stage.to_session.send(Frame::Close(CloseCode::Normal)).await.unwrap();
    let watcher = stage.watcher.clone();
    let (store, _) = stage.end().await;
    let turns = watcher.turns.lock().unwrap().clone();
    let told: Vec<_> = turns.iter().map(|turn| (turn.turn, turn.trigger, turn.end)).collect();
    let expected =
        [(GenerationId(0), Trigger::Words, TurnEnd::Heard), (GenerationId(1), Trigger::Words, TurnEnd::Left)];
    assert_eq!(told, expected);
    assert_eq!(turns[0].transcription, Some(Duration::from_millis(350)));
    assert_eq!(
        (turns[0].first_audio, turns[0].ended),
        (Some(Duration::from_millis(300)), Duration::from_secs(1))
    );
    assert_eq!(turns[0].generations[0].model.as_deref(), Some("m"));
    let session = watcher.sessions.lock().unwrap()[0].clone();
    assert_eq!((session.ending, session.is_last, session.resumes), ("caller-hung-up", true, 0));
    assert_eq!(session.duration, Duration::from_millis(1350));
    assert_eq!(*store.traces.lock().unwrap(), [turns], "one request for the whole call");
    assert_eq!(store.closed.lock().unwrap()[CALL], (1, EndedBecause::CallerHungUp));
}

#[tokio::test(start_paused = true)]
async fn models_that_failed_are_told_of_and_a_lost_socket_is_no_end() {
    let attempt = FailedAttempt {
        model: "first".to_owned(),
        kind: ModelFailureKind::TimedOut,
        after: Duration::from_millis(5),
    };
    let other = FailedAttempt { model: "m".to_owned(), kind: ModelFailureKind::Throttled, ..attempt.clone() };
    let failure = ModelFailure { kind: ModelFailureKind::Throttled };
    let script = vec![
        ModelEvent::AttemptFailed(attempt.clone()),
        ModelEvent::AttemptFailed(other.clone()),
        ModelEvent::Failed(failure),
    ];
    let mut stage = Stage::set_up(vec![script], Store::default()).await;
    stage.say("Hello").await;
    stage.next_json().await;
    let watcher = stage.watcher.clone();
    let (store, _) = stage.end().await;
    let turn = watcher.turns.lock().unwrap()[0].clone();
    assert_eq!(turn.generations[0].failed_attempts, [attempt, other]);
    assert_eq!((turn.first_text, turn.end), (Some(Duration::ZERO), TurnEnd::Left), "an apology is said");
    let session = watcher.sessions.lock().unwrap()[0].clone();
    assert_eq!((session.ending, session.is_last), ("lost", false));
    assert_eq!(store.closed.lock().unwrap()[CALL], (1, EndedBecause::Lost));
}
