//! `cargo dev`: Trunkline whole on this machine, a phone to call it, scenarios and load.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rehearsal::bedrock::{BedrockOptions, Pace};
use rehearsal::dynamodb::DynamoDbOptions;
use rehearsal::load::{Limits, LoadPlan, ToolKind, TwimlRequests};
use rehearsal::scenario::{OperatorApi, Placed};
use rehearsal::twilio::phones::{PhoneExchange, PhoneLine};
use rehearsal::twilio::{CallOptions, Carrier, CarrierOptions, SpeechPace};
use trunkline::config::{LogFormat, LogSettings, environment};
use trunkline_dev::banner::{banner, show_what_is_sent};
use trunkline_dev::chaos::Chaos;
use trunkline_dev::home::{HOME, Running};
use trunkline_dev::load::ModelPace;
use trunkline_dev::stage::{Model, Stage, StageOptions};
use trunkline_dev::{chaos, load, phone, scenarios};

/// The embedded table warns of every condition that was not met, and those are part of its work.
const LOG_FILTER: &str = "warn,trunkline=info,dynoxide=error";

/// How soon a call that the service has promised must ring.
const TO_RING: Duration = Duration::from_secs(30);

/// Trunkline whole on this machine: the service, an embedded DynamoDB, a stand-in model. No account is needed.
#[derive(Parser)]
#[command(name = "cargo dev", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Dev>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Dev {
    /// Call from the terminal: type to talk
    Call(CallArgs),
    /// Have the running `cargo dev` call you, and answer in this terminal
    Place(PlaceArgs),
    /// Put load on a service in a process of its own; exit 1 when a limit is missed
    Load(LoadArgs),
    /// Let things go wrong under load, and tell whether callers noticed; exit 1 if they did
    #[command(subcommand)]
    Chaos(Chaos),
    /// Play scenario files and report each expectation; exit 1 when one is missed
    Scenario(ScenarioArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Port of the service
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded `DynamoDB`
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// Port of the stand-in for Bedrock
    #[arg(long, default_value_t = 8001)]
    bedrock_port: u16,
    /// Port of the stand-in for Twilio's REST API
    #[arg(long, default_value_t = 8002)]
    twilio_port: u16,
    /// Use Amazon Bedrock itself, with the environment's credentials and region
    #[arg(long)]
    real_model: bool,
    /// The model to ask; needed with --real-model unless every use case names one
    #[arg(long)]
    model: Option<String>,
    /// The https address of a tunnel to this machine, to be called by Twilio itself, whose account is then that of
    /// `TWILIO_ACCOUNT_SID`, `TWILIO_API_SID`, `TWILIO_API_SECRET`, `TWILIO_VERIFY_SERVICE_SID`, `SIP_ENDPOINT` and
    /// `OUTBOUND_CALLER_IDS` in the environment
    #[arg(long, requires = "auth_token")]
    public_url: Option<String>,
    /// The auth token that Twilio signs with
    #[arg(long)]
    auth_token: Option<String>,
    /// Items to load
    #[arg(long, default_value = "configuration")]
    configuration: PathBuf,
    /// Forget everything when it stops
    #[arg(long)]
    in_memory: bool,
}

#[derive(Args)]
struct CallArgs {
    /// Call this use case, whatever the number says
    #[arg(long)]
    use_case: Option<String>,
    /// The service to call; the running `cargo dev` by default
    #[arg(long)]
    url: Option<String>,
    /// What the service's `PUBLIC_URL` is, when it differs from --url
    #[arg(long)]
    public_url: Option<String>,
    /// The auth token to sign with
    #[arg(long)]
    auth_token: Option<String>,
    #[arg(long, default_value = "+14155550100")]
    from: String,
    #[arg(long, default_value = "+18005550199")]
    to: String,
    /// How fast the agent's voice is, in characters a second; 0 is instant (the default when input is a file)
    #[arg(long)]
    pace: Option<f64>,
}

