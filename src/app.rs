//! Puts the service together: the only place that constructs adapters.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::ProvideCredentials;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::ports::{CallPlacer, RecordStore, Telephony, UseCaseSource};
use voice_protocols::signature::SignatureValidator;

use crate::catalog::Catalog;
use crate::config::{SettingError, Settings, SignatureCheck, tool_secrets_of_environment};
use crate::ecs::{EcsAgent, keep_protected};
use crate::escalation::UseCases;
use crate::http::{Parts, Service};
use crate::language_models::bedrock::{
    Bedrock, BedrockParts, ClientSettings, Clients, Deadlines, ModelProbe,
};
use crate::metrics::Metrics;
use crate::outbound::{Lines, Outbound, OutboundParts};
use crate::secrets::Secrets;
use crate::session::{Calls, Journals, Ports};
use crate::store::{DynamoDbStore, TableInspection};
use crate::telemetry::{Telemetry, Watched};
use crate::telephony::{AccountInspection, PublicReach, TwilioAccount, TwilioRest, TwilioSettings};
use crate::tools::http::HostPattern;
use crate::tools::mcp::McpServers;
use crate::tools::{Tools, ToolsParts, http as http_tools};
use crate::warm_up;

/// A service that is ready to be served.
#[derive(Debug)]
pub struct App {
    pub service: Service,
    /// How long calls in progress may go on after a signal to stop.
    pub drain: Duration,
    /// To be shut down after everything else.
    pub telemetry: Telemetry,
}

/// A request to the table takes a few milliseconds; what takes longer than this has failed.
const TABLE_ATTEMPT: Duration = Duration::from_secs(1);
const TABLE_OPERATION: Duration = Duration::from_secs(3);

/// Region, credentials and endpoint of each service of AWS. On a laptop they need not be the same.
#[derive(Clone, Debug)]
pub struct AwsConfigs {
    pub dynamodb: SdkConfig,
    pub bedrock: SdkConfig,
    pub secrets: SdkConfig,
}

impl App {
    /// Fails when no secure connection can be made from this machine.
    pub fn new(settings: &Settings, aws: &AwsConfigs, tasks: TaskTracker) -> anyhow::Result<Self> {
        let metrics = Metrics::default();
        let store = Arc::new(store(&aws.dynamodb, settings.table_name.clone(), settings.keep_calls));
        let model = Arc::new(bedrock(settings, &aws.bedrock, &metrics));
        let owner: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let secrets = Arc::new(Secrets::new(
            tool_secrets_of_environment(),
            aws_sdk_secretsmanager::Client::new(&aws.secrets),
            metrics.clone(),
            tasks.clone(),
        ));
        let access = http_tools::Settings {
            allowed_hosts: allowed_hosts(settings)?,
            allow_private: settings.tools.private_hosts,
        };
        let mcp = mcp_servers(&access, secrets.clone(), &metrics, &tasks)?;
        let records: Arc<dyn RecordStore> = store.clone();
        let catalog = Catalog::new(Arc::clone(&records), Arc::new(mcp.clone()), &tasks, metrics.clone());
        let sip_endpoint = settings.twilio.sip_endpoint.clone();
        let use_cases: Arc<dyn UseCaseSource> =
            Arc::new(UseCases::new(catalog.clone(), sip_endpoint.as_deref()));
        let telephony: Arc<dyn Telephony> = Arc::new(telephony(settings)?);
        let journals = Journals::for_calls(settings.max_calls);
        let calls = Calls::new(settings.max_calls).with_journals(journals.clone());
        let draining = CancellationToken::new();
        warm_up::keep(&tasks, &draining, settings.model_warm_up.then(|| Arc::clone(&model)), &records);
        let watched = Watched { metrics: metrics.clone(), calls: calls.clone(), tasks: tasks.clone() };
        let telemetry = Telemetry::start(&settings.telemetry, watched)
            .context("no requests can be made to the collector")?;
        let lines = Lines::default();
        let placer: Arc<dyn CallPlacer> = Arc::new(Outbound::new(OutboundParts {
            public_url: settings.public_url.clone(),
            caller_ids: settings.twilio.caller_ids.clone(),
            time_zone: settings.time_zone.clone(),
            use_cases: Arc::clone(&use_cases),
            records: Arc::clone(&records),
            launches: store.clone(),
            telephony: Arc::clone(&telephony),
            calls: calls.clone(),
            lines: lines.clone(),
            draining: draining.clone(),
            metrics: metrics.clone(),
            tasks: tasks.clone(),
        }));
        let tools = Tools::new(ToolsParts {
            runs: store.clone(),
            records,
            telephony: Arc::clone(&telephony),
            secrets,
            use_cases: Arc::clone(&use_cases),
            placer: Arc::clone(&placer),
            mcp: Arc::new(mcp),
            http: access,
            time_zone: settings.time_zone.clone(),
            metrics: metrics.clone(),
            tasks: tasks.clone(),
        })?;
        let ports = Ports {
            model,
            tools: Arc::new(tools),
            store: store.clone(),
            metrics,
            observer: telemetry.observer(),
            journals,
            tasks,
            owner,
        };
        let shutting_down = CancellationToken::new();
        if let Some(uri) = &settings.ecs_agent {
            let agent = EcsAgent::new(uri).context("no requests can be made to the ECS agent")?;
            let (calls, leaving, metrics) = (calls.clone(), shutting_down.clone(), ports.metrics.clone());
            ports.tasks.spawn(keep_protected(agent, move || calls.active(), leaving, metrics));
        }
        let service = Service::new(Parts {
            public_url: settings.public_url.clone(),
            signatures: match &settings.signatures {
                SignatureCheck::Tokens(tokens) => {
                    Some(SignatureValidator::new(tokens.iter().map(|token| token.expose().clone()).collect()))
                }
                SignatureCheck::Skipped => None,
            },
            default_use_case: settings.default_use_case.clone(),
            default_model: settings.default_model.clone(),
            time_zone: settings.time_zone.clone(),
            use_cases,
            catalog,
            calls,
            ports,
            handoffs: store.clone(),
            launches: store.clone(),
            callers: store,
            telephony: settings.twilio.account.as_ref().map(|_| telephony),
            placer,
            lines,
            sip_endpoint,
            api_tokens: settings.api_tokens.clone(),
            connections: settings.connections.clone(),
            draining,
            shutting_down,
        });
        Ok(Self { service, drain: settings.drain, telemetry })
    }
}

