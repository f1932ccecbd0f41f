//! Puts the service together: the only place that constructs adapters.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::ports::{CallPlacer, RecordStore, Telephony, UseCaseSource};
use voice_protocols::signature::SignatureValidator;

use crate::catalog::Catalog;
use crate::config::{SettingError, Settings, SignatureCheck, tool_secrets_of_environment};
use crate::escalation::UseCases;
use crate::http::{Parts, Service};
use crate::language_models::bedrock::{Bedrock, ClientSettings, Deadlines, clients};
use crate::metrics::Metrics;
use crate::outbound::{Lines, Outbound, OutboundParts};
use crate::secrets::Secrets;
use crate::session::{Calls, Journals, Ports, Unobserved};
use crate::store::DynamoDbStore;
use crate::telephony::{TwilioAccount, TwilioRest, TwilioSettings};
use crate::tools::http::HostPattern;
use crate::tools::mcp::McpServers;
use crate::tools::{Tools, ToolsParts, http as http_tools};

/// A service that is ready to be served.
#[derive(Debug)]
pub struct App {
    pub service: Service,
    /// How long calls in progress may go on after a signal to stop.
    pub drain: Duration,
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
        let deadlines = Deadlines {
            first_token: settings.model_deadlines.first_token,
            next_token: settings.model_deadlines.next_token,
        };
        let model =
            Bedrock::new(clients(&aws.bedrock, ClientSettings::default()), deadlines, metrics.clone());
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
        let (calls, draining) = (Calls::new(settings.max_calls), CancellationToken::new());
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
            model: Arc::new(model),
            tools: Arc::new(tools),
            store: store.clone(),
            metrics,
            observer: Arc::new(Unobserved),
            journals: Journals::default(),
            tasks,
            owner,
        };
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
            draining,
            shutting_down: CancellationToken::new(),
        });
        Ok(Self { service, drain: settings.drain })
    }
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
    let twilio = &settings.twilio;
    let account = twilio.account.as_ref().map(|account| TwilioAccount {
        sid: account.sid.clone(),
        user: account.user.clone(),
        password: account.password.clone(),
    });
    TwilioRest::new(TwilioSettings {
        api_url: twilio.api_url.clone(),
        verify_url: twilio.verify_url.clone(),
        account,
        verify_service_sid: twilio.verify_service_sid.clone(),
    })
    .context("no requests can be made to Twilio")
}

/// Region, credentials and endpoints from the environment, as every AWS program reads them.
pub async fn aws_config() -> anyhow::Result<SdkConfig> {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    config.region().ok_or_else(|| SettingError {
        variable: "AWS_REGION",
        problem: "is not set; it is the region of the table and of Bedrock".to_owned(),
    })?;
    Ok(config)
}

/// The table as the adapter sees it.
pub fn store(aws: &SdkConfig, table: String, keep_calls: Duration) -> DynamoDbStore {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(TABLE_ATTEMPT)
        .operation_attempt_timeout(TABLE_ATTEMPT)
        .operation_timeout(TABLE_OPERATION)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
    let config =
        aws_sdk_dynamodb::config::Builder::from(aws).timeout_config(timeouts).retry_config(retries).build();
    DynamoDbStore::new(aws_sdk_dynamodb::Client::from_conf(config), table, keep_calls)
}
