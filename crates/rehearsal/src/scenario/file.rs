//! The file of a scenario, in TOML. Every mistake in it is an error that names the file and the key.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::configuration::{self, Configuration};
use super::endpoints::{Endpoint, Endpoints};
use super::model::ModelEntry;
use super::party::{CalledParty, PartyEntry};
use super::place::Place;
use super::step::{Step, StepEntry};
use super::table::{Left, TableEntry};
use crate::bedrock::Answer;
use crate::dynamodb::Delay;

/// A call with its expectations.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub title: String,
    /// Settings of the service that whoever sets the stage must start it with.
    pub settings: BTreeMap<String, String>,
    /// What whoever sets the stage must put between the service and its table.
    pub table_delay: Option<Delay>,
    pub(super) use_case: Option<String>,
    pub(super) caller: Option<String>,
    pub(super) called: Option<String>,
    /// The service is asked to place the call.
    pub(super) place: Option<Place>,
    pub(super) parties: Vec<CalledParty>,
    endpoints: Vec<Endpoint>,
    configuration: Map<String, Value>,
    /// What the model stand-in answers, in order.
    pub(super) model: Vec<Answer>,
    pub(super) steps: Vec<Step>,
    /// What the table holds after the call.
    pub(super) left: Left,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    /// Posts the call to `/twiml/{use_case}`.
    use_case: Option<String>,
    caller: Option<String>,
    called: Option<String>,
    /// In place of an inbound call.
    place: Option<Place>,
    #[serde(default)]
    party: Vec<PartyEntry>,
    #[serde(default)]
    http: Vec<Endpoint>,
    /// Attributes of the use case.
    #[serde(default)]
    configuration: Map<String, Value>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    table: TableEntry,
    #[serde(default)]
    model: Vec<ModelEntry>,
    #[serde(rename = "step")]
    steps: Vec<StepEntry>,
}

impl Scenario {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the scenario {}", path.display()))
    }

    /// Reads a scenario from its text.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        file.check()?;
        let parties = file.party.into_iter().enumerate();
        let parties = parties.map(|(number, entry)| {
            CalledParty::try_from(entry).with_context(|| format!("in [[party]] number {}", number + 1))
        });
        let parties: Vec<CalledParty> = parties.collect::<anyhow::Result<_>>()?;
        if let Some(place) = &file.place {
            let is_scripted = parties.iter().any(|party| party.address == place.to && party.is_scripted);
            ensure!(!is_scripted, "the person called in `place` does what the steps say, not a [[party]]");
        }
        let model = file.model.into_iter().enumerate();
        let model = model.map(|(number, entry)| {
            entry.into_answer(number + 1).with_context(|| format!("in [[model]] number {}", number + 1))
        });
        let steps = file.steps.into_iter().enumerate();
        let steps = steps.map(|(number, entry)| {
            Step::try_from(entry).with_context(|| format!("in [[step]] number {}", number + 1))
        });
        let (table_delay, left) = file.table.into_parts().context("in [table]")?;
        Ok(Self {
            title: file.title,
            settings: file.settings,
            table_delay,
            use_case: file.use_case,
            caller: file.caller,
            called: file.called,
            place: file.place,
            parties,
            endpoints: file.http,
            configuration: file.configuration,
            model: model.collect::<anyhow::Result<_>>()?,
            steps: steps.collect::<anyhow::Result<_>>()?,
            left,
        })
    }

    /// Starts the server for tools, if the scenario has one.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_endpoints(&self) -> anyhow::Result<Option<Endpoints>> {
        if self.endpoints.is_empty() {
            return Ok(None);
        }
        Endpoints::start(self.endpoints.clone()).await.map(Some)
    }

    /// What whoever sets the stage must change of a use case, with the address of the server for tools in its place.
    pub fn configuration(&self, endpoints: Option<&Endpoints>) -> Option<Configuration> {
        let use_case = self.answering()?.to_owned();
        let http = endpoints.map(Endpoints::base).unwrap_or_default();
        let attributes = self.configuration.iter();
        let attributes: Map<_, _> =
            attributes.map(|(name, value)| (name.clone(), configuration::fill(value, &http))).collect();
        (!attributes.is_empty()).then_some(Configuration { use_case, attributes })
    }

    /// The use case that the scenario names.
    fn answering(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.use_case.as_str()).or(self.use_case.as_deref())
    }
}

impl File {
    /// Keys that do not go together.
    fn check(&self) -> anyhow::Result<()> {
        let is_called = self.use_case.is_some() || self.caller.is_some() || self.called.is_some();
        ensure!(
            self.place.is_none() || !is_called,
            "`place` begins the call, so that there is no `use_case`, `caller` or `called`"
        );
        let is_refused = self.place.as_ref().is_some_and(|place| place.refused.is_some());
        ensure!(!is_refused || self.steps.is_empty(), "a call that is `refused` has no steps");
        for (number, endpoint) in self.http.iter().enumerate() {
            endpoint.validate().with_context(|| format!("in [[http]] number {}", number + 1))?;
        }
        ensure!(
            self.configuration.is_empty() || self.use_case.is_some() || self.place.is_some(),
            "`configuration` is that of the `use_case`, which is not named"
        );
        configuration::check(&self.configuration, !self.http.is_empty())
    }
}