fn bedrock(settings: &Settings, aws: &SdkConfig, metrics: &Metrics) -> Bedrock {
    let deadlines = Deadlines {
        first_token: settings.model_deadlines.first_token,
        next_token: settings.model_deadlines.next_token,
    };
    let clients = ClientSettings { response_timeout: deadlines.first_token, ..ClientSettings::default() };
    Bedrock::new(BedrockParts {
        clients: Clients::new(aws, clients),
        deadlines,
        hedge_after: settings.model_hedge,
        default_model: settings.default_model.clone(),
        metrics: metrics.clone(),
    })
}

/// Servers of tools may be where other tools may be.
fn mcp_servers(
    access: &http_tools::Settings,
    secrets: Arc<Secrets>,
    metrics: &Metrics,
    tasks: &TaskTracker,
) -> anyhow::Result<McpServers> {
    let guard = http_tools::Guard::new(access.clone());
    let check = move |url: &url::Url| guard.check(url).map_err(|refusal| refusal.to_string());
    let client = http_tools::client(access)?;
    Ok(McpServers::new(client, Arc::new(check), secrets, metrics.clone(), tasks.clone()))
}

fn allowed_hosts(settings: &Settings) -> anyhow::Result<Vec<HostPattern>> {
    let pattern = |host: &String| {
        let problem =
            |wants: &str| SettingError { variable: "TOOL_HOSTS", problem: format!("{host:?} {wants}") };
        host.parse().map_err(|wants| problem(wants).into())
    };
    settings.tools.hosts.iter().map(pattern).collect()
}

fn telephony(settings: &Settings) -> anyhow::Result<TwilioRest> {
    TwilioRest::new(twilio_settings(settings)).context("no requests can be made to Twilio")
}

fn twilio_settings(settings: &Settings) -> TwilioSettings {
    let twilio = &settings.twilio;
    let account = twilio.account.as_ref().map(|account| TwilioAccount {
        sid: account.sid.clone(),
        user: account.user.clone(),
        password: account.password.clone(),
    });
    TwilioSettings {
        api_url: twilio.api_url.clone(),
        verify_url: twilio.verify_url.clone(),
        account,
        verify_service_sid: twilio.verify_service_sid.clone(),
    }
}

/// Region, credentials and endpoints from the environment, as every AWS program reads them.
pub async fn aws_config() -> anyhow::Result<SdkConfig> {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    // The SDK takes an empty one for a region.
    config.region().filter(|region| !region.as_ref().is_empty()).ok_or_else(|| SettingError {
        variable: "AWS_REGION",
        problem: "is not set; it is the region of the table and of Bedrock".to_owned(),
    })?;
    Ok(config)
}

/// The table as the adapter sees it.
pub fn store(aws: &SdkConfig, table: String, keep_calls: Duration) -> DynamoDbStore {
    DynamoDbStore::new(table_client(aws), table, keep_calls)
}

fn table_client(aws: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(TABLE_ATTEMPT)
        .operation_attempt_timeout(TABLE_ATTEMPT)
        .operation_timeout(TABLE_OPERATION)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
    let config =
        aws_sdk_dynamodb::config::Builder::from(aws).timeout_config(timeouts).retry_config(retries).build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// Looks at what the service uses at AWS.
#[derive(Debug)]
pub struct AwsExamination {
    pub store: DynamoDbStore,
    pub table: TableInspection,
    pub models: ModelProbe,
    aws: SdkConfig,
}

impl AwsExamination {
    pub fn new(settings: &Settings, aws: &SdkConfig) -> Self {
        let client = table_client(aws);
        Self {
            store: DynamoDbStore::new(client.clone(), settings.table_name.clone(), settings.keep_calls),
            table: TableInspection::new(client, settings.table_name.clone()),
            models: ModelProbe::new(aws),
            aws: aws.clone(),
        }
    }

    pub fn region(&self) -> &str {
        self.aws.region().map_or("", |region| region.as_ref())
    }

    /// Whether there are credentials, and in epoch seconds when they end, if they do.
    pub async fn credentials(&self) -> anyhow::Result<Option<u64>> {
        let provider =
            self.aws.credentials_provider().context("there is nothing to take credentials from")?;
        let credentials = provider.provide_credentials().await?;
        let end = credentials.expiry().and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        Ok(end.map(|end| end.as_secs()))
    }
}

/// Looks at the account at Twilio. Fails when there is no TLS on this machine.
pub fn twilio_account(settings: &Settings) -> anyhow::Result<AccountInspection> {
    AccountInspection::new(twilio_settings(settings)).context("no requests can be made to Twilio")
}

/// Looks at the service from outside. Fails when there is no TLS on this machine.
pub fn public_reach(settings: &Settings) -> anyhow::Result<PublicReach> {
    PublicReach::new(settings.public_url.http("")).context("no requests can be made to PUBLIC_URL")
}
