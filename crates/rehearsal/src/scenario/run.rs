//! Plays a scenario on a stage: sets the parts, begins the call, plays the steps, and looks at what is left afterwards.

use std::time::Duration;

use super::endpoints::Endpoints;
use super::file::Scenario;
use super::place::{OperatorApi, Place, Placed};
use super::player::{self, Cast};
use super::report::{Check, Line, Outcome, Report, StepReport};
use super::table::{self, Table};
use super::turn::contains;
use crate::bedrock::BedrockStandIn;
use crate::twilio::rest::RestStandIn;
use crate::twilio::{Call, CallOptions, Callee, Carrier, Part};

/// How long what somebody is told may still be on its way when the call is over.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a scenario is played on.
///
/// The carrier needs a voice with a pace for scenarios that interrupt: with an instant one, everything has been
/// heard before the caller can speak.
#[derive(Debug)]
pub struct Stage {
    pub carrier: Carrier,
    /// The model stand-in that the service uses. Without it, `[[model]]` entries and checks of the history fail.
    pub bedrock: Option<BedrockStandIn>,
    /// The table that the service uses. Without it, what `[table]` expects to be in it is missed.
    pub table: Option<Table>,
    /// The REST API that the service uses. Without it, no message or code is found.
    pub rest: Option<RestStandIn>,
    /// Where the service is asked to place calls. Without it, `place` fails.
    pub api: Option<OperatorApi>,
    /// The server for tools, from [`Scenario::start_endpoints`].
    pub endpoints: Option<Endpoints>,
}

impl Stage {
    /// A stage with nothing but a carrier.
    pub fn new(carrier: Carrier) -> Self {
        Self { carrier, bedrock: None, table: None, rest: None, api: None, endpoints: None }
    }
}

/// Plays a scenario from the first ring to the hang-up. What goes wrong is in the report.
pub async fn run(scenario: &Scenario, stage: &Stage) -> Report {
    let mut report = Report { title: scenario.title.clone(), steps: Vec::new(), problems: Vec::new() };
    if let Err(problem) = set_model(scenario, stage) {
        report.problems.push(problem);
        return report;
    }
    for party in &scenario.parties {
        stage.carrier.switchboard().set_callee(party.address.clone(), party.callee.clone());
    }
    match begin(scenario, stage, &mut report).await {
        Ok(Some((call, person))) => {
            let cast = Cast { stage, person };
            player::play(&scenario.steps, cast, call, &mut report).await;
        }
        Ok(None) => {}
        Err(error) => report.problems.push(format!("{error:#}")),
    }
    let mut after = StepReport { lines: vec![Line::Note("after the call".to_owned())], checks: Vec::new() };
    after.checks.extend(table::checks(stage.table.as_ref(), &scenario.left).await);
    after.checks.extend(told(scenario, stage).await);
    if let Some(endpoints) = &stage.endpoints {
        after.checks.extend(endpoints.checks().await);
    }
    if !after.checks.is_empty() {
        report.steps.push(after);
    }
    report
}

fn set_model(scenario: &Scenario, stage: &Stage) -> Result<(), String> {
    match &stage.bedrock {
        Some(bedrock) => scenario.model.iter().for_each(|answer| bedrock.script(answer.clone())),
        None if scenario.model.is_empty() => {}
        None => {
            return Err("the scenario has [[model]] entries, but this stage has no model stand-in".to_owned());
        }
    }
    Ok(())
}

/// The call with the number of the person who holds it; none when it has been refused as expected.
async fn begin(
    scenario: &Scenario,
    stage: &Stage,
    report: &mut Report,
) -> anyhow::Result<Option<(Call, String)>> {
    let Some(place) = &scenario.place else {
        let options = options(scenario);
        let person = options.from.clone();
        return Ok(Some((stage.carrier.call(options).await?, person)));
    };
    let Some(api) = &stage.api else {
        anyhow::bail!("the scenario has `place`, but this stage has no operator API");
    };
    if let Some(code) = &place.refused {
        report.steps.push(refused(place, code, api).await?);
        return Ok(None);
    }
    let board = stage.carrier.switchboard();
    let party = scenario.parties.iter().find(|party| party.address == place.to);
    let callee = party.map(|party| party.callee.clone()).unwrap_or_default();
    board.set_callee(place.to.clone(), Callee { part: Part::Live, ..callee });
    let mut placed = stage.carrier.placed_calls();
    Ok(Some((place.begin(api, &mut placed).await?, place.to.clone())))
}

async fn refused(place: &Place, code: &str, api: &OperatorApi) -> anyhow::Result<StepReport> {
    let outcome = match place.ask(api).await? {
        Placed::Refused { code: got, .. } if got == code => Outcome::Met { after: Duration::ZERO },
        Placed::Refused { status, code: got } => {
            Outcome::Missed { expected: code.to_owned(), got: format!("{got} ({status})") }
        }
        Placed::Accepted => {
            Outcome::Missed { expected: code.to_owned(), got: "the call was placed".to_owned() }
        }
    };
    let expectation = format!("the call is refused: {code}");
    Ok(StepReport { lines: Vec::new(), checks: vec![Check { expectation, outcome }] })
}

fn options(scenario: &Scenario) -> CallOptions {
    let default = CallOptions::default();
    CallOptions {
        from: scenario.caller.clone().unwrap_or(default.from),
        to: scenario.called.clone().unwrap_or(default.to),
        use_case: scenario.use_case.clone(),
        ..CallOptions::default()
    }
}

/// What parties had to hear.
async fn told(scenario: &Scenario, stage: &Stage) -> Vec<Check> {
    let mut checks = Vec::new();
    for party in &scenario.parties {
        for words in &party.hears {
            let board = stage.carrier.switchboard();
            let is_told = |told: &str| contains(told, words);
            let told = board.wait_until_told(&party.address, PATIENCE, is_told).await;
            let outcome = if is_told(&told) {
                Outcome::Met { after: Duration::ZERO }
            } else {
                Outcome::Missed { expected: words.clone(), got: told }
            };
            checks.push(Check { expectation: format!("{} hears: \"{words}\"", party.address), outcome });
        }
    }
    checks
}
