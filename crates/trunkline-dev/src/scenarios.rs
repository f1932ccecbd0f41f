//! Plays scenario files, each on a stage of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rehearsal::scenario::{self, Report, Scenario};
use rehearsal::twilio::SpeechPace;

use crate::stage::{Stage, StageOptions, TABLE};

/// Fast enough to test with, slow enough to be interrupted.
const PACE: SpeechPace = SpeechPace { chars_per_second: 150.0, tts_delay: Duration::from_millis(20) };

/// Every code that is sent in a scenario, so that a `[[model]]` entry can name it.
const CODE: &str = "271828";

/// Plays one file against the real service between stand-ins.
pub async fn play(file: &Path, configuration: &Path) -> anyhow::Result<Report> {
    let scenario = Scenario::load(file)?;
    let endpoints = scenario.start_endpoints().await?;
    let options = StageOptions {
        configuration: Some(configuration.to_owned()),
        changes: scenario.configuration(endpoints.as_ref()).into_iter().collect(),
        settings: scenario.settings.clone().into_iter().collect(),
        verify_code: Some(CODE.to_owned()),
        ..StageOptions::default()
    };
    let stage = Box::pin(Stage::start_with_table_delay(options, scenario.table_delay.clone()));
    let stage = stage.await.context("the stage was not set")?;
    let carrier = stage.carrier(PACE)?;
    let set = scenario::Stage {
        carrier: carrier.clone(),
        bedrock: stage.bedrock.clone(),
        table: Some(scenario::Table { client: stage.dynamodb.client().await, name: TABLE.to_owned() }),
        rest: Some(stage.rest.clone()),
        api: Some(stage.operator_api()?),
        endpoints,
    };
    let report = Box::pin(scenario::run(&scenario, &set)).await;
    carrier.shutdown().await?;
    stage.stop().await?;
    Ok(report)
}

/// All scenario files of a folder, in the order of their names; a file is taken as it is.
pub fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("{} was not read", path.display()))?;
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files)
}