#[derive(Args)]
struct PlaceArgs {
    /// Your number
    #[arg(long, default_value = "+14155550100")]
    to: String,
    /// Who calls
    #[arg(long)]
    use_case: String,
    /// What its prompt is told, as name=value
    #[arg(long = "variable", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// How fast the agent's voice is, as with call
    #[arg(long)]
    pace: Option<f64>,
}

#[derive(Args)]
struct ScenarioArgs {
    /// Scenario files, or folders of them
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    #[arg(long, default_value = "configuration")]
    configuration: PathBuf,
}

#[derive(Args)]
struct LoadArgs {
    /// Calls at the same time
    #[arg(long, default_value_t = 10)]
    calls: u32,
    /// Turns of each call
    #[arg(long, default_value_t = 5)]
    turns: u32,
    /// The calls start spread over this many milliseconds
    #[arg(long, default_value_t = 2000)]
    ramp_ms: u64,
    /// Between the agent's last token and the caller's next words
    #[arg(long, default_value_t = 0)]
    think_ms: u64,
    /// The callers' first words are spread over this many milliseconds
    #[arg(long, default_value_t = 1000)]
    stagger_ms: u64,
    /// Hold all calls without a word for this long, to read memory
    #[arg(long, default_value_t = 2000)]
    idle_ms: u64,
    /// Tokens of an answer
    #[arg(long, default_value_t = 30)]
    tokens: u32,
    #[arg(long, default_value_t = 200)]
    first_token_ms: u64,
    #[arg(long, default_value_t = 20)]
    token_ms: u64,
    /// Voice webhooks without a call behind them
    #[arg(long, requires = "twiml_rate")]
    twiml_requests: Option<u32>,
    /// Such webhooks a second
    #[arg(long, requires = "twiml_requests")]
    twiml_rate: Option<f64>,
    /// The model calls a tool in every turn, of this kind
    #[arg(long)]
    tools: Option<Tools>,
    #[arg(long, default_value = "configuration")]
    configuration: PathBuf,
    /// Limit: added delay of a turn, median
    #[arg(long)]
    max_added_p50_ms: Option<f64>,
    #[arg(long)]
    max_added_p99_ms: Option<f64>,
    /// Limit: processor time of the service for a turn
    #[arg(long)]
    max_cpu_ms: Option<f64>,
    /// Limit: memory of the service for an idle call
    #[arg(long)]
    max_memory_kb: Option<f64>,
    #[arg(long)]
    max_twiml_p99_ms: Option<f64>,
    /// Limit: from a tool call of the model to the next request to it, less the tool's own time
    #[arg(long, requires = "tools")]
    max_dispatch_p99_ms: Option<f64>,
    #[arg(long, default_value_t = 0)]
    max_errors: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tools {
    /// Something inside the service
    Builtin,
    /// A request to an endpoint that takes 20 milliseconds
    Http,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Load runs the service by this same program, with the service's own command line.
    if arguments.get(1).is_some_and(|argument| argument == "serve") {
        return trunkline::cli::main(arguments);
    }
    let cli = Cli::parse_from(arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            None => run(cli.run).await,
            Some(Dev::Call(call)) => make_call(call).await,
            Some(Dev::Place(place)) => answer_call(place).await,
            Some(Dev::Load(load)) => put_load(load).await,
            Some(Dev::Chaos(misfortune)) => break_things(misfortune).await,
            Some(Dev::Scenario(scenario)) => play(scenario).await,
        }
    });
    // Reading the terminal cannot be broken off; a process that is done does not wait for it.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let filter = environment("RUST_LOG").unwrap_or_else(|| LOG_FILTER.to_owned());
    let _log = trunkline::telemetry::init(&LogSettings { format: LogFormat::Pretty, filter })?;
    let home = Path::new(HOME);
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let model = if args.real_model {
        Model::Real
    } else {
        let pace =
            Pace { first_token: Duration::from_millis(250), between_tokens: Duration::from_millis(20) };
        Model::StandIn(BedrockOptions {
            address: loopback(args.bedrock_port),
            pace,
            ..BedrockOptions::default()
        })
    };
    let auth_token = args.auth_token.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let api_token = uuid::Uuid::new_v4().simple().to_string();
    let mut settings = args.public_url.map(behind_tunnel).unwrap_or_default();
    settings.extend(args.model.map(|model| ("MODEL_IDENTIFIER".to_owned(), model)));
    for name in ["TIME_ZONE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_METRIC_EXPORT_INTERVAL"] {
        settings.extend(environment(name).map(|value| (name.to_owned(), value)));
    }
    let mut stage = Stage::start(StageOptions {
        listen: loopback(args.port),
        dynamodb: DynamoDbOptions {
            address: loopback(args.dynamodb_port),
            file: (!args.in_memory).then(|| home.join("dynamodb.sqlite")),
        },
        model,
        configuration: Some(args.configuration),
        auth_token: auth_token.clone(),
        rest: loopback(args.twilio_port),
        api_token: api_token.clone(),
        settings,
        ..StageOptions::default()
    })
    .await?;
    let phones =
        PhoneExchange::start(stage.carrier(SpeechPace::INSTANT)?, stage.rest.clone(), auth_token.clone());
    let phones = phones.await?;
    let running = Running {
        url: format!("http://{}", stage.address),
        public_url: stage.public_url.clone(),
        auth_token,
        api_token,
        phones: phones.url(),
        twilio_url: stage.rest.endpoint(),
        account_sid: stage.rest.options().account_sid.clone(),
        verify_service_sid: stage.rest.options().verify_service_sid.clone(),
    };
    running.write(home)?;
    say(&banner(&stage));
    let rest = stage.rest.clone();
    tokio::select! {
        stopped = until_stopped(&mut stage) => stopped?,
        () = show_what_is_sent(&rest, say) => {}
    }
    Running::forget(home);
    stage.shut_down_stand_ins().await?;
    Ok(ExitCode::SUCCESS)
}

