//! The list of settings: what `--help`, the documentation and the reader of settings agree on.

/// One setting: an environment variable that is also a flag.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub variable: &'static str,
    /// Names of the same setting in the systems that Trunkline replaces.
    pub aliases: &'static [&'static str],
    pub default: Option<&'static str>,
    /// Reads on from "it is".
    pub help: &'static str,
}

impl Setting {
    /// `TABLE_NAME` becomes `table-name`.
    pub fn flag(&self) -> String {
        self.variable.to_ascii_lowercase().replace('_', "-")
    }
}

const fn setting(
    variable: &'static str,
    aliases: &'static [&'static str],
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { variable, aliases, default, help }
}

/// All settings of `trunkline serve`, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    setting("TABLE_NAME", &[], None, "the DynamoDB table of use cases, profiles and calls"),
    setting("STACK_USE_CASE", &[], None, "the use case that answers when nothing else chooses one"),
    setting("PUBLIC_URL", &[], None, "the https://host[:port] at which Twilio reaches this service"),
    setting("WS_URL", &[], None, "wss://host/, accepted instead of PUBLIC_URL"),
    setting(
        "TWILIO_AUTH_TOKEN",
        &[],
        None,
        "the auth token that Twilio signs with; several, separated by commas, while rotating",
    ),
    setting("TWILIO_ACCOUNT_SID", &[], None, "the account (AC…) for messages, codes and calls through REST"),
    setting("TWILIO_API_SID", &[], None, "the API key (SK…) for REST; the auth token is used without one"),
    setting("TWILIO_API_SECRET", &[], None, "the secret of the API key"),
    setting("TWILIO_API_URL", &[], Some("https://api.twilio.com"), "where Twilio's REST API is"),
    setting("TWILIO_VERIFY_URL", &[], Some("https://verify.twilio.com"), "where Twilio Verify is"),
    setting("TWILIO_VERIFY_SERVICE_SID", &[], None, "the Verify service (VA…) that sends and checks codes"),
    setting(
        "SIP_ENDPOINT",
        &[],
        None,
        "the SIP address that takes callers when their use case names nobody, and on /failover",
    ),
    setting(
        "OUTBOUND_CALLER_IDS",
        &[],
        None,
        "the E.164 numbers that calls may be placed from, separated by commas",
    ),
    setting(
        "API_TOKEN",
        &[],
        None,
        "the bearer token of the operator API under /api, which is off without; several, separated by commas",
    ),
    setting(
        "TOOL_HOSTS",
        &[],
        None,
        "the hosts that tools may reach, such as api.example.com,*.example.org; any public one when not set",
    ),
    setting(
        "MODEL_IDENTIFIER",
        &["INFERENCE_PROFILE_ARN"],
        None,
        "the Bedrock model id, ARN or inference profile for use cases that name none",
    ),
    setting("PORT", &[], Some("3000"), "the port to listen on"),
    setting("LISTEN_ADDRESS", &[], Some("0.0.0.0"), "the address to listen on"),
    setting(
        "TIME_ZONE",
        &["timeZone"],
        Some("UTC"),
        "the IANA time zone of dates in prompts, of current_time, and of calling hours that name none",
    ),
    setting(
        "MAX_CALLS",
        &[],
        Some("500"),
        "the number of calls at once, past which a caller hears the busy line and no call is placed",
    ),
    setting(
        "MAX_CONNECTIONS",
        &[],
        None,
        "the number of open connections past which those without a valid signature make room; four for each of MAX_CALLS, and at least 4096, when not set",
    ),
    setting(
        "MAX_CONNECTIONS_PER_SOURCE",
        &[],
        Some("64"),
        "the number of connections of one address past which those without a valid signature make room",
    ),
    setting(
        "TRUSTED_PROXIES",
        &[],
        None,
        "the networks of load balancers whose X-Forwarded-For is believed, such as 10.0.0.0/16; several, separated by commas",
    ),
    setting(
        "MODEL_FIRST_TOKEN_MS",
        &[],
        Some("3000"),
        "how long to wait for a model's first token, in milliseconds",
    ),
    setting(
        "MODEL_NEXT_TOKEN_MS",
        &[],
        Some("3000"),
        "how long a model may pause between tokens, in milliseconds",
    ),
    setting(
        "MODEL_HEDGE_MS",
        &[],
        None,
        "after how many milliseconds without a token a second model is asked too; never when not set",
    ),
    setting(
        "MODEL_WARM_UP",
        &[],
        Some("true"),
        "true to keep connections to Bedrock open while there are no calls, with free requests to count tokens",
    ),
    setting(
        "KEEP_CALLS_HOURS",
        &[],
        Some("24"),
        "how long sessions, turns and tool runs stay in the table, in hours",
    ),
    setting(
        "DRAIN_SECONDS",
        &[],
        Some("80"),
        "how long calls may go on after SIGTERM before they are handed to another task, in seconds",
    ),
    setting(
        "ECS_AGENT_URI",
        &[],
        None,
        "where the agent of ECS is, set by ECS itself; calls keep the task from being stopped when it is there",
    ),
    setting("LOG_FORMAT", &[], Some("json"), "how log lines look: json or pretty"),
    setting("RUST_LOG", &[], Some("info"), "which log lines are written, such as info,trunkline=debug"),
    setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &[],
        None,
        "the OpenTelemetry collector, such as http://localhost:4318; nothing is exported without one",
    ),
    setting("OTEL_EXPORTER_OTLP_PROTOCOL", &[], Some("http/protobuf"), "how it is spoken to: http/protobuf"),
    setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        &[],
        None,
        "headers that the collector wants, as name=value,name=value with percent-encoded values",
    ),
    setting("OTEL_SERVICE_NAME", &[], Some("trunkline"), "the name of the service in traces and metrics"),
    setting(
        "OTEL_RESOURCE_ATTRIBUTES",
        &[],
        None,
        "what else traces and metrics tell of this process, such as deployment.environment.name=production",
    ),
    setting(
        "OTEL_TRACES_SAMPLER",
        &[],
        Some("parentbased_always_on"),
        "which calls are traced: always_on, always_off or traceidratio, also with parentbased_",
    ),
    setting("OTEL_TRACES_SAMPLER_ARG", &[], Some("1"), "the part of all calls that traceidratio traces"),
    setting(
        "OTEL_METRIC_EXPORT_INTERVAL",
        &[],
        Some("60000"),
        "how long it is between two exports of metrics, in milliseconds",
    ),
    setting("PRICES", &[], None, "the TOML file of what models cost; there is a list inside"),
    setting(
        "DANGEROUS_SKIP_SIGNATURE_CHECK",
        &[],
        Some("false"),
        "true to answer requests that nobody signed; only on a loopback address",
    ),
    setting(
        "DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS",
        &[],
        Some("false"),
        "true to let tools reach private addresses, also without TLS; only on a loopback address",
    ),
];
