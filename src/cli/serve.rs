//! `trunkline serve`: the service, until a signal.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::app::{App, AwsConfigs, aws_config};
use crate::config::Settings;
use crate::{lifecycle, telemetry};

pub(super) async fn run(source: impl Fn(&str) -> Option<String>) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(&source)?;
    let log = telemetry::init(&settings.log).context("the log could not be set up")?;
    let aws = aws_config().await?;
    let aws = AwsConfigs { dynamodb: aws.clone(), bedrock: aws.clone(), secrets: aws };
    let app = App::new(&settings, &aws, TaskTracker::new())?;
    log.count_in(&app.service.ports.metrics);
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let stop = lifecycle::stop_signal(&TaskTracker::new()).context("signals cannot be listened for")?;
    tracing::info!(
        %address,
        webhook = settings.public_url.http("/twiml"),
        table = settings.table_name,
        use_case = settings.default_use_case,
        "listening"
    );
    lifecycle::serve(listener, app, stop).await.context("the listener failed")?;
    Ok(ExitCode::SUCCESS)
}
