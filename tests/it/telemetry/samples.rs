//! A call with everything that can be measured, made by hand.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use tokio_util::task::TaskTracker;
use trunkline::config::{ExportSettings, TelemetrySettings};
use trunkline::metrics::Metrics;
use trunkline::prices::Prices;
use trunkline::session::{Calls, SessionTrace};
use trunkline::telemetry::{Telemetry, Watched};
use voice_core::message::{GenerationId, OutcomeStatus, RunId, ToolCallId};
use voice_core::ports::{
    CallContext, Direction, FailedAttempt, GenerationTrace, ModelFailureKind, ToolTrace, Trigger, TurnEnd,
    TurnTrace, Usage,
};
use voice_core::private::Private;

use super::receiver::Receiver;

pub(crate) const MODEL: &str = "us.amazon.nova-lite-v1:0";
/// None of these may be exported.
pub(crate) const SECRETS: [&str; 4] = ["4155557391", "5550198264", "Peregrina", "marmalade"];

pub(crate) fn telemetry_to(endpoint: &str, metrics: Metrics) -> Telemetry {
    let export = ExportSettings {
        endpoint: endpoint.to_owned(),
        headers: HeaderMap::new(),
        service_name: "voice".to_owned(),
        resource: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
        traced: 1.0,
        interval: Duration::from_hours(1),
    };
    let settings = TelemetrySettings { export: Some(export), prices: Prices::default() };
    let watched = Watched { metrics, calls: Calls::new(10), tasks: TaskTracker::new() };
    Telemetry::start(&settings, watched).unwrap()
}

/// What a collector has got when a call with everything was told and the service has stopped.
pub(crate) async fn told() -> Receiver {
    let receiver = Receiver::start().await;
    let telemetry = telemetry_to(&receiver.endpoint(), Metrics::default());
    let (observer, call) = (telemetry.observer(), call());
    observer.turn_ended(&call, &turn());
    observer.session_ended(&call, &session());
    telemetry.shut_down().await;
    receiver
}

pub(crate) fn call() -> CallContext {
    CallContext {
        call_sid: "CA00112233445566778899aabbccddeeff".to_owned(),
        account_sid: "AC0".to_owned(),
        from: Private::new("+14155557391".to_owned()),
        to: Private::new("+15550198264".to_owned()),
        direction: Direction::Inbound,
        use_case: "reception".to_owned(),
        caller: None,
        variables: Private::new([("name".to_owned(), "Peregrina".to_owned())].into()),
    }
}

pub(crate) fn turn() -> TurnTrace {
    let ms = Duration::from_millis;
    let tool = |name: &str| ToolTrace {
        run: RunId { generation: GenerationId(1), call: ToolCallId("tooluse_1".to_owned()) },
        tool: name.to_owned(),
        begun: ms(410),
        ended: Some(ms(690)),
        status: Some(OutcomeStatus::Success),
    };
    TurnTrace {
        turn: GenerationId(1),
        use_case: "reception".to_owned(),
        trigger: Trigger::Words,
        started_at: SystemTime::now(),
        transcription: Some(ms(300)),
        generations: vec![GenerationTrace {
            id: GenerationId(1),
            begun: ms(5),
            first_text: Some(ms(200)),
            ended: Some(ms(400)),
            model: Some(MODEL.to_owned()),
            stop_reason: Some("end_turn".to_owned()),
            usage: Some(Usage { input: 1000, output: 40, cache_read: 500, cache_write: 10 }),
            estimated: false,
            failed_attempts: vec![FailedAttempt {
                model: "first".to_owned(),
                kind: ModelFailureKind::Throttled,
                after: ms(50),
            }],
        }],
        tools: vec![tool("get_order"), tool("marmalade for Peregrina")],
        first_text: Some(ms(210)),
        first_audio: Some(ms(500)),
        ended: ms(2500),
        end: TurnEnd::Heard,
    }
}

pub(crate) fn session() -> SessionTrace {
    SessionTrace {
        started_at: SystemTime::now(),
        duration: Duration::from_secs(30),
        resumes: 0,
        call_started_at: SystemTime::now(),
        ending: "hung_up",
        is_last: true,
    }
}
