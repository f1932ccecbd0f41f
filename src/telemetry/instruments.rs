//! Everything that is measured for a collector: its name, unit and buckets. The names of models and tokens are those of
//! OpenTelemetry's conventions for generative AI; the others begin with `trunkline.`.
//!
//! Dashboards and alarms are made of these names; a test compares them.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter as Sum, Histogram, Meter};
use voice_core::ports::{CallContext, GenerationTrace, ToolTrace};

use super::attributes as a;
use super::call_spans::{failure_of, model_of, tool_ending};
use super::export::Watched;
use super::observer::{PricedGeneration, PricedTurn, Tally};
use crate::metrics::Counter;
use crate::session::SessionTrace;

/// Seconds; fine where a caller feels the difference.
const DELAYS: [f64; 19] =
    [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0];
/// Seconds, as the conventions advise for operations.
const OPERATIONS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Tokens, as the conventions advise.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Seconds.
const CALLS: [f64; 12] = [1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 3600.0];
/// USD.
const COSTS: [f64; 10] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// What is measured when a turn or a session ends.
#[derive(Clone, Debug)]
pub(super) struct Instruments {
    operation: Histogram<f64>,
    first_chunk: Histogram<f64>,
    tokens: Histogram<u64>,
    cached_tokens: Sum<u64>,
    model_cost: Sum<f64>,
    transcription: Histogram<f64>,
    queueing: Histogram<f64>,
    first_text: Histogram<f64>,
    first_audio: Histogram<f64>,
    turn: Histogram<f64>,
    tool: Histogram<f64>,
    call: Histogram<f64>,
    session_cost: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, buckets: &[f64], description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(buckets.to_vec()).build()
        };
        Self {
            operation: seconds(
                "gen_ai.client.operation.duration",
                &OPERATIONS,
                "Generations, and attempts that failed",
            ),
            first_chunk: seconds(
                "gen_ai.client.operation.time_to_first_chunk",
                &DELAYS,
                "From asking a model to its first words",
            ),
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Tokens of a generation; those from the cache count as input")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            cached_tokens: meter
                .u64_counter("trunkline.model.cached_tokens")
                .with_unit("{token}")
                .with_description("Input tokens that were read from the model's cache, or written to it")
                .build(),
            model_cost: meter
                .f64_counter("trunkline.model.cost_usd")
                .with_unit("{USD}")
                .with_description("What tokens cost, for models with a known price")
                .build(),
            transcription: seconds(
                "trunkline.turn.transcription",
                &DELAYS,
                "From the caller's falling silent to their words",
            ),
            queueing: seconds(
                "trunkline.turn.queueing",
                &DELAYS,
                "From the caller's words to asking a model",
            ),
            first_text: seconds(
                "trunkline.turn.first_text",
                &DELAYS,
                "From the caller's words to the first words that go out",
            ),
            first_audio: seconds(
                "trunkline.turn.first_audio",
                &DELAYS,
                "From the caller's words to the first that is played",
            ),
            turn: seconds("trunkline.turn.duration", &OPERATIONS, "Turns, by how they ended"),
            tool: seconds("trunkline.tool.duration", &OPERATIONS, "Runs of tools, by how they ended"),
            call: seconds("trunkline.call.duration", &CALLS, "Calls, by how they ended"),
            session_cost: meter
                .f64_histogram("trunkline.session.cost_usd")
                .with_unit("{USD}")
                .with_description("What the tokens of a session cost, for models with a known price")
                .with_boundaries(COSTS.to_vec())
                .build(),
        }
    }

    pub(super) fn turn(&self, priced: &PricedTurn<'_>) {
        let turn = priced.turn;
        let use_case = KeyValue::new(a::AGENT, turn.use_case.clone());
        let attributes = [use_case.clone(), KeyValue::new(a::TRIGGER, turn.trigger.as_str())];
        let queued = turn.generations.first().map(|first| first.begun);
        for (part, histogram) in [
            (turn.transcription, &self.transcription),
            (queued, &self.queueing),
            (turn.first_text, &self.first_text),
            (turn.first_audio, &self.first_audio),
        ] {
            if let Some(part) = part {
                histogram.record(part.as_secs_f64(), &attributes);
            }
        }
        let [use_case_of_turn, trigger] = attributes;
        let ending = KeyValue::new(a::ENDING, turn.end.as_str());
        self.turn.record(turn.ended.as_secs_f64(), &[use_case_of_turn, trigger, ending]);
        for generation in priced.generations() {
            self.generation(&generation, &use_case);
        }
        for tool in &turn.tools {
            self.tool(tool, turn.ended, &use_case);
        }
    }

    fn generation(&self, priced: &PricedGeneration<'_>, use_case: &KeyValue) {
        let generation = priced.generation;
        for attempt in &generation.failed_attempts {
            let error = KeyValue::new(a::ERROR, attempt.kind.as_str());
            let attributes = operation(Some(&attempt.model)).chain([error]).collect::<Vec<_>>();
            self.operation.record(attempt.after.as_secs_f64(), &attributes);
        }
        let attributes: Vec<_> = operation(model_of(generation)).collect();
        self.durations(generation, &attributes);
        self.usage(generation, &attributes);
        if let Some(cost) = priced.cost {
            let model = KeyValue::new(a::REQUEST_MODEL, generation.model.clone().unwrap_or_default());
            self.model_cost.add(cost, &[model, use_case.clone()]);
        }
    }

    /// One that failed was measured attempt by attempt, and how long one took that the caller broke off says nothing.
    fn durations(&self, generation: &GenerationTrace, attributes: &[KeyValue]) {
        let since_begun = |offset: Duration| offset.saturating_sub(generation.begun).as_secs_f64();
        let completed = generation.stop_reason.is_some() && failure_of(generation).is_none();
        if let Some(ended) = generation.ended.filter(|_| completed) {
            self.operation.record(since_begun(ended), attributes);
        }
        if let Some(first) = generation.first_text {
            self.first_chunk.record(since_begun(first), attributes);
        }
    }

    fn usage(&self, generation: &GenerationTrace, attributes: &[KeyValue]) {
        let Some(usage) = &generation.usage else { return };
        let of_type = |kind: &'static str| [attributes, &[KeyValue::new(a::TOKEN_TYPE, kind)]].concat();
        self.tokens.record(usage.all_input(), &of_type("input"));
        self.tokens.record(usage.output, &of_type("output"));
        self.cached_tokens.add(usage.cache_read, &of_type("cache_read"));
        self.cached_tokens.add(usage.cache_write, &of_type("cache_write"));
    }

    fn tool(&self, tool: &ToolTrace, turn_ended: Duration, use_case: &KeyValue) {
        let duration = tool.ended.unwrap_or(turn_ended).saturating_sub(tool.begun);
        let name = KeyValue::new(a::TOOL, a::name(&tool.tool).to_owned());
        let ending = KeyValue::new(a::ENDING, tool_ending(tool));
        self.tool.record(duration.as_secs_f64(), &[use_case.clone(), name, ending]);
    }

    pub(super) fn session(&self, call: &CallContext, session: &SessionTrace, tally: &Tally) {
        let use_case = KeyValue::new(a::AGENT, call.use_case.clone());
        if let Some(cost) = tally.cost {
            self.session_cost.record(cost, std::slice::from_ref(&use_case));
        }
        if session.is_last {
            let ended_at = session.started_at + session.duration;
            let took = ended_at.duration_since(session.call_started_at).unwrap_or(session.duration);
            let direction = KeyValue::new("trunkline.direction", call.direction.as_str());
            let ending = KeyValue::new(a::ENDING, session.ending);
            self.call.record(took.as_secs_f64(), &[use_case, direction, ending]);
        }
    }
}