async fn until_stopped(stage: &mut Stage) -> anyhow::Result<()> {
    let stop = stage.stop.clone();
    tokio::select! {
        result = stage.wait() => result?,
        signal = tokio::signal::ctrl_c() => {
            signal.context("signals cannot be listened for")?;
            stop.cancel();
            say("Calls in progress may end first; a second Ctrl-C does not wait for them.");
            // A second Ctrl-C does not wait for calls in progress.
            tokio::select! {
                result = stage.wait() => result?,
                _ = tokio::signal::ctrl_c() => {}
            }
        }
    }
    Ok(())
}

/// Settings of a service that Twilio itself calls, with an account of its own or none.
fn behind_tunnel(public_url: String) -> Vec<(String, String)> {
    let account = [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_API_SID",
        "TWILIO_API_SECRET",
        "TWILIO_API_URL",
        "TWILIO_VERIFY_URL",
        "TWILIO_VERIFY_SERVICE_SID",
        "SIP_ENDPOINT",
        "OUTBOUND_CALLER_IDS",
    ];
    // An empty setting is none: what the stand-in made up must not reach Twilio.
    let account = account.map(|name| (name.to_owned(), environment(name).unwrap_or_default()));
    let own = [("PUBLIC_URL", public_url), ("DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS", "false".to_owned())];
    own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(account).collect()
}

async fn make_call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let speech = pace(args.pace);
    let options =
        CallOptions { from: args.from, to: args.to, use_case: args.use_case, ..CallOptions::default() };
    let Some(url) = args.url else {
        let running = Running::read(Path::new(HOME))?;
        let line = PhoneLine::new(running.phones, running.auth_token, speech);
        let call = line.call(options).await.context("is `cargo dev` running? It could not be called")?;
        return phone::hold(call).await.map(|()| ExitCode::SUCCESS);
    };
    let carrier = Carrier::new(CarrierOptions {
        service: url.parse().context("--url wants an address such as http://127.0.0.1:3000")?,
        public_url: args.public_url.unwrap_or_else(|| url.trim_end_matches('/').to_owned()),
        auth_token: args.auth_token.filter(|token| !token.is_empty()),
        connect_to: None,
        speech,
    })?;
    let call = carrier.call(options).await.context("is the service running? It could not be called");
    let held = match call {
        Ok(call) => phone::hold(call).await,
        Err(error) => Err(error),
    };
    carrier.shutdown().await?;
    held.map(|()| ExitCode::SUCCESS)
}

