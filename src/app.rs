//! Puts the service together: the only place that constructs adapters.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::ports::{BoxFuture, RecordStore, RemoteTools, RemoteToolsError};
use voice_core::use_case::{McpServer, Tool};
use voice_protocols::signature::SignatureValidator;

use crate::catalog::Catalog;
use crate::config::{SettingError, Settings, SignatureCheck};
use crate::http::{Parts, Service};
use crate::language_models::bedrock::{Bedrock, ClientSettings, Deadlines, clients};
use crate::metrics::Metrics;
use crate::session::{Calls, Ports};
use crate::store::DynamoDbStore;
use crate::tools::Tools;

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

/// In place of servers of tools: none can be asked.
#[derive(Debug)]
struct NoServers;

impl RemoteTools for NoServers {
    fn list(&self, server: Arc<McpServer>) -> BoxFuture<'_, Result<Vec<Tool>, RemoteToolsError>> {
        let reason = "servers of tools are not supported".to_owned();
        Box::pin(async move { Err(RemoteToolsError { server: server.name.clone(), reason }) })
    }
}

/// Region, credentials and endpoint of each service of AWS. On a laptop they need not be the same.
#[derive(Clone, Debug)]
pub struct AwsConfigs {
    pub dynamodb: SdkConfig,
    pub bedrock: SdkConfig,
}

impl App {
    pub fn new(settings: &Settings, aws: &AwsConfigs, tasks: TaskTracker) -> Self {
        let metrics = Metrics::default();
        let store = Arc::new(store(&aws.dynamodb, settings.table_name.clone(), settings.keep_calls));
        let deadlines = Deadlines {
            first_token: settings.model_deadlines.first_token,
            next_token: settings.model_deadlines.next_token,
        };
        let model =
            Bedrock::new(clients(&aws.bedrock, ClientSettings::default()), deadlines, metrics.clone());
        let owner: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let tools = Tools::new(store.clone(), store.clone(), metrics.clone(), tasks.clone());
        let records: Arc<dyn RecordStore> = store.clone();
        let catalog = Catalog::new(records, Arc::new(NoServers), &tasks, metrics.clone());
        let ports = Ports { model: Arc::new(model), tools: Arc::new(tools), store, metrics, tasks, owner };
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
            catalog,
            calls: Calls::new(settings.max_calls),
            ports,
            draining: CancellationToken::new(),
            shutting_down: CancellationToken::new(),
        });
        Self { service, drain: settings.drain }
    }
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