fn operation(model: Option<&str>) -> impl Iterator<Item = KeyValue> {
    let kind = [KeyValue::new(a::OPERATION, a::CHAT), KeyValue::new(a::PROVIDER, a::BEDROCK)];
    kind.into_iter().chain(model.map(|model| KeyValue::new(a::REQUEST_MODEL, model.to_owned())))
}

/// Has everything looked at whenever measurements are sent: all counters, and how much there is at the moment of what comes
/// and goes.
pub(super) fn observe(meter: &Meter, watched: Watched) {
    let Watched { metrics, calls, tasks } = watched;
    for (counter, name) in Counter::all() {
        let metrics = metrics.clone();
        meter
            .u64_observable_counter(format!("trunkline.{name}"))
            .with_callback(move |observer| observer.observe(metrics.value(counter), &[]))
            .build();
    }
    meter
        .u64_observable_gauge("trunkline.calls.active")
        .with_unit("{call}")
        .with_description("Calls answered or live")
        .with_callback(move |observer| observer.observe(calls.active() as u64, &[]))
        .build();
    meter
        .u64_observable_gauge("trunkline.tasks")
        .with_unit("{task}")
        .with_description("Tasks of this process that run")
        .with_callback(move |observer| observer.observe(tasks.len() as u64, &[]))
        .build();
    let journal = metrics.clone();
    meter
        .i64_observable_gauge("trunkline.journal.waiting")
        .with_unit("{entry}")
        .with_description("Entries of the journal that wait for the table")
        .with_callback(move |observer| observer.observe(journal.journal_depth(), &[]))
        .build();
    meter
        .f64_observable_gauge("trunkline.journal.lag")
        .with_unit("s")
        .with_description(
            "The longest time that an entry of the journal took to be written, since the last export",
        )
        .with_callback(move |observer| {
            observer.observe(metrics.take_longest_journal_lag().as_secs_f64(), &[]);
        })
        .build();
}