async fn answer_call(args: PlaceArgs) -> anyhow::Result<ExitCode> {
    let running = Running::read(Path::new(HOME))?;
    let line = PhoneLine::new(running.phones, running.auth_token, pace(args.pace));
    let hook = line.answer(&args.to).await.context("is `cargo dev` running? It could not be reached")?;
    let variables: serde_json::Map<_, _> =
        args.variables.into_iter().map(|(name, value)| (name, value.into())).collect();
    let api = OperatorApi { service: running.url.parse()?, token: running.api_token };
    let body = serde_json::json!({ "to": args.to, "useCase": args.use_case, "variables": variables });
    match api.place(&body).await? {
        Placed::Accepted => {
            let call = hook.call(TO_RING).await.context("the service placed no call")?;
            phone::hold(call).await.map(|()| ExitCode::SUCCESS)
        }
        Placed::Refused { status, code } => bail!("the service does not call: {status}, code {code}"),
    }
}

/// A voice that people can follow, or, for a file, one that does not keep them.
fn pace(asked: Option<f64>) -> SpeechPace {
    let piped = !std::io::IsTerminal::is_terminal(&std::io::stdin());
    let chars_per_second = asked.unwrap_or(if piped { 0.0 } else { 15.0 });
    if chars_per_second > 0.0 {
        SpeechPace { chars_per_second, tts_delay: Duration::from_millis(300) }
    } else {
        SpeechPace::INSTANT
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("wants name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn put_load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let plan = LoadPlan {
        calls: args.calls,
        turns: args.turns,
        ramp: Duration::from_millis(args.ramp_ms),
        think: Duration::from_millis(args.think_ms),
        stagger: Duration::from_millis(args.stagger_ms),
        idle: Duration::from_millis(args.idle_ms),
        twiml_requests: args
            .twiml_requests
            .zip(args.twiml_rate)
            .map(|(count, rate)| TwimlRequests { count, rate }),
        tools: args.tools.map(|tools| match tools {
            Tools::Builtin => ToolKind::Builtin,
            Tools::Http => ToolKind::Http,
        }),
        limits: Limits {
            added_p50_ms: args.max_added_p50_ms,
            added_p99_ms: args.max_added_p99_ms,
            cpu_per_turn_ms: args.max_cpu_ms,
            memory_per_call_kb: args.max_memory_kb,
            errors: args.max_errors,
            twiml_p99_ms: args.max_twiml_p99_ms,
            dispatch_p99_ms: args.max_dispatch_p99_ms,
        },
        ..LoadPlan::default()
    };
    let pace = ModelPace {
        tokens: args.tokens,
        first_token: Duration::from_millis(args.first_token_ms),
        between_tokens: Duration::from_millis(args.token_ms),
    };
    let report = load::run(plan, pace, &args.configuration).await?;
    say(&report.to_string());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn break_things(misfortune: Chaos) -> anyhow::Result<ExitCode> {
    let verdict = chaos::run(misfortune).await?;
    say(&verdict.text);
    Ok(if verdict.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(args: ScenarioArgs) -> anyhow::Result<ExitCode> {
    let files = scenarios::files(&args.paths)?;
    let mut missed = 0;
    for file in &files {
        let report =
            scenarios::play(file, &args.configuration).await.with_context(|| file.display().to_string())?;
        say(&report.to_string());
        missed += usize::from(!report.passed());
    }
    say(&format!("{} passed, {missed} failed", files.len() - missed));
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fail(error: &anyhow::Error) -> ExitCode {
    complain(&format!("cargo dev: {error:#}"));
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the complaint of a command")]
fn complain(text: &str) {
    eprintln!("{text}");
}
